"""Sharpening by a shock filter."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from pde_video.arrays.grid import Spacing, as_spacing, as_volume, inverse_squares
from pde_video.arrays.values import Value
from pde_video.checks import check_width
from pde_video.protocols import Array
from pde_video.terms.structure import directions, grid_axes, smoothed, structure_tensor, unit_of


@dataclass(frozen=True, repr=False)
class Shock(Value):
    """Coherence-enhancing shock filter, in 2 or 3 dimensions: bright and dark regions grow until they meet.

    ∂u/∂t = −sign(v_ww) |∇u|, with v = u_σ the smoothed picture and w the unit eigenvector of the largest eigenvalue of
    the structure tensor J = K_ρ ∗ Σ_channel ∇v ∇vᵀ, across the lines of the picture. The picture is eroded in valleys,
    where v_ww > 0, and dilated on ridges, where v_ww < 0. Channels share w, but each has its own sign.

    |∇u| is taken upwind (Rouy & Tourin): no step up to `stable_dt` leaves the range of the picture. The mean is not
    kept. Nothing flows through the border.

    Parameters
    ----------
    smoothing : float
        σ ≥ 0, in pixels: the standard deviation of the Gaussian blur of v. A larger one ignores finer detail.
    integration : float
        ρ ≥ 0, in pixels: the standard deviation over which directions are averaged.
    spacing : float or sequence of float
        As for `Heat`.

    References
    ----------
    Weickert (2003), Coherence-enhancing shock filters, doi:10.1007/978-3-540-45243-0_1. Osher & Rudin (1990),
    doi:10.1137/0727053. Rouy & Tourin (1992), doi:10.1137/0729053.

    Examples
    --------
    >>> blurred = np.tile(1 / (1 + np.exp(-np.arange(-3.5, 4.0))), (8, 1))
    >>> pv.evolve(pv.Shock(), blurred, pv.uniform(10.0))[4].round(2)
    array([0.03, 0.03, 0.03, 0.03, 0.97, 0.97, 0.97, 0.97])
    """

    _: KW_ONLY
    smoothing: float = 0.5
    integration: float = 3.0
    spacing: Spacing = 1.0

    def __post_init__(self) -> None:
        check_width(smoothing=self.smoothing, integration=self.integration)
        object.__setattr__(self, "spacing", as_spacing(self.spacing))

    linear: ClassVar[bool] = False

    def rate(self, t: float, y: Array) -> Array:
        """Return −sign(v_ww) |∇y| for the state `y` (C, *grid)."""
        from pde_video.kernels.shock_filter import second_along, shock

        axes = grid_axes(y, "Shock")
        unit = y.dtype.type(unit_of(y))
        y = y / unit
        v = smoothed(y, self.smoothing, "neumann")
        _, across, _ = directions(structure_tensor(v, self.integration, self.spacing, "neumann"))
        missing = [(3 - axes, 0), *[(0, 0)] * axes]
        w = np.pad(across.astype(y.dtype), missing).reshape(3, *as_volume(y).shape[1:])
        inverse_h = np.array([0.0] * (3 - axes) + self._inverse_h(axes), y.dtype)
        curvature, out = np.empty_like(y), np.empty_like(y)
        second_along(as_volume(v), w, inverse_h, as_volume(curvature))
        shock(as_volume(y), as_volume(curvature), inverse_h, as_volume(out))
        return out * unit

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / Σ 1/h. The extremum principle holds up to 1 / √(Σ 1/h²), which is never smaller."""
        return 1.0 / sum(self._inverse_h(ndim))

    def _inverse_h(self, ndim: int) -> list[float]:
        return [math.sqrt(s) for s in inverse_squares(self.spacing, ndim)]
