"""The five types that everything else is made of, and protocols for their optional methods.

A plain class with ``rate`` is a term; a plain function is a step or a denoiser. Each optional method is a protocol
here, and `satisfies` is the only place that looks for it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Times: TypeAlias = Sequence[float] | Array | Callable[[float], Array]
P = TypeVar("P")


def satisfies(thing: object, protocol: type[P]) -> TypeGuard[P]:
    """Return whether an object has the methods that a protocol adds to its base; a class is no object."""
    names = [name for name in vars(protocol) if not name.startswith("_")]
    if not names:
        raise TypeError(f"{protocol.__name__} adds no method that could be looked for")
    return not isinstance(thing, type) and all(callable(getattr(thing, name, None)) for name in names)


def name_of(thing: object) -> str:
    """Return the name of a term, a step or a denoiser in messages."""
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or type(thing).__name__)


class Term(Protocol):
    """A right-hand side: dy/dt = rate(t, y), on a state y of shape (C, *grid).

    It may also have the methods of `Stable`, `Freezable`, `Solvable`, `AxisSolvable`, `Splittable`, `Diagonal`,
    `Fusible`, `Reaching`, `Starting` and `Aligned`, and three attributes: ``linear``, False for a nonlinear term
    without ``frozen``; ``boundary``, its name; ``undefined_at``, a time without a rate, to which `heun` steps like
    `explicit_euler`.
    """

    def rate(self, t: float, y: Array) -> Array:
        """Return dy/dt at time `t` as a new array of the shape and dtype of `y`."""


class Stable(Term, Protocol):
    """A term with a bound on explicit steps; it cannot be run backwards in time."""

    def stable_dt(self, ndim: int) -> float:
        """Return the largest stable explicit Euler step on a grid of `ndim` axes."""


def bound_of(term: Term, ndim: int) -> float:
    """Return the largest stable explicit Euler step, infinity for a term without a bound."""
    return term.stable_dt(ndim) if satisfies(term, Stable) else math.inf


class Freezable(Term, Protocol):
    """A nonlinear term that can be linearised, for semi-implicit steps and cycles."""

    def frozen(self, t: float, y: Array) -> Term:
        """Return the linear term that approximates it near the state `y`."""


def frozen_at(term: Term, t: float, y: Array) -> Term:
    """Return the term frozen at the state `y`; the term itself if it cannot be frozen."""
    return term.frozen(t, y) if satisfies(term, Freezable) else term


def is_linear(term: Term) -> bool:
    """Return whether the term is linear, as terms are by default."""
    return bool(getattr(term, "linear", True))


class Solvable(Term, Protocol):
    """A term that an implicit step can solve."""

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y."""


class AxisSolvable(Term, Protocol):
    """A term that can be solved along one axis alone, for `aos`."""

    def solve_axis(self, t: float, y: Array, dt: float, axis: int) -> Array:
        """Return z with z − dt·(the part of rate along grid axis `axis`)(z) = y."""


class Splittable(Term, Protocol):
    """A term with a fast solve along all axes."""

    def solve_axes(self, t: float, y: Array, dt: float) -> Array:
        """Return the mean of solve_axis(t, y, dt, axis) over the axes."""


class Diagonal(Term, Protocol):
    """A linear term with a diagonal, which preconditions conjugate gradients."""

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated, for a state like `y`; it broadcasts to (1, *grid)."""


def diagonal_of(term: Term, y: Array) -> Array:
    """Return the diagonal of the term, negated; zero if it has none."""
    return term.diagonal(y) if satisfies(term, Diagonal) else np.zeros((1,) * y.ndim)


class Elliptic(Term, Protocol):
    """A linear term that can be the exchange of cells with their neighbours in the plane, which multigrid solves."""

    def stencil(self, t: float, y: Array) -> Any:
        """Return the rate on grids like that of `y` as a `solvers.stencil.Stencil`; None where it is none."""


def stencil_of(term: Term, t: float, y: Array) -> Any:
    """Return the stencil of the term, or None."""
    return term.stencil(t, y) if satisfies(term, Elliptic) else None


class Paired(Term, Protocol):
    """A linear term that can be the exchange between pairs of cells in the plane, of which few are unknown."""

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Any:
        """Return the rate in a mask (H, W) as `solvers.pairs.Pairs`; None where it is none, and without a mask."""


def pairs_of(term: Term, t: float, y: Array, mask: Array | None = None) -> Any:
    """Return the pairs of the term, or None."""
    return term.pairs(t, y, mask) if satisfies(term, Paired) else None


class Fusible(Term, Protocol):
    """A term that takes several explicit Euler steps in one pass."""

    def walk(self, dt: tuple[float, ...], ndim: int, dtype: np.dtype[Any]) -> Callable[[Array, Array], bool] | None:
        """Return the steps `dt` as a function (y, out) that returns whether all is finite; None if it cannot."""


def is_fusible(term: Term) -> TypeGuard[Fusible]:
    """Return whether the term's own class has a walk; an inherited one may not match the rate of a subclass."""
    return "walk" in vars(type(term))


class Reaching(Term, Protocol):
    """A term with a known reach, for `spacetime`."""

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks."""


class Starting(Term, Protocol):
    """A term that changes the initial state."""

    def start(self, y: Array) -> Array:
        """Return the state to start from instead of `y`."""


def start_of(term: Term, y: Array) -> Array:
    """Return the state from which the term starts, `y` by default."""
    return term.start(y) if satisfies(term, Starting) else y


class Aligned(Term, Protocol):
    """A term that carries fields of the shape of the state."""

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Term:
        """Return the same term with its fields in state layout, for a state given with `shape`."""


def aligned_to(term: Term, channel_axis: int | None, shape: tuple[int, ...]) -> Term:
    """Return the term with its fields, if any, in state layout."""
    return term.aligned(channel_axis, shape) if satisfies(term, Aligned) else term


def undefined_at(term: Term) -> float | None:
    """Return the one time at which the term has no rate, if there is one."""
    return getattr(term, "undefined_at", None)


class Step(Protocol):
    """One integrator: the state at `t1` from the state `y` at `t0`.

    It may also be `Drawing`, and have an attribute ``stable_multiple``: how many times the term's ``stable_dt`` it may
    span, by default 1; infinity for an unconditionally stable step.
    """

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""


def multiple_of(step: Step) -> float:
    """Return how many times the stable explicit Euler step a step may span."""
    return float(getattr(step, "stable_multiple", 1.0))


class Drawing(Step, Protocol):
    """A step that draws random numbers."""

    def for_frames(self) -> Callable[[int], Step]:
        """Return the function from the number of a frame to a step with its own random numbers."""


def for_frames(step: Step) -> Callable[[int], Step]:
    """Return the function from the number of a frame to its step; all share a step that draws nothing."""
    return step.for_frames() if satisfies(step, Drawing) else lambda number: step


class Denoiser(Protocol):
    """A learned or classical estimate of the clean picture behind ``y = clean + sigma * noise``.

    It may also have the methods of `Along` and `WithFraction`, and an attribute ``sees_several``: True for one without
    ``along`` that uses several frames at once.
    """

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate, of the shape of `y`."""


class Along(Denoiser, Protocol):
    """A denoiser that looks at neighbouring frames or carries a state."""

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of every frame (H, W, C) of a stream, in order."""


class WithFraction(Denoiser, Protocol):
    """A denoiser with a learned variance, for `ancestral`."""

    def with_fraction(self, y: Array, sigma: float) -> tuple[Array, Array]:
        """Return the estimate, and where the variance lies between the smallest, 0, and the largest, 1."""


def sees_several(denoiser: object) -> bool:
    """Return whether a denoiser, or its model, uses several frames at once."""
    return bool(getattr(denoiser, "sees_several", False))


class Filter(Protocol):
    """A callable from an iterable of frames to an iterator of frames, which holds only its window."""

    def __call__(self, video: Any, /) -> Any:
        """Return the filtered frames."""


class Video(Protocol):
    """A source of frames, with the properties that a writer must keep."""

    size: tuple[int, int]
    dtype: np.dtype[Any]
    rate: Fraction | None
    count: int | None
    timestamps: list[Fraction]

    def __iter__(self) -> Iterator[Array]:
        """Yield the frames, one by one."""
