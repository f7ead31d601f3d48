"""Variance stabilisation of Poisson-Gaussian noise, and its unbiased inverse."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.errors import DtypeError, ParameterError
from pde_video.protocols import Array

_ENOUGH = 100.0  # Variance, in photons², from which the series is accurate to 4e-5 photons.
_ENTRIES = 2048  # Of the table used below that: linear interpolation is accurate to 2e-5 photons.


@dataclass(frozen=True)
class VarianceStabilizer:
    """Anscombe's transform for Poisson-Gaussian noise, and its exact unbiased inverse.

    y = slope · Poisson(λ) + N(black, readout²), of mean x = slope · λ + black and variance slope · x + offset, with
    offset = readout² − slope · black. Forward:

        f(y) = (2 / slope) (√max(slope · y + 3/8 slope² + offset, 0) − √(3/8 slope² + readout²)),

    whose noise has a standard deviation of 1 (to 3 %, for λ or readout²/slope² above 4). The constant makes
    f(black) = 0, and f(y) → y / readout as slope → 0; at slope = 0, f(y) = (y − black) / readout.

    The inverse is E[f(y)] ↦ x, not the algebraic f(y) ↦ y, since a denoiser returns means of f(y): their inverse has
    the right mean intensity. Where the variance is below 100 slope², it is interpolated in a table of Poisson sums of
    Gaussian integrals, accurate to 5e-5 slope; above, with v = E[f] and
    u = slope v²/4 + v √(3/8 slope² + readout²) + slope/4, it is x = black + u + slope³ readout² / (8 variance²),
    accurate to 4e-5 slope. Both increase. Values below E[f] of no light, which read-out noise produces, continue along
    the tangent to below black: clipping them would brighten dark regions.

    Parameters
    ----------
    slope : float
        ≥ 0, in units of the data: intensity per photon. 0: Gaussian noise of variance `offset`.
    offset : float
        In squared units of the data, as `estimate_poisson_gaussian` returns it. Above 0 if `slope` is 0.
    black : float, optional
        Intensity without light, at least −offset / slope. Default: 0, or −offset / slope if `offset` is below 0.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    References
    ----------
    Mäkitalo & Foi (2011), doi:10.1109/TIP.2010.2056693, and (2013), doi:10.1109/TIP.2012.2202675.

    Examples
    --------
    >>> stabiliser = VarianceStabilizer(0.1, 0.0)
    >>> counts = 0.1 * np.random.default_rng(0).poisson(3.0, 200_000)
    >>> mean = stabiliser.forward(counts).mean(keepdims=True)  # A perfect denoiser of a uniform picture.
    >>> round(stabiliser.inverse(mean).item(), 2)
    0.3
    """

    slope: float
    offset: float
    black: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("slope", self.slope), ("offset", self.offset), ("black", self.black or 0.0)):
            if not math.isfinite(value):
                raise ParameterError(f"{name} is {value}; it must be finite")
        if self.slope < 0:
            raise ParameterError(f"slope is {self.slope}; it must be ≥ 0")
        if self.slope == 0 and self.offset <= 0:
            raise ParameterError(f"offset is {self.offset} and slope 0; noise-free data need no VarianceStabilizer")
        if self.black is not None and self.slope * self.black + self.offset < 0:
            raise ParameterError(
                f"black is {self.black}, where slope {self.slope} and offset {self.offset} give a negative variance; "
                f"it must be at least {-self.offset / self.slope if self.slope else -math.inf}, or None"
            )

    @property
    def readout(self) -> float:
        """Standard deviation of the noise without light."""
        return math.sqrt(max(self.slope * self._black + self.offset, 0.0))

    def forward(self, frame: Array) -> Array:
        """Return f of every value, float32 for float32 and float64 for float64, of any shape."""
        from pde_video.kernels.anscombe import stabilise

        _check(frame)
        if self.slope == 0:  # Squares of a small deviation would vanish in single precision.
            return (frame - frame.dtype.type(self._black)) / frame.dtype.type(self.readout)
        lowest = -(self._ground**2) / self.slope
        lowest = lowest if lowest > -1e30 else -math.inf  # Single precision would overflow, and it clips nothing.
        return _on_values(stabilise, frame, self._black, self.slope, self._ground, lowest)

    def inverse(self, frame: Array) -> Array:
        """Return for every value v of E[f] the intensity x, with the dtype and shape of `frame`."""
        from pde_video.kernels.anscombe import unstabilise

        _check(frame)
        if self.slope == 0:
            return frame * frame.dtype.type(self.readout) + frame.dtype.type(self._black)
        parameters: list[Any] = [self._black, self.slope, self._ground, self.readout]
        if self.readout**2 < _ENOUGH * self.slope**2:
            first, step, photons = _unbiased(self.readout / self.slope)
            # The last entry lies on the series, so that the inverse increases there too.
            top = first + (_ENTRIES - 1) * step
            parameters += [self._black + self.slope * photons, first, 1 / step, top]
        else:
            parameters += [np.zeros(2), 0.0, 0.0, -math.inf]
        return _on_values(unstabilise, frame, *parameters)

    @property
    def _black(self) -> float:
        if self.black is not None:
            return self.black
        return -self.offset / self.slope if self.offset < 0 else 0.0

    @property
    def _ground(self) -> float:
        return math.sqrt(3 / 8 * self.slope**2 + self.readout**2)


def _check(frame: Array) -> None:
    if frame.dtype not in (np.float32, np.float64):
        raise DtypeError(f"the frame has dtype {frame.dtype}; give float32 or float64")


def _on_values(function: Callable[..., None], frame: Array, *parameters: Any) -> Array:
    # Frames are often (C, H, W) in memory: their layout is kept.
    contiguous = frame.flags.c_contiguous or (frame.ndim == 3 and np.moveaxis(frame, -1, 0).flags.c_contiguous)
    if not (contiguous and frame.flags.writeable and frame.dtype.isnative):
        frame = frame.astype(frame.dtype.newbyteorder("="), order="K" if contiguous else "C")
    out, kind = np.empty_like(frame), frame.dtype.type
    function(frame.ravel("K"), *(kind(p) if np.ndim(p) == 0 else p.astype(kind) for p in parameters), out.ravel("K"))
    return out


@functools.lru_cache(maxsize=16)
def _unbiased(readout: float) -> tuple[float, float, Array]:
    """Return the first of equally spaced values of E[f], their spacing, and the photons λ of each."""
    most = _ENOUGH - readout**2
    light = most * np.linspace(0, 1, _ENTRIES) ** 2
    # E[f] is the Poisson sum of the mean of f for each number of photons.
    counts = np.arange(light.max() + 12 * math.sqrt(light.max()) + 25)
    log_factorial = np.cumsum(np.log(np.maximum(counts, 1)))
    chance = np.exp(counts * np.log(np.maximum(light, 1e-300))[:, None] - light[:, None] - log_factorial)
    stabilised = chance @ _over_readout(counts, readout)
    even = np.linspace(stabilised[0], stabilised[-1], _ENTRIES)
    photons = np.interp(even, stabilised, light)
    joined = even[-1] ** 2 / 4 + even[-1] * math.sqrt(3 / 8 + readout**2) + 1 / 4
    photons[-1] = joined + readout**2 / (8 * (joined + readout**2) ** 2)
    photons.flags.writeable = False
    return float(even[0]), float(even[1] - even[0]), photons


def _over_readout(counts: Array, readout: float) -> Array:
    """Return E[f(count + readout · z)], z ~ N(0, 1)."""
    shift = 3 / 8 + readout**2

    def transformed(u: Array) -> Array:
        return 2 * u / (np.sqrt(np.maximum(u + shift, 0)) + math.sqrt(shift))

    if readout == 0:
        return transformed(counts)
    # With z = low + w², where the root begins at low, the integrand is smooth and the trapezoidal rule accurate.
    low = np.maximum(-(counts + shift) / readout, -9.0)
    step = np.sqrt(9.0 - low)[:, None] / 160
    w = step * np.arange(1, 161)
    z = low[:, None] + w**2
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    clipped = np.array([math.erfc(-edge / math.sqrt(2)) / 2 for edge in low]) * transformed(np.array(-shift))
    return clipped + (2 * w * step * density * transformed(counts[:, None] + readout * z)).sum(1)
