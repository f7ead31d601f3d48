"""An equation as a denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.integrators.loop import evolve, uniform
from pde_video.integrators.steps import implicit_euler
from pde_video.protocols import Array, Step, Term, multiple_of, satisfies


@dataclass(frozen=True, repr=False)
class as_denoiser(Value):
    """Denoiser made of an equation, which runs for a time that grows with the noise.

    D(y, σ) = z with z − τ · rate(z) = y, τ = σ²/γ. For `Heat` of diffusivity 1 this is exactly the posterior mean of
    the clean picture given y = x + σ ε, if pictures are distributed as ∝ exp(−‖∇x‖²/2γ), where γ is the mean squared
    difference of two neighbours.

    Parameters
    ----------
    term : Term, or callable sigma -> Term
        The equation; a function of σ if its parameters, such as κ, follow the noise.
    gamma : float, optional
        γ > 0, in squared units of the frames. Give either this or `time`.
    time : callable sigma -> float, optional
        How long to run, ≥ 0, in the units of the equation.
    step : Step
        The integrator. An unconditionally stable one takes a single step, others the longest stable ones.

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
