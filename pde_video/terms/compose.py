"""Sums of terms, and terms that act in a mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, is_

import numpy as np

from pde_video.arrays.grid import field_to_planes
from pde_video.arrays.values import Call, Value
from pde_video.errors import ParameterError
from pde_video.protocols import (
    Array,
    Stable,
    Term,
    aligned_to,
    bound_of,
    diagonal_of,
    frozen_at,
    is_linear,
    pairs_of,
    satisfies,
    start_of,
    stencil_of,
    undefined_at,
)
from pde_video.solvers.pairs import Pairs
from pde_video.solvers.rest import implicit_solve, solve_axis
from pde_video.solvers.stencil import Stencil, as_plane, same_known


@dataclass(frozen=True, init=False, repr=False)
class Sum(Value):
    """The sum of several right-hand sides.

    dy/dt = rate₁(t, y) + rate₂(t, y) + ...

    The stable step is 1 / Σ (1 / stable_dtᵢ). An implicit step freezes the terms and solves their sum by conjugate
    gradients, so every term must be symmetric: diffusions, `Fidelity` and `Source` are.

    Parameters
    ----------
    *terms : Term
        At least one.

    Examples
    --------
    >>> noisy = np.array([0.0, 1.0, 0.0, 1.0])
    >>> model = pv.Sum(pv.Heat(), pv.Fidelity(noisy, weight=1.0))
    >>> pv.evolve(model, noisy, [0, 1e6], step=pv.implicit_euler).round(3)  # (I − ∇²)⁻¹ noisy
    array([0.286, 0.571, 0.429, 0.714])
    """

    terms: tuple[Term, ...]

    def __init__(self, *terms: Term) -> None:
        if not terms:
            raise ParameterError("a sum needs at least one term")
        object.__setattr__(self, "terms", terms)

    def _call(self) -> Call:
        return "Sum", self.terms, {}

    def rate(self, t: float, y: Array) -> Array:
        """Return the sum of the rates."""
        total = self.terms[0].rate(t, y)
        for term in self.terms[1:]:
            total = total + term.rate(t, y)
        return total

    @property
    def stable_dt(self) -> Callable[[int], float]:
        """The function of the number of axes that returns 1 / Σ (1 / stable_dtᵢ), missing if no term has a bound."""
        return _bound(*self.terms)

    @property
    def undefined_at(self) -> float | None:
        """The time without a rate, if a term has one."""
        return next((at for term in self.terms if (at := undefined_at(term)) is not None), None)

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Sum:
        """Return the sum with the fields of its terms in state layout."""
        return Sum(*(aligned_to(term, channel_axis, shape) for term in self.terms))

    def frozen(self, t: float, y: Array) -> Sum:
        """Return the sum of the frozen terms."""
        found = [frozen_at(term, t, y) for term in self.terms]
        return self if all(map(is_, found, self.terms)) else Sum(*found)

    def start(self, y: Array) -> Array:
        """Return the state from which the terms start."""
        for term in self.terms:
            y = start_of(term, y)
        return y

    @property
    def linear(self) -> bool:
        """Whether all terms are linear."""
        return all(is_linear(term) for term in self.terms)

    def diagonal(self, y: Array) -> Array:
        """Return the sum of the diagonals that are known, negated."""
        return sum((diagonal_of(term, y) for term in self.terms), np.zeros((1,) * y.ndim))

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, for terms that are affine in y."""
        return implicit_solve(self, t, y, dt)

    def solve_axis(self, t: float, y: Array, dt: float, axis: int) -> Array:
        """Solve along one grid axis alone, in which sources and data have an equal share."""
        return solve_axis(self, t, y, dt, axis)

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Pairs | None:
        """Return the sum of the pairs in a mask; None without one, and if a term has none."""
        found = [None if mask is None else pairs_of(term, t, y, mask) for term in self.terms]
        return None if any(one is None for one in found) else reduce(add, found)

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return the sum of the stencils; None if a term has none, or where only a part of them acts."""
        found = [stencil_of(term, t, y) for term in self.terms]
        if any(one is None for one in found) or not all(same_known(found[0], one) for one in found[1:]):
            return None
        return reduce(add, found)


@dataclass(frozen=True, eq=False, repr=False)
class Masked(Value):
    """A term that acts only where values are unknown: inpainting.

    dy/dt = rate(t, y) where the mask is true; elsewhere y has the known `values`, from which the term fills the gaps.

    Parameters
    ----------
    term : Term
        The term that fills the gaps.
    mask : ndarray of bool
        True where values are to be filled, on the grid of the state, without channels; not all true, nor all false.
    values : ndarray
        Of the shape of the state, finite outside the mask; values inside it are ignored.

    References
    ----------
    Weickert & Welk (2006), Tensor field interpolation with PDEs, doi:10.1007/3-540-31272-2_19.

    Examples
    --------
    >>> damaged = np.array([0.0, 0.0, 0.0, 3.0])
    >>> gap = pv.Masked(pv.Heat(), np.array([False, True, True, False]), damaged)
    >>> pv.evolve(gap, damaged, [0, 1e9], step=pv.implicit_euler).round(6)
    array([0., 1., 2., 3.])
    """

    term: Term
    mask: Array
    values: Array

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask)
        object.__setattr__(self, "mask", mask)
        if mask.dtype != bool or mask.all() or not mask.any():
            raise ParameterError(
                f"mask has dtype {mask.dtype} and {int(np.count_nonzero(mask))} of {mask.size} true values; it must "
                "be of dtype bool, with some values true (to be filled) and some false (known)"
            )

    def rate(self, t: float, y: Array) -> Array:
        """Return the term's rate inside the mask and zero outside."""
        return np.where(self.mask, self.term.rate(t, self.start(y)), y.dtype.type(0))

    def start(self, y: Array) -> Array:
        """Return `y` inside the mask, the known values outside."""
        return np.where(self.mask, y, self.values).astype(y.dtype, copy=False)

    @property
    def linear(self) -> bool:
        """Whether the term is linear."""
        return is_linear(self.term)

    @property
    def stable_dt(self) -> Callable[[int], float]:
        """That of the term, missing if it has none."""
        return _bound(self.term)

    @property
    def undefined_at(self) -> float | None:
        """The time at which the term has no rate, if there is one."""
        return undefined_at(self.term)

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Masked:
        """Return this term with its fields in state layout."""
        grid = list(shape)
        if channel_axis is not None:
            del grid[channel_axis]
        if self.mask.shape != tuple(grid):
            raise ParameterError(f"mask has shape {self.mask.shape}, but the grid of the state is {tuple(grid)}")
        values = field_to_planes(self.values, channel_axis, shape, "values")
        mask = self.mask[np.newaxis]
        if not np.isfinite(np.where(mask, 0, values)).all():
            raise ParameterError("values are not finite outside the mask; add those places to the mask")
        return Masked(aligned_to(self.term, channel_axis, shape), mask, np.where(mask, 0, values))

    def frozen(self, t: float, y: Array) -> Masked:
        """Return this term with its term frozen."""
        found = frozen_at(self.term, t, self.start(y))
        return self if found is self.term else replace(self, term=found)

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y inside the mask, for a term that is affine in y."""
        return np.where(self.mask, implicit_solve(self, t, self.start(y), dt), y)

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated: 0 outside the mask."""
        return np.where(self.mask, diagonal_of(self.term, y), 0.0)

    def solve_axis(self, t: float, y: Array, dt: float, axis: int) -> Array:
        """Solve along one grid axis alone, inside the mask."""
        return np.where(self.mask, solve_axis(self, t, self.start(y), dt, axis), y)

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Pairs | None:
        """Return the pairs of the term of which a cell is in the mask; None in the mask of another term."""
        return pairs_of(self.term, t, y, self.mask[0]) if mask is None else None

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return the stencil of the term, with what is known; None if the term knows values of its own."""
        found = stencil_of(self.term, t, y)
        return None if found is None or found.known is not None else replace(found, known=as_plane(~self.mask))


def _bound(*terms: Term) -> Callable[[int], float]:
    """Return the function of the number of axes that returns the stable step of a sum of terms."""
    if not any(satisfies(term, Stable) for term in terms):
        raise AttributeError("stable_dt: no term has a bound")

    def stable_dt(ndim: int) -> float:
        inverse = sum(1.0 / bound_of(term, ndim) for term in terms)
        return 1.0 / inverse if inverse else math.inf

    return stable_dt
