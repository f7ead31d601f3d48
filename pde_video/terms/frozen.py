"""What nonlinear diffusions are frozen to: linear and symmetric operators, which implicit steps can solve."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pde_video.arrays.grid import BOUNDARIES, Spacing, as_volume, extended, inner, inverse_squares
from pde_video.arrays.values import Value
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.solvers.implicit import conjugate_gradients, mean_over_axes, tridiagonal_solve
from pde_video.solvers.pairs import Pairs, among
from pde_video.solvers.rest import implicit_solve
from pde_video.solvers.stencil import Stencil, on_plane


@dataclass(frozen=True, eq=False, repr=False)
class FrozenDiffusion(Value):
    """dy/dt = Σ_axis scale · (g₊ (y₊ − y) − g₋ (y − y₋)), with fixed conductances."""

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
            # The last face is closed, so nothing wraps.
            total += self.scale[3 - ndim + axis] * (g + np.roll(g, 1, axis + 1))
        return inner(total, self.boundary)

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return the rate on a grid of one or two axes as a `Stencil`; None on others, and if it is periodic."""
        if y.ndim > 3 or self.boundary == "periodic":
            return None
        return on_plane(self.faces[1:, 0].astype(y.dtype) * self.scale[1:, np.newaxis, np.newaxis].astype(y.dtype), y)

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, by conjugate gradients to a relative residual of 1e-10."""
        return implicit_solve(self, t, y, dt)

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


@dataclass(frozen=True, eq=False, repr=False)
class FrozenTensor(Value):
    """Linear diffusion with a given tensor field.

    ∂u/∂t = div(D ∇u) ≈ Σ_n ½ [(ρ_n(x) + ρ_n(x + e_n)) (u(x + e_n) − u(x)) + the same at −e_n], with
    D_ab / (h_a h_b) = Σ_n ρ_n e_n e_nᵀ: non-negative weights ρ_n on integer offsets e_n, three in the plane and six in
    space. The operator is symmetric and keeps the mean, unless the boundary is Dirichlet's. As no weight is negative,
    no step within the bound leaves the range of the picture, whatever the anisotropy of D (Fehrenbach & Mirebeau 2014,
    doi:10.1007/s10851-013-0446-3).

    The weights of a pixel are scaled down where its sum of weights, or that of a pixel it is paired with, would exceed
    the inverse of the stable step of the term that was frozen. This happens only where D turns within the reach of its
    offsets.
    """

    weights: Array  # (3 or 6, N0, N1, N2), ρ_n ≥ 0; N0 is 1 in the plane.
    offsets: Array  # (3 or 6, 3, N0, N1, N2) of int32, e_n in pixels.
    boundary: str  # Pairs that leave the grid are dropped, wrapped ("periodic") or paired with 0 ("dirichlet").

    def rate(self, t: float, y: Array) -> Array:
        """Return div(D ∇y) for the state `y` (C, *grid): linear in `y`."""
        from pde_video.kernels.anisotropic import tensor_divergence

        if as_volume(y).shape[1:] != self.weights.shape[1:]:
            raise ParameterError(f"the state has the grid {y.shape[1:]}, but the tensor {self.weights.shape[1:]}")
        out = np.empty_like(y)
        weights = self.weights.astype(y.dtype, copy=False)
        tensor_divergence(as_volume(y), weights, self.offsets, as_volume(out), BOUNDARIES.index(self.boundary))
        return out

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / max over pixels of the sum of weights: up to it, a step is a mean of pixels."""
        largest = float(_totals(self.weights, self.offsets, self.boundary).max())
        return 1.0 / largest if largest > 0 else math.inf

    def diagonal(self, y: Array) -> Array:
        """Return the diagonal of the operator, negated: shape (1, *grid)."""
        return _totals(self.weights, self.offsets, self.boundary).reshape(1, *y.shape[1:])

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Pairs | None:
        """Return the rate in a mask as `Pairs`; None without one, in volumes, and if pairs leave the grid."""
        if mask is None or y.ndim != 3 or self.boundary != "neumann":
            return None
        return among(self.weights, self.offsets, y, mask)

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, by conjugate gradients to a relative residual of 1e-10."""
        double = FrozenTensor(self.weights.astype(np.float64), self.offsets, self.boundary)
        return conjugate_gradients(lambda z: z - dt * double.rate(t, z), 1.0 + dt * self.diagonal(y), y)


def _totals(weights: Array, offsets: Array, boundary: str) -> Array:
    from pde_video.kernels.anisotropic import tensor_divergence

    out = np.empty((1, *weights.shape[1:]))
    tensor_divergence(None, weights, offsets, out, BOUNDARIES.index(boundary))
    return out[0]


def decomposed(entries: Array, spacing: Spacing, boundary: str, cap: float, dtype: np.dtype) -> FrozenTensor:
    """Return the diffusion by the tensor with entries a ≤ b (n, *grid); `cap` bounds the weights of a pixel."""
    from pde_video.kernels.anisotropic import limit, selling2, selling3

    axes = entries.ndim - 1
    per_axis = [math.sqrt(s) for s in inverse_squares(spacing, axes)]
    scale = [per_axis[a] * per_axis[b] for a in range(axes) for b in range(a, axes)]
    scaled = as_volume(np.ascontiguousarray(entries * np.reshape(scale, (-1, *(1,) * axes))))
    weights = np.empty((len(scale), *scaled.shape[1:]), dtype)
    offsets = np.empty((len(scale), 3, *scaled.shape[1:]), np.int32)
    pixels = [field.reshape(*field.shape[:-3], -1) for field in (scaled, weights, offsets)]
    (selling2 if axes == 2 else selling3)(*pixels)
    limit(weights, offsets, _totals(weights, offsets, boundary), cap, BOUNDARIES.index(boundary))
    return FrozenTensor(weights, offsets, boundary)
