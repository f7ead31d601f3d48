"""The heat equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pde_video.errors import ParameterError
from pde_video.grid import (
    BOUNDARIES,
    as_spacing,
    as_volume,
    check_positive,
    inverse_squares,
    kernel_scale,
    stable_euler_step,
)
from pde_video.protocols import Array
from pde_video.solves import spectral_solve


@dataclass(frozen=True)
class Heat:
    """Linear diffusion in 1, 2 or 3 dimensions.

    ∂I/∂t = D ∇²I, with ∇² ≈ Σ_axis (I₋ − 2I + I₊) / h². After a time t an impulse is a bell of variance 2Dt per axis.

    Parameters
    ----------
    diffusivity : float
        D > 0, in squared units of `spacing` per unit of time.
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
    Koenderink (1984), The structure of images, doi:10.1007/BF00336961.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.Heat().stable_dt(2)
    0.25
    >>> impulse = np.zeros(5); impulse[2] = 1
    >>> pv.evolve(pv.Heat(), impulse, [0, 0.25])
    array([0.  , 0.25, 0.5 , 0.25, 0.  ])
    """

    diffusivity: float = 1.0
    _: KW_ONLY
    spacing: float | Sequence[float] = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(diffusivity=self.diffusivity)
        object.__setattr__(self, "spacing", as_spacing(self.spacing))
        if self.boundary not in BOUNDARIES:
            raise ParameterError(f"boundary is {self.boundary!r}; it must be one of {', '.join(BOUNDARIES)}")

    def rate(self, t: float, y: Array) -> Array:
        """Return D ∇²y for the state `y` (C, *grid)."""
        from pde_video.kernels.diffusion import laplacian

        out = np.empty_like(y)
        scale = kernel_scale(self.spacing, y.ndim - 1, self.diffusivity, y.dtype)  # type: ignore[arg-type]
        laplacian(as_volume(y), as_volume(out), scale, BOUNDARIES.index(self.boundary))
        return out

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / (2 D Σ 1/h²), the largest stable explicit Euler step on a grid of `ndim` axes."""
        return stable_euler_step(self.spacing, ndim, self.diffusivity)  # type: ignore[arg-type]

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, exactly, by the boundary's trigonometric transform."""
        scale = [self.diffusivity * s for s in inverse_squares(self.spacing, y.ndim - 1)]  # type: ignore[arg-type]
        return spectral_solve(y, dt, scale, self.boundary)
