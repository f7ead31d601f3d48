"""Estimates of the stopping time."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.estimate.blocks import extremes
from pde_video.integrators.loop import evolution
from pde_video.integrators.steps import explicit_euler
from pde_video.protocols import Array, Step

_PROBE = 0.1  # ε in units of σ: far above rounding in float32, too small to change the diffusion.
_REFERENCE = 1.5  # Pixels by which the picture is smoothed to estimate how far above white a clipped pixel was.


@dataclass(frozen=True)
class StoppingTime:
    """A stopping time, and the curve of which it is the minimum.

    Parameters
    ----------
    time : float
        The time at which `values` is smallest.
    times : ndarray
        Every time of the evolution.
    values : ndarray
        The criterion at these times: an estimate of the mean squared error in squared units of the data for
        ``"sure"`` (up to a constant, if values are clipped), a correlation in [0, 1] for ``"decorrelation"``.
    criterion : {"sure", "decorrelation"}
        The criterion used.
    """

    time: float
    times: Array
    values: Array
    criterion: str


def stopping_time(
    term: Any,
    noisy: Array,
    times: Any,
    *,
    sigma: float | None = None,
    step: Step = explicit_euler,
    channel_axis: int | None = None,
    rng: int | np.random.Generator = 0,
) -> StoppingTime:
    """Estimate the time at which a diffused picture is nearest to the unknown clean one.

    If σ is known, minimises an unbiased estimate of the mean squared error (Stein; Ramani et al.), with u(t) the
    evolution of y, v(t) that of y + ε b, random b = ±1, and ε = σ/10:

        SURE(t) = ‖y − u‖²/N − σ² + 2σ²/(N ε) · b·(v − u)

    Clipped values (255 for anything above) carry other noise. They are left out of the last term, and
    2/N · Σ (y − E z) u is added over them, where z ≥ y are the unclipped values under a normal distribution around the
    smoothed picture. Without σ, minimises |corr(y − u, u)|, of what was removed with what is left (Mrázek & Navara).

    Parameters
    ----------
    term : Term
        The right-hand side.
    noisy : ndarray of float32 or float64
        The noisy state y, as for `evolve`.
    times : sequence of float, or the rule made by ``uniform(t_end)``
        As for `evolve`: the times to choose from, and the steps taken.
    sigma : float, optional
        Standard deviation of the noise, ≥ 0, in units of `noisy`. Default: unknown.
    step, channel_axis
        As for `evolve`.
    rng : int or numpy.random.Generator
        Seed or generator for b.

    Returns
    -------
    StoppingTime

    Raises
    ------
    ParameterError
        If `sigma` or `times` are out of range.
    UnstableStepError, InputError, TypeError
        As for `evolve`.

    References
    ----------
    Stein (1981), doi:10.1214/aos/1176345632. Ramani, Blu & Unser (2008), doi:10.1109/TIP.2008.2001404.
    Mrázek & Navara (2003), doi:10.1023/A:1022908225256.

    Examples
    --------
    >>> clean = np.add.outer(np.sin(np.arange(64) / 9), np.cos(np.arange(64) / 9))
    >>> noisy = clean + np.random.default_rng(0).normal(0, 0.5, clean.shape)
    >>> found = stopping_time(pv.Heat(), noisy, pv.uniform(20.0), sigma=0.5)
    >>> gain = pv.psnr(clean, pv.evolve(pv.Heat(), noisy, pv.uniform(found.time))) - pv.psnr(clean, noisy)
    >>> found.criterion, gain > 13
    ('sure', True)
    """
    if sigma is not None and not (math.isfinite(sigma) and sigma >= 0):
        raise ParameterError(f"sigma is {sigma}; it must be 0 or a positive, finite standard deviation")
    states = evolution(term, noisy, times, step=step, channel_axis=channel_axis)
    noisy = np.asarray(noisy)
    if sigma is None:
        criterion, curve = "decorrelation", [(t, _correlation(noisy - u, u)) for t, u in states]
    else:
        sign = np.random.default_rng(rng).choice(np.array([-1, 1], noisy.dtype), noisy.shape)
        probe = noisy.dtype.type(_PROBE * sigma or 1.0)
        probed = evolution(term, noisy + probe * sign, times, step=step, channel_axis=channel_axis)
        free, surplus = _censoring(noisy, sigma, channel_axis)
        weight, unit = 2 * free * sign / probe, noisy.dtype.type(sigma or 1.0)

        def error(u: Array, v: Array) -> float:
            # Squared in units of σ, as squares in those of the data may leave the range of the dtype.
            near = _mean(((noisy - u) / unit) ** 2) - 2 * _mean((surplus / unit) * (u / unit))
            return float(unit) ** 2 * near + sigma**2 * (_mean(weight * (v - u)) - 1)

        criterion, curve = "sure", [(t, error(u, v)) for (t, u), (_, v) in zip(states, probed, strict=True)]
    grid, values = (np.array(column) for column in zip(*curve, strict=True))
    return StoppingTime(float(grid[values.argmin()]), grid, values, criterion)


def _censoring(noisy: Array, sigma: float, channel_axis: int | None) -> tuple[Array, Array]:
    """Return 1 where a value is not clipped, and E z − y where it is."""
    free, surplus = np.ones_like(noisy), np.zeros_like(noisy)
    low, high = extremes([noisy]).clipped()
    for limit, side in ((low, -1), (high, 1)):
        if sigma == 0 or math.isinf(limit):
            continue
        from scipy.ndimage import gaussian_filter
        from scipy.special import log_ndtr

        axes = [a for a in range(noisy.ndim) if channel_axis is None or a != channel_axis % noisy.ndim]
        cut = noisy == limit
        distance = side * (limit - gaussian_filter(noisy, _REFERENCE, axes=axes)[cut].astype(np.float64)) / sigma
        distance = np.minimum(distance, 100.0)  # Beyond, the surplus is negligible.
        # E n for n ~ N(0, 1) above d is exp(−d²/2) / (√(2π) P(n > d)).
        above = np.exp(-(distance**2) / 2 - log_ndtr(-distance)) / math.sqrt(2 * math.pi)
        free[cut], surplus[cut] = 0, side * sigma * (above - distance)
    return free, surplus


def _mean(y: Array) -> float:
    return float(np.mean(y, dtype=np.float64))


def _correlation(a: Array, b: Array) -> float:
    """Return |corr(a, b)|, or 1 if one of them is constant: then nothing was removed, or nothing is left."""
    a, b = (x - _mean(x) for x in (a.astype(np.float64), b.astype(np.float64)))
    norms = math.sqrt(float(np.sum(a * a))) * math.sqrt(float(np.sum(b * b)))
    return abs(float(np.sum(a * b))) / norms if norms > 0 else 1.0
