"""Noise levels: the times of a reverse process."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from pde_video.checks import check_positive, check_whole
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.reverse_process.schedules import Schedule

Range: TypeAlias = tuple[float, float]


def ddpm(
    schedule: Schedule,
    steps: int | None = None,
    *,
    start: float | None = None,
    value_range: Range = (0, 1),
) -> Array:
    """Noise levels of a schedule from high to low, then 0: the times of a `Reverse` process.

    σ_k = σ(t_k)/(high − low), t_k evenly from the last level, or the one with the noise level `start`, down to 0.

    Parameters
    ----------
    schedule : Schedule
        In the units in which its model sees pictures.
    steps : int, optional
        The number of levels visited, 1 to the schedule's own number. Default: every level.
    start : float, optional
        The noise level of a noisy picture, one of the schedule's, in units of the frames: start there, without adding
        noise. Default: the last level.
    value_range : (float, float)
        What 0 and 1 of the frames are in the units of the schedule's model; (−1, 1) makes noise twice as large there.

    Returns
    -------
    ndarray of shape (steps + 1,)
        Decreasing, in units of the frames. A schedule with zero terminal SNR starts at infinity, for `sample` alone.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Song, Meng & Ermon (2021), arXiv:2010.02502.

    Examples
    --------
    >>> ddpm(pv.Schedule.linear(), 4).round(3)
    array([1.57407e+02, 9.48900e+00, 1.46200e+00, 1.00000e-02, 0.00000e+00])
    >>> ddpm(pv.Schedule.linear(), 3, start=25 / 255, value_range=(-1, 1)).round(3)
    array([0.098, 0.053, 0.005, 0.   ])
    """
    width = range_width(value_range)
    first = float(len(schedule) - 1)
    if start is not None:
        check_positive(start=start)
        first = schedule.timestep(start * width)
    if steps is None:
        levels = np.append(np.arange(math.ceil(first - 1e-9)), first)[::-1]
    else:
        check_whole(1, steps=steps)
        if steps > len(schedule):
            raise ParameterError(f"steps is {steps}; the schedule has {len(schedule)} levels to visit")
        levels = np.linspace(first, 0, int(steps))
    return np.append(schedule.sigma(levels) / width, 0.0)


def karras(steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Array:
    """Noise levels that are denser the lower they are, then 0: the times of a `Reverse` process.

    σ_k = (σ_max^(1/ρ) + k/(n − 1) (σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ, k = 0, …, n − 1

    Parameters
    ----------
    steps : int
        n ≥ 1; with 1, σ_max alone.
    sigma_min, sigma_max : float
        Lowest and highest noise level, 0 < σ_min < σ_max, in units of the frames.
    rho : float
        ρ > 0; with 1 the levels are evenly spaced.

    Returns
    -------
    ndarray of shape (steps + 1,)

    References
    ----------
    Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364.

    Examples
    --------
    >>> karras(3, sigma_min=0.01, sigma_max=1.0).round(3)
    array([1.   , 0.145, 0.01 , 0.   ])
    """
    check_whole(1, steps=steps)
    check_positive(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    if sigma_min >= sigma_max:
        raise ParameterError(f"sigma_min is {sigma_min} and sigma_max {sigma_max}; sigma_min must be smaller")
    roots = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), int(steps))
    return np.concatenate([[sigma_max], roots[1:] ** rho, [0.0]])


def range_width(value_range: Range) -> float:
    """Return the length of one unit of the frames in units of a model."""
    low, high = (float(v) for v in value_range) if np.shape(value_range) == (2,) else (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(
            f"value_range is {value_range!r}; it must be the model's values for 0 and 1 of the frames, lower first, as "
            "in (-1, 1)"
        )
    return float(high - low)


def as_range(value_range: Any) -> Range:
    """Return the values that stand for 0 and 1 of the frames, checked."""
    range_width(value_range)
    low, high = value_range
    return float(low), float(high)
