"""Edge-stopping diffusion."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from pde_video.arrays.grid import OnGrid, Spacing, as_volume, extended, kernel_scale
from pde_video.checks import check_contrast, check_positive, check_width
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.solvers.fused_steps import Walk
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.terms.heat import narrowly_smoothed, smoothing_steps
from pde_video.threads import each

CONDUCTANCES = ("exponential", "rational", "charbonnier", "weickert", "tukey", "tv")
_BAND = 64  # Rows per task of a thread.


def check_conductance(name: str) -> None:
    """Raise ParameterError unless `name` is that of a conductance."""
    if name not in CONDUCTANCES:
        raise ParameterError(f"conductance is {name!r}; it must be one of {', '.join(CONDUCTANCES)}")


@dataclass(frozen=True, repr=False)
class PeronaMalik(OnGrid):
    """Diffusion that stops at edges, in 1, 2 or 3 dimensions.

    ∂I/∂t = Σ_axis ∂/∂x (g(s²) ∂I/∂x), where s, as in the scheme of 1990, is the difference across the face between
    two neighbours divided by their distance. s² is summed over channels, so that all share one edge.

    ============  ================================  =======================================
    conductance   g(s²)                             note
    ============  ================================  =======================================
    exponential   exp(−s²/κ²)                       Perona & Malik, first
    rational      1 / (1 + s²/κ²)                   Perona & Malik, second
    charbonnier   1 / √(1 + s²/κ²)                  never diffuses backwards
    weickert      1 − exp(−3.31488 κ⁸/s⁸)           nearly closed just above κ
    tukey         (1 − s²/κ²)² if s < κ, else 0     closed above κ
    tv            1 / √(s² + κ²)                    total variation flow with κ as its ε; g ≤ 1/κ
    ============  ================================  =======================================

    Parameters
    ----------
    kappa : float
        κ > 0, the edge contrast, in units of the data divided by units of `spacing`.
    conductance : str
        A name from the table.
    smoothing : float
        Standard deviation ≥ 0, in pixels, of the Gaussian blur before s is taken (Catté et al. 1992). It is made of
        heat steps, so it keeps the mean and has the boundary of the term.
    spacing, boundary
        As for `Heat`.
    temporal_kappa : float, optional
        Edge contrast between frames, for space-time arrays whose first of three axes is time. Default: `kappa`.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Catté, Lions, Morel & Coll (1992), doi:10.1137/0729012.
    Charbonnier et al. (1994), doi:10.1109/ICIP.1994.413553. Weickert (1998), Anisotropic Diffusion in Image
    Processing, for its conductance. Black et al. (1998), doi:10.1109/83.661192, for Tukey's.

    Examples
    --------
    >>> step_edge = np.array([0.0, 0.1, 0.0, 1.0, 1.0], np.float32)
    >>> pv.evolve(pv.PeronaMalik(0.2, "exponential"), step_edge, pv.uniform(10.0)).round(3)
    array([0.033, 0.033, 0.033, 1.   , 1.   ], dtype=float32)
    """

    kappa: float
    conductance: str = "exponential"
    _: KW_ONLY
    smoothing: float = 0.0
    spacing: Spacing = 1.0
    boundary: str = "neumann"
    temporal_kappa: float | None = None

    def __post_init__(self) -> None:
        check_positive(kappa=self.kappa)
        check_conductance(self.conductance)
        super().__post_init__()
        if self.temporal_kappa is not None:
            check_positive(temporal_kappa=self.temporal_kappa)
        check_width(smoothing=self.smoothing)

    def rate(self, t: float, y: Array) -> Array:
        """Return div(g ∇y) for the state `y` (C, *grid), with g taken from `y`."""
        return self.frozen(t, y).rate(t, y)

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / (2 max(g) Σ 1/h²)."""
        kappa = min(self.kappa, self.temporal_kappa or self.kappa)
        largest = 1.0 / kappa if self.conductance == "tv" else 1.0
        return self._stable_step(ndim, largest)

    def reach(self, ndim: int) -> int:
        """Return how many cells away the rate looks: one, plus one for each smoothing step."""
        return 1 + smoothing_steps(self.smoothing, ndim)

    def frozen(self, t: float, y: Array) -> FrozenDiffusion:
        """Return the linear diffusion with the conductances of `y`."""
        from pde_video.kernels.diffusion import conductances

        v = as_volume(extended(narrowly_smoothed(y, self.smoothing, self.boundary), self.boundary))
        faces = np.empty((3, *v.shape[1:]), y.dtype)
        scale, factor, g = self._for_kernels(y.ndim - 1, y.dtype)
        n = v.shape[2]
        each(lambda i: conductances(v, faces, factor, g, i, min(i + _BAND, n)), range(0, n, _BAND))
        return FrozenDiffusion(faces, scale, self.boundary, self.stable_dt(y.ndim - 1))

    def walk(self, dt: tuple[float, ...], ndim: int, dtype: Any) -> Walk | None:
        """Return explicit Euler steps of `dt` as one fused walk; None for boundaries other than Neumann's."""
        if self.boundary != "neumann":
            return None
        scale, factor, g = self._for_kernels(ndim, dtype)
        before = smoothing_steps(self.smoothing, ndim)
        smoothing = [self.smoothing**2 / 2 / before] * before if before else []
        pixels = kernel_scale(1.0, ndim, 1.0, dtype)
        scales = np.stack(([pixels] * before + [scale]) * len(dt))
        steps = [tau for step in dt for tau in (*smoothing, step)]
        back = ([0] * before + [before + 1]) * len(dt)
        return Walk(ndim, dtype, scales, steps, back, factor, g)

    def _for_kernels(self, ndim: int, dtype: np.dtype) -> tuple[Array, Array, Any]:
        """Return 1/h² and the factor of differences along each axis, and the conductance."""
        from pde_video.kernels.conductance import named, unit

        if self.temporal_kappa is not None and ndim != 3:
            raise ParameterError(f"temporal_kappa needs a grid of 3 axes, the first of them time; this one has {ndim}")
        check_contrast(dtype, kappa=self.kappa, temporal_kappa=self.temporal_kappa or np.inf)
        scale = kernel_scale(self.spacing, ndim, 1.0, np.dtype(float))
        inverse_kappa = 1.0 / np.array([self.temporal_kappa or self.kappa, self.kappa, self.kappa])
        factor = np.sqrt(scale) * inverse_kappa / unit(self.conductance)
        return scale.astype(dtype), factor.astype(dtype), named(self.conductance, inverse_kappa, dtype)
