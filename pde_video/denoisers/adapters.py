"""Models as denoisers: levels of a schedule and the value range of the frames."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pde_video.arrays.values import Value
from pde_video.denoisers.validation import as_estimate, as_frames, check_callable, naming
from pde_video.errors import ParameterError
from pde_video.protocols import Array, name_of, sees_several
from pde_video.reverse_process.schedules import Range, Schedule, as_range

KINDS = ("denoiser", "eps", "x0", "v")


class Adapter(Value, ABC):
    """A denoiser made of a model that denoises, or predicts ε, x0 or v = √ᾱ ε − √(1 − ᾱ) x0 from √ᾱ x0 + √(1 − ᾱ) ε."""

    name: str  # In errors.
    kind: str
    schedule: Schedule | None
    value_range: Range
    whole_timesteps: bool
    learned_variance: bool
    layout: str = "BCHW"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", as_range(self.value_range))
        if self.kind not in KINDS:
            raise ParameterError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        if self.kind == "denoiser":
            if self.schedule is not None or self.learned_variance or self.whole_timesteps:
                raise ParameterError(
                    "schedule, learned_variance and whole_timesteps are for models of a diffusion process; give their "
                    "kind: 'eps', 'x0' or 'v'"
                )
        elif not isinstance(self.schedule, Schedule):
            raise ParameterError(f"schedule is {self.schedule!r}; it must be a Schedule, such as Schedule.linear()")
        elif self.kind == "eps" and self.schedule.abar[-1] == 0:
            raise ParameterError(
                "the last level of this schedule is pure noise (zero_terminal_snr), where the noise does not determine "
                "the picture; use from_v or from_x0 with a model trained that way, or another schedule"
            )

    @property
    def _groups(self) -> int:
        """The ratio of the channels of the output to those of the frames."""
        return 2 if self.learned_variance else 1

    @abstractmethod
    def _output(self, x: Array, level: float) -> Array:
        """Return the output of the model for frames in its range; the level is σ or t."""

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of a frame (H, W, C) or frames (T, H, W, C)."""
        return self._predicted(y, sigma)[0]

    @property
    def with_fraction(self) -> Callable[[Array, float], tuple[Array, Array]]:
        """A function that returns the estimate and f, where the variance is exp(f log large + (1 − f) log small)."""
        if not self.learned_variance:
            raise AttributeError("the model has no learned variance")  # So that the denoiser has no such method.

        def with_fraction(y: Array, sigma: float) -> tuple[Array, Array]:
            estimate, v = self._predicted(y, sigma)
            return estimate, (v + 1) / 2

        return with_fraction

    def _predicted(self, y: Array, sigma: float) -> list[Array]:
        """Return the estimate, and the rest of the model's output."""
        y = as_frames(y, sigma, infinite=self.schedule is not None)
        low, high = self.value_range
        sigma = float(sigma)  # A NumPy number would turn float32 frames into float64.
        t = level = sigma * (high - low)  # In units of the model.
        where, picture = f"{self.name} at sigma = {sigma:g}", 1.0
        if self.schedule is not None:
            t, picture = self._timestep(self.schedule, level), 1 / math.hypot(1, level)  # √ᾱ
            where += f", level t = {t:g}"
        noise = 1.0 if math.isinf(level) else level * picture  # √(1 − ᾱ)
        # At an infinite level y stands for y/σ: noise of variance 1, which equals x_t.
        x_t = y if math.isinf(level) else picture * (low + (high - low) * y)
        *grid, channels = y.shape[1:] if self.layout == "B(TC)HW" and y.ndim == 4 else y.shape
        with naming(where):
            output = as_estimate(self._output(x_t, t), (*grid, self._groups * channels), y.dtype)
        predicted, *rest = np.split(output, self._groups, axis=-1)
        if self.kind == "eps":
            return [y - sigma * predicted, *rest]
        x0 = picture * x_t - noise * predicted if self.kind == "v" else predicted
        return [(x0 - low) / (high - low), *rest]

    def _timestep(self, schedule: Schedule, level: float) -> float:
        low, high = self.value_range
        last = schedule.sigma(len(schedule) - 1)
        if level > last * (1 + 1e-12):
            raise ParameterError(
                f"sigma is {level / (high - low):g}; the schedule of {self.name} reaches {last / (high - low):g}, in "
                "units of the frames: start at a lower level"
            )
        t = schedule.timestep(max(level, schedule.sigma(0)))
        return float(round(t)) if self.whole_timesteps else t


@dataclass(frozen=True, repr=False)
class _Predictor(Adapter):
    """A denoiser made of a function (x_t, t) -> prediction."""

    model: Callable[[Array, float], Array]
    schedule: Schedule
    _: KW_ONLY
    value_range: Range = (0.0, 1.0)
    whole_timesteps: bool = False
    learned_variance: bool = False

    def __post_init__(self) -> None:
        check_callable(model=self.model)
        object.__setattr__(self, "name", name_of(self.model))
        super().__post_init__()

    @property
    def sees_several(self) -> bool:
        return sees_several(self.model)

    def _output(self, x: Array, level: float) -> Array:
        return self.model(x, level)


@dataclass(frozen=True, repr=False)
class from_eps(_Predictor):
    """Denoiser made of a model that predicts the noise.

    D(y, σ) = y − σ · model(x_t, t), x_t = √ᾱ_t y = √ᾱ_t x0 + √(1 − ᾱ_t) ε, σ² = (1 − ᾱ_t)/ᾱ_t

    Parameters
    ----------
    model : callable (x_t, t) -> prediction
        From x_t, float32 or float64 (H, W, C) or (T, H, W, C), and its level t, a float, to ε of the same shape.
    schedule : Schedule
        The levels that it was trained on. A σ below the first one is passed as t = 0, with its own ᾱ.
    value_range : (float, float)
        The values that 0 and 1 of the frames become for the model. Noise is scaled accordingly: with (−1, 1) the model
        sees 2σ.
    whole_timesteps : bool
        Round t, for models that accept whole levels only. x_t still has the ᾱ of σ.
    learned_variance : bool
        The model returns 2C channels: the prediction, then v in [−1, 1]. The denoiser then also has
        ``with_fraction(y, sigma)``, which returns the estimate and f = (v + 1)/2 for `ancestral`.

    Raises
    ------
    ParameterError
        If the schedule ends in pure noise; on a call, if σ is above its last level.
    InputError, SolverError
        On a call: unusable frames, or a model that fails; the error names the model, the frame and the level.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Nichol & Dhariwal (2021), arXiv:2102.09672.

    Examples
    --------
    For pictures that are all 0.5, x_t − √ᾱ_t · 0.5 is noise:

    >>> schedule = pv.Schedule.linear()
    >>> def model(x, t):
    ...     a = schedule.alpha_bar(t)
    ...     return (x - a**0.5 * 0.5) / (1 - a) ** 0.5
    >>> denoiser = pv.from_eps(model, schedule)
    >>> denoiser(np.array([[[0.0], [1.0]]]), 0.3).ravel().round(12)
    array([0.5, 0.5])
    """

    kind = "eps"


@dataclass(frozen=True, repr=False)
class from_x0(_Predictor):
    """Denoiser made of a model that predicts the clean picture.

    D(y, σ) = model(√ᾱ_t y, t), σ² = (1 − ᾱ_t)/ᾱ_t

    Parameters
    ----------
    model, schedule, value_range, whole_timesteps, learned_variance
        As for `from_eps`, but the model returns x0, in its own range. The schedule may end in pure noise: the denoiser
        then accepts σ = ∞ for y ~ N(0, I).

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Lin et al. (2024), arXiv:2305.08891.

    Examples
    --------
    >>> schedule = pv.Schedule.cosine()
    >>> denoiser = pv.from_x0(lambda x, t: x / schedule.alpha_bar(t) ** 0.5, schedule, value_range=(-1, 1))
    >>> denoiser(np.array([[[0.0], [1.0]]]), 0.3).ravel().round(12)
    array([0., 1.])
    """

    kind = "x0"


@dataclass(frozen=True, repr=False)
class from_v(_Predictor):
    """Denoiser made of a model that predicts v = √ᾱ_t ε − √(1 − ᾱ_t) x0.

    D(y, σ) = √ᾱ_t x_t − √(1 − ᾱ_t) · model(x_t, t), x_t = √ᾱ_t y, σ² = (1 − ᾱ_t)/ᾱ_t

    Parameters
    ----------
    model, schedule, value_range, whole_timesteps, learned_variance
        As for `from_eps`, but the model returns v. The schedule may end in pure noise: the denoiser then accepts σ = ∞
        for y ~ N(0, I), where D is −v.

    References
    ----------
    Salimans & Ho (2022), arXiv:2202.00512; Lin et al. (2024), arXiv:2305.08891.

    Examples
    --------
    For pictures that are all 0.5, at every level up to pure noise:

    >>> schedule = pv.Schedule.linear().zero_terminal_snr()
    >>> def model(x, t):
    ...     a = schedule.alpha_bar(t)
    ...     return (a**0.5 * x - 0.5) / (1 - a) ** 0.5
    >>> denoiser = pv.from_v(model, schedule)
    >>> [denoiser(np.array([[[0.0], [1.0]]]), sigma).ravel().round(12).tolist() for sigma in (1.0, np.inf)]
    [[0.5, 0.5], [0.5, 0.5]]
    """

    kind = "v"
