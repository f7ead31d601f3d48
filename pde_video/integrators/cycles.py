"""Integrators that take one cycle of explicit inner steps, some far above the bound, with frozen conductances."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.integrators.steps import freeze
from pde_video.protocols import Array, Stable, satisfies

_MOST = 10_000  # Inner steps of a cycle; for longer cycles rounding and the search for the order outweigh the gain.


def fed(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Fast explicit diffusion, one cycle, order 1.

    y ← y + q τ_i · rate(y), τ_i = τ_max / (2 cos²(π(2i + 1)/(4n + 2))), i = 0 … n − 1, Σ τ_i = τ_max n(n + 1)/3,
    with τ_max the ``stable_dt`` of the frozen term and q ≤ 1 such that the cycle ends at t1. With τ_max = h²/2 in one
    dimension a full cycle is the box filter of length 2n + 1. The inner steps are in Leja order, which limits the
    rounding errors. Inside a cycle the state may leave the range of the data.

    Parameters
    ----------
    term, t0, t1, y
        As for `explicit_euler`. The term must have ``stable_dt``.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If the term has no ``stable_dt``, or is not linear and has no ``frozen``.
    ParameterError
        If the cycle would take over 10,000 inner steps.

    References
    ----------
    Grewenig, Weickert & Bruhn (2010), doi:10.1007/978-3-642-15986-2_54. Leja order: Reichel (1990),
    doi:10.1007/BF02017352.

    Examples
    --------
    >>> impulse = np.zeros(7); impulse[3] = 1
    >>> pv.evolve(pv.Heat(), impulse, [0, 1.0], step=pv.fed).round(3)  # n = 2: a box of 5
    array([0. , 0.2, 0.2, 0.2, 0.2, 0.2, 0. ])
    """
    linear, n = _cycle(term, t0, t1, y, _box_reach)
    t, tau = t0, (t1 - t0) / _box_reach(n)
    for i in _leja(n):
        dt = tau / (2 * math.cos(math.pi * (2 * i + 1) / (4 * n + 2)) ** 2)
        y = y + dt * linear.rate(t, y)
        t += dt
    return y


def fsi(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Fast semi-iterative scheme, one cycle, order 1: equals `fed`, by a recursion with smaller rounding errors.

    y_{k+1} = α_k (y_k + q τ_max · rate(y_k)) + (1 − α_k) y_{k−1}, α_k = (4k + 2)/(2k + 3), y_{−1} = y_0, k = 0 … n − 1,
    with cycle time q τ_max n(n + 1)/3.

    Parameters
    ----------
    term, t0, t1, y
        As for `fed`.

    Returns
    -------
    ndarray

    References
    ----------
    Hafner, Ochs, Weickert, Reißel & Grewenig (2016), doi:10.1007/978-3-319-45886-1_8.

    Examples
    --------
    >>> impulse = np.zeros(7); impulse[3] = 1
    >>> pv.evolve(pv.Heat(), impulse, [0, 1.0], step=pv.fsi).round(3)
    array([0. , 0.2, 0.2, 0.2, 0.2, 0.2, 0. ])
    """
    linear, n = _cycle(term, t0, t1, y, _box_reach)
    before, tau = y, (t1 - t0) / _box_reach(n)
    for k in range(n):
        alpha = (4 * k + 2) / (2 * k + 3)
        t = t0 + tau * k * (k + 1) / 3  # k inner steps reach as far as a cycle of length k.
        before, y = y, alpha * (y + tau * linear.rate(t, y)) + (1 - alpha) * before
    return y


def rkl2(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Runge–Kutta–Legendre super step, order 2.

    s stages of the shifted Legendre recursion of Meyer, Balsara and Aslam, stable up to τ_max (s² + s − 2)/4; s is
    odd. It keeps about half of the highest frequency: it suits accurate integration, not denoising.

    Parameters
    ----------
    term, t0, t1, y
        As for `fed`.

    Returns
    -------
    ndarray

    References
    ----------
    Meyer, Balsara & Aslam (2014), doi:10.1016/j.jcp.2013.08.021.

    Examples
    --------
    >>> pv.evolve(pv.Heat(), np.array([0.0, 1.0]), [0, 1.0], step=pv.rkl2).round(3)
    array([0.267, 0.733])
    """
    linear, s = _cycle(term, t0, t1, y, lambda s: (s * s + s - 2) / 4)
    s = max(3, s + 1 - s % 2)
    dt = t1 - t0
    b = [1 / 3, 1 / 3] + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, s + 1)]
    w = 4 / (s * s + s - 2)
    first = dt * linear.rate(t0, y)
    before, now = y, y + (b[1] * w) * first
    reached = b[1] * w
    for j in range(2, s + 1):
        mu, nu = (2 * j - 1) / j * b[j] / b[j - 1], -(j - 1) / j * b[j] / b[j - 2]
        rate = dt * linear.rate(t0 + reached * dt, now)
        after = mu * now + nu * before + (1 - mu - nu) * y + (mu * w) * (rate - (1 - b[j - 1]) * first)
        before, now = now, after
        reached = (j * j + j - 2) / (s * s + s - 2)
    return now


for _step in (fed, fsi, rkl2):
    _step.stable_multiple = math.inf  # type: ignore[attr-defined]


def _box_reach(n: int) -> float:
    return n * (n + 1) / 3


def _cycle(term: Any, t0: float, t1: float, y: Array, reach: Callable[[int], float]) -> tuple[Any, int]:
    """Return the term frozen at `y`, and the least n with reach(n) · τ_max ≥ |t1 − t0|."""
    linear = freeze(term, t0, y)
    if not satisfies(linear, Stable):
        raise TypeError(f"{type(term).__name__} has no stable_dt(ndim), which cycles need to choose their inner steps")
    # Reaches grow at least as n²/4: the search starts below the root. The slack absorbs a quotient rounded up.
    wanted = abs(t1 - t0) / linear.stable_dt(y.ndim - 1) * (1 - 1e-12)
    if wanted > reach(_MOST):
        raise ParameterError(
            f"a cycle from {t0:g} to {t1:g} would take over {_MOST} inner steps; give more times between them, or "
            "step=implicit_euler"
        )
    n = max(1, int(math.sqrt(3 * wanted)) - 2)
    while reach(n) < wanted:
        n += 1
    return linear, n


def _leja(n: int) -> list[int]:
    """Return 0 … n − 1 in Leja order: every leading part spreads the inverse step sizes widely."""
    nodes = np.cos(np.pi * (2 * np.arange(n) + 1) / (4 * n + 2)) ** 2
    order = [0]
    distance = np.zeros(n)
    for _ in range(n - 1):
        with np.errstate(divide="ignore"):
            distance += np.log(np.abs(nodes - nodes[order[-1]]))
        order.append(int(np.argmax(distance)))
    return order
