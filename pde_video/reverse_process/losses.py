"""The training loss of denoisers, and the variational bound on the likelihood."""

import math
from typing import Any, NamedTuple

import numpy as np

from pde_video.errors import DtypeError, ParameterError
from pde_video.protocols import Array, Denoiser
from pde_video.reverse_process.schedules import Schedule, range_width


class Bound(NamedTuple):
    """Terms of `variational_bound`, in bits per dimension.

    Parameters
    ----------
    total, prior : float
        The sum of all terms, and L_T.
    steps : ndarray
        L_1, …, L_{T−1}: of the step from level t to t − 1.
    decoder : float
        L_0.
    """

    total: float
    prior: float
    steps: Array
    decoder: float


def simple_loss(noise: Array, predicted: Array) -> float:
    """Mean squared error of predicted noise, the loss that denoisers are trained on.

    L_simple = mean |ε − ε_θ|²: the steps' terms of the variational bound, with weight 1 each.

    Parameters
    ----------
    noise, predicted : ndarray
        Of the same shape.

    Returns
    -------
    float

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239, (14).

    Examples
    --------
    >>> simple_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    noise, predicted = np.asarray(noise, np.float64), np.asarray(predicted, np.float64)
    if noise.shape != predicted.shape:
        raise ParameterError(f"noise has shape {noise.shape}, predicted {predicted.shape}; they must be the same")
    return float(np.mean((noise - predicted) ** 2))


def gaussian_kl(mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
    """Kullback–Leibler divergence of two Gaussians, in nats per dimension.

    KL(N(μ₁, v₁) ‖ N(μ₂, v₂)) = ½ (log(v₂/v₁) + v₁/v₂ + (μ₁ − μ₂)²/v₂ − 1)

    Parameters
    ----------
    mean1, variance1, mean2, variance2 : float or ndarray
        Of shapes that broadcast; variances > 0.

    Returns
    -------
    float or ndarray

    References
    ----------
    Kullback & Leibler (1951), doi:10.1214/aoms/1177729694.

    Examples
    --------
    >>> float(gaussian_kl(0.0, 1.0, 2.0, 1.0))
    2.0
    """
    for variance in (variance1, variance2):
        if not (np.asarray(variance) > 0).all():
            raise ParameterError("a variance is not positive; variances must be above 0")
    return (np.log(variance2 / variance1) + variance1 / variance2 + (mean1 - mean2) ** 2 / variance2 - 1) / 2


def variational_bound(
    picture: Array,
    denoiser: Denoiser,
    schedule: Schedule,
    *,
    variance: str = "small",
    value_range: tuple[float, float] = (-1, 1),
    rng: int | np.random.Generator = 0,
) -> Bound:
    """Variational bound on the negative log-likelihood of an 8-bit picture, in bits per dimension.

    L = KL(q(x_{T−1}|x) ‖ N(0, I)) + Σ_{t ≥ 1} KL(q(x_{t−1}|x_t, x) ‖ p(x_{t−1}|x_t)) − log p(x|x_0), x the picture and
    t = 0, …, T − 1 the levels (1, …, T of the articles). Each expectation is estimated from one draw of the noise.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, C) or (T, H, W, C)
        Values from 0 to 255.
    denoiser : callable (y, sigma) -> estimate
        In units of the frames, [0, 1] for the 256 values.
    schedule : Schedule
        At least two levels, all with finite noise.
    variance : "small" or "large"
        Of p(x_{t−1}|x_t): β̃ or β. The decoder, p(x|x_0), has β̃ of the level above, as in Ho et al.
    value_range : (float, float)
        What 0 and 1 of the frames are in the units of the schedule.
    rng : int or numpy.random.Generator
        Seed, or generator to draw from.

    Returns
    -------
    Bound

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239, (5) and (13).

    Examples
    --------
    >>> grey = np.full((8, 8, 1), 128, np.uint8)
    >>> knows = lambda y, sigma: np.full_like(y, 128 / 255)
    >>> bound = pv.variational_bound(grey, knows, pv.Schedule.linear())
    >>> round(float(bound.steps.sum()), 3), round(bound.decoder, 2)
    (0.0, 1.31)
    """
    if variance not in ("small", "large"):
        raise ParameterError(f"variance is {variance!r}; it must be small or large")
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        raise DtypeError(f"the picture has dtype {picture.dtype}; the bound is of 8-bit values, uint8")
    if len(schedule) < 2 or schedule.abar[-1] == 0:
        raise ParameterError(f"{schedule!r}: the bound needs two levels or more, all with a finite noise level")
    generator, x0, width = np.random.default_rng(rng), picture / 255, range_width(value_range)
    sigma = schedule.sigma(np.arange(len(schedule))) / width  # Everything below is in units of the frames.

    a = float(schedule.abar[-1])
    prior = gaussian_kl(a**0.5 * (value_range[0] + width * x0), 1 - a, 0.0, 1.0)
    steps = []
    for low, high in zip(sigma[:-1].tolist(), sigma[1:].tolist(), strict=True):
        y = x0 + high * generator.standard_normal(x0.shape)
        share = 1 - (low / high) ** 2  # Of the clean picture, or the estimate, in the mean of the step.
        small = low**2 * share
        large = high**2 * share * (1 + (width * low) ** 2) / (1 + (width * high) ** 2)
        steps.append(
            np.mean(gaussian_kl(share * x0, small, share * denoiser(y, high), small if variance == "small" else large))
        )
    y = x0 + float(sigma[0]) * generator.standard_normal(x0.shape)
    deviation = math.sqrt(schedule.posterior(0.0, 0.0, 1)[1]) / width  # type: ignore[arg-type]
    decoder = -np.mean(_log_probability(picture, denoiser(y, float(sigma[0])), deviation))
    parts = float(np.mean(prior)) / math.log(2), np.array(steps) / math.log(2), float(decoder) / math.log(2)
    return Bound(parts[0] + float(parts[1].sum()) + parts[2], *parts)


def _log_probability(picture: Array, mean: Array, deviation: float) -> Array:
    """Return log of the Gaussian's mass in the bin of each value; the end bins are unbounded."""
    from scipy.special import log_ndtr

    below = np.where(picture == 0, -np.inf, ((picture - 0.5) / 255 - mean) / deviation)
    above = np.where(picture == 255, np.inf, ((picture + 0.5) / 255 - mean) / deviation)
    # Use the lower tail, where nothing cancels.
    flip = below > 0
    below, above = np.where(flip, -above, below), np.where(flip, -below, above)
    return log_ndtr(above) + np.log1p(-np.exp(log_ndtr(below) - log_ndtr(above)))
