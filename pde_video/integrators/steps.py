"""Integrators: functions (term, t0, t1, y) -> y, one each."""

import math
from collections.abc import Callable
from typing import Any

from pde_video.protocols import (
    Array,
    AxisSolvable,
    Solvable,
    Splittable,
    Term,
    frozen_at,
    is_linear,
    satisfies,
    undefined_at,
)


def freeze(term: Term, t: float, y: Array) -> Term:
    """Return the linear term that `term` is frozen to near the state `y`: itself, if it is linear."""
    linear = frozen_at(term, t, y)
    if not is_linear(linear):
        raise TypeError(f"{term} is nonlinear and has no frozen(t, y); use explicit_euler or heun")
    return linear


def _solver(term: Term) -> Callable[[float, Array, float], Array]:
    if not satisfies(term, Solvable):
        raise TypeError(f"{type(term).__name__} has no solve(t, y, dt); use explicit_euler or heun")
    return term.solve


def explicit_euler(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Forward Euler, order 1.

    y₁ = y₀ + (t₁ − t₀) · rate(t₀, y₀); stable up to ``term.stable_dt``, which `evolve` checks.

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

    References
    ----------
    Hundsdorfer & Verwer (2003), doi:10.1007/978-3-662-09017-6.

    Examples
    --------
    >>> pv.evolve(pv.FrameDifference(np.array([1.0])), np.array([3.0]), [0, 0.5], step=pv.explicit_euler)
    array([4.])
    """
    change = (t1 - t0) * term.rate(t0, y)
    if getattr(change, "shape", None) != y.shape or change.dtype != y.dtype:
        return y + change
    change += y  # In place: allocating a large array costs more than filling it.
    return change


def implicit_euler(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Backward Euler, order 1, unconditionally stable.

    z − (t₁ − t₀) · rate(z) = y₀, solved by ``term.solve``: exactly for the heat equation, to a residual for a term
    whose conductance is frozen at y₀ (the scheme is then semi-implicit).

    Parameters
    ----------
    term, t0, t1, y
        As for `explicit_euler`. The term must have ``solve(t, y, dt)``.

    Returns
    -------
    ndarray

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
    >>> pv.evolve(pv.Heat(), np.array([0.0, 1.0]), [0, 100.0], step=pv.implicit_euler).round(2)
    array([0.5, 0.5])
    """
    return _solver(freeze(term, t0, y))(t0, y, t1 - t0)


def crank_nicolson(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Trapezoidal rule, order 2: stable at any step, but long steps make high frequencies change sign.

    z − ½ dt · rate(z) = y₀ + ½ dt · rate(y₀). For teaching: a frequency is multiplied by (1 + ½ dt λ)/(1 − ½ dt λ),
    which tends to −1, not to 0. With a conductance frozen at y₀ it is semi-implicit, and of order 1.

    Parameters
    ----------
    term, t0, t1, y
        As for `explicit_euler`. The term must have ``solve(t, y, dt)``.

    Returns
    -------
    ndarray

    References
    ----------
    Crank & Nicolson (1947), doi:10.1017/S0305004100023197.

    Examples
    --------
    >>> pv.evolve(pv.Heat(), np.array([0.0, 1.0]), [0, 100.0], step=pv.crank_nicolson).round(2)
    array([0.99, 0.01])
    """
    linear, half = freeze(term, t0, y), (t1 - t0) / 2
    return _solver(linear)(t0 + half, y + half * linear.rate(t0, y), half)


def heun(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Explicit trapezoidal rule, order 2; stable up to ``term.stable_dt``, which `evolve` checks.

    ŷ = y₀ + dt · rate(t₀, y₀);  y₁ = y₀ + ½ dt · (rate(t₀, y₀) + rate(t₁, ŷ)), but ŷ if ``term.undefined_at`` is t₁.

    Parameters
    ----------
    term, t0, t1, y
        As for `explicit_euler`.

    Returns
    -------
    ndarray

    References
    ----------
    Hundsdorfer & Verwer (2003), doi:10.1007/978-3-662-09017-6.

    Examples
    --------
    >>> pv.evolve(pv.Heat(), np.array([0.0, 1.0]), [0, 0.25], step=pv.heun)
    array([0.1875, 0.8125])
    """
    first = term.rate(t0, y)
    ahead = y + (t1 - t0) * first
    if t1 == undefined_at(term):
        return ahead
    return y + (t1 - t0) / 2 * (first + term.rate(t1, ahead))


def aos(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Additive operator splitting, order 1, unconditionally stable: one tridiagonal solve for each axis.

    y₁ = (1/d) Σ_axis (I − d · dt · A_axis)⁻¹ y₀, with the conductance frozen at y₀. Keeps the mean and the extrema at
    any step, but no step damps a stripe along an axis by more than the factor (d − 1)/d: take several.

    Parameters
    ----------
    term, t0, t1, y
        As for `explicit_euler`. The term, or what it is frozen to, must have
        ``solve_axis(t, y, dt, axis)``.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If the term cannot be solved along one axis.

    References
    ----------
    Weickert, ter Haar Romeny & Viergever (1998), doi:10.1109/83.661190.

    Examples
    --------
    >>> stripe = np.tile([0.0, 1.0], (4, 4))
    >>> pv.evolve(pv.Heat(), stripe, [0, 1e6], step=pv.aos)[0, :2].round(2)
    array([0.25, 0.75])
    """
    linear, d = freeze(term, t0, y), y.ndim - 1
    dt = d * (t1 - t0)
    if satisfies(linear, Splittable):
        return linear.solve_axes(t0, y, dt)
    if not satisfies(linear, AxisSolvable):
        raise TypeError(f"{type(term).__name__} cannot be solved along one axis, which aos needs; use implicit_euler")
    total: Any = sum(linear.solve_axis(t0, y, dt, axis) for axis in range(d))
    return total / d


for _explicit in (explicit_euler, heun):
    _explicit.stable_multiple = 1.0  # type: ignore[attr-defined]
for _implicit in (implicit_euler, crank_nicolson, aos):
    _implicit.stable_multiple = math.inf  # type: ignore[attr-defined]
