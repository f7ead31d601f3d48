"""Grids as the kernels expect them: always three axes; spacing and boundary."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.protocols import Array

BOUNDARIES = ("neumann", "periodic", "dirichlet")  # In the order of the codes in kernels.rows.

Spacing: TypeAlias = float | Sequence[float]  # One for all axes, or one for each.


def as_spacing(spacing: Spacing) -> float | tuple[float, ...]:
    """Return `spacing` checked and frozen: a float, or a tuple of one per axis."""
    if isinstance(spacing, str):
        raise ParameterError(f"spacing is {spacing!r}; it must be a number, or one for each axis")
    if isinstance(spacing, Sequence) or np.ndim(spacing):
        frozen = tuple(float(h) for h in spacing)  # type: ignore[union-attr]
        for h in frozen:
            check_positive(spacing=h)
        return frozen
    check_positive(spacing=spacing)
    return float(spacing)


def inverse_squares(spacing: Spacing, ndim: int) -> tuple[float, ...]:
    """Return 1/h² for each of `ndim` axes."""
    per_axis = tuple(spacing) if isinstance(spacing, Sequence) else (spacing,) * ndim
    if len(per_axis) != ndim:
        raise ParameterError(f"spacing has {len(per_axis)} values {per_axis}, but the grid has {ndim} axes")
    return tuple(1.0 / h**2 for h in per_axis)


def as_planes(y: Array, channel_axis: int | None) -> Array:
    """Return a view of `y` with its channels first: (C, *grid)."""
    return y[np.newaxis] if channel_axis is None else np.moveaxis(y, channel_axis, 0)


def to_planes(y: Array, channel_axis: int | None) -> Array:
    """Return `y` in state layout: a C-contiguous array (C, *grid)."""
    return np.ascontiguousarray(as_planes(y, channel_axis))


def from_planes(state: Array, channel_axis: int | None) -> Array:
    """Return the state (C, *grid) with its channels where they were: a view."""
    return state[0] if channel_axis is None else np.moveaxis(state, 0, channel_axis)


def extended(y: Array, boundary: str) -> Array:
    """Return the state (C, *grid) with a border of one cell: wrapped or zero. No-flux states stay as they are."""
    if boundary == "neumann":
        return y  # No kernel lets anything through the border of its grid.
    widths = [(0, 0)] + [(1, 1)] * (y.ndim - 1)
    return np.pad(y, widths, mode="wrap" if boundary == "periodic" else "constant")


def inner(y: Array, boundary: str) -> Array:
    """Return the state without the border that `extended` added."""
    if boundary == "neumann":
        return y
    return np.ascontiguousarray(y[(slice(None), *(slice(1, -1),) * (y.ndim - 1))])


def field_to_planes(field: Any, channel_axis: int | None, shape: tuple[int, ...], name: str) -> Array:
    """Return a field in state layout, or raise ParameterError unless it has the shape of the state."""
    if np.shape(field) != shape:
        raise ParameterError(f"{name} has shape {np.shape(field)}, but the state has {shape}; they must agree")
    return to_planes(np.asarray(field), channel_axis)


class OnGrid(Value):
    """Base of the dataclasses that act on a grid: their spacing is frozen, their boundary checked."""

    spacing: Spacing
    boundary: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", as_spacing(self.spacing))
        if self.boundary not in BOUNDARIES:
            raise ParameterError(f"boundary is {self.boundary!r}; it must be one of {', '.join(BOUNDARIES)}")

    def _stable_step(self, ndim: int, largest: float) -> float:
        """Return 1 / (2 Σ_axes g/h²), the bound on explicit Euler steps of a diffusion with conductances ≤ g."""
        return 1.0 / (2.0 * largest * sum(inverse_squares(self.spacing, ndim)))


def as_volume(y: Array) -> Array:
    """Return the state (C, *grid) as a view (C, N0, N1, N2)."""
    if y.ndim > 4:
        raise ParameterError(f"the grid has {y.ndim - 1} axes; it must have 1, 2 or 3")
    return y.reshape(y.shape[0], *(1,) * (4 - y.ndim), *y.shape[1:])


def kernel_scale(spacing: Spacing, ndim: int, factor: float, dtype: np.dtype) -> Array:
    """Return factor/h² for the three kernel axes, zero for axes that the grid does not have."""
    return np.array([0.0] * (3 - ndim) + [factor * s for s in inverse_squares(spacing, ndim)], dtype)


def all_finite(values: Array) -> bool:
    """Return whether no value is infinite or NaN."""
    # The sum is the faster test; where it is not finite, it may have overflowed.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum())) or bool(np.isfinite(values).all())


def unlocked(y: Array) -> Array:
    """Return a read-only array as one that kernels accept, since they only read it; others as they are."""
    if y.flags.writeable:
        return y
    address, _ = y.__array_interface__["data"]
    interface = {**y.__array_interface__, "data": (address, False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, kept_alive=y))
