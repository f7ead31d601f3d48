"""The heat equation."""

import math
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np

from pde_video.arrays.grid import BOUNDARIES, OnGrid, Spacing, as_volume, inverse_squares, kernel_scale
from pde_video.checks import check_positive
from pde_video.protocols import Array
from pde_video.solvers.fused_steps import Walk
from pde_video.solvers.implicit import mean_over_axes, spectral_solve, tridiagonal_solve
from pde_video.solvers.stencil import Stencil, on_plane


def narrowly_smoothed(y: Array, width: float, boundary: str) -> Array:
    """Return the state blurred by a Gaussian of standard deviation `width` in pixels, by few heat steps."""
    # The Gaussian of variance σ² is the heat equation at t = σ²/2. Steps of half the stable one damp the highest
    # frequency without changing its sign.
    heat, steps = Heat(boundary=boundary), smoothing_steps(width, y.ndim - 1)
    for _ in range(steps):
        y = y + (width**2 / 2 / steps) * heat.rate(0.0, y)
    return y


def smoothing_steps(width: float, ndim: int) -> int:
    """Return the number of steps of `narrowly_smoothed`, each of which reaches one cell further."""
    return math.ceil(width**2 / Heat().stable_dt(ndim))


@dataclass(frozen=True, repr=False)
class Heat(OnGrid):
    """Linear diffusion in 1, 2 or 3 dimensions.

    ∂I/∂t = D ∇²I, with ∇² ≈ Σ_axis (I₋ − 2I + I₊) / h². After a time t it is a Gaussian blur of variance 2Dt per axis.

    Parameters
    ----------
    diffusivity : float
        D > 0, in squared units of `spacing` per unit of time.
    spacing : float or sequence of float
        Grid spacing h > 0, one for all axes or one for each.
    boundary : {"neumann", "periodic", "dirichlet"}
        No flux through the border (the mean is kept), periodic, or zero just outside.

    References
    ----------
    Koenderink (1984), The structure of images, doi:10.1007/BF00336961.

    Examples
    --------
    >>> pv.Heat().stable_dt(2)
    0.25
    >>> impulse = np.zeros(5); impulse[2] = 1
    >>> pv.evolve(pv.Heat(), impulse, [0, 0.25])
    array([0.  , 0.25, 0.5 , 0.25, 0.  ])
    """

    diffusivity: float = 1.0
    _: KW_ONLY
    spacing: Spacing = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(diffusivity=self.diffusivity)
        super().__post_init__()

    def rate(self, t: float, y: Array) -> Array:
        """Return D ∇²y for the state `y` (C, *grid)."""
        from pde_video.kernels.diffusion import laplacian

        out = np.empty_like(y)
        scale = kernel_scale(self.spacing, y.ndim - 1, self.diffusivity, y.dtype)
        laplacian(as_volume(y), as_volume(out), scale, BOUNDARIES.index(self.boundary))
        return out

    def walk(self, dt: tuple[float, ...], ndim: int, dtype: Any) -> Walk | None:
        """Return explicit Euler steps of `dt` as one fused walk; None for boundaries other than Neumann's."""
        if self.boundary != "neumann":
            return None
        scale = kernel_scale(self.spacing, ndim, self.diffusivity, dtype)
        return Walk(ndim, dtype, np.tile(scale, (len(dt), 1)), dt, [0] * len(dt), np.ones(3), None)

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / (2 D Σ 1/h²)."""
        return self._stable_step(ndim, self.diffusivity)

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks."""
        return 1

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated: shape (1, *grid)."""
        total = np.zeros((1, *y.shape[1:]))
        for axis, s in enumerate(inverse_squares(self.spacing, y.ndim - 1), start=1):
            neighbours = np.full(y.shape[axis], 2.0)
            if self.boundary == "neumann":
                neighbours[0] -= 1
                neighbours[-1] -= 1
            elif self.boundary == "periodic" and len(neighbours) == 1:
                neighbours[0] = 0.0
            total += self.diffusivity * s * neighbours.reshape([-1 if a == axis else 1 for a in range(y.ndim)])
        return total

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return the rate on a grid of one or two axes as a `Stencil`; None on others, and if it is periodic."""
        if y.ndim > 3 or self.boundary == "periodic":
            return None
        rim = 0 if self.boundary == "neumann" else 2
        height, width = as_volume(y).shape[2:]
        wide = np.ones((2, height + rim * (y.ndim > 2), width + rim), y.dtype)
        wide[0, -1], wide[1, :, -1] = 0, 0
        scale = kernel_scale(self.spacing, y.ndim - 1, self.diffusivity, y.dtype)
        return on_plane(wide * scale[1:, np.newaxis, np.newaxis], y)

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, exactly, by the trigonometric transform of the boundary."""
        scale = [self.diffusivity * s for s in inverse_squares(self.spacing, y.ndim - 1)]
        return spectral_solve(y, dt, scale, self.boundary)

    def solve_axis(self, t: float, y: Array, dt: float, axis: int, **where: Any) -> Array:
        """Solve along one grid axis alone, exactly; `where` as for `tridiagonal_solve`."""
        scale = dt * self.diffusivity * inverse_squares(self.spacing, y.ndim - 1)[axis]
        return tridiagonal_solve(None, scale, y, axis, boundary=self.boundary, **where)

    def solve_axes(self, t: float, y: Array, dt: float) -> Array:
        """Return the mean of solve_axis(t, y, dt, axis) over the axes."""
        return mean_over_axes(y, partial(self.solve_axis, t, y, dt))
