"""Edge-stopping diffusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pde_video.errors import ParameterError
from pde_video.grid import as_spacing, as_volume, check_positive, kernel_scale, stable_euler_step
from pde_video.protocols import Array
from pde_video.solves import conjugate_gradients
from pde_video.terms.heat import Heat

CONDUCTANCES = (
    "exponential",
    "rational",
    "charbonnier",
    "weickert",
    "tukey",
    "tv",
)  # Codes of kernels.diffusion.


@dataclass(frozen=True)
class PeronaMalik:
    """Diffusion that stops at edges, in 1, 2 or 3 dimensions, with no flux through the border.

    ∂I/∂t = Σ_axis ∂/∂x (g(s²) ∂I/∂x), where s, as in the scheme of 1990, is the difference across the face between
    two neighbours divided by their distance; with channels, s² is its sum over them, so that all share one edge.

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
        Standard deviation ≥ 0, in pixels, of the bell by which the picture is smoothed before s is taken
        (Catté et al. 1992). It is made by heat steps, so it keeps the mean and meets the border as the flux does.
    spacing : float or sequence of float
        Grid spacing h > 0, one for all axes or one for each.

    Raises
    ------
    ParameterError
        If a parameter is out of range.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Catté, Lions, Morel & Coll (1992), doi:10.1137/0729012.
    Charbonnier et al. (1994), doi:10.1109/ICIP.1994.413553. Weickert (1998), Anisotropic Diffusion in Image
    Processing, for its conductance. Black et al. (1998), doi:10.1109/83.661192, for Tukey's.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> step_edge = np.array([0.0, 0.1, 0.0, 1.0, 1.0])
    >>> pv.evolve(pv.PeronaMalik(0.2, "tukey"), step_edge, pv.uniform(10.0)).round(3)
    array([0.033, 0.033, 0.033, 1.   , 1.   ])
    """

    kappa: float
    conductance: str = "exponential"
    _: KW_ONLY
    smoothing: float = 0.0
    spacing: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        check_positive(kappa=self.kappa)
        object.__setattr__(self, "spacing", as_spacing(self.spacing))
        if self.conductance not in CONDUCTANCES:
            raise ParameterError(f"conductance is {self.conductance!r}; it must be one of {', '.join(CONDUCTANCES)}")
        if not (math.isfinite(self.smoothing) and self.smoothing >= 0):
            raise ParameterError(f"smoothing is {self.smoothing}; it must be 0 (none) or a positive width in pixels")

    def rate(self, t: float, y: Array) -> Array:
        """Return div(g ∇y) for the state `y` (C, *grid), with g taken from `y`."""
        return self._divergence(y, self._faces(y))

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / (2 max(g) Σ 1/h²), the largest stable explicit Euler step on a grid of `ndim` axes."""
        largest = 1.0 / self.kappa if self.conductance == "tv" else 1.0
        return stable_euler_step(self.spacing, ndim, largest)  # type: ignore[arg-type]

    def solve(self, t: float, y: Array, dt: float) -> Array:
        """Return z with z − dt div(g(y) ∇z) = y: semi-implicit, as g stays what it was at `y`.

        The linear system is solved by conjugate gradients to a relative residual of 1e-10.
        """
        from pde_video.kernels.diffusion import divergence

        double = y.astype(np.float64)
        faces, scale = self._faces(y).astype(np.float64), self._scale(double)
        diagonal = np.ones(double.shape[1:])
        for axis, volume_axis in enumerate(range(4 - double.ndim, 3)):
            g = faces[volume_axis].reshape(diagonal.shape)
            diagonal += dt * scale[volume_axis] * (g + np.roll(g, 1, axis))  # The last face is closed: no wrap.

        def operator(z: Array) -> Array:
            z = np.ascontiguousarray(z, np.float64).reshape(1, *double.shape[1:])
            flux = np.empty_like(z)
            divergence(as_volume(z), faces, as_volume(flux), scale)
            return (z - dt * flux).ravel()

        channels = [conjugate_gradients(operator, diagonal.ravel(), c.ravel(), c.ravel()) for c in double]
        return np.stack(channels).reshape(y.shape).astype(y.dtype)

    def _scale(self, y: Array) -> Array:
        return kernel_scale(self.spacing, y.ndim - 1, 1.0, y.dtype)  # type: ignore[arg-type]

    def _faces(self, y: Array) -> Array:
        from pde_video.kernels.diffusion import conductances

        v = as_volume(self._smoothed(y))
        faces = np.empty((3, *v.shape[1:]), y.dtype)
        inverse_kappa = y.dtype.type(1.0 / self.kappa)
        factor = np.sqrt(kernel_scale(self.spacing, y.ndim - 1, 1.0 / self.kappa**2, np.dtype(float)))  # type: ignore[arg-type]
        constants = tuple(y.dtype.type(c) for c in (0.0, 1.0, 3.31488, 1e-8))
        conductances(v, faces, factor.astype(y.dtype), CONDUCTANCES.index(self.conductance), inverse_kappa, constants)
        return faces

    def _divergence(self, y: Array, faces: Array) -> Array:
        from pde_video.kernels.diffusion import divergence

        out = np.empty_like(y)
        divergence(as_volume(y), faces, as_volume(out), self._scale(y))
        return out

    def _smoothed(self, y: Array) -> Array:
        if self.smoothing == 0:
            return y
        # A bell of variance σ² is the heat equation at t = σ²/2. At half the stable step the highest frequency
        # is damped without changing sign.
        heat = Heat()
        steps = math.ceil(self.smoothing**2 / heat.stable_dt(y.ndim - 1))
        for _ in range(steps):
            y = y + (self.smoothing**2 / 2 / steps) * heat.rate(0.0, y)
        return y
