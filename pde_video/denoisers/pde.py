"""Equations as denoisers, without training: any term, and the defaults of `denoise` and `sample`."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pde_video.arrays.colours import from_opponent, opponent
from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.integrators.loop import evolve, uniform
from pde_video.integrators.steps import implicit_euler
from pde_video.protocols import Array, Step, Term, multiple_of, satisfies
from pde_video.solvers.shrinkage import diffuse


@dataclass(frozen=True, repr=False)
class as_denoiser(Value):
    """Denoiser made of an equation, whose diffusion time grows with the noise.

    D(y, σ) = z with z − τ · rate(z) = y, τ = σ²/γ. For `Heat` with diffusivity 1 this is the exact posterior mean of
    the clean picture given y = x + σ ε, if pictures have the prior ∝ exp(−‖∇x‖²/2γ), where γ is the mean squared
    difference of two neighbours.

    Parameters
    ----------
    term : Term, or callable sigma -> Term
        The equation; a function of σ if its parameters, such as κ, follow the noise.
    gamma : float, optional
        γ > 0, in squared units of the frames. Give either this or `time`.
    time : callable sigma -> float, optional
        The diffusion time, ≥ 0, in the units of the equation.
    step : Step
        The integrator. An unconditionally stable one takes a single step, others their longest stable steps.

    Raises
    ------
    ParameterError
        If not exactly one of `gamma` and `time` is given.
    UnstableStepError, InputError, TypeError
        On a call, as for `evolve`.

    References
    ----------
    Robbins (1956), An empirical Bayes approach to statistics; Romano, Elad & Milanfar (2017), doi:10.1137/16M1102884.

    Examples
    --------
    >>> denoiser = pv.as_denoiser(pv.Heat(), gamma=0.01)
    >>> y = np.array([[[0.0], [1.0]]])
    >>> denoiser(y, 0.1).ravel().round(3)  # τ = 1: the difference is divided by 1 + 2τ.
    array([0.333, 0.667])
    """

    term: Term | Callable[[float], Term]
    _: KW_ONLY
    gamma: float | None = None
    time: Callable[[float], float] | None = None
    step: Step = implicit_euler

    def __post_init__(self) -> None:
        if (self.gamma is None) == (self.time is None):
            raise ParameterError("give either gamma, a mean squared difference of neighbours, or time, a function of σ")
        if self.gamma is not None:
            check_positive(gamma=self.gamma)
        if not (satisfies(self.term, Term) or callable(self.term)):
            raise ParameterError(f"term is {self.term!r}; it must be a term, or a function from sigma to a term")

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of (H, W, C) or (T, H, W, C): every axis but the last is diffused."""
        if np.ndim(sigma) or not 0 <= sigma < math.inf:
            raise ParameterError(f"sigma is {sigma}; it must be one number, the noise level: 0 or more, and finite")
        end = float(self.time(sigma) if self.time is not None else sigma**2 / self.gamma)  # type: ignore[operator]
        at_once = math.isinf(multiple_of(self.step)) and end > 0
        times: Any = [0.0] if end == 0 else [0.0, end] if at_once else uniform(end)
        term = self.term if satisfies(self.term, Term) else self.term(sigma)  # type: ignore[operator]
        return evolve(term, y, times, step=self.step, channel_axis=-1)


def cosine_diffusion(y: Array, sigma: float) -> Array:
    """Diffusion of each frame by cosine filters: the spatial step of `denoise`, as a denoiser.

    u − Σ K_jᵀ (1 − g_j) K_j u, with the cosine filters K_j of 8 × 8 windows and conductances g_j from σ.

    Parameters
    ----------
    y : ndarray of float32 or float64, (H, W, C) or (T, H, W, C)
        Noisy frames.
    sigma : float
        Standard deviation of the noise, ≥ 0, in units of the frames.

    Returns
    -------
    ndarray

    References
    ----------
    Weickert, Steidl, Mrázek, Welk & Brox (2006), doi:10.1007/0-387-28831-7_1. Yu & Sapiro (2011),
    doi:10.5201/ipol.2011.ys-dct.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (64, 64, 1))
    >>> bool(cosine_diffusion(noisy, 0.1).std() < 0.03)
    True
    """
    if not 0 <= sigma < math.inf:
        raise ParameterError(f"sigma is {sigma}; it must be 0 or a positive, finite noise level")
    if y.ndim not in (3, 4):
        raise ParameterError(f"the shape is {y.shape}; a denoiser takes a frame (H, W, C) or frames (T, H, W, C)")
    if sigma == 0:
        return y
    if y.ndim == 4:
        return np.stack([cosine_diffusion(frame, sigma) for frame in y])
    # In units of the noise, so that its square does not underflow.
    planes = opponent(y / y.dtype.type(sigma))
    return y.dtype.type(sigma) * from_opponent(diffuse(planes, np.ones(planes.shape[1:], planes.dtype)))


@dataclass(frozen=True, repr=False)
class SmoothPrior(Value):
    """The exact denoiser for a Gaussian prior of smooth clouds, in space and time.

    Prior ∝ exp(−‖(1/length² − ∇²)^(3/2) (x − mean)‖²/2γ), so D(y, σ) = mean + (1 + σ²/γ (1/length² − ∇²)³)⁻¹
    (y − mean): one implicit Euler step of a diffusion of sixth order, exact in the cosine basis of the grid.

    Parameters
    ----------
    mean, deviation : float
        Mean and standard deviation > 0 of the values, in units of the frames. The latter, a root mean square over the
        video, determines γ; the variance grows towards the borders and towards the first and the last frame.
    length : float
        Correlation length in pixels and frames, > 0.

    References
    ----------
    Lindgren, Rue & Lindström (2011), doi:10.1111/j.1467-9868.2011.00777.x.

    Examples
    --------
    >>> SmoothPrior(mean=0.5)(np.full((4, 4, 1), 0.5), 0.3)[0, 0]
    array([0.5])
    """

    mean: float = 0.5
    deviation: float = 0.2
    length: float = 6.0

    def __post_init__(self) -> None:
        check_positive(deviation=self.deviation, length=self.length)

    def variances(self, grid: tuple[int, ...]) -> Array:
        """Return the variance of each cosine of a grid, γ/(λ + 1/length²)³; their mean is the squared deviation."""
        return _variances(grid, self.deviation, self.length)

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of a picture (H, W, C), or of a video (T, H, W, C) as a whole."""
        from scipy.fft import dctn, idctn

        c, axes, mean = self.variances(y.shape[:-1]), tuple(range(y.ndim - 1)), y.dtype.type(self.mean)
        kept = np.ones_like(c) if sigma == 0 else c / (c + sigma**2)
        spectrum = kept.astype(y.dtype)[..., np.newaxis] * dctn(y - mean, axes=axes, norm="ortho")
        return mean + idctn(spectrum, axes=axes, norm="ortho")


@lru_cache(maxsize=4)
def _variances(grid: tuple[int, ...], deviation: float, length: float) -> Array:
    lines = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in grid]
    total: Array = sum(np.ix_(*lines), np.array(1 / length**2))
    rough = total**-3
    return deviation**2 / rough.mean() * rough
