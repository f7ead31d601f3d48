"""An equation as a denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.integrators.loop import evolve
from pde_video.integrators.steps import implicit_euler
from pde_video.integrators.times import uniform
from pde_video.protocols import Array, Denoiser, Step, Term, is_term, multiple_of


def as_denoiser(
    term: Term | Callable[[float], Term],
    *,
    gamma: float | None = None,
    time: Callable[[float], float] | None = None,
    step: Step = implicit_euler,
) -> Denoiser:
    """Make a denoiser of an equation, run for a time that grows with the noise.

    D(y, σ) = z with z − τ · rate(z) = y, τ = σ²/γ. For `Heat` of diffusivity 1 this is *exactly* the mean of the clean
    picture given y = x + σ ε, if pictures are distributed as ∝ exp(−‖∇x‖²/2γ): γ is the mean square of the difference
    of two neighbours, for pictures with no structure but that.

    Parameters
    ----------
    term : Term, or callable sigma -> Term
        The equation; a function of σ where its parameters follow the noise, a contrast κ above all.
    gamma : float, optional
        γ > 0, in squared units of the frames. Either this or `time` must be given.
    time : callable sigma -> float, optional
        How long to run, ≥ 0, in the units of the equation.
    step : Step
        The integrator. An unconditionally stable one takes a single step, others the longest that are stable.

    Returns
    -------
    Denoiser
        A function (y, sigma) of float32 or float64 frames. The grid is every axis of y but the last: (H, W, C) is
        diffused in the plane, (T, H, W, C) in space and time. At σ = 0 it returns y.

    Raises
    ------
    ParameterError
        If not exactly one of `gamma` and `time` is given or one is out of range; on a call, if σ or the time is.
    UnstableStepError, InputError, TypeError
        On a call, as `evolve` does.

    References
    ----------
    Robbins (1956), An empirical Bayes approach to statistics; Romano, Elad & Milanfar (2017), doi:10.1137/16M1102884.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> denoiser = pv.as_denoiser(pv.Heat(), gamma=0.01)
    >>> y = np.array([[[0.0], [1.0]]])
    >>> denoiser(y, 0.1).ravel().round(3)  # τ = 1: the difference is divided by 1 + 2τ.
    array([0.333, 0.667])
    """
    if (gamma is None) == (time is None):
        raise ParameterError("give one of gamma, the mean squared difference of neighbours, and time, a function of σ")
    if gamma is not None:
        check_positive(gamma=gamma)
    if not (is_term(term) or callable(term)):
        raise ParameterError(f"term is {term!r}; it must be a term, or a function from sigma to a term")
    return _Evolving(term=term, gamma=gamma, time=time, step=step)


@dataclass(frozen=True, kw_only=True, repr=False)
class _Evolving(Value):
    __name__ = "as_denoiser"

    term: Term | Callable[[float], Term]
    gamma: float | None = None
    time: Callable[[float], float] | None = None
    step: Step = implicit_euler

    def __call__(self, y: Array, sigma: float) -> Array:
        if np.ndim(sigma) or not 0 <= sigma < math.inf:
            raise ParameterError(f"sigma is {sigma}; it must be one number, the noise level: 0 or more, and finite")
        end = float(self.time(sigma) if self.time is not None else sigma**2 / self.gamma)  # type: ignore[operator]
        at_once = math.isinf(multiple_of(self.step)) and end > 0
        times: Any = [0.0] if end == 0 else [0.0, end] if at_once else uniform(end)
        term = self.term if is_term(self.term) else self.term(sigma)  # type: ignore[operator]
        return evolve(term, y, times, step=self.step, channel_axis=-1)
