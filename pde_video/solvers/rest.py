"""States at rest, of linear terms: by multigrid where a term is a `Stencil`, by conjugate gradients otherwise."""

from __future__ import annotations

import numpy as np

from pde_video.protocols import Array, Term, diagonal_of, name_of, pairs_of, stencil_of
from pde_video.solvers.implicit import conjugate_gradients
from pde_video.solvers.stencil import Rest, as_plane

_EXACT = 1e-10  # Residual of an implicit step, whose error adds to that of others.


def rest(term: Term, y: Array, tolerance: float, *, warm: bool) -> Rest:
    """Return the state at which the rate of a term that is affine in y vanishes; see `Stencil.rest`."""
    stencil = stencil_of(term, 0.0, y)
    if stencil is not None:
        found = stencil.rest(as_plane(y), tolerance, warm=warm)
        return found._replace(state=found.state.reshape(y.shape))
    pairs = pairs_of(term, 0.0, y)
    if pairs is not None:
        return pairs.rest(y, tolerance)
    double = y.astype(np.float64)
    rate = term.rate(0.0, double)
    diagonal = np.broadcast_to(diagonal_of(term, double), (1, *y.shape[1:]))
    diagonal = np.where(diagonal > 0, diagonal, 1.0)  # Where nothing changes.
    e = conjugate_gradients(lambda e: rate - term.rate(0.0, double + e), diagonal, rate, tolerance=tolerance)
    return Rest((double + e).astype(y.dtype), None, None, 0)


def implicit_solve(term: Term, t: float, y: Array, dt: float) -> Array:
    """Return z with z − dt·rate(z) = y for a term that is affine in y, to a relative residual of 1e-10."""
    double = y.astype(np.float64)
    stencil = stencil_of(term, t + dt, double)
    if stencil is not None:
        plane = as_plane(double)
        return stencil.implicit(plane, dt).rest(plane, _EXACT, plain=True).state.reshape(y.shape).astype(y.dtype)
    pairs = pairs_of(term, t + dt, double)
    if pairs is not None:
        return pairs.implicit(double, dt).rest(double, _EXACT).state.astype(y.dtype)
    # The operator must be linear to the tolerance of the solver.
    offset = term.rate(t + dt, np.zeros_like(double))
    diagonal = 1.0 + dt * diagonal_of(term, double)
    z = conjugate_gradients(lambda z: z - dt * (term.rate(t + dt, z) - offset), diagonal, double + dt * offset)
    return z.astype(y.dtype)


def solve_axis(term: Term, t: float, y: Array, dt: float, axis: int) -> Array:
    """Return z with z − dt·(the part of rate along a grid axis)(z) = y for a term that is a stencil."""
    stencil = stencil_of(term, t + dt, y)
    if stencil is None:
        raise TypeError(
            f"{name_of(term)} cannot be solved along one axis of a grid of {y.ndim - 1} axes; use implicit_euler. It "
            "can where its terms are diffusions by conductances in the plane, not periodic, and data"
        )
    return stencil.solve_axis(as_plane(y), dt, axis if y.ndim > 2 else 1).reshape(y.shape).astype(y.dtype)
