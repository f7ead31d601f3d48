"""Directions in a picture: smoothing, structure tensor, eigenvectors."""

import math
from functools import reduce
from typing import Any

import numpy as np

from pde_video.arrays.grid import Spacing, as_volume, inverse_squares
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.terms.heat import narrowly_smoothed

_PAD = {"neumann": "edge", "periodic": "wrap", "dirichlet": "constant"}
_MODE = {"neumann": "reflect", "periodic": "grid-wrap", "dirichlet": "constant"}
_DERIVATIVE, _ACROSS = np.array([-0.5, 0.0, 0.5]), np.array([3, 10, 3]) / 16


def grid_axes(y: Array, name: str) -> int:
    """Return the number of axes of the state `y` (C, *grid), which must be 2 or 3."""
    axes = y.ndim - 1
    if axes not in (2, 3):
        raise ParameterError(f"{name} needs a grid of 2 or 3 axes; this one has {axes}")
    return axes


def unit_of(y: Array, contrast: float = 0.0, dtype: Any = None) -> float:
    """Return a power of two in which `y` and a contrast have fourth powers within the range of a dtype, that of `y`.

    It is 1 unless the larger of them is very large or very small.
    """
    largest = max(abs(float(y.max())), abs(float(y.min())), contrast)
    most = float(np.finfo(dtype or y.dtype).max) ** 0.125
    if 1 / most < largest < most or not 0 < largest < math.inf:
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


def smoothed(y: Array, width: float, boundary: str) -> Array:
    """Return the state `y` (C, *grid) blurred by a Gaussian of standard deviation `width` in pixels."""
    if width == 0:
        return y
    if width < 1:
        return narrowly_smoothed(y, width, boundary)  # A narrow Gaussian, sampled, would have another width.
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(y, (0.0, *(width,) * (y.ndim - 1)), mode=_MODE[boundary])


def derivative_stencils(spacing: Spacing, axes: int, dtype: np.dtype) -> Array:
    """Return (axes, m0, 3, 3): central differences, smoothed across by 3, 10, 3, which makes them nearly isotropic."""
    stencils = []
    for axis, scale in enumerate(inverse_squares(spacing, axes)):
        factors = [_DERIVATIVE if other == axis else _ACROSS for other in range(axes)]
        stencils.append(reduce(np.multiply.outer, factors) * math.sqrt(scale))
    return np.stack(stencils).reshape(axes, *(1,) * (3 - axes), *(3,) * axes).astype(dtype)


def structure_tensor(v: Array, integration: float, spacing: Spacing, boundary: str) -> Array:
    """Return J = K_ρ ∗ Σ_channel ∇v ∇vᵀ, its entries a ≤ b in order along the first axis, as (n, *grid)."""
    from pde_video.kernels.anisotropic import structure

    axes = v.ndim - 1
    out = np.empty((axes * (axes + 1) // 2, *v.shape[1:]), v.dtype)
    padded = np.pad(v, [(0, 0), *[(1, 1)] * axes], mode=_PAD[boundary])  # type: ignore[call-overload]
    structure(as_volume(padded), derivative_stencils(spacing, axes, v.dtype), as_volume(out))
    return smoothed(out, integration, boundary)


def directions(tensor: Array) -> tuple[Array, Array, Array]:
    """Return the largest and smallest eigenvalue (2, *grid) and an eigenvector of each, (axes, *grid), in double."""
    from pde_video.kernels.anisotropic import eigenvectors

    axes = tensor.ndim - 1
    values = np.empty((2, *tensor.shape[1:]))
    first, last = np.empty((axes, *tensor.shape[1:])), np.empty((axes, *tensor.shape[1:]))
    eigenvectors(*(field.reshape(len(field), -1) for field in (np.ascontiguousarray(tensor), values, first, last)))
    return values, first, last
