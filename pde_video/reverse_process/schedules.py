"""Noise schedules, the forward process, and the noise levels that are the times of a reverse process."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from pde_video.arrays.values import Value, made_by
from pde_video.checks import check_positive, check_whole
from pde_video.errors import ParameterError
from pde_video.protocols import Array

Range: TypeAlias = tuple[float, float]
F = TypeVar("F", bound=Callable[..., Any])
_LARGEST_BETA = 0.999  # Keeps the last level from being noise alone.


def _printed_as_written(maker: F) -> F:
    """Let the schedules of a class method print as its call."""

    @wraps(maker)
    def make(cls: type[Schedule], *args: Any, **kwargs: Any) -> Schedule:
        return made_by(maker(cls, *args, **kwargs), f"{cls.__name__}.{maker.__name__}", *args, **kwargs)

    return cast(F, make)


@dataclass(frozen=True, eq=False, repr=False)
class Schedule(Value):
    """The levels t = 0, …, T − 1 of a diffusion process, each noisier than the one before.

    x_t = √ᾱ_t x0 + √(1 − ᾱ_t) ε, ε ~ N(0, I). In y = x_t/√ᾱ_t = x0 + σ_t ε the level is the noise level
    σ_t = √((1 − ᾱ_t)/ᾱ_t), in the units of x0. Where methods take a level t it may be a fraction (log σ is
    interpolated), and −1, at which ᾱ = 1, is the clean picture.

    Parameters
    ----------
    abar : array of shape (T,)
        ᾱ, strictly decreasing, below 1; the last may be 0, which is noise alone.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Song et al. (2021), arXiv:2011.13456.

    Examples
    --------
    >>> schedule = Schedule.linear()
    >>> schedule
    Schedule.linear()
    >>> print(schedule)
    Schedule(1000 levels, sigma 0.01 to 157)
    >>> round(schedule.timestep(2 * 25 / 255), 1)
    56.2
    """

    abar: Array

    def __post_init__(self) -> None:
        table = np.array(self.abar, np.float64)
        if table.ndim != 1 or not table.size or not (np.diff(table, prepend=1.0) < 0).all() or not table[-1] >= 0:
            raise ParameterError("abar must be a one-dimensional array that strictly decreases, from below 1 to ≥ 0")
        table.flags.writeable = False
        object.__setattr__(self, "abar", table)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.abar.flags.writeable = False  # Pickles do not keep the flag.

    def __str__(self) -> str:
        return f"Schedule({len(self)} levels, sigma {self.sigma(0):.3g} to {self.sigma(len(self) - 1):.3g})"

    def __len__(self) -> int:
        return len(self.abar)

    @classmethod
    @_printed_as_written
    def from_betas(cls, betas: Any) -> Schedule:
        """Return the schedule with q(x_t | x_{t−1}) = N(√(1 − β_t) x_{t−1}, β_t I): ᾱ_t = Π_{s ≤ t} (1 − β_s)."""
        betas = np.asarray(betas, np.float64)
        if betas.ndim != 1 or not betas.size or not ((betas > 0) & (betas <= 1)).all():
            raise ParameterError("betas must be a one-dimensional sequence of variances above 0, at most 1")
        return cls(np.cumprod(1 - betas))

    @classmethod
    @_printed_as_written
    def linear(cls, steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
        """Return β rising evenly, times 1000/steps: the last level is about as noisy for any number of steps."""
        _check_betas(steps, beta_start, beta_end)
        return cls.from_betas(np.linspace(beta_start, beta_end, int(steps)) * (1000 / steps))

    @classmethod
    @_printed_as_written
    def scaled_linear(cls, steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012) -> Schedule:
        """Return √β rising evenly, as latent diffusion has it (Rombach et al. 2022), β times 1000/steps."""
        _check_betas(steps, beta_start, beta_end)
        return cls.from_betas(np.linspace(beta_start**0.5, beta_end**0.5, int(steps)) ** 2 * (1000 / steps))

    @classmethod
    @_printed_as_written
    def cosine(cls, steps: int = 1000, s: float = 0.008) -> Schedule:
        """Return ᾱ(u) ∝ cos²(½π (u + s)/(1 + s)), u = (t + 1)/T, with β ≤ 0.999 (Nichol & Dhariwal 2021)."""
        check_positive(s=s)
        return cls._sampled(steps, lambda u: np.cos((u + s) / (1 + s) * np.pi / 2) ** 2)

    @classmethod
    @_printed_as_written
    def sigmoid(cls, steps: int = 1000, start: float = -3, end: float = 3, tau: float = 1) -> Schedule:
        """Return ᾱ(u) ∝ S(end/τ) − S((start + u (end − start))/τ), S(v) = 1/(1 + e⁻ᵛ), β ≤ 0.999 (Chen 2023)."""
        check_positive(tau=tau)
        if not (math.isfinite(start) and math.isfinite(end) and start < end):
            raise ParameterError(f"start is {start} and end is {end}; they must be finite, start below end")

        def logistic(v: Any) -> Any:
            return 1 / (1 + np.exp(-v / tau))

        return cls._sampled(steps, lambda u: logistic(end) - logistic(start + u * (end - start)))

    @classmethod
    def _sampled(cls, steps: int, left: Any) -> Schedule:
        check_whole(1, steps=steps)
        levels = left(np.arange(int(steps) + 1) / steps)
        return cls.from_betas(np.minimum(1 - levels[1:] / levels[:-1], _LARGEST_BETA))

    def zero_terminal_snr(self) -> Schedule:
        """Return the schedule shifted and stretched in √ᾱ, so that its last level is noise alone: ᾱ = 0, σ = ∞.

        Lin et al. (2024), arXiv:2305.08891. At that level ε says nothing of x0, so a model must predict v or x0.
        """
        root = np.sqrt(self.abar)
        if len(root) < 2:
            raise ParameterError("a schedule of one level has no first level to keep; take at least two")
        shifted = Schedule((root[0] * (root - root[-1]) / (root[0] - root[-1])) ** 2)
        return made_by(shifted, f"{self!r}.zero_terminal_snr")

    def alpha_bar(self, t: Any) -> Any:
        """Return ᾱ at level `t` (a number or an array), the share of the picture in the variance."""
        t, last = np.asarray(t, np.float64), len(self) - 1
        if not (((t >= 0) & (t <= last)) | (t == -1)).all():
            raise ParameterError(f"t is {t}; levels go from 0 to {last}, and -1 is the clean picture")
        below, levels = np.maximum(np.floor(t), 0).astype(int), _noise_level(self.abar)
        fraction, above = t - below, levels[np.minimum(below + 1, last)]
        between = levels[below] ** (1 - fraction) * above**fraction
        return _plain(np.where(t < 0, 1.0, np.where(t == below, self.abar[below], 1 / (1 + between**2))))

    def sigma(self, t: Any) -> Any:
        """Return the noise level σ of y = x_t/√ᾱ at level `t` (a number or an array), in the units of x0."""
        return _plain(_noise_level(np.asarray(self.alpha_bar(t))))

    def timestep(self, sigma: Any) -> Any:
        """Return the level t, a fraction, whose noise level is `sigma` > 0, in the units of x0."""
        levels, sigma = _noise_level(self.abar), np.asarray(sigma, np.float64)
        inside = (levels[0] * (1 - 1e-12) <= sigma) & (sigma <= levels[-1] * (1 + 1e-12))  # Allow for rounding.
        if not inside.all():
            found = f"{levels[0]:.6g} to {levels[-1]:.6g}, in the units that the model sees"
            raise ParameterError(f"sigma is {sigma}; the schedule has noise levels from {found}")
        return _plain(np.interp(np.log(sigma), np.log(levels), np.arange(len(levels), dtype=float)))

    def add_noise(self, x0: Array, t: Any, noise: Array) -> Array:
        """Return x_t = √ᾱ_t x0 + √(1 − ᾱ_t) noise: all steps up to level `t` at once."""
        return self._mixed(x0, self.alpha_bar(t), noise)

    def forward_step(self, x: Array, t: Any, noise: Array) -> Array:
        """Return x_t = √(1 − β_t) x_{t−1} + √β_t noise: one step from `x`, which is at level t − 1, to level `t`."""
        return self._mixed(x, self.alpha_bar(t) / self.alpha_bar(t - 1), noise)

    @staticmethod
    def _mixed(x: Array, share: float, noise: Array) -> Array:
        return share**0.5 * x + (1 - share) ** 0.5 * noise

    def posterior(self, x0: Array, x_t: Array, t: Any, s: Any = None) -> tuple[Array, float]:
        """Return mean and variance of q(x_s | x_t, x0), s < t: the step back, if the clean picture were known.

        With a = ᾱ_t, a' = ᾱ_s, α = a/a', β = 1 − α: mean = √a' β/(1 − a) x0 + √α (1 − a')/(1 − a) x_t, variance
        β (1 − a')/(1 − a). By default s = t − 1; s = −1 is the clean picture, with the variance 0.
        """
        s = t - 1 if s is None else s
        if not s < t:
            raise ParameterError(f"s is {s} and t is {t}; a step back must lead to a level below t")
        a, earlier = self.alpha_bar(t), self.alpha_bar(s)
        alpha, rest = a / earlier, (1 - earlier) / (1 - a)
        mean = earlier**0.5 * (1 - alpha) / (1 - a) * x0 + alpha**0.5 * rest * x_t
        return mean, (1 - alpha) * rest


def _noise_level(abar: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.sqrt((1 - abar) / abar)


def _plain(values: Any) -> Any:
    """Return a number as a float, so that a float32 array it meets stays float32; return arrays as they are."""
    return values if np.ndim(values) else float(values)


def _check_betas(steps: int, beta_start: float, beta_end: float) -> None:
    check_whole(1, steps=steps)
    check_positive(beta_start=beta_start, beta_end=beta_end)
    if max(beta_start, beta_end) * 1000 / steps > 1:
        raise ParameterError(
            f"steps is {steps}; β is scaled by 1000/steps, and {max(beta_start, beta_end)} would become more than 1: "
            "take more steps, or a smaller beta_end"
        )


def ddpm(
    schedule: Schedule,
    steps: int | None = None,
    *,
    start: float | None = None,
    value_range: Range = (0, 1),
) -> Array:
    """Noise levels of a schedule from high to low, then 0: the times of a `Reverse` process.

    σ_k = σ(t_k)/(high − low), t_k evenly from the last level, or the one with the noise level `start`, down to 0.

    Parameters
    ----------
    schedule : Schedule
        In the units in which its model sees pictures.
    steps : int, optional
        The number of levels visited, 1 to the schedule's own number. Default: every level.
    start : float, optional
        The noise level of a noisy picture, one of the schedule's, in units of the frames: start there, without adding
        noise. Default: the last level.
    value_range : (float, float)
        What 0 and 1 of the frames are in the units of the schedule's model; (−1, 1) makes noise twice as large there.

    Returns
    -------
    ndarray of shape (steps + 1,)
        Decreasing, in units of the frames. A schedule with zero terminal SNR starts at infinity, for `sample` alone.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Song, Meng & Ermon (2021), arXiv:2010.02502.

    Examples
    --------
    >>> ddpm(pv.Schedule.linear(), 4).round(3)
    array([1.57407e+02, 9.48900e+00, 1.46200e+00, 1.00000e-02, 0.00000e+00])
    >>> ddpm(pv.Schedule.linear(), 3, start=25 / 255, value_range=(-1, 1)).round(3)
    array([0.098, 0.053, 0.005, 0.   ])
    """
    width = range_width(value_range)
    first = float(len(schedule) - 1)
    if start is not None:
        check_positive(start=start)
        first = schedule.timestep(start * width)
    if steps is None:
        levels = np.append(np.arange(math.ceil(first - 1e-9)), first)[::-1]
    else:
        check_whole(1, steps=steps)
        if steps > len(schedule):
            raise ParameterError(f"steps is {steps}; the schedule has {len(schedule)} levels to visit")
        levels = np.linspace(first, 0, int(steps))
    return np.append(schedule.sigma(levels) / width, 0.0)


def karras(steps: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Array:
    """Noise levels that are denser the lower they are, then 0: the times of a `Reverse` process.

    σ_k = (σ_max^(1/ρ) + k/(n − 1) (σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ, k = 0, …, n − 1

    Parameters
    ----------
    steps : int
        n ≥ 1; with 1, σ_max alone.
    sigma_min, sigma_max : float
        Lowest and highest noise level, 0 < σ_min < σ_max, in units of the frames.
    rho : float
        ρ > 0; with 1 the levels are evenly spaced.

    Returns
    -------
    ndarray of shape (steps + 1,)

    References
    ----------
    Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364.

    Examples
    --------
    >>> karras(3, sigma_min=0.01, sigma_max=1.0).round(3)
    array([1.   , 0.145, 0.01 , 0.   ])
    """
    check_whole(1, steps=steps)
    check_positive(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    if sigma_min >= sigma_max:
        raise ParameterError(f"sigma_min is {sigma_min} and sigma_max {sigma_max}; sigma_min must be smaller")
    roots = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), int(steps))
    return np.concatenate([[sigma_max], roots[1:] ** rho, [0.0]])


def as_range(value_range: Any) -> Range:
    """Return the values that stand for 0 and 1 of the frames, checked."""
    low, high = (float(v) for v in value_range) if np.shape(value_range) == (2,) else (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(
            f"value_range is {value_range!r}; it must be the model's values for 0 and 1 of the frames, lower first, as "
            "in (-1, 1)"
        )
    return low, high


def range_width(value_range: Range) -> float:
    """Return the length of one unit of the frames in units of a model."""
    low, high = as_range(value_range)
    return high - low
