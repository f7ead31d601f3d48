"""Diffusion by a tensor made from the picture: along edges and lines rather than across them."""

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Self

import numpy as np

from pde_video.arrays.grid import OnGrid, Spacing
from pde_video.checks import check_contrast, check_positive, check_width
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.terms.frozen import FrozenTensor, decomposed
from pde_video.terms.perona_malik import check_conductance
from pde_video.terms.plane import COHERENCE, EDGES, Recipe, rate_in_plane
from pde_video.terms.structure import directions, grid_axes, smoothed, structure_tensor, unit_of

_FAINTEST = 1e-9  # Contrast in units of the data for which the fused pass serves.


def _check_least(name: str, value: float) -> None:
    if not 1e-6 <= value <= 1:
        raise ParameterError(f"{name} is {value}; it must be in [1e-6, 1], as offsets grow with its inverse root")


class _TensorDiffusion(OnGrid, ABC):
    """∂u/∂t = div(D(u) ∇u) with D = a I + b w wᵀ, a unit vector w."""

    smoothing: float
    integration: float

    def __post_init__(self) -> None:
        check_width(smoothing=self.smoothing, integration=self.integration)
        super().__post_init__()

    def _parts(self, y: Array) -> tuple[Array, Array, Array]:
        """Return a, b and w for the state `y` (C, *grid)."""
        v = smoothed(y, self.smoothing, self.boundary)
        return self._parts_of(structure_tensor(v, self.integration, self.spacing, self.boundary))

    @abstractmethod
    def _parts_of(self, tensor: Array) -> tuple[Array, Array, Array]:
        """Return a, b and w for a structure tensor (n, *grid)."""

    def frozen(self, t: float, y: Array) -> FrozenTensor:
        """Return the linear diffusion with the tensor of the state `y` (C, *grid)."""
        axes = grid_axes(y, type(self).__name__)
        self._check_contrast(y.dtype)
        unit = unit_of(y, self._gradient())
        a, b, w = self._in_units_of(unit)._parts(y / y.dtype.type(unit))
        entries = np.stack([(p == q) * a + b * w[p] * w[q] for p in range(axes) for q in range(p, axes)])
        return decomposed(entries, self.spacing, self.boundary, 1.0 / self.stable_dt(axes), y.dtype)

    @abstractmethod
    def _check_contrast(self, dtype: Any) -> None:
        """Raise ParameterError for a contrast that is too small for states of `dtype`."""

    @abstractmethod
    def _gradient(self) -> float:
        """Return the gradient from which on diffusion is anisotropic."""

    @abstractmethod
    def _in_units_of(self, unit: float) -> Self:
        """Return the term for data that were divided by `unit`."""

    @abstractmethod
    def _recipe(self) -> Recipe:
        """Return how the tensor is made."""

    def rate(self, t: float, y: Array) -> Array:
        """Return div(D(y) ∇y) for the state `y` (C, *grid)."""
        if y.ndim == 3:
            self._check_contrast(y.dtype)
            unit = y.dtype.type(unit_of(y, self._gradient()))
            term = self._in_units_of(unit)
            if unit == 1 or term._gradient() > _FAINTEST:
                rate = rate_in_plane(y / unit, self, term._recipe(), 1.0 / self.stable_dt(2))
                if rate is not None:
                    return rate * unit
        return self.frozen(t, y).rate(t, y)

    def stable_dt(self, ndim: int) -> float:
        """Return 1 / (2 max(λ) Σ 1/h²), whose inverse bounds the sum of weights of a pixel."""
        return self._stable_step(ndim, self._recipe().largest)


@dataclass(frozen=True, repr=False)
class EdgeEnhancing(_TensorDiffusion):
    """Edge-enhancing diffusion (EED) in 2 or 3 dimensions: along edges, and across them only where they are faint.

    ∂u/∂t = div(D ∇u), D = n nᵀ max(g(s²), least) + (I − n nᵀ), with s² = tr J, n the unit eigenvector of the largest
    eigenvalue of the structure tensor J = K_ρ ∗ Σ_channel ∇u_σ ∇u_σᵀ (for one channel and ρ = 0: s² = |∇u_σ|² and
    n = ∇u_σ / s). It smooths noise on an edge, which `PeronaMalik` leaves.

    The derivatives are 3 × 3 and weighted 3, 10, 3 across. D acts through non-negative weights (`FrozenTensor`): no
    step up to `stable_dt` leaves the range of the picture.

    Parameters
    ----------
    kappa : float
        κ > 0, the edge contrast, in units of the data divided by units of `spacing`.
    smoothing : float
        σ ≥ 0, in pixels: the standard deviation of the Gaussian blur before gradients are taken.
    integration : float
        ρ ≥ 0, in pixels: the standard deviation over which directions are averaged; 0 for none.
    conductance : str
        The name of g in the table of `PeronaMalik`. The default needs about half the κ of "weickert", and keeps rings
        round to within 2 %. "weickert" and "exponential" sharpen more, but deform rings by up to 14 % where edges are
        steeper than κ.
    least : float
        The smallest diffusivity across an edge, from 1e-6 to 1. The offsets of the weights reach up to
        √(2 / least) pixels along an edge, and should stay below its radius of curvature.
    spacing, boundary
        As for `Heat`.

    References
    ----------
    Weickert (1998), Anisotropic Diffusion in Image Processing, Teubner. Fehrenbach & Mirebeau (2014),
    doi:10.1007/s10851-013-0446-3, for the weights. Weickert & Scharr (2002), doi:10.1006/jvci.2001.0495 (derivatives).

    Examples
    --------
    A noisy edge:

    >>> edge = np.zeros((20, 20), np.float32); edge[:, 10:] = 1.0
    >>> noisy = edge + np.float32(0.1) * np.random.default_rng(0).standard_normal(edge.shape, np.float32)
    >>> smooth = pv.evolve(pv.EdgeEnhancing(0.05), noisy, pv.uniform(5.0))
    >>> print(f"{abs(noisy - edge).mean():.3f} {abs(smooth - edge).mean():.3f}")
    0.080 0.019
    """

    kappa: float
    _: KW_ONLY
    smoothing: float = 1.0
    integration: float = 0.0
    conductance: str = "rational"
    least: float = 0.01
    spacing: Spacing = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(kappa=self.kappa, least=self.least)
        _check_least("least", self.least)
        super().__post_init__()
        check_conductance(self.conductance)

    def _check_contrast(self, dtype: Any) -> None:
        check_contrast(dtype, kappa=self.kappa)

    def _gradient(self) -> float:
        return self.kappa

    def _in_units_of(self, unit: float) -> Self:
        return self if unit == 1 else replace(self, kappa=self.kappa / float(unit))

    def _recipe(self) -> Recipe:
        inverse = 1.0 / self.kappa
        largest = max(1.0, inverse) if self.conductance == "tv" else 1.0
        return Recipe(EDGES, self.conductance, inverse, inverse, self.least, largest)

    def _parts_of(self, tensor: Array) -> tuple[Array, Array, Array]:
        from pde_video.kernels.conductance import evaluate

        diagonal = [0, 2] if len(tensor) == 3 else [0, 3, 5]
        g = evaluate(self.conductance, tensor[diagonal].sum(axis=0, dtype=np.float64), self.kappa)
        _, across, _ = directions(tensor)
        return np.ones_like(g), np.maximum(g, self.least) - 1.0, across


@dataclass(frozen=True, repr=False)
class CoherenceEnhancing(_TensorDiffusion):
    """Coherence-enhancing diffusion (CED) in 2 or 3 dimensions: along lines, which closes their gaps.

    ∂u/∂t = div(D ∇u), D = α I + (λ − α) w wᵀ, λ = α + (1 − α) exp(−C / (μ₁ − μ_d)²), with μ₁ and μ_d the largest and
    smallest eigenvalue of the structure tensor J = K_ρ ∗ Σ_channel ∇u_σ ∇u_σᵀ, and w the unit eigenvector of the
    smallest: the direction in which the picture changes least. Where there is no direction, D = α I.

    D acts through non-negative weights (`FrozenTensor`): no step up to `stable_dt` leaves the range of the picture.

    Parameters
    ----------
    contrast : float
        C > 0: lines count from (μ₁ − μ_d)² ≈ C on; in units of (data / spacing)⁴, as μ is a squared gradient.
    alpha : float
        α, the diffusivity across lines and where there are none, from 1e-6 to 1.
    smoothing, integration
        As for `EdgeEnhancing`; ρ should be about the length of the gaps to be closed.
    spacing, boundary
        As for `Heat`.

    References
    ----------
    Weickert (1999), Coherence-enhancing diffusion filtering, doi:10.1023/A:1008009714131. Fehrenbach & Mirebeau
    (2014), doi:10.1007/s10851-013-0446-3, for the weights.

    Examples
    --------
    A line with a gap:

    >>> line = np.zeros((15, 25), np.float32); line[7] = 1.0; line[7, 11:14] = 0.0
    >>> closed = pv.evolve(pv.CoherenceEnhancing(1e-9), line, pv.uniform(10.0))
    >>> closed[7, 10:15].round(2)
    array([0.75, 0.73, 0.72, 0.73, 0.75], dtype=float32)
    """

    contrast: float
    _: KW_ONLY
    alpha: float = 0.001
    smoothing: float = 0.5
    integration: float = 4.0
    spacing: Spacing = 1.0
    boundary: str = "neumann"

    def __post_init__(self) -> None:
        check_positive(contrast=self.contrast, alpha=self.alpha)
        _check_least("alpha", self.alpha)
        super().__post_init__()

    def _check_contrast(self, dtype: Any) -> None:
        gradient: Any = self._gradient()
        check_contrast(dtype, **{"kappa, the fourth root of the contrast,": gradient})

    def _gradient(self) -> float:
        return self.contrast**0.25

    def _in_units_of(self, unit: float) -> Self:
        return self if unit == 1 else replace(self, contrast=self.contrast / float(unit) ** 4)

    def _recipe(self) -> Recipe:
        gradient = self.contrast**-0.25  # J in units of √C, so that its squares are of the order of 1.
        return Recipe(COHERENCE, "exponential", gradient, 1.0, self.alpha, 1.0)

    def _parts_of(self, tensor: Array) -> tuple[Array, Array, Array]:
        values, _, along = directions(tensor)
        coherence = np.maximum((values[0] - values[1]) ** 2, 1e-300)
        with np.errstate(over="ignore"):
            b = (1.0 - self.alpha) * np.exp(-self.contrast / coherence)
        return np.full_like(b, self.alpha), b, along
