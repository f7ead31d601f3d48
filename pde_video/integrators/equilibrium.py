"""States at rest, at which the rate of a term vanishes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pde_video.arrays.grid import all_finite, from_planes
from pde_video.errors import ParameterError, SolverError
from pde_video.integrators.loop import as_state
from pde_video.integrators.steps import freeze
from pde_video.protocols import Array, Term, aligned_to, name_of, satisfies, start_of
from pde_video.solvers.rest import rest

_SWEEPS = 100  # Tensors and conductances frozen, at most.


def equilibrium(
    term: Term,
    y: Array,
    *,
    tolerance: float = 1e-3,
    channel_axis: int | None = None,
    callback: Callable[[int, Array], object] | None = None,
    report: dict[str, Any] | None = None,
) -> Array:
    """Return the state at which the rate of a term vanishes.

    rate(u) = 0. A linear term is solved once: (c + L) u = c d + f with L = −div(D ∇·), by conjugate gradients, in the
    plane with a cycle of multigrid before each of some ten iterations. A nonlinear term is frozen at the state before,
    y_{k+1} = the solution of frozen(y_k), until nothing changes.

    Parameters
    ----------
    term : Term
        Diffusions, `Fidelity`, `Source`, their `Sum`, and these `Masked`. Something must fix the solution: known
        pixels, or a pull towards data.
    y : ndarray of float32 or float64
        The state to start from, as for `evolve`. Where values are unknown it matters to nonlinear terms only, which may
        have several states at rest.
    tolerance : float
        In (0, 1): of the linear solves, for the residual relative to that of a constant, in the norm of the energy; and
        for the largest change between the last two states of a nonlinear term, relative to the range of the state.
    channel_axis : int, optional
        As for `evolve`.
    callback : callable (k, state), optional
        Called with the state after each solve, and its number from 1 on.
    report : dict, optional
        Receives ``solves``, and of the last: ``change``, ``iterations`` and the preconditioned ``residual``; these two
        are None where multigrid does not serve.

    Returns
    -------
    ndarray
        Of the shape and dtype of `y`.

    Raises
    ------
    SolverError
        If a solve does not converge, or the states of a nonlinear term do not within 100 solves.
    ParameterError
        If nothing fixes the solution in some part of the grid, where multigrid serves; elsewhere that is not noticed.
    TypeError, InputError
        As for `evolve`; and if the term is nonlinear and cannot be frozen.

    References
    ----------
    Weickert & Welk (2006), doi:10.1007/3-540-31272-2_19. Kämper, Chizhov & Weickert (2024), arXiv:2401.06744, for
    multigrid with known pixels. Tatebe (1993), The multigrid preconditioned conjugate gradient method.

    Examples
    --------
    >>> damaged = np.array([0.0, 0.0, 0.0, 3.0])
    >>> pv.equilibrium(pv.Masked(pv.Heat(), np.array([False, True, True, False]), damaged), damaged)
    array([0., 1., 2., 3.])
    """
    if not 0 < tolerance < 1:
        raise ParameterError(f"tolerance is {tolerance}; it must be between 0 and 1")
    if not satisfies(term, Term):
        raise TypeError(f"{term!r:.80} is no term: it must be an object with rate(t, y), as Heat() is")
    state = as_state(y, channel_axis)
    term = aligned_to(term, channel_axis, np.shape(y))
    state = start_of(term, state)
    told = {} if report is None else report
    for count in range(1, _SWEEPS + 1):
        linear = freeze(term, 0.0, state)
        found = rest(linear, state, tolerance, warm=linear is not term)
        if found.afloat:
            raise ParameterError(
                f"nothing fixes {found.afloat} of {found.state.size} values: they are connected to no known value and "
                "to no data; make more values known, or add a Fidelity"
            )
        if not all_finite(found.state):
            raise SolverError(f"the solution of {name_of(term)} is not finite; scale the data")
        change = float(np.abs(found.state - state).max())
        span = float(np.ptp(found.state))
        state = found.state
        told.update(solves=count, iterations=found.iterations, residual=found.residual, change=change)
        if callback is not None:
            callback(count, from_planes(state, channel_axis))
        if linear is term or change <= tolerance * span:
            return np.ascontiguousarray(from_planes(state, channel_axis))
    raise SolverError(
        f"after {_SWEEPS} solves {name_of(term)} still changes by {change:.1e}, more than {tolerance:.0e} of the range "
        "of the state; allow a greater tolerance, or start from another state"
    )
