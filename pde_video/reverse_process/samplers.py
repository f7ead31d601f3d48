"""Steps of the reverse process, in y = x + σ ε with the noise level as time: functions (term, t0, t1, y) -> y."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from pde_video.arrays.grid import as_planes
from pde_video.arrays.values import Value
from pde_video.checks import check_whole
from pde_video.errors import InputError, ParameterError
from pde_video.integrators.steps import explicit_euler
from pde_video.protocols import Array, Step, for_frames, satisfies
from pde_video.reverse_process.schedules import Range, as_range

_VARIANCES = ("small", "large", "learned")


def posterior_mean(term: Any, t0: float, t1: float, y: Array) -> Array:
    """Mean of the posterior: a step of DDPM without its noise.

    y₁ = y₀ + (t₁²/t₀ − t₀) · rate(t₀, y₀), which is (t₁²/t₀²) y₀ + (1 − t₁²/t₀²) estimate.

    This is the step for denoising: started at the noise level of the picture, it tends to the least mean squared error.

    Parameters
    ----------
    term : Reverse
        The reverse process of a denoiser.
    t0, t1 : float
        Noise levels before and after, t0 > t1 ≥ 0.
    y : ndarray, shape (C, *grid)
        State at `t0`.

    Returns
    -------
    ndarray

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239, (7); Fesl, Böck, Strasser, Baur, Joham & Utschick (2025),
    arXiv:2403.02957.

    Examples
    --------
    >>> flat = pv.Reverse(lambda y, sigma: 0 * y)
    >>> pv.evolve(flat, np.array([[8.0]]), [2.0, 1.0], step=pv.posterior_mean)
    array([[2.]])
    """
    _check_fall(t0, t1)
    return explicit_euler(term, t0, t1 * t1 / t0, y)


posterior_mean.stable_multiple = math.inf  # type: ignore[attr-defined]


class _Normals(Protocol):
    """A source of normal random numbers: a NumPy generator, or an object with the same method."""

    def standard_normal(self, size: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of normal random numbers."""


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=key))


class _Random(Value, ABC):
    """A random step with one generator that goes on from call to call; subclasses are dataclasses with a field rng."""

    stable_multiple: ClassVar[float] = math.inf
    key: ClassVar[int] = 0  # Two kinds of steps with one seed draw different numbers.
    rng: Any
    _noise: _Normals

    def __post_init__(self) -> None:
        noise = self.rng
        if not satisfies(noise, _Normals):
            check_whole(0, rng=noise)
            noise = _generator(noise, self.key)
        object.__setattr__(self, "_noise", noise)

    def for_frames(self) -> Callable[[int], Self]:
        """Return the function from the number of a frame to this step with a generator of its own."""
        if not satisfies(self.rng, _Normals):
            seed = int(self.rng)
        elif isinstance(self.rng, np.random.Generator):
            seed = int(self.rng.integers(2**63))  # From here on the frames do not depend on each other.
        else:
            raise ParameterError(f"rng is {self.rng!r}; a video needs a seed or a numpy.random.Generator")
        return lambda number: self._with(_noise=_generator(seed, self.key, number))

    def _with(self, **private: Any) -> Self:
        own = copy.copy(self)
        for name, value in private.items():
            object.__setattr__(own, name, value)
        return own

    def _drawn(self, y: Array) -> Array:
        return self._noise.standard_normal(y.shape, y.dtype)


class _Noisy(_Random):
    """A step to the mean of a distribution, plus noise of its standard deviation."""

    @abstractmethod
    def _mean_and_deviation(self, term: Any, t0: float, t1: float, y: Array) -> tuple[Array, Any]:
        """Return both, for a step from `t0` to `t1`."""

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""
        _check_fall(t0, t1)
        mean, deviation = self._mean_and_deviation(term, t0, t1, y)
        if t1 == 0 or not np.any(deviation):
            return mean
        return mean + deviation * self._drawn(y)


@dataclass(frozen=True, eq=False, repr=False)
class ancestral(_Noisy):
    """Step of DDPM: the posterior mean plus noise.

    y₁ = y₀ + (t₁²/t₀ − t₀) · rate(t₀, y₀) + s z, z ~ N(0, I); small: s² = t₁² (1 − t₁²/t₀²); large:
    s² = (t₀² − t₁²)(1 + t₁²)/(1 + t₀²); learned: log s² = f log large + (1 − f) log small. No noise where t₁ = 0.

    Parameters
    ----------
    rng : int or numpy.random.Generator
        Seed, or generator, or any object with ``standard_normal(shape, dtype)``. The step goes on drawing from call to
        call; in `framewise` every frame has random numbers of its own.
    variance : "small", "large" or "learned"
        β̃, β, or in between by the fraction f that the denoiser's ``with_fraction`` returns.
    value_range : (float, float)
        What 0 and 1 of the frames are in the units of the schedule's model, in which "large" is meant.

    Raises
    ------
    TypeError
        By the step, if the variance is learned and the denoiser has no ``with_fraction``.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239; Nichol & Dhariwal (2021), arXiv:2102.09672, (15).

    Examples
    --------
    >>> standard = pv.Reverse(lambda y, sigma: y / (1 + sigma**2))
    >>> noise = 10.0 * np.random.default_rng(0).standard_normal((100, 100))
    >>> drawn = pv.evolve(standard, noise, pv.karras(40, sigma_max=10.0), step=pv.ancestral(1, "large"))
    >>> round(float(drawn.std()), 1)
    1.0
    """

    rng: Any = 0
    variance: str = "small"
    _: KW_ONLY
    value_range: Range = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variance not in _VARIANCES:
            raise ParameterError(f"variance is {self.variance!r}; it must be one of {', '.join(_VARIANCES)}")
        object.__setattr__(self, "value_range", as_range(self.value_range))

    def _mean_and_deviation(self, term: Any, t0: float, t1: float, y: Array) -> tuple[Array, Any]:
        width = self.value_range[1] - self.value_range[0]
        small = _small(t0, t1)
        large = (t0 - t1) * (t0 + t1) * (1 + (width * t1) ** 2) / (1 + (width * t0) ** 2)
        if self.variance != "learned":
            return posterior_mean(term, t0, t1, y), math.sqrt(small if self.variance == "small" else large)
        rate, fraction = term.rate_and_fraction(t0, y)
        mean = y + (t1 * t1 / t0 - t0) * rate
        return mean, np.exp((fraction * math.log(large) + (1 - fraction) * math.log(small)) / 2) if t1 else 0.0


@dataclass(frozen=True, eq=False, repr=False)
class ddim(_Noisy):
    """Step of DDIM, with any share of DDPM's noise.

    y₁ = y₀ + (√(t₁² − s²) − t₀) · rate(t₀, y₀) + s z, s = η t₁ √(1 − t₁²/t₀²), z ~ N(0, I). η = 0 is explicit Euler,
    η = 1 is ``ancestral(variance="small")``.

    Parameters
    ----------
    eta : float
        η, 0 to 1.
    rng : int or numpy.random.Generator
        As for `ancestral`.

    References
    ----------
    Song, Meng & Ermon (2021), arXiv:2010.02502, (12) and (16).

    Examples
    --------
    >>> flat = pv.Reverse(lambda y, sigma: 0 * y)
    >>> pv.evolve(flat, np.array([[8.0]]), [2.0, 1.0], step=pv.ddim())
    array([[4.]])
    """

    eta: float = 0.0
    rng: Any = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ParameterError(f"eta is {self.eta}; it must be from 0 (no noise) to 1 (as much as DDPM)")

    def _mean_and_deviation(self, term: Any, t0: float, t1: float, y: Array) -> tuple[Array, float]:
        variance = self.eta * self.eta * _small(t0, t1)
        left = math.sqrt(max(t1 * t1 - variance, 0.0))
        return explicit_euler(term, t0, left, y), math.sqrt(variance)


@dataclass(frozen=True, eq=False, repr=False)
class replacement(_Random):
    """Step that fills in unknown values: after each step it puts the known ones back, with noise of the current level.

    y₁ = known + t₁ z where the mask is true, step(y₀) elsewhere. With r = `resample` > 1 it returns to t₀ by
    y₀ ← y₁ + √(t₀² − t₁²) z and repeats the step, r times in all, which harmonises the two parts.

    Parameters
    ----------
    known : ndarray
        Clean values, of the shape of the state; those outside the mask are ignored.
    mask : ndarray of bool
        True where values are known; of that shape, or without the channel axis.
    rng : int or numpy.random.Generator
        As for `ancestral`.
    step : Step, optional
        The step for the rest. Default: ``ancestral(rng)``.
    resample : int
        r ≥ 1.
    channel_axis : int, optional
        As for `evolve`; −1 in a filter.

    References
    ----------
    Lugmayr et al. (2022), RePaint, arXiv:2201.09865.

    Examples
    --------
    >>> standard, known = pv.Reverse(lambda y, sigma: y / (1 + sigma**2)), np.array([3.0, 0.0])
    >>> step = pv.replacement(known, np.array([True, False]), rng=0)
    >>> float(pv.evolve(standard, np.array([9.0, -4.0]), pv.karras(9, sigma_max=9.0), step=step)[0])
    3.0
    """

    key: ClassVar[int] = 1
    known: Array
    mask: Array
    rng: Any = 0
    _: KW_ONLY
    step: Step | None = None
    resample: int = 1
    channel_axis: int | None = None
    _rest: Step = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(1, resample=self.resample)
        known, mask, axis = np.asarray(self.known), np.asarray(self.mask), self.channel_axis
        if axis is not None and mask.ndim == known.ndim - 1:
            mask = np.expand_dims(mask, axis)
        fits = mask.ndim == known.ndim and all(m in (1, n) for m, n in zip(mask.shape, known.shape, strict=True))
        if mask.dtype != bool or not fits:
            raise ParameterError(
                f"mask is {mask.dtype} of shape {mask.shape}, known has shape {known.shape}; it must be bool, of that "
                "shape or, with channel_axis, without the channels"
            )
        rest = ancestral(self.rng) if self.step is None else self.step
        for name, value in {"known": known, "mask": mask, "resample": int(self.resample), "_rest": rest}.items():
            object.__setattr__(self, name, value)

    def for_frames(self) -> Callable[[int], Self]:
        """Return the function from the number of a frame to this step with generators of its own."""
        own_of, rest_of = super().for_frames(), for_frames(self._rest)
        return lambda number: own_of(number)._with(_rest=rest_of(number))

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""
        _check_fall(t0, t1)
        known, mask = (as_planes(field, self.channel_axis) for field in (self.known, self.mask))
        if known.shape != y.shape:
            raise InputError(f"known has shape {known.shape}, channels first; the state has {y.shape}")
        known = known.astype(y.dtype, copy=False)
        for again in range(self.resample if t1 > 0 else 1):
            if again:
                y = y + math.sqrt((t0 - t1) * (t0 + t1)) * self._drawn(y)
            rest = self._rest(term, t0, t1, y)
            y = np.where(mask, known + t1 * self._drawn(y) if t1 > 0 else known, rest)
        return y


def _small(t0: float, t1: float) -> float:
    """Return the variance of the posterior of y at t1, given y at t0 and the clean picture."""
    return t1 * t1 * ((t0 - t1) * (t0 + t1) / (t0 * t0))


def _check_fall(t0: float, t1: float) -> None:
    """Raise ParameterError unless the noise level falls, at most to 0."""
    if not t0 > t1 >= 0:
        raise ParameterError(f"a step from {t0:g} to {t1:g}; noise levels must fall, at most to 0: see karras and ddpm")
