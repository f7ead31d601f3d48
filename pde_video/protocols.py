"""The five types everything else is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Times: TypeAlias = Sequence[float] | Array | Callable[[float], Array]


class Term(Protocol):
    """A right-hand side: dy/dt = rate(t, y), on a state y of shape (C, *grid).

    Optional methods, looked up where they are used:

    - ``stable_dt(ndim)``: the largest stable explicit Euler step on a grid of `ndim` axes.
    - ``solve(t, y, dt)``: the z with z - dt·rate(z) = y, which `implicit_euler` calls.
    - ``frozen(t, y)``: the linear term that it is near `y`, for semi-implicit steps and cycles; a nonlinear term
      without it says ``linear = False``.
    - ``walk(dt, ndim, dtype)``: explicit Euler steps as one pass, a function (y, out) that says whether the result is
      finite, or None; asked of the term's own class alone.
    - ``reach(ndim)``: how many cells away the rate looks, for `spacetime`.
    - ``solve_axis(t, y, dt, axis)``: the same as ``solve`` for one axis alone, for `aos`.
    - ``start(y)``: the state to start from, where the term has a say in it.
    - ``aligned(channel_axis, shape)``: the same term with the fields it carries in state layout.
    - ``undefined_at``, no method but a number: the one time at which there is no rate, to which `heun` steps as Euler.
    """

    def rate(self, t: float, y: Array) -> Array:
        """Return dy/dt at time `t` as a new array of the shape and dtype of `y`."""


class Step(Protocol):
    """One integrator: the state at `t1` from the state `y` at `t0`.

    An attribute ``stable_multiple`` says how many times the term's ``stable_dt`` the step may span, infinity for an
    unconditionally stable one; a step without it is held to one. A step that draws random numbers has a method
    ``for_frames()``, which returns a function: of the number of a frame, the step with random numbers of its own.
    """

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""


class Denoiser(Protocol):
    """A learned or classical estimate of the clean picture behind ``y = clean + sigma * noise``.

    Optional methods, looked up where they are used:

    - ``along(frames, sigma)``: yields the estimate of every frame of a stream, for one that looks at its neighbours or
      carries a state.
    - ``with_fraction(y, sigma)``: the estimate, and a fraction in [0, 1] for `ancestral` with a learned variance.
    """

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate, of the shape of `y`."""


class Filter(Protocol):
    """A callable from an iterable of frames to an iterator of frames; it holds only its window."""

    def __call__(self, video: Any, /) -> Any:
        """Return the filtered frames."""


class Video(Protocol):
    """A source of frames plus what a writer must keep."""

    size: tuple[int, int]
    dtype: np.dtype[Any]
    rate: Fraction | None
    count: int | None
    timestamps: list[Fraction]

    def __iter__(self) -> Iterator[Array]:
        """Yield the frames, one by one."""
