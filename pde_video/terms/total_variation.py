"""Total variation flow, and total variation denoising with a bound on its error."""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pde_video.arrays.grid import (
    OnGrid,
    Spacing,
    as_spacing,
    as_volume,
    extended,
    from_planes,
    inverse_squares,
    kernel_scale,
)
from pde_video.checks import check_positive
from pde_video.errors import ParameterError, SolverError
from pde_video.integrators.loop import as_state
from pde_video.protocols import Array
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.threads import available, each

_LEAST = 1e-150  # Epsilon whose square can be held.
_MARGIN = 1e-3  # Squared gradients add up over axes and channels.
_BETWEEN_GAPS = 10  # Iterations from one evaluation of the duality gap to the next.
_SINGLE = 1e-5  # The smallest tolerance for single precision.


@dataclass(frozen=True, repr=False)
class TotalVariation(OnGrid):
    """Total variation flow, in 1, 2 or 3 dimensions.

    ∂I/∂t = div(∇I / √(|∇I|² + ε²)), with the full gradient at every face: the difference across it, and along it the
    mean of the central differences of its two cells. Channels share one conductance.

    Parameters
    ----------
    epsilon : float
        ε > 0, the gradient below which the flow is linear, in units of the data divided by units of `spacing`.
    spacing, boundary
        As for `Heat`.

    References
    ----------
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F. Andreu, Ballester, Caselles & Mazón (2001),
    doi:10.57262/die/1356123331.

    Examples
    --------
    >>> step_edge = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    >>> flow = pv.TotalVariation(epsilon=1e-3)
    >>> pv.evolve(flow, step_edge, pv.uniform(0.3)).round(2)  # each side moves by t / its length
    array([0.1 , 0.1 , 0.1 , 0.85, 0.85])
    """

    epsilon: float
    _: KW_ONLY
    spacing: Spacing = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)
        if self.epsilon < _LEAST:
            raise ParameterError(f"epsilon is {self.epsilon:g}; it must be at least {_LEAST:g}")
        super().__post_init__()

    def rate(self, t: float, y: Array) -> Array:
        """Return div(g ∇y) for the state `y` (C, *grid), with g taken from `y`."""
        return self.frozen(t, y).rate(t, y)

    def stable_dt(self, ndim: int) -> float:
        """Return ε / (2 Σ 1/h²)."""
        return self._stable_step(ndim, 1.0 / self.epsilon)

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks."""
        return 1

    def frozen(self, t: float, y: Array) -> FrozenDiffusion:
        """Return the linear diffusion with the conductances of `y`."""
        wide = extended(y, self.boundary)
        ndim = y.ndim - 1
        steepest = float(np.ptp(y)) / self.epsilon
        if steepest**2 > float(np.finfo(y.dtype).max) * _MARGIN:
            least = float(np.ptp(y)) / math.sqrt(float(np.finfo(y.dtype).max) * _MARGIN)
            raise ParameterError(
                f"epsilon is {self.epsilon:g}; for the range of this state, {np.ptp(y):g}, {y.dtype} needs at least "
                f"{least:.1g}: smaller ones change nothing but the time that it takes"
            )
        # Gradients in units of ε, so that their squares do not leave the range of the dtype.
        inverse = [y.dtype.type(math.sqrt(s) / self.epsilon) for s in inverse_squares(self.spacing, ndim)]
        central = [_central_difference(wide, axis + 1) for axis in range(ndim)]
        faces = np.zeros((ndim, *wide.shape[1:]), y.dtype)
        for axis in range(ndim):
            others = (slice(None),) * (axis + 1)
            lower, upper = (*others, slice(None, -1)), (*others, slice(1, None))  # The cells on both sides of a face.
            s2 = ((inverse[axis] * (wide[upper] - wide[lower])) ** 2).sum(axis=0)
            for other in range(ndim):
                if other != axis:
                    along = (central[other][lower] + central[other][upper]) / 2
                    s2 = s2 + ((inverse[other] * along) ** 2).sum(axis=0)
            faces[axis][lower[1:]] = y.dtype.type(1 / self.epsilon) / np.sqrt(1 + s2)
        closed = np.zeros((3 - ndim, *faces.shape[1:]), y.dtype)
        volume = np.concatenate([closed, faces]).reshape(3, *as_volume(wide).shape[1:])
        scale = kernel_scale(self.spacing, ndim, 1.0, y.dtype)
        return FrozenDiffusion(volume, scale, self.boundary, self.stable_dt(ndim))


def _central_difference(y: Array, axis: int) -> Array:
    cells = np.arange(y.shape[axis])
    return (np.take(y, cells + 1, axis, mode="clip") - np.take(y, cells - 1, axis, mode="clip")) / 2


class Minimizer(NamedTuple):
    """The result of `tv_minimize`, with a bound on its distance from the minimal energy."""

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
    spacing: Spacing = 1.0,
) -> Minimizer:
    """Minimise the Rudin–Osher–Fatemi energy, by the accelerated primal–dual algorithm of Chambolle and Pock.

    E(u) = ½ ‖u − y‖² + weight · Σ |∇u|, with forward differences and |.| over axes and channels together.

    Parameters
    ----------
    y : ndarray of float32 or float64
        The data: a grid of 1 to 3 axes, plus a channel axis if `channel_axis` is given.
    weight : float
        > 0, in units of the data times units of `spacing`.
    tolerance : float
        Stop when the duality gap, which bounds E(u) − min E, is at most this fraction of E(y).
    iterations : int
        The largest number of iterations.
    channel_axis : int, optional
        The axis that holds channels.
    spacing : float or sequence of float
        As for `Heat`.

    Returns
    -------
    Minimizer
        ``solution``, of shape and dtype of `y`; ``gap``, the absolute duality gap; ``iterations``.

    Raises
    ------
    SolverError
        If the gap is still larger after `iterations`.

    References
    ----------
    Chambolle & Pock (2011), doi:10.1007/s10851-010-0251-1, algorithm 2.

    Examples
    --------
    >>> pv.tv_minimize(np.array([0.0, 0.0, 1.0, 1.0]), 0.25, tolerance=1e-7).solution.round(3)
    array([0.125, 0.125, 0.875, 0.875])
    """
    check_positive(weight=weight, tolerance=tolerance)
    state = as_state(y, channel_axis)
    as_volume(state)
    # Centred and in units of the contrast, so that squares do not leave the range of a float.
    middle = float(state.mean(dtype=np.float64))
    data = state.astype(np.float64) - middle
    contrast = float(np.abs(data).max())
    if contrast == 0:
        return Minimizer(np.array(y), 0.0, 0)
    weight = weight / contrast
    h = [math.sqrt(s) for s in inverse_squares(as_spacing(spacing), state.ndim - 1)]
    single = state.dtype == np.float32 and tolerance >= _SINGLE
    field = _PrimalDual(data / contrast, weight, h, np.dtype(np.float32 if single else np.float64))
    enough = tolerance * field.energies()[0]
    tau = sigma = 1.0 / math.sqrt(4 * sum(s * s for s in h))
    gap, done = math.inf, 0
    while done < iterations:
        steps = []
        for _ in range(min(_BETWEEN_GAPS, iterations - done)):
            theta = 1 / math.sqrt(1 + 2 * tau)
            steps.append((sigma, 1 / (1 + tau), tau / (1 + tau), theta))
            tau, sigma = theta * tau, sigma / theta
        field.iterate(steps)
        done += len(steps)
        primal, dual = field.energies()
        gap = primal - dual
        if gap <= enough:
            solution = (middle + contrast * from_planes(field.solution(), channel_axis)).astype(state.dtype)
            return Minimizer(np.ascontiguousarray(solution), gap * contrast**2, done)
    raise SolverError(
        f"after {iterations} iterations the duality gap is {gap:.2e} of the squared contrast, above {enough:.2e}; "
        "allow more iterations or a larger tolerance"
    )


class _PrimalDual:
    """The state of the iterations, cut along the first axis into bands, one for each thread.

    A band makes `alone` iterations on its own and overlaps its neighbours by as many slices. Each iteration spoils one
    slice at a cut; then neighbours exchange the overlap. So every value is computed as without bands.
    """

    def __init__(self, data: Array, weight: float, inverse_h: list[float], dtype: np.dtype) -> None:
        channels, *grid = data.shape
        n, *others = [1] * (len(grid) == 1) + grid
        scale = [0.0] * (len(grid) == 1) + inverse_h
        if len(others) == 1:
            others, scale = [1, *others], [scale[0], 0.0, scale[1]]
        self.grid, self.dtype, self.weight, self.inverse_h = grid, dtype, dtype.type(weight), np.array(scale, dtype)
        count = max(1, min(available(), n // 16))
        self.alone = next(k for k in (10, 5, 2, 1) if count == 1 or n // count >= 8 * k or k == 1)
        volume = data.reshape(channels, n, *others)
        self.bands, self.own = [], []  # Of each band, what does not belong to its neighbours.
        for first, stop in pairwise(n * b // count for b in range(count + 1)):
            start, end = max(0, first - self.alone), min(n, stop + self.alone)
            x = np.zeros((6, channels, end - start, *others), dtype)
            x[:3] = volume[:, start:end]
            self.bands.append(x)
            self.own.append(slice(first - start, stop - start))

    def iterate(self, steps: Sequence[tuple[float, ...]]) -> None:
        for done in range(0, len(steps), self.alone):
            some = np.array(steps[done : done + self.alone], self.dtype)
            each(partial(self._iterate, some), self.bands)
            for (x, own), (after, its) in pairwise(zip(self.bands, self.own, strict=True)):
                x[1:, :, own.stop :] = after[1:, :, its.start : its.start + x.shape[2] - own.stop]
                after[1:, :, : its.start] = x[1:, :, own.stop - its.start : own.stop]

    def _iterate(self, steps: Array, x: Array) -> None:
        from pde_video.kernels.chambolle_pock import iterate

        iterate(x, steps, self.weight, self.inverse_h)

    def energies(self) -> tuple[float, float]:
        """Return the energy of u, and the lower bound on all energies that the dual variable gives."""
        from pde_video.kernels.chambolle_pock import energies

        sums = [np.zeros((x.shape[2], 2)) for x in self.bands]
        shrink = self.dtype.type(1.0 - 4.0 * np.finfo(self.dtype).eps)

        def add(b: int) -> None:
            own = self.own[b]
            energies(self.bands[b], own.start, own.stop, self.weight, self.inverse_h, shrink, sums[b])

        each(add, range(len(sums)))
        # Summed in the same order for any number of bands.
        primal, dual = np.concatenate([s[own] for s, own in zip(sums, self.own, strict=True)]).sum(axis=0)
        return float(primal), float(dual)

    def solution(self) -> Array:
        """Return u, (C, *grid), in double precision."""
        u = np.concatenate([x[1][:, own] for x, own in zip(self.bands, self.own, strict=True)], axis=1)
        return u.reshape(len(u), *self.grid).astype(np.float64)
