"""The five types everything else is made of, what each of them may have besides, and the one place that asks for it.

A plain class with ``rate`` is a term; a plain function is a step or a denoiser. Whatever else one may have is a
protocol here, and the function that looks for it stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Times: TypeAlias = Sequence[float] | Array | Callable[[float], Array]


def has_name(thing: object) -> bool:
    """Return whether an object has a name of its own, as the denoisers of this library have."""
    return isinstance(getattr(thing, "name", None), str)


def name_of(thing: object) -> str:
    """Return what a term, a step or a denoiser is called in messages."""
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or type(thing).__name__)


class Term(Protocol):
    """A right-hand side: dy/dt = rate(t, y), on a state y of shape (C, *grid).

    It may also have the methods of `Stable`, `Freezable`, `Solvable`, `AxisSolvable`, `Splittable`, `Diagonal`,
    `Fusible`, `Reaching`, `Starting` and `Aligned`, and three attributes: ``linear``, False for a nonlinear term
    without ``frozen``; ``boundary``, its name; ``undefined_at``, the one time without a rate, to which `heun` steps as
    `explicit_euler` does.
    """

    def rate(self, t: float, y: Array) -> Array:
        """Return dy/dt at time `t` as a new array of the shape and dtype of `y`."""


def is_term(thing: object) -> TypeGuard[Term]:
    """Return whether an object is a term."""
    return hasattr(thing, "rate")


class Stable(Term, Protocol):
    """A term with a bound on explicit steps; it cannot be run backwards in time."""

    def stable_dt(self, ndim: int) -> float:
        """Return the largest stable explicit Euler step on a grid of `ndim` axes."""


def is_stable(term: Term) -> TypeGuard[Stable]:
    """Return whether the term bounds explicit steps."""
    return hasattr(term, "stable_dt")


def bound_of(term: Term, ndim: int) -> float:
    """Return the largest stable explicit Euler step, infinity for a term without a bound."""
    return term.stable_dt(ndim) if is_stable(term) else math.inf


class Freezable(Term, Protocol):
    """A nonlinear term that is near a linear one, for semi-implicit steps and cycles."""

    def frozen(self, t: float, y: Array) -> Term:
        """Return the linear term that it is near the state `y`."""


def is_freezable(term: Term) -> TypeGuard[Freezable]:
    """Return whether the term says what it freezes to."""
    return hasattr(term, "frozen")


def frozen_at(term: Term, t: float, y: Array) -> Term:
    """Return what the term freezes to near the state `y`: the term itself, if it does not say."""
    return term.frozen(t, y) if is_freezable(term) else term


def is_linear(term: Term) -> bool:
    """Return whether the term is linear, or at least does not say otherwise."""
    return bool(getattr(term, "linear", True))


class Solvable(Term, Protocol):
    """A term that an implicit step can solve."""

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y."""


def is_solvable(term: Term) -> TypeGuard[Solvable]:
    """Return whether the term can be solved."""
    return hasattr(term, "solve")


class AxisSolvable(Term, Protocol):
    """A term that can be solved along one axis alone, for `aos`."""

    def solve_axis(self, t: float, y: Array, dt: float, axis: int) -> Array:
        """Return z with z − dt·(the part of rate along grid axis `axis`)(z) = y."""


def is_axis_solvable(term: Term) -> TypeGuard[AxisSolvable]:
    """Return whether the term can be solved along one axis."""
    return hasattr(term, "solve_axis")


class Splittable(Term, Protocol):
    """A term that solves along all axes at once, without an array for each."""

    def solve_axes(self, t: float, y: Array, dt: float) -> Array:
        """Return the mean of solve_axis(t, y, dt, axis) over the axes."""


def is_splittable(term: Term) -> TypeGuard[Splittable]:
    """Return whether the term solves along all axes at once."""
    return hasattr(term, "solve_axes")


class Diagonal(Term, Protocol):
    """A linear term that knows its diagonal, with which conjugate gradients are preconditioned."""

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated, for a state like `y`: it broadcasts to (1, *grid)."""


def has_diagonal(term: Term) -> TypeGuard[Diagonal]:
    """Return whether the term knows its diagonal."""
    return hasattr(term, "diagonal")


def diagonal_of(term: Term, y: Array) -> Array:
    """Return the diagonal of the term, negated; zero if it does not know it."""
    return term.diagonal(y) if has_diagonal(term) else np.zeros((1,) * y.ndim)


class Fusible(Term, Protocol):
    """A term that takes several explicit Euler steps in one pass."""

    def walk(self, dt: tuple[float, ...], ndim: int, dtype: np.dtype[Any]) -> Callable[[Array, Array], bool] | None:
        """Return the steps `dt` as a function (y, out) that returns whether all is finite, or None where it cannot."""


def is_fusible(term: Term) -> TypeGuard[Fusible]:
    """Return whether the term's own class has a walk: that of a base does not know what a subclass changed."""
    return "walk" in vars(type(term))


class Reaching(Term, Protocol):
    """A term that says how far it looks, for `spacetime`."""

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks."""


def has_reach(term: Term) -> TypeGuard[Reaching]:
    """Return whether the term says how far it looks."""
    return hasattr(term, "reach")


class Starting(Term, Protocol):
    """A term that has a say in the state to start from."""

    def start(self, y: Array) -> Array:
        """Return the state to start from, given the state `y`."""


def has_start(term: Term) -> TypeGuard[Starting]:
    """Return whether the term has a say in the state to start from."""
    return hasattr(term, "start")


def start_of(term: Term, y: Array) -> Array:
    """Return the state from which the term starts: `y`, if it does not say."""
    return term.start(y) if has_start(term) else y


class Aligned(Term, Protocol):
    """A term that carries fields of the shape of the state."""

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Term:
        """Return the same term with its fields in state layout, for a state given with `shape`."""


def has_fields(term: Term) -> TypeGuard[Aligned]:
    """Return whether the term carries fields of the shape of the state."""
    return hasattr(term, "aligned")


def aligned_to(term: Term, channel_axis: int | None, shape: tuple[int, ...]) -> Term:
    """Return the term with the fields that it may carry in state layout."""
    return term.aligned(channel_axis, shape) if has_fields(term) else term


def boundary_of(term: Term) -> str:
    """Return the boundary of the term, "neumann" if it does not say."""
    return getattr(term, "boundary", "neumann")


def undefined_at(term: Term) -> float | None:
    """Return the one time at which the term has no rate, if there is one."""
    return getattr(term, "undefined_at", None)


class Step(Protocol):
    """One integrator: the state at `t1` from the state `y` at `t0`.

    It may also be `Drawing`, and have an attribute ``stable_multiple``: how many times the term's ``stable_dt`` it may
    span, infinity for an unconditionally stable one, by default 1.
    """

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""


def multiple_of(step: Step) -> float:
    """Return how many times the stable explicit Euler step a step may span."""
    return float(getattr(step, "stable_multiple", 1.0))


class Drawing(Step, Protocol):
    """A step that draws random numbers."""

    def for_frames(self) -> Callable[[int], Step]:
        """Return the function from the number of a frame to the step with random numbers of its own."""


def is_drawing(step: Step) -> TypeGuard[Drawing]:
    """Return whether the step draws random numbers."""
    return hasattr(step, "for_frames")


def for_frames(step: Step) -> Callable[[int], Step]:
    """Return the function from the number of a frame to its step: `step` for all, if it draws nothing."""
    return step.for_frames() if is_drawing(step) else lambda number: step


class Denoiser(Protocol):
    """A learned or classical estimate of the clean picture behind ``y = clean + sigma * noise``.

    It may also have the methods of `Along` and `WithFraction`, and an attribute ``sees_several``: True for one without
    ``along`` that makes use of several frames at once.
    """

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate, of the shape of `y`."""


class Along(Denoiser, Protocol):
    """A denoiser that looks at neighbouring frames or carries a state."""

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of every frame (H, W, C) of a stream, in order."""


def has_along(denoiser: Denoiser) -> TypeGuard[Along]:
    """Return whether the denoiser runs along a stream."""
    return hasattr(denoiser, "along")


class WithFraction(Denoiser, Protocol):
    """A denoiser with a learned variance, for `ancestral`."""

    def with_fraction(self, y: Array, sigma: float) -> tuple[Array, Array]:
        """Return the estimate, and where the variance lies between the smallest, 0, and the largest, 1."""


def has_fraction(denoiser: Denoiser) -> TypeGuard[WithFraction]:
    """Return whether the denoiser has a learned variance."""
    return hasattr(denoiser, "with_fraction")


def sees_several(denoiser: object) -> bool:
    """Return whether a denoiser, or the model that it is made of, makes use of several frames at once."""
    return bool(getattr(denoiser, "sees_several", False))


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
