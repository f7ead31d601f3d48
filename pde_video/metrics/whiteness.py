"""Whether the residual of a filter is white noise."""

from __future__ import annotations

import math

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array

_REACH = 3  # Pixels, up and down, left and right.


class Whiteness:
    """`whiteness` of a stream, from sums of the size of two frames.

    Examples
    --------
    >>> import numpy as np
    >>> meter, rng = Whiteness(), np.random.default_rng(0)
    >>> for _ in range(4):
    ...     meter.add(rng.normal(size=(64, 64)), np.zeros((64, 64)))
    >>> round(meter.value, 2)
    1.0
    """

    def __init__(self) -> None:
        self._frames = 0
        self._shape: tuple[int, ...] = ()
        self._last: Array | None = None
        # Sums over frames and channels of power spectra and cross spectra, the transforms of lagged products.
        self._within: Array = np.zeros(1)
        self._across: Array = np.zeros(1, np.complex128)

    def add(self, noisy: Array, denoised: Array) -> None:
        """Add one frame of each."""
        from scipy import fft

        if noisy.shape != denoised.shape or noisy.ndim not in (2, 3) or self._shape not in ((), noisy.shape):
            raise InputError(
                f"shapes are {noisy.shape} and {denoised.shape}; frames (H, W) or (H, W, C) of one shape are needed"
            )
        self._shape = noisy.shape
        residual = np.moveaxis(np.atleast_3d(noisy.astype(np.float64) - denoised), 2, 0)
        spectrum = fft.rfft2(residual, self._padded())
        self._within = self._within + (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
        if self._last is not None:
            self._across = self._across + (self._last.conj() * spectrum).sum(axis=0)
        self._last = spectrum
        self._frames += 1

    @property
    def value(self) -> float:
        """Whiteness of the frames so far; NaN if there is none, or all residuals are 0."""
        if not self._within.any():
            return math.nan
        height, width, channels = np.atleast_3d(np.empty(self._shape)).shape
        lags = np.arange(-_REACH, _REACH + 1)
        down, across = (np.maximum(size - np.abs(lags), 0) for size in (height, width))
        pairs = channels * np.outer(down, across)
        variance = self._lagged(self._within)[_REACH, _REACH] / (pairs[_REACH, _REACH] * self._frames)
        excess = 0.0
        for sums, frames, times in ((self._within, self._frames, 1), (self._across, self._frames - 1, 2)):
            count = (pairs * frames).astype(float)
            if frames == self._frames:
                count[_REACH, _REACH] = 0  # Lag 0.
            used = count > 0
            if used.any():
                correlation = self._lagged(sums)[used] / (count[used] * variance)
                excess += times * float((correlation**2 - 1 / count[used]).sum())
        return 1 / (1 + max(excess, 0.0))

    def _padded(self) -> tuple[int, int]:
        """Return a transform size at which no lag wraps around."""
        from scipy import fft

        height, width = (fft.next_fast_len(n + _REACH, real=True) for n in self._shape[:2])
        return height, width

    def _lagged(self, sums: Array) -> Array:
        """Return Σ r(p) r(p + lag) for all lags within reach, lag 0 in the middle."""
        from scipy import fft

        lags = np.arange(-_REACH, _REACH + 1)
        return fft.irfft2(sums, self._padded())[np.ix_(lags, lags)]
