"""The difference of two frames as an equation."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from pde_video.arrays.grid import field_to_planes
from pde_video.arrays.values import Value
from pde_video.checks import check_contrast, check_positive
from pde_video.protocols import Array


@dataclass(frozen=True, eq=False, repr=False)
class FrameDifference(Value):
    """Motion away from the previous frame (α > 0), or towards it (α < 0).

    dy/dt = y − previous, so that one explicit Euler step from 0 to α gives exactly F1 + α (F1 − F2).
    With `kappa`: dy/dt = exp(−|y − previous|²/κ²) (y − previous), which spares larger changes.

    Parameters
    ----------
    previous : ndarray
        The frame F2, of the shape of the state.
    kappa : float, optional
        κ > 0, the change that counts as motion, in units of the data. Squared differences are summed over channels.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205, for the conductance.

    Examples
    --------
    >>> now, before = np.array([0.5, 0.75]), np.array([0.5, 0.25])
    >>> pv.evolve(pv.FrameDifference(before), now, [0, -0.5])
    array([0.5, 0.5])
    """

    previous: Array
    _: KW_ONLY
    kappa: float | None = None

    def __post_init__(self) -> None:
        if self.kappa is not None:
            check_positive(kappa=self.kappa)

    @property
    def linear(self) -> bool:
        """Whether g is 1."""
        return self.kappa is None

    def rate(self, t: float, y: Array) -> Array:
        """Return g·(y − previous) for the state `y` (C, *grid)."""
        difference = y - np.asarray(self.previous, y.dtype)
        if self.kappa is None:
            return difference
        check_contrast(y.dtype, 2, kappa=self.kappa)
        s2 = (difference * difference).sum(axis=0, keepdims=True)
        with np.errstate(over="ignore"):  # The exponential of −∞ is 0.
            return np.exp(s2 * (-1.0 / self.kappa**2)) * difference

    def aligned(self, channel_axis: int | None, shape: tuple[int, ...]) -> FrameDifference:
        """Return this term with `previous` in state layout."""
        return replace(self, previous=field_to_planes(self.previous, channel_axis, shape, "previous"))
