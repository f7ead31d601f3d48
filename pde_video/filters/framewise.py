"""A term lifted to video: every frame on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pde_video.filters.frames import Frames
from pde_video.filters.lift import video_filter
from pde_video.integrators.loop import evolve
from pde_video.integrators.steps import explicit_euler
from pde_video.protocols import Array, Step, is_drawing


def framewise(term: Any, times: Any, step: Step = explicit_euler, *, check: bool = True) -> Callable[..., Any]:
    """Return the filter that evolves every frame by `term` over `times`.

    frame ← evolve(term, frame, times, step=step)

    Parameters
    ----------
    term : Term
        The right-hand side. It sees integer video as floats in [0, 1], so its contrasts (kappa) are in those units.
    times : sequence of float, or the rule made by ``uniform(t_end)``
        As for `evolve`.
    step : Step
        The integrator. One with random numbers (`ancestral`, …) draws others for every frame, the same ones for any
        number of threads; with an int as its `rng`, the same ones for every video.
    check : bool
        As for `evolve`.

    Returns
    -------
    Filter

    Raises
    ------
    UnstableStepError, ParameterError
        By the filter, at the first frame, as `evolve` does.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> smooth = pv.framewise(pv.PeronaMalik(kappa=0.02), pv.uniform(2.0, dt=0.2))
    >>> smooth(np.zeros((3, 8, 8, 3), np.uint8)).shape
    (3, 8, 8, 3)
    """

    @video_filter
    def framewise_filter(frames: Frames) -> Iterator[Array]:
        def evolved(frame: Array, out: Array | None, step: Step = step) -> Array:
            return evolve(term, frame, times, step=step, channel_axis=-1, check=check, out=out)

        if not is_drawing(step):
            return frames.mapped(evolved, None if check else frames)
        step_of = step.for_frames()
        numbered = ((frame, step_of(number)) for number, frame in enumerate(frames))
        return frames.mapped(lambda item, out: evolved(item[0], out, item[1]), numbered)

    return framewise_filter
