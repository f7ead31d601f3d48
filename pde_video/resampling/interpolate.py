"""The filter `interpolate`: frames at other times than those of a video, along its motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np

from pde_video.errors import InputError
from pde_video.filters import EVERYTHING, Frames, Option, video_filter
from pde_video.motion.passage import Passage
from pde_video.protocols import Array
from pde_video.resampling.rates import resampled
from pde_video.resampling.scenes import in_one_unit, of_two_scenes
from pde_video.resampling.spans import Clock, Span, spans
from pde_video.threads import ordered
from pde_video.video.timing import Timing

_LOST = 0.5  # Share of the pixels below which motion is lost.

_Made: TypeAlias = tuple[str, Callable[[], Array]]  # How a frame is counted, and what makes it.
Rational = Annotated[float | str | Fraction | None, Option(above=0)]


class _Plan(NamedTuple):
    """A span, and how frames are made in it."""

    span: Span
    passage: Passage | None = None  # With frames in a unit.
    unit: float = 1.0
    otherwise: str = "repeated"


def _timing(timing: Timing, factor: object, rate: object, slow: object, duplicates: str, cuts: str) -> Timing:
    return resampled(timing, factor, rate, slow)[1]  # type: ignore[arg-type]


@video_filter(
    extent=EVERYTHING,
    timing=_timing,
    examples=("in.mp4 out.mp4 --rate 60000/1001", "in.mp4 out.mp4 --factor 5/2", "in.mp4 out.mp4 --slow 4"),
)
def interpolate(
    frames: Frames,
    *,
    factor: Rational = None,
    rate: Rational = None,
    slow: Rational = None,
    duplicates: Annotated[str, Option(choices=("keep", "replace"))] = "keep",
    cuts: Annotated[str, Option(choices=("detect", "ignore"))] = "detect",
) -> Iterator[Array]:
    """Show a video at other times: more frames per second, or a slower motion.

    u(x) = Σ g u_k(x + w_k) / Σ g at the times n / rate, with the frames u_k before and after that time, the motion w_k
    to them, and g the nearness in time of what is visible.

    The times are exact, and those of the frames are their timestamps, also where these vary. A frame of the video whose
    time is one of them is kept bit for bit. Between two scenes, and in a pause, no frame is made: one is repeated. See
    docs/interpolation.md.

    Parameters
    ----------
    factor : number or text
        Times as many frames per second, from 1 to 8: 2, "5/2". Default, without `rate` and `slow`: 2.
    rate : number or text
        Frames per second, from 0.000001 to 8 times those of the video: 60, "60000/1001"; 59.94 is the latter.
    slow : number or text
        Times as many frames at the rate of the video, from 1 to 8, which is so many times as long, without sound.
    duplicates : {"keep", "replace"}
        "replace": frames that repeat the one before them, up to 3 in a row, are made anew at their times.
    cuts : {"detect", "ignore"}
        "ignore": the whole video is one scene.
    report : dict, optional
        Receives the numbers of ``originals`` that were kept, of ``new`` frames, of frames ``at_cuts`` and others that
        are ``repeated``, of duplicates ``replaced``; ``cuts``, the numbers of first frames of scenes; ``reliable``, the
        mean share of pixels where the motion was found; ``warnings``.

    Returns
    -------
    Video of the same kind and dtype, as long as the given one; the last frame of a video without a rate has no
    duration, so that T frames become ⌊(T − 1) factor⌋ + 1.

    Raises
    ------
    InputError
        If the video has one frame, without a factor of 1, or a `rate` is given and it has none.
    ParameterError
        If an option is out of range, or more than one of `factor`, `rate` and `slow` is given.

    References
    ----------
    Baker, Scharstein, Lewis, Roth, Black & Szeliski (2011), doi:10.1007/s11263-010-0390-2.

    Examples
    --------
    >>> waves = np.sin(np.add.outer(np.arange(-3, 0), np.arange(64) / 6))
    >>> film = np.repeat(waves[:, np.newaxis], 48, axis=1)
    >>> pv.interpolate(film, factor=2).shape
    (5, 48, 64)
    """
    step, _ = resampled(frames.timing, factor, rate, slow)
    if step is None and duplicates == "keep":
        return frames
    return _resampled(frames, Clock(frames.timing, step), duplicates == "replace", cuts == "detect")


def _resampled(frames: Frames, clock: Clock, replacing: bool, cutting: bool) -> Iterator[Array]:
    """Yield the frames of a video that are wanted, and report on them."""
    if clock.step is not None and len(frames.peek(2)) < 2:
        raise InputError("the video has one frame, and there is nothing between; give two or more")
    report, rate = frames.report, clock.timing.rate
    counts = dict.fromkeys(("originals", "new", "at_cuts", "repeated", "replaced"), 0)
    scenes: list[int] = []
    passages, total, lost, first_lost = 0, 0.0, 0, 0

    def noted(plan: _Plan) -> Iterator[_Made]:
        nonlocal passages, total, lost, first_lost
        span = plan.span
        if plan.otherwise == "at_cuts" and span.until is not None:
            scenes.append(span.until.number)
        if plan.passage is not None:
            counts["replaced"] += len(span.shots) - 1
            passages, total = passages + 1, total + plan.passage.reliable
            report["reliable"] = total / passages
            if plan.passage.reliable < _LOST:
                lost, first_lost = lost + 1, first_lost if lost else span.shots[-1].number
        return _shown(plan, clock)

    report.update(counts, cuts=scenes)
    if clock.step is not None and rate is not None and clock.step * rate > 1:
        fewer = f"the video has {rate} frames/s, more than {1 / clock.step}: those between these times are left out"
        _warn(report, f"{fewer}, without blur of motion")
    plans = ordered(lambda span: _planned(span, clock, cutting), spans(frames, clock, replacing=replacing))
    for kind, frame in ordered(lambda one: (one[0], one[1]()), chain.from_iterable(map(noted, plans))):
        counts[kind] += 1
        report.update(counts)
        yield frame
    if lost:
        between = "1 pair of frames" if lost == 1 else f"{lost} pairs of frames"
        found = f"motion was found in less than half of the picture between {between}, first after frame {first_lost}"
        _warn(report, f"{found}: what is shown there is mostly a fade")


def _planned(span: Span, clock: Clock, cutting: bool) -> _Plan:
    """Return a span with its passage, if one is needed and the motion may be followed."""
    first, last = span.shots[0], span.until
    nothing = set(clock.times(span)) <= {first.time}
    if nothing or last is None or span.is_pause or np.array_equal(first.frame, last.frame):
        return _Plan(span)
    if cutting and of_two_scenes(first.frame, last.frame):
        return _Plan(span, otherwise="at_cuts")
    unit, both = in_one_unit(first.frame, last.frame)
    return _Plan(span, Passage(*both), unit)


def _shown(plan: _Plan, clock: Clock) -> Iterator[_Made]:
    """Yield for each frame that is wanted how it is counted, and what makes it."""
    shots, last = plan.span.shots, plan.span.until
    kept = {shot.time: shot.frame for shot in (shots if plan.passage is None else shots[:1])}
    for time in clock.times(plan.span):
        if time in kept:
            yield "originals", partial(np.array, kept[time])
        elif last is not None and plan.passage is not None:
            share = float((time - shots[0].time) / (last.time - shots[0].time))
            yield "new", partial(_between, plan.passage, share, plan.unit)
        elif last is not None and plan.otherwise == "at_cuts":
            nearest = min([*shots, last], key=lambda shot: abs(shot.time - time))
            yield "at_cuts", partial(np.array, nearest.frame)
        else:
            yield "repeated", partial(np.array, [shot for shot in shots if shot.time <= time][-1].frame)


def _between(passage: Passage, share: float, unit: float) -> Array:
    frame = passage.at(share)
    return frame * frame.dtype.type(unit)


def _warn(report: dict[str, Any], text: str) -> None:
    report.setdefault("warnings", []).append(text)
