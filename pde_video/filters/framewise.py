"""A term applied to each frame of a video separately."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from pde_video.filters import Extent, Frames, FrozenFilter
from pde_video.integrators.loop import checked_times, evolve
from pde_video.integrators.steps import explicit_euler, heun
from pde_video.protocols import Array, Drawing, Reaching, Step, Term, satisfies


@dataclass(frozen=True, eq=False, repr=False)
class framewise(FrozenFilter):
    """Filter that evolves every frame by `term` over `times`.

    frame ← evolve(term, frame, times, step=step)

    Parameters
    ----------
    term : Term
        The right-hand side. It sees integer video as floats in [0, 1], so its contrasts (kappa) are in those units.
    times : sequence of float, or the rule made by ``uniform(t_end)``
        As for `evolve`.
    step : Step
        The integrator. A random one (`ancestral`, …) draws different numbers for every frame, whatever the number of
        threads; with an int as its `rng`, the same ones for every video.
    check : bool
        As for `evolve`.

    Raises
    ------
    UnstableStepError, ParameterError
        By the filter, at the first frame, as `evolve` does.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    >>> smooth = pv.framewise(pv.PeronaMalik(kappa=0.02), pv.uniform(2.0, dt=0.2))
    >>> smooth(np.zeros((3, 8, 8, 3), np.uint8)).shape
    (3, 8, 8, 3)
    """

    term: Term
    times: Any
    step: Step = explicit_euler
    _: KW_ONLY
    check: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", frozen_times(self.times))

    def _apply(self, frames: Frames) -> Iterable[Array]:
        def evolved(frame: Array, out: Array | None, step: Step = self.step) -> Array:
            return evolve(self.term, frame, self.times, step=step, channel_axis=-1, check=self.check, out=out)

        if not satisfies(self.step, Drawing):
            return frames.mapped(evolved, None if self.check else frames)
        step_of = self.step.for_frames()
        numbered = ((frame, step_of(number)) for number, frame in enumerate(frames))
        return frames.mapped(lambda item, out: evolved(item[0], out, item[1]), numbered)

    @property
    def extent(self) -> Extent:
        """How far it looks: with explicit steps, as far as each of them does."""
        if satisfies(self.step, Drawing):
            return Extent(before=None, cells=None)  # Random numbers are drawn by the number of the frame.
        evaluations = 1 if self.step is explicit_euler else 2 if self.step is heun else 0  # Of the rate in a step.
        around = getattr(self.term, "boundary", None) == "periodic"  # To the other side of the frame.
        if not evaluations or not satisfies(self.term, Reaching) or around:
            return Extent(cells=None)
        steps = len(checked_times(self.term, self.times, 2)) - 1
        return Extent(cells=evaluations * steps * self.term.reach(2))


def frozen_times(times: Any) -> Any:
    """Return times as a value: the rule that makes them, or a tuple."""
    return times if callable(times) or np.ndim(times) != 1 else tuple(np.asarray(times).tolist())
