"""The one loop, y ← step(term, t0, t1, y) for (t0, t1) in pairwise(times), and its times."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from pde_video.arrays.grid import all_finite, as_planes, from_planes, to_planes
from pde_video.arrays.values import Call, Value
from pde_video.checks import check_whole
from pde_video.errors import DtypeError, InputError, ParameterError, UnstableStepError
from pde_video.integrators.steps import explicit_euler
from pde_video.protocols import (
    Array,
    Stable,
    Step,
    Term,
    aligned_to,
    bound_of,
    is_fusible,
    multiple_of,
    name_of,
    satisfies,
    start_of,
)

ROUNDING = 1e-6  # Relative excess over the bound that counts as rounding.
_MOST_STEPS = 10_000_000  # More would take days, and their times alone would fill the memory.


def evolution(
    term: Term,
    y: Array,
    times: Any,
    *,
    step: Step = explicit_euler,
    channel_axis: int | None = None,
    check: bool = True,
) -> Iterator[tuple[float, Array]]:
    """Yield (t, state) at every time, the initial one first.

    y_{k+1} = step(term, t_k, t_{k+1}, y_k)

    Parameters
    ----------
    term : Term
        The right-hand side dy/dt = rate(t, y).
    y : ndarray of float32 or float64
        Initial state: a grid of any number of axes, plus a channel axis if `channel_axis` is given.
    times : sequence of float, or the rule made by ``uniform(t_end)``
        Strictly increasing or decreasing.
    step : Step
        The integrator.
    channel_axis : int, optional
        The axis of `y` that holds channels and is not diffused. Default: none.
    check : bool
        Refuse steps above the stability bound and values that are not finite. With False an unstable evolution runs.

    Yields
    ------
    (float, ndarray)
        Time and state, in the layout of `y`. The arrays are not overwritten later.

    Raises
    ------
    UnstableStepError
        If a step is above the stability bound, or times run a diffusion backwards.
    InputError, TypeError
        If `y` is empty, not finite, or neither float32 nor float64; if `term` has no rate.
    ParameterError
        If `times` are not strictly monotonic and finite, or a state is not finite.

    References
    ----------
    Hundsdorfer & Verwer (2003), doi:10.1007/978-3-662-09017-6.

    Examples
    --------
    >>> for t, state in pv.evolution(pv.Heat(), np.array([0.0, 1.0]), [0, 0.25, 0.5]):
    ...     print(t, state)
    0.0 [0. 1.]
    0.25 [0.25 0.75]
    0.5 [0.375 0.625]
    """
    if not satisfies(term, Term):
        raise TypeError(f"{term!r:.80} is no term: it must be an object with rate(t, y), as Heat() is")
    state = as_state(y, channel_axis, check)
    term = aligned_to(term, channel_axis, np.shape(y))
    state = start_of(term, state)
    grid = checked_times(term, times, state.ndim - 1, step, check)

    def states() -> Iterator[tuple[float, Array]]:
        z = state
        yield grid[0], from_planes(z, channel_axis)
        for t0, t1 in pairwise(grid):
            z = step(term, t0, t1, z)
            if check:
                check_finite(z, t0, t1)
            yield t1, from_planes(z, channel_axis)

    return states()


def evolve(
    term: Term,
    y: Array,
    times: Any,
    *,
    step: Step = explicit_euler,
    channel_axis: int | None = None,
    check: bool = True,
    callback: Callable[[float, Array], object] | None = None,
    out: Array | None = None,
) -> Array:
    """Return the state at the last time.

    y_{k+1} = step(term, t_k, t_{k+1}, y_k)

    Parameters
    ----------
    term, y, times, step, channel_axis, check
        As for `evolution`.
    callback : callable (t, state), optional
        Called at every time, the initial one included.
    out : ndarray, optional
        Array of the shape and dtype of `y` that receives the result; it may be `y` itself. Undefined after an error.

    Returns
    -------
    ndarray
        The final state, of the shape and dtype of `y`; `out` if that was given.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    The stability limit of the heat equation on a plane is dt = 1/4:

    >>> noise = np.random.default_rng(0).normal(size=(64, 64))
    >>> smooth = pv.evolve(pv.Heat(), noise, pv.uniform(25.0, dt=0.25))
    >>> bool(abs(smooth.mean() - noise.mean()) < 1e-12)
    True
    >>> pv.evolve(pv.Heat(), noise, pv.uniform(26.0, dt=0.26))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    pde_video.errors.UnstableStepError: a step of 0.26 is above 0.25, the largest stable one ...
    """
    if out is not None and not (isinstance(out, np.ndarray) and out.flags.writeable):
        raise ParameterError("out must be a writable NumPy array")
    if out is not None and (out.shape != np.shape(y) or out.dtype != np.asarray(y).dtype):
        raise ParameterError(
            f"out has shape {out.shape} and dtype {out.dtype}; y has {np.shape(y)} and {np.asarray(y).dtype}"
        )
    if callback is None and step is explicit_euler and is_fusible(term):
        result = _marched(term, y, times, channel_axis, check, out)
        if result is not None:
            return result
    if callback is not None and out is not None and np.may_share_memory(out, y):
        y = y.copy()  # The callback may have kept the initial state.
    state = y
    for t, state in evolution(term, y, times, step=step, channel_axis=channel_axis, check=check):
        if callback is not None:
            callback(t, state)
    if out is None:
        result = np.ascontiguousarray(state)
        return result.copy() if np.may_share_memory(result, y) else result
    out[...] = state
    return out


def _marched(term: Any, y: Array, times: Any, channel_axis: int | None, check: bool, out: Array | None) -> Array | None:
    """Take all explicit steps in one fused walk; None where the plain loop must take them, or raise the error."""
    y = as_floats(y, channel_axis)
    ndim = y.ndim - (channel_axis is not None)
    if callable(times):
        times = times(bound_of(term, ndim))
    if np.ndim(times) != 1:
        return None
    times = tuple(np.asarray(times, float).tolist())
    try:
        walk = _walk(term, times, ndim, y.dtype, check)
    except TypeError:  # An unhashable term cannot be cached.
        walk = _walk.__wrapped__(term, times, ndim, y.dtype, check)
    if walk is None:
        return None
    direct = out is not None and out.dtype.isnative and not np.may_share_memory(out, y)
    into: Array = out if direct else np.empty_like(y)  # type: ignore[assignment]
    if not walk(as_planes(y, channel_axis), as_planes(into, channel_axis)) and check:
        return None
    if out is None or into is out:
        return into
    out[...] = into
    return out


@lru_cache(maxsize=64)  # All frames of a video use the same walk.
def _walk(term: Any, times: Any, ndim: int, dtype: np.dtype[Any], check: bool) -> Any:
    grid = checked_times(term, times, ndim, check=check)
    if len(grid) < 2 or not 1 <= ndim <= 3:
        return None
    return term.walk(tuple(np.diff(grid).tolist()), ndim, dtype)


def as_state(y: Array, channel_axis: int | None, check: bool = True) -> Array:
    """Return `y` as a state (C, *grid), or raise the error that says why it is none."""
    y = as_floats(y, channel_axis)
    if check and not all_finite(y):
        raise InputError("the state holds NaN or infinite values; replace them first, or pass check=False")
    state = to_planes(y, channel_axis)
    return state if state.flags.writeable else state.copy()  # Kernels are compiled for writable arrays only.


def as_floats(y: Array, channel_axis: int | None) -> Array:
    """Return `y` as an array of native floats, or raise the error that says why it is not a state."""
    y = np.asarray(y)
    y = y.astype(y.dtype.newbyteorder("="), copy=False)
    if y.dtype not in (np.float32, np.float64):
        raise DtypeError(
            f"the state has dtype {y.dtype}; evolve takes float32 or float64: convert it with y.astype(np.float32), or "
            "use framewise, which takes video of any dtype"
        )
    if channel_axis is not None and not -y.ndim <= channel_axis < y.ndim:
        raise ParameterError(f"channel_axis is {channel_axis}, but the state has {y.ndim} axes")
    if y.size == 0 or y.ndim == 0:
        raise InputError(f"the state is empty: its shape is {y.shape}")
    return y


def check_finite(y: Array, t0: float, t1: float) -> None:
    """Raise ParameterError if a step from `t0` to `t1` made a state that is not finite."""
    if not all_finite(y):
        raise ParameterError(
            f"the state became NaN or infinite between t = {t0:g} and {t1:g}: the term returns such values, or "
            f"{y.dtype} cannot hold them; look at the term's fields, scale the data, or pass check=False"
        )


def checked_times(term: Any, times: Any, ndim: int, step: Any = explicit_euler, check: bool = True) -> list[float]:
    """Return the times of steps of `term` on a grid of `ndim` axes, or raise the error that says why they cannot be."""
    multiple = multiple_of(step)
    largest = math.inf if math.isinf(multiple) else multiple * bound_of(term, ndim)
    grid = np.asarray(times(largest) if callable(times) else times, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
        raise ParameterError("times must be a one-dimensional sequence of finite numbers, at least one")
    differences = np.diff(grid)
    if not ((differences > 0).all() or (differences < 0).all()):
        raise ParameterError("times must be strictly increasing or strictly decreasing")
    if check and satisfies(term, Stable) and (differences < 0).any():
        raise UnstableStepError(
            f"times decrease from {grid[0]:g} to {grid[-1]:g}: {term} cannot be run backwards, since "
            "noise would grow without bound; give increasing times, or check=False to run it anyway"
        )
    longest = np.abs(differences).max(initial=0.0)
    if check and longest > largest * (1 + ROUNDING):
        raise UnstableStepError(
            f"a step of {longest:.6g} is above {largest:.6g}, the largest stable one for {name_of(step)} with "
            f"{term}; take steps of at most that (uniform(t_end) does), or step=implicit_euler, "
            "or check=False to run it anyway"
        )
    return grid.tolist()


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
    if dt is not None and not (math.isfinite(dt) and dt > 0):
        raise ParameterError(f"dt is {dt}; it must be a positive, finite step")
    return _Uniform(t_end) if dt is None else _Uniform(t_end)(dt)


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
