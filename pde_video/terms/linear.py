"""Diffusion with frozen conductances: linear and symmetric, so that implicit steps can solve it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pde_video.arrays.grid import as_volume, extended, inner
from pde_video.arrays.values import Value
from pde_video.protocols import Array
from pde_video.solvers.implicit import conjugate_gradients, mean_over_axes, tridiagonal_solve


@dataclass(frozen=True, eq=False, repr=False)
class FrozenDiffusion(Value):
    """dy/dt = Σ_axis scale · (g₊ (y₊ − y) − g₋ (y − y₋)), with fixed conductances.

    Semi-implicit steps solve it; cycles take their inner steps with it.

    Examples
    --------
    >>> frozen = pv.PeronaMalik(1.0, "tukey").frozen(0.0, np.array([[0.0, 0.0, 5.0]]))
    >>> frozen.rate(0.0, np.array([[1.0, 0.0, 9.0]]))
    array([[-1.,  1.,  0.]])
    """

    faces: Array  # (3, N0, N1, N2), after each cell along each kernel axis, on the grid with its border (`extended`).
    scale: Array  # (3,), 1/h² for each kernel axis.
    boundary: str
    bound: float  # The stable explicit Euler step of the term that was frozen.

    def rate(self, t: float, y: Array) -> Array:
        """Return div(g ∇y) for the state `y` (C, *grid)."""
        from pde_video.kernels.diffusion import divergence

        wide = extended(y, self.boundary)
        out = np.empty_like(wide)
        divergence(as_volume(wide), self.faces.astype(y.dtype, copy=False), as_volume(out), self.scale.astype(y.dtype))
        return inner(out, self.boundary)

    def stable_dt(self, ndim: int) -> float:
        """Return the stable step of the term that was frozen."""
        return self.bound

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated: shape (1, *grid)."""
        total = np.zeros((1, *extended(y, self.boundary).shape[1:]))
        ndim = y.ndim - 1
        for axis in range(ndim):
            if self.boundary == "periodic" and y.shape[axis + 1] == 1:
                continue  # A cell that is its own neighbour.
            g = self.faces[3 - ndim + axis].reshape(total.shape)
            total += self.scale[3 - ndim + axis] * (
                g + np.roll(g, 1, axis + 1)
            )  # The last face is closed, so nothing wraps.
        return inner(total, self.boundary)

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, by conjugate gradients to a relative residual of 1e-10."""
        double = replace(self, faces=self.faces.astype(np.float64))

        def operator(z: Array) -> Array:
            out = double.rate(t, z)
            out *= -dt
            out += z
            return out

        return conjugate_gradients(operator, 1.0 + dt * self.diagonal(y), y)

    def solve_axis(self, t: float, y: Array, dt: float, axis: int, **where: Any) -> Array:
        """Solve along one grid axis alone, by Thomas's algorithm; `where` as for `tridiagonal_solve`."""
        kernel_axis = 4 - y.ndim + axis
        rim = 0 if self.boundary == "neumann" else 2
        g = self.faces[kernel_axis].reshape([n + rim for n in y.shape[1:]]).astype(y.dtype, copy=False)
        scale = dt * float(self.scale[kernel_axis])
        return tridiagonal_solve(g, scale, y, axis, boundary=self.boundary, **where)

    def solve_axes(self, t: float, y: Array, dt: float) -> Array:
        """Return the mean of solve_axis(t, y, dt, axis) over the axes."""
        return mean_over_axes(y, partial(self.solve_axis, t, y, dt))
