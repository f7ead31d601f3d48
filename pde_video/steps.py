"""Integrators: functions (term, t0, t1, y) -> y, one each."""

from __future__ import annotations

import math
from typing import Any

from pde_video.protocols import Array


def explicit_euler(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Forward Euler, order 1.

    y₁ = y₀ + (t₁ − t₀) · rate(t₀, y₀); stable up to ``term.stable_dt``.

    Parameters
    ----------
    term : Term
        The right-hand side.
    t0, t1 : float
        Start and end of the step.
    y : ndarray, shape (C, *grid)
        State at `t0`.

    Returns
    -------
    ndarray
        State at `t1`, same shape and dtype.

    Raises
    ------
    ParameterError
        If the term does not fit the state. Stability is checked by `evolve`, not here.

    References
    ----------
    Hundsdorfer & Verwer (2003), Numerical Solution of Time-Dependent Advection-Diffusion-Reaction Equations,
    doi:10.1007/978-3-662-09017-6.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.evolve(pv.FrameDifference(np.array([1.0])), np.array([3.0]), [0, 0.5], step=pv.explicit_euler)
    array([4.])
    """
    return y + (t1 - t0) * term.rate(t0, y)


explicit_euler.stable_multiple = 1.0  # type: ignore[attr-defined]


def implicit_euler(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Backward Euler, order 1, unconditionally stable.

    z − (t₁ − t₀) · rate(z) = y₀, solved by ``term.solve``: exactly for the linear heat equation, to a residual
    for a term whose conductance is frozen at y₀ (the scheme is then *semi*-implicit, and the term says so).

    Parameters
    ----------
    term : Term
        The right-hand side; it must have ``solve(t, y, dt)``.
    t0, t1 : float
        Start and end of the step.
    y : ndarray, shape (C, *grid)
        State at `t0`.

    Returns
    -------
    ndarray
        State at `t1`, same shape and dtype.

    Raises
    ------
    TypeError
        If the term has no ``solve``.
    SolverError
        If an iterative solve does not reach its tolerance.

    References
    ----------
    Hundsdorfer & Verwer (2003), doi:10.1007/978-3-662-09017-6.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.evolve(pv.Heat(), np.array([0.0, 1.0]), [0, 100.0], step=pv.implicit_euler).round(2)
    array([0.5, 0.5])
    """
    solve = getattr(term, "solve", None)
    if solve is None:
        raise TypeError(f"{type(term).__name__} has no solve(t, y, dt), which implicit_euler needs; use explicit_euler")
    return solve(t0, y, t1 - t0)


implicit_euler.stable_multiple = math.inf  # type: ignore[attr-defined]
