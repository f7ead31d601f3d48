"""Terms that only make sense in a sum: a source, and a pull towards data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pde_video.arrays.grid import field_to_planes
from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.solvers.pairs import Pairs, alone
from pde_video.solvers.stencil import Stencil, pulled


@dataclass(frozen=True, eq=False, repr=False)
class Source(Value):
    """A rate that does not depend on the state.

    dy/dt = f(t)

    Parameters
    ----------
    f : ndarray, or callable t -> ndarray
        Finite, of the shape of the state.

    Examples
    --------
    >>> pv.evolve(pv.Source(lambda t: np.array([1.0, 2 * t])), np.zeros(2), pv.uniform(1.0, steps=2), step=pv.heun)
    array([1., 1.])
    """

    f: Array | Callable[[float], Array]
    channel_axis: int | None = None
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not callable(self.f) and not np.isfinite(self.f).all():
            raise ParameterError("the source holds NaN or infinite values; replace them first")

    def rate(self, t: float, y: Array) -> Array:
        """Return f(t)."""
        field = self.f(t) if callable(self.f) else self.f
        if self.shape is not None:
            field = field_to_planes(field, self.channel_axis, self.shape, "the source")
        return np.broadcast_to(field, y.shape).astype(y.dtype)

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Source:
        """Return this term with f in state layout."""
        return Source(self.f, channel_axis, shape)

    def diagonal(self, y: Array) -> Array:
        """Return 0."""
        return np.zeros((1,) * y.ndim)

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Pairs | None:
        """Return f in a mask."""
        return alone(y, np.zeros(()), self.rate(t, y), mask) if mask is not None else None

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return f as a `Stencil`."""
        return pulled(y, np.zeros((1,) * y.ndim), self.rate(t, y))

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return y + dt·f(t + dt)."""
        return y + dt * self.rate(t + dt, y)


@dataclass(frozen=True, eq=False, repr=False)
class Fidelity(Value):
    """A pull towards data.

    dy/dt = w (data − y)

    Parameters
    ----------
    data : ndarray
        Finite, of the shape of the state.
    weight : float or ndarray
        w > 0, per unit of time; or a field ≥ 0 of the shape of the state, not all zero.

    References
    ----------
    Nordström (1990), Biased anisotropic diffusion, doi:10.1016/0262-8856(90)80008-H.

    Examples
    --------
    >>> pv.evolve(pv.Fidelity(np.array([4.0]), weight=0.5), np.array([0.0]), [0, 1.0])
    array([2.])
    """

    data: Array
    weight: float | Array = 1.0

    def __post_init__(self) -> None:
        if np.ndim(self.weight) == 0:
            check_positive(weight=self.weight)  # type: ignore[arg-type]
        elif not np.isfinite(self.weight).all() or np.min(self.weight) < 0 or np.max(self.weight) == 0:
            raise ParameterError("weight must be finite and ≥ 0, and not 0 everywhere")
        if not np.isfinite(self.data).all():
            raise ParameterError("data hold NaN or infinite values; give them weight 0 and any finite value instead")

    def rate(self, t: float, y: Array) -> Array:
        """Return w (data − y)."""
        return np.asarray(self.weight, y.dtype) * (np.asarray(self.data, y.dtype) - y)

    def stable_dt(self, ndim: int) -> float:
        """Return 2 / max w."""
        return 2.0 / float(np.max(self.weight))

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> Fidelity:
        """Return this term with its fields in state layout."""
        data, weight = field_to_planes(self.data, channel_axis, shape, "data"), self.weight
        if np.ndim(weight):
            weight = field_to_planes(weight, channel_axis, shape, "weight")
        return replace(self, data=data, weight=weight)

    def diagonal(self, y: Array) -> Array:
        """Return w: the diagonal of the operator, negated."""
        return np.asarray(self.weight, float) * np.ones((1,) * y.ndim)

    def pairs(self, t: float, y: Array, mask: Array | None = None) -> Pairs | None:
        """Return the pull in a mask."""
        w = np.asarray(self.weight, np.float64)
        return alone(y, w, w * np.asarray(self.data, np.float64), mask) if mask is not None else None

    def stencil(self, t: float, y: Array) -> Stencil | None:
        """Return the pull as a `Stencil`."""
        w = np.asarray(self.weight, y.dtype) * np.ones((1,) * y.ndim, y.dtype)
        return pulled(y, w, w * np.asarray(self.data, y.dtype))

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return (y + dt w data) / (1 + dt w)."""
        w = dt * np.asarray(self.weight, y.dtype)
        return (y + w * np.asarray(self.data, y.dtype)) / (1 + w)
