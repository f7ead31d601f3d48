"""PSNR, SSIM and whiteness of videos and streams."""

import math
from collections.abc import Iterable, Iterator
from itertools import zip_longest

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array

_REACH = 3  # Pixels up, down, left and right in which whiteness looks at correlations.
_LAGS = np.arange(-_REACH, _REACH + 1)


def psnr(reference: Array, other: Array, *, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio, in dB.

    PSNR = 10 log₁₀ (peak² / mean (reference − other)²), with the mean over all values.

    Parameters
    ----------
    reference, other : ndarray
        Pictures or videos of the same shape and dtype.
    peak : float, optional
        Largest value. Default: the largest of an integer dtype, 1 for floats.

    Returns
    -------
    float
        Infinite if the two are equal.

    Raises
    ------
    InputError
        If shapes or dtypes differ.

    References
    ----------
    ITU-T Recommendation J.340.

    Examples
    --------
    >>> round(psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)), 6)
    20.0
    """
    meter = Psnr(peak)
    meter.add(reference, other)
    return meter.value


def _peak_value(reference: Array, other: Array) -> float:
    """Return the largest value of the common dtype, 1 for floats."""
    if reference.dtype != other.dtype:
        raise InputError(f"dtypes differ: {reference.dtype} and {other.dtype}; convert one, so that ranges agree")
    return 1.0 if reference.dtype.kind == "f" else float(np.iinfo(reference.dtype).max)


def ssim(reference: Array, other: Array, *, peak: float | None = None) -> float:
    """Structural similarity of two frames.

    SSIM = mean of (2μ₁μ₂ + C₁)(2σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂)), with moments under a Gaussian
    window of standard deviation 1.5 cut at 11 × 11, C₁ = (0.01 peak)², C₂ = (0.03 peak)², over all windows that
    lie inside the frame (over all pixels where a side is below 11), and over channels.

    Parameters
    ----------
    reference, other : ndarray, shape (H, W) or (H, W, C)
        Frames of the same shape and dtype.
    peak : float, optional
        Largest value. Default: the largest of an integer dtype, 1 for floats.

    Returns
    -------
    float
        1 if the two are equal.

    Raises
    ------
    InputError
        If shapes or dtypes differ, or are not those of a frame.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli (2004), doi:10.1109/TIP.2003.819861.

    Examples
    --------
    >>> frame = np.linspace(0, 1, 400).reshape(20, 20)
    >>> float(ssim(frame, frame))
    1.0
    """
    from scipy.ndimage import gaussian_filter

    if reference.shape != other.shape or reference.ndim not in (2, 3):
        raise InputError(f"shapes are {reference.shape} and {other.shape}; two equal (H, W) or (H, W, C) are needed")
    peak = peak or _peak_value(reference, other)
    x, y = (np.atleast_3d(frame).astype(np.float64) for frame in (reference, other))

    def window(z: Array) -> Array:
        return gaussian_filter(z, (1.5, 1.5, 0), radius=(5, 5, 0))

    mean_x, mean_y = window(x), window(y)
    variance_x, variance_y = window(x * x) - mean_x**2, window(y * y) - mean_y**2
    covariance = window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    inside = similarity[5:-5, 5:-5]
    return float((inside if inside.size else similarity).mean())


def whiteness(noisy: Iterable[Array], denoised: Iterable[Array]) -> float:
    """Whiteness of what a denoiser removed: 1 for white noise, near 0 for a smooth picture.

    whiteness = 1 / (1 + Σ (ρ_d² − 1/n_d)), at most 1, with ρ_d the autocorrelation of the residual r = noisy − denoised
    at the lag d, the mean of n_d products r(p) r(p + d) divided by that of r(p)², and the sum over all d ≠ 0 within
    ±3 pixels and ±1 frame.

    With all lags this is (mean S)² / mean S² of the power spectrum S, the share of frequencies that r fills. No mean is
    subtracted, as noise has none. For N values of white noise, the sum has mean 0 and standard deviation 24/N (14/N for
    a single frame), somewhat more if the noise level varies.

    Parameters
    ----------
    noisy, denoised : videos
        Arrays (T, H, W) or (T, H, W, C), or iterables of frames, of one length and shape. Channels share one ρ_d.

    Returns
    -------
    float
        In (0, 1]; NaN if nothing was removed.

    Raises
    ------
    InputError
        If lengths or shapes differ, or there is no frame.

    References
    ----------
    Lanza, Pragliola & Sgallari (2020), doi:10.1553/etna_vol53s329, choose parameters by the sum of ρ_d².

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(4, 64, 64))
    >>> pairs = noise + np.roll(noise, 1, axis=2)  # ρ is ½ at two lags: 1 / (1 + 2/4)
    >>> round(whiteness(noise, 0 * noise), 1), round(whiteness(pairs, 0 * pairs), 1)
    (1.0, 0.7)
    """
    meter = Whiteness()
    for before, after in _paired(noisy, denoised):
        meter.add(before, after)
    if not meter.frames:
        raise InputError("there is no frame to measure")
    return meter.value


class Psnr:
    """PSNR of a stream: 10 log₁₀ (peak² / mean over frames of the mean squared error)."""

    def __init__(self, peak: float | None = None) -> None:
        self._given, self._peak, self._squares, self._frames = peak, 1.0, 0.0, 0

    def add(self, expected: Array, actual: Array) -> None:
        """Add one frame and its reference."""
        if expected.shape != actual.shape:
            raise InputError(f"shapes differ: {expected.shape} and {actual.shape}")
        self._peak = self._given or _peak_value(expected, actual)
        difference = np.asarray(expected, np.float64) - np.asarray(actual, np.float64)
        self._squares += float(np.mean(difference**2))
        self._frames += 1

    @property
    def value(self) -> float:
        """PSNR of the frames so far, in dB."""
        if self._squares == 0:
            return math.inf
        return 10 * math.log10(self._peak**2 * self._frames / self._squares)


class Whiteness:
    """`whiteness` of a stream, from sums of the size of two frames."""

    def __init__(self) -> None:
        self.frames = 0
        self._shape: tuple[int, ...] = ()
        self._size: list[int] = []  # Of the transforms.
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
        self._size = [fft.next_fast_len(n + _REACH, real=True) for n in noisy.shape[:2]]  # No lag wraps around.
        residual = np.moveaxis(np.atleast_3d(noisy.astype(np.float64) - denoised), 2, 0)
        spectrum = fft.rfft2(residual, self._size)
        self._within = self._within + (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
        if self._last is not None:
            self._across = self._across + (self._last.conj() * spectrum).sum(axis=0)
        self._last = spectrum
        self.frames += 1

    @property
    def value(self) -> float:
        """Whiteness of the frames so far; NaN if there is none, or all residuals are 0."""
        if not self._within.any():
            return math.nan
        height, width, channels = np.atleast_3d(np.empty(self._shape)).shape
        down, across = (np.maximum(size - np.abs(_LAGS), 0) for size in (height, width))
        pairs = channels * np.outer(down, across)
        variance = self._lagged(self._within)[_REACH, _REACH] / (pairs[_REACH, _REACH] * self.frames)
        excess = 0.0
        for sums, frames, times in ((self._within, self.frames, 1), (self._across, self.frames - 1, 2)):
            count = (pairs * frames).astype(float)
            if frames == self.frames:
                count[_REACH, _REACH] = 0  # Lag 0.
            used = count > 0
            if used.any():
                correlation = self._lagged(sums)[used] / (count[used] * variance)
                excess += times * float((correlation**2 - 1 / count[used]).sum())
        return 1 / (1 + max(excess, 0.0))

    def _lagged(self, sums: Array) -> Array:
        """Return Σ r(p) r(p + lag) for all lags within reach, lag 0 in the middle."""
        from scipy import fft

        return fft.irfft2(sums, self._size)[np.ix_(_LAGS, _LAGS)]


def _paired(reference: Iterable[Array], other: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
    for index, (expected, actual) in enumerate(zip_longest(reference, other)):
        if expected is None or actual is None:
            shorter = "reference" if expected is None else "other video"
            raise InputError(f"the videos differ in length: the {shorter} ends after {index} frames")
        yield expected, actual


class Comparison:
    """The figures of `compare` for a stream, whose frames are passed on."""

    def __init__(self) -> None:
        self._psnr, self._whiteness = Psnr(), Whiteness()
        self._similarities: list[float] = []

    def watch(self, reference: Iterable[Array], other: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
        """Yield pairs of frames of both, and add them."""
        for expected, actual in _paired(reference, other):
            self._psnr.add(expected, actual)
            self._similarities.append(ssim(expected, actual))
            self._whiteness.add(expected, actual)
            yield expected, actual

    def figures(self) -> dict[str, float | int]:
        """Return the figures of the frames so far."""
        if not self._similarities:
            raise InputError("there is no frame to compare")
        return {
            "psnr": self._psnr.value,
            "ssim": float(np.mean(self._similarities)),
            "whiteness": self._whiteness.value,
            "frames": len(self._similarities),
        }


def compare(reference: Iterable[Array], other: Iterable[Array]) -> dict[str, float | int]:
    """PSNR and SSIM of a video against its reference, and whiteness of the difference, in one pass.

    PSNR is that of the mean squared error over all frames, SSIM the mean over the frames, and `whiteness` that of
    reference − other: for a noisy reference and a denoised video, of what was removed.

    Parameters
    ----------
    reference, other : videos
        Arrays (T, H, W) or (T, H, W, C), or iterables of frames, of the same length, shape and dtype.

    Returns
    -------
    dict
        ``psnr`` in dB, ``ssim``, ``whiteness`` (NaN if the two are equal), ``frames``.

    Raises
    ------
    InputError
        If lengths, shapes or dtypes differ, or there is no frame.

    References
    ----------
    Wang et al. (2004), doi:10.1109/TIP.2003.819861.

    Examples
    --------
    >>> video = np.random.default_rng(0).random((2, 16, 16))
    >>> compare(video, video)
    {'psnr': inf, 'ssim': 1.0, 'whiteness': nan, 'frames': 2}
    """
    meter = Comparison()
    for _ in meter.watch(reference, other):
        pass
    return meter.figures()
