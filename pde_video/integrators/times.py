"""Time grids: plain increasing or decreasing 1-D arrays, or a rule that makes one from the stable step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pde_video.arrays.values import Call, Value
from pde_video.checks import check_whole
from pde_video.errors import ParameterError
from pde_video.protocols import Array

_MOST_STEPS = 10_000_000  # More would take days, and their times alone would fill the memory.


def uniform(t_end: float, dt: float | None = None, *, steps: int | None = None) -> Array | Callable[[float], Array]:
    """Equal steps from 0 to `t_end`.

    t_k = k · t_end / n, with n the smallest number of steps that are no longer than `dt`.

    Parameters
    ----------
    t_end : float
        Final time, > 0, in units of grid spacing² / diffusivity.
    dt : float, optional
        Longest step, > 0: dt = 0.255 up to 10 gives 40 steps of 0.25. Default: the largest step that is stable for the
        term and the step function; the result is then a rule, which `evolve` applies, instead of an array.
    steps : int, optional
        The number of steps, ≥ 1, instead of `dt`.

    Returns
    -------
    ndarray of shape (n + 1,), or a function of the largest stable step that returns one.

    Examples
    --------
    >>> uniform(1.0, dt=0.25)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> uniform(1.0, steps=2)
    array([0. , 0.5, 1. ])
    >>> uniform(1.0)(0.3)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    if not (math.isfinite(t_end) and t_end > 0):
        raise ParameterError(f"t_end is {t_end}; it must be a positive, finite time")
    if dt is not None and steps is not None:
        raise ParameterError("dt and steps are both given; leave one out")
    if steps is not None:
        check_whole(1, steps=steps)
        return np.linspace(0.0, t_end, int(steps) + 1)
    if dt is None:
        return _Uniform(t_end)
    if not (math.isfinite(dt) and dt > 0):
        raise ParameterError(f"dt is {dt}; it must be a positive, finite step")
    return _Uniform(t_end)(dt)


@dataclass(frozen=True, repr=False)
class _Uniform(Value):
    """The rule that makes equal steps of the largest stable step."""

    t_end: float

    def __call__(self, largest: float) -> Array:
        number = self.t_end / largest * (1 - 1e-12)  # The slack absorbs a quotient that was rounded up.
        if number > _MOST_STEPS:
            raise ParameterError(
                f"t_end = {self.t_end:g} takes {number:.2g} steps of {largest:g}, more than {_MOST_STEPS:,}; take "
                "longer steps (implicit_euler allows them) or a shorter time"
            )
        return np.linspace(0.0, self.t_end, max(1, math.ceil(number)) + 1)

    def _call(self) -> Call:
        return "uniform", (self.t_end,), {}
