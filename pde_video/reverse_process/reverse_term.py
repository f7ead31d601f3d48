"""The reverse of a noising process as an equation in the noise level."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pde_video.arrays.grid import from_planes, to_planes
from pde_video.arrays.values import Value
from pde_video.checks import check_denoiser
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array, Denoiser, WithFraction, satisfies


@dataclass(frozen=True, repr=False)
class Reverse(Value):
    """The probability flow of y = x + σ ε, whose time t is the noise level σ, falling to 0.

    dy/dσ = (y − D(y, σ))/σ, D the denoiser. It is −σ times the score, and for y = x + σ ε with the true x it is ε.

    Explicit Euler is DDIM with η = 0, and `heun` its counterpart of order 2. `posterior_mean`, `ancestral` and `ddim`
    are the steps of the articles.

    Parameters
    ----------
    denoiser : callable (y, sigma) -> estimate
        The clean picture behind y = x + sigma · noise, of the shape of y: (H, W, C) or (T, H, W, C). It must not write
        to y. ``ancestral(variance="learned")`` needs its ``with_fraction(y, sigma)``, which returns the estimate and a
        fraction in [0, 1].
    hooks : sequence of callable (estimate, y, sigma) -> estimate
        Applied to each estimate, in order: `clip_estimate`, `data_consistency`, `guidance`, …

    References
    ----------
    Song, Meng & Ermon (2021), arXiv:2010.02502; Karras et al. (2022), arXiv:2206.00364.

    Examples
    --------
    For data from N(0, I) the best estimate is y/(1 + σ²); noise of variance 1 + σ² becomes data:

    >>> noise = 26**0.5 * np.random.default_rng(0).standard_normal((100, 100))
    >>> standard = Reverse(lambda y, sigma: y / (1 + sigma**2))
    >>> round(float(pv.evolve(standard, noise, pv.karras(40, sigma_max=5.0), step=pv.heun).std()), 2)
    1.0
    """

    denoiser: Denoiser
    hooks: tuple[Callable[[Array, Array, float], Array], ...] = ()
    undefined_at: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        check_denoiser(self.denoiser)
        object.__setattr__(self, "hooks", tuple(self.hooks))

    def rate(self, t: float, y: Array) -> Array:
        """Return (y − estimate)/t for the state `y` (C, *grid) at the noise level `t`."""
        return (y - self.estimate(t, y)) / t

    def estimate(self, t: float, y: Array) -> Array:
        """Return the denoiser's estimate after the hooks, for the state `y` (C, *grid) at the noise level `t`."""
        seen = _frames(t, y)
        return self._hooked(t, seen, self.denoiser(seen, t))

    def rate_and_fraction(self, t: float, y: Array) -> tuple[Array, Array]:
        """Return the rate, and where a learned variance lies between the small, 0, and the large one, 1."""
        if not satisfies(self.denoiser, WithFraction):
            raise TypeError(f"{self.denoiser} has no with_fraction(y, sigma), which variance='learned' needs")
        seen = _frames(t, y)
        estimate, fraction = self.denoiser.with_fraction(seen, t)
        fraction = _as_state(fraction, seen, "with_fraction")
        return (y - self._hooked(t, seen, estimate)) / t, fraction

    def _hooked(self, t: float, seen: Array, estimate: Array) -> Array:
        for hook in self.hooks:
            estimate = hook(estimate, seen, t)
        return _as_state(estimate, seen, "the denoiser")


def _frames(t: float, y: Array) -> Array:
    if not t > 0:
        raise ParameterError(f"the noise level is {t}; the reverse process needs one above 0")
    return from_planes(y, -1)


def _as_state(estimate: Array, seen: Array, name: str) -> Array:
    shape = getattr(estimate, "shape", None)
    if shape != seen.shape:
        raise InputError(f"{name} returned {type(estimate).__name__} of shape {shape}; it was given {seen.shape}")
    return to_planes(estimate, -1).astype(seen.dtype, copy=False)
