"""Linear diffusion by a tensor field, through non-negative weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pde_video.arrays.grid import BOUNDARIES, Spacing, as_spacing, as_volume, check_boundary, inverse_squares
from pde_video.arrays.values import Value
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.solvers.implicit import conjugate_gradients


@dataclass(frozen=True, eq=False, repr=False)
class FrozenTensor(Value):
    """Linear diffusion with a given tensor field.

    ∂u/∂t = div(D ∇u) ≈ Σ_n ½ [(ρ_n(x) + ρ_n(x + e_n)) (u(x + e_n) − u(x)) + the same at −e_n], with
    D_ab / (h_a h_b) = Σ_n ρ_n e_n e_nᵀ: non-negative weights ρ_n on integer offsets e_n, three in the plane and six in
    space. The operator is symmetric and keeps the mean, unless the boundary is Dirichlet's. As no weight is negative,
    no step within the bound leaves the range of the picture, whatever the anisotropy of D.

    The weights of a pixel are scaled down where its sum of weights, or that of a pixel it is paired with, would exceed
    2 max(tr D/h²). This happens only where D turns within the reach of its offsets.

    References
    ----------
    Fehrenbach & Mirebeau (2014), doi:10.1007/s10851-013-0446-3.

    Examples
    --------
    An isotropic tensor gives the heat equation:

    >>> from pde_video.terms.frozen_tensor import FrozenTensor
    >>> identity = np.eye(2)[:, :, None, None] * np.ones((4, 5))
    >>> y = np.random.default_rng(0).random((1, 4, 5))
    >>> bool(np.allclose(FrozenTensor.of(identity).rate(0, y), pv.Heat().rate(0, y)))
    True
    """

    weights: Array  # (3 or 6, N0, N1, N2), ρ_n ≥ 0; N0 is 1 in the plane.
    offsets: Array  # (3 or 6, 3, N0, N1, N2) of int32, e_n in pixels.
    boundary: str = (
        "neumann"  # Pairs that leave the grid are dropped, wrapped ("periodic") or paired with 0 ("dirichlet").
    )

    def __post_init__(self) -> None:
        check_boundary(self.boundary)
        w, e = np.shape(self.weights), np.shape(self.offsets)
        if len(w) != 4 or w[0] not in (3, 6) or e != (w[0], 3, *w[1:]):
            raise ParameterError(
                f"weights have shape {w}, offsets {e}; they must be (3 or 6, *grid), (3 or 6, 3, *grid)"
            )
        if (self.weights < 0).any():
            raise ParameterError(f"the smallest weight is {self.weights.min()}; weights must not be negative")

    @classmethod
    def of(cls, tensor: Array, *, spacing: Spacing = 1.0, boundary: str = "neumann") -> FrozenTensor:
        """Return the diffusion by `tensor` (axes, axes, *grid), symmetric and positive definite at every pixel."""
        check_boundary(boundary)
        tensor = np.asarray(tensor)
        tensor = tensor.astype(np.result_type(tensor, np.float32), copy=False)
        axes = tensor.ndim - 2
        if axes not in (2, 3) or tensor.shape[:2] != (axes, axes):
            raise ParameterError(f"tensor has shape {tensor.shape}; it must be (2, 2, N1, N2) or (3, 3, N0, N1, N2)")
        fields = np.moveaxis(tensor, (0, 1), (-2, -1)).astype(np.float64)
        if np.abs(fields - np.swapaxes(fields, -1, -2)).max() > 1e-6 * np.abs(fields).max():
            raise ParameterError("tensor is not symmetric; take (D + Dᵀ) / 2")
        values = np.linalg.eigvalsh(fields)
        if not (values[..., 0] > 1e-12 * values[..., -1]).all():
            raise ParameterError(f"tensor has an eigenvalue of {values.min():.3g}; all must be positive")
        entries = np.stack([tensor[a, b] for a in range(axes) for b in range(a, axes)]).astype(np.float64)
        spacing = as_spacing(spacing)
        trace = sum(tensor[a, a] * s for a, s in enumerate(inverse_squares(spacing, axes)))
        return decomposed(entries, spacing, boundary, 2.0 * float(np.max(trace)), tensor.dtype)

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

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt·rate(z) = y, by conjugate gradients to a relative residual of 1e-10."""
        double = FrozenTensor(self.weights.astype(np.float64), self.offsets, self.boundary)
        return conjugate_gradients(lambda z: z - dt * double.rate(t, z), 1.0 + dt * self.diagonal(y), y)


def _totals(weights: Array, offsets: Array, boundary: str) -> Array:
    from pde_video.kernels.anisotropic import totals

    out = np.empty(weights.shape[1:])
    totals(weights, offsets, out, BOUNDARIES.index(boundary))
    return out


def decomposed(entries: Array, spacing: Spacing, boundary: str, cap: float, dtype: np.dtype) -> FrozenTensor:
    """Return the diffusion by the tensor with entries a ≤ b (n, *grid); `cap` bounds the weights of a pixel."""
    from pde_video.kernels.anisotropic import limit, selling2, selling3

    axes = entries.ndim - 1
    per_axis = [math.sqrt(s) for s in inverse_squares(spacing, axes)]
    scale = [per_axis[a] * per_axis[b] for a in range(axes) for b in range(a, axes)]
    scaled = as_volume(np.ascontiguousarray(entries * np.reshape(scale, (-1, *(1,) * axes))))
    weights = np.empty((len(scale), *scaled.shape[1:]), dtype)
    offsets = np.empty((len(scale), 3, *scaled.shape[1:]), np.int32)
    (selling2 if axes == 2 else selling3)(scaled, weights, offsets)
    limit(weights, offsets, _totals(weights, offsets, boundary), cap, BOUNDARIES.index(boundary))
    return FrozenTensor(weights, offsets, boundary)
