"""What random steps share: a generator for a state, and one for each frame of a video."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_whole
from pde_video.errors import ParameterError
from pde_video.protocols import Array, satisfies


class Normals(Protocol):
    """A source of normal random numbers: a NumPy generator, or an object with the same method."""

    def standard_normal(self, size: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of normal random numbers."""


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=key))


class Random(Value, ABC):
    """A random step with one generator that goes on from call to call; subclasses are dataclasses with a field rng."""

    stable_multiple: ClassVar[float] = math.inf
    key: ClassVar[int] = 0  # Two kinds of steps with one seed draw different numbers.
    rng: Any
    _noise: Normals

    def __post_init__(self) -> None:
        if not satisfies(self.rng, Normals):
            check_whole(0, rng=self.rng)
        object.__setattr__(self, "_noise", self.rng if satisfies(self.rng, Normals) else _generator(self.rng, self.key))

    @abstractmethod
    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""

    def for_frames(self) -> Callable[[int], Self]:
        """Return the function from the number of a frame to this step with a generator of its own."""
        if not satisfies(self.rng, Normals):
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


class Noisy(Random):
    """A step to the mean of a distribution, plus noise of its standard deviation."""

    @abstractmethod
    def _mean_and_deviation(self, term: Any, t0: float, t1: float, y: Array) -> tuple[Array, Any]:
        """Return both, for a step from `t0` to `t1`."""

    def __call__(self, term: Any, t0: float, t1: float, y: Array) -> Array:
        """Return the state at `t1`."""
        check_fall(t0, t1)
        mean, deviation = self._mean_and_deviation(term, t0, t1, y)
        if t1 == 0 or (np.ndim(deviation) == 0 and deviation == 0):
            return mean
        return mean + deviation * self._drawn(y)


def check_fall(t0: float, t1: float) -> None:
    """Raise ParameterError unless the noise level falls, at most to 0."""
    if not t0 > t1 >= 0:
        raise ParameterError(f"a step from {t0:g} to {t1:g}; noise levels must fall, at most to 0: see karras and ddpm")
