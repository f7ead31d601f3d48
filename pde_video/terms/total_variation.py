"""Total variation: the flow, and the variational denoiser with its certificate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from pde_video.errors import SolverError
from pde_video.grid import (
    as_spacing,
    as_volume,
    check_boundary,
    check_positive,
    extended,
    from_planes,
    inverse_squares,
    kernel_scale,
    stable_euler_step,
)
from pde_video.loop import as_state
from pde_video.protocols import Array
from pde_video.terms.linear import FrozenDiffusion


@dataclass(frozen=True)
class TotalVariation:
    """Total variation flow, in 1, 2 or 3 dimensions.

    ∂I/∂t = div(∇I / √(|∇I|² + ε²)), with the whole gradient at every face: the difference across it, and along it the
    mean of the central differences of its two cells. Channels share one conductance.

    Parameters
    ----------
    epsilon : float
        ε > 0, the gradient below which the flow is linear, in units of the data divided by units of `spacing`.
    spacing : float or sequence of float
        Grid spacing h > 0, one for all axes or one for each.
    boundary : {"neumann", "periodic", "dirichlet"}
        No flux through the border (the mean is kept), a torus, or zero just outside.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    References
    ----------
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F. Andreu, Ballester, Caselles & Mazón (2001),
    doi:10.57262/die/1356123331.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> step_edge = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    >>> flow = pv.TotalVariation(epsilon=1e-3)
    >>> pv.evolve(flow, step_edge, pv.uniform(0.3)).round(2)  # each side moves by t / its length
    array([0.1 , 0.1 , 0.1 , 0.85, 0.85])
    """

    epsilon: float
    _: KW_ONLY
    spacing: float | Sequence[float] = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)
        object.__setattr__(self, "spacing", as_spacing(self.spacing))
        check_boundary(self.boundary)

    def rate(self, t: float, y: Array) -> Array:
        """Return div(g ∇y) for the state `y` (C, *grid), with g taken from `y`."""
        return self.frozen(t, y).rate(t, y)

    def stable_dt(self, ndim: int) -> float:
        """Return ε / (2 Σ 1/h²), the largest stable explicit Euler step on a grid of `ndim` axes."""
        return stable_euler_step(self.spacing, ndim, 1.0 / self.epsilon)  # type: ignore[arg-type]

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks."""
        return 2

    def frozen(self, t: float, y: Array) -> FrozenDiffusion:
        """Return the linear diffusion with the conductances of `y`: the semi-implicit steps solve that."""
        wide = extended(y, self.boundary)
        ndim = y.ndim - 1
        # Gradients in units of ε, since their squares in those of the data may leave the range of the dtype.
        squares = inverse_squares(self.spacing, ndim)  # type: ignore[arg-type]
        inverse = [y.dtype.type(math.sqrt(s) / self.epsilon) for s in squares]
        central = [_central_difference(wide, axis + 1) for axis in range(ndim)]
        faces = np.zeros((ndim, *wide.shape[1:]), y.dtype)
        for axis in range(ndim):
            lower, upper = _sides(wide.ndim, axis + 1)
            s2 = ((inverse[axis] * (wide[upper] - wide[lower])) ** 2).sum(axis=0)
            for other in range(ndim):
                if other != axis:
                    along = (central[other][lower] + central[other][upper]) / 2
                    s2 = s2 + ((inverse[other] * along) ** 2).sum(axis=0)
            faces[axis][lower[1:]] = y.dtype.type(1 / self.epsilon) / np.sqrt(1 + s2)
        closed = np.zeros((3 - ndim, *faces.shape[1:]), y.dtype)
        volume = np.concatenate([closed, faces]).reshape(3, *as_volume(wide).shape[1:])
        scale = kernel_scale(self.spacing, ndim, 1.0, y.dtype)  # type: ignore[arg-type]
        return FrozenDiffusion(volume, scale, self.boundary, self.stable_dt(ndim))


def _sides(ndim: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the indices of the cells before and after each face along `axis`."""
    whole = [slice(None)] * ndim
    return (
        tuple([*whole[:axis], slice(None, -1), *whole[axis + 1 :]]),
        tuple([*whole[:axis], slice(1, None), *whole[axis + 1 :]]),
    )


def _central_difference(y: Array, axis: int) -> Array:
    padded = np.pad(y, [(1, 1) if a == axis else (0, 0) for a in range(y.ndim)], mode="edge")
    n = y.shape[axis]
    after, before = (np.take(padded, range(start, start + n), axis) for start in (2, 0))
    return (after - before) / 2


class Minimizer(NamedTuple):
    """What `tv_minimize` found, and how far from the best it can be at most."""

    solution: Array
    gap: float
    iterations: int


def tv_minimize(
    y: Array,
    weight: float,
    *,
    tolerance: float = 1e-4,
    iterations: int = 2000,
    channel_axis: int | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> Minimizer:
    """Minimise the Rudin–Osher–Fatemi energy, by the accelerated primal–dual algorithm of Chambolle and Pock.

    E(u) = ½ ‖u − y‖² + weight · Σ |∇u|, with forward differences and |.| over axes and channels together.

    Parameters
    ----------
    y : ndarray of float32 or float64
        The data: a grid of 1 to 3 axes, plus a channel axis if `channel_axis` says so.
    weight : float
        > 0, in units of the data times units of `spacing`.
    tolerance : float
        Stop when the duality gap, which bounds E(u) − min E, is at most this fraction of E(y).
    iterations : int
        Give up after so many.
    channel_axis : int, optional
        The axis that holds channels.
    spacing : float or sequence of float
        Grid spacing.

    Returns
    -------
    Minimizer
        ``solution``, of shape and dtype of `y`; ``gap``, the absolute duality gap; ``iterations``.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError, TypeError
        If `y` is empty, not finite, or neither float32 nor float64.
    SolverError
        If the gap is not reached.

    References
    ----------
    Chambolle & Pock (2011), doi:10.1007/s10851-010-0251-1, algorithm 2.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.tv_minimize(np.array([0.0, 0.0, 1.0, 1.0]), 0.25, tolerance=1e-7).solution.round(3)
    array([0.125, 0.125, 0.875, 0.875])
    """
    check_positive(weight=weight, tolerance=tolerance)
    state = as_state(y, channel_axis)
    as_volume(state)
    # In units of the contrast, around the middle: squares of other units may leave the range of a float.
    middle = float(state.mean(dtype=np.float64))
    data = state.astype(np.float64) - middle
    contrast = float(np.abs(data).max())
    if contrast == 0:
        return Minimizer(np.array(y), 0.0, 0)
    data, weight = data / contrast, weight / contrast
    inverse_h = [math.sqrt(s) for s in inverse_squares(as_spacing(spacing), data.ndim - 1)]
    enough = tolerance * weight * _variation(_gradient(data, inverse_h))
    u, leading, p = data, data, np.zeros((len(inverse_h), *data.shape))
    tau = sigma = 1.0 / math.sqrt(4 * sum(s * s for s in inverse_h))
    gap = math.inf
    for iteration in range(1, iterations + 1):
        p = p + sigma * _gradient(leading, inverse_h)
        p /= np.maximum(1.0, np.sqrt((p * p).sum(axis=(0, 1))) / weight)
        inflow = _divergence(p, inverse_h)
        before, u = u, (u + tau * (inflow + data)) / (1 + tau)
        theta = 1 / math.sqrt(1 + 2 * tau)
        tau, sigma = theta * tau, sigma / theta
        leading = u + theta * (u - before)
        if iteration % 10 == 0 or iteration == iterations:
            primal = 0.5 * ((u - data) ** 2).sum() + weight * _variation(_gradient(u, inverse_h))
            dual = -(inflow * data).sum() - 0.5 * (inflow * inflow).sum()
            gap = float(primal - dual)
            if gap <= enough:
                solution = (middle + contrast * np.ascontiguousarray(from_planes(u, channel_axis))).astype(state.dtype)
                return Minimizer(solution, gap * contrast**2, iteration)
    raise SolverError(
        f"after {iterations} iterations the duality gap is {gap:.2e} of the squared contrast, above {enough:.2e}; "
        "allow more iterations or a larger tolerance"
    )


def _variation(gradient: Array) -> float:
    return float(np.sqrt((gradient * gradient).sum(axis=(0, 1))).sum())


def _gradient(u: Array, inverse_h: list[float]) -> Array:
    """Return forward differences over h, zero across the border: shape (axes, C, *grid)."""
    result = np.zeros((len(inverse_h), *u.shape))
    for axis, s in enumerate(inverse_h):
        lower, _ = _sides(u.ndim, axis + 1)
        result[axis][lower] = np.diff(u, axis=axis + 1) * s
    return result


def _divergence(p: Array, inverse_h: list[float]) -> Array:
    """Return minus the adjoint of `_gradient`."""
    total = np.zeros(p.shape[1:])
    for axis, s in enumerate(inverse_h):
        lower, upper = _sides(total.ndim, axis + 1)
        total[lower] += s * p[axis][lower]
        total[upper] -= s * p[axis][lower]
    return total
