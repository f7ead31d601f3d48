"""The filter `interpolate`: frames at other times than those of a video, along its motion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise
from typing import Annotated, NamedTuple

import numpy as np

from pde_video.errors import InputError
from pde_video.filters import EVERYTHING, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.resampling.passage import Passage
from pde_video.resampling.rates import resampled
from pde_video.resampling.scenes import is_repeat_of, of_two_scenes
from pde_video.threads import ordered
from pde_video.video.timing import Timing

_REPEATS = 3  # Of a frame in a row, at most, where they are replaced: more are a still.
_FARTHEST = 8  # Frames of the video that a pause is longer than.
_LOST = 0.5  # Share of the pixels below which motion is lost.

Rational = Annotated[float | str | Fraction | None, Option(above=0)]


class _Shot(NamedTuple):
    """A frame of the video, its number, and when it is shown."""

    frame: Array
    number: int
    time: Fraction


class _Span(NamedTuple):
    """What is shown from one frame on to before another: the first and repeats of it, when it is wanted, the other."""

    shots: list[_Shot]
    wanted: list[Fraction]
    until: _Shot | None  # None after the last frame.
    passage: Passage | None = None
    how: str = "repeated"  # What takes the place of a passage.


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
    time is one of them is kept bit for bit. Between two scenes, and in a pause, no frame is made: one is repeated.

    Parameters
    ----------
    factor : number or text
        Times as many frames per second, from 1 to 8: 2, "5/2". Default, without `rate` and `slow`: 2.
    rate : number or text
        Frames per second, above 0 and at most 8 times those of the video: 60, "60000/1001"; 59.94 is the latter.
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
        If the video has one frame, or a `rate` is given and it has none.
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
    return _resampled(frames, step, duplicates == "replace", cuts == "detect")


def _resampled(frames: Frames, step: Fraction | None, replacing: bool, cutting: bool) -> Iterator[Array]:
    """Yield the frames of a video that are wanted, after each step or else at its own times, and report on them."""
    if len(frames.peek(2)) < 2:
        raise InputError("the video has one frame, and there is nothing between; give two or more")
    timing, report = frames.timing, frames.report
    counts = dict.fromkeys(("originals", "new", "at_cuts", "repeated", "replaced"), 0)
    scenes: list[int] = []
    report.update(counts, cuts=scenes)
    found: list[float] = []
    lost: list[int] = []

    def noted(span: _Span) -> Iterator[tuple[str, Array | Passage, Fraction]]:
        if span.how == "at_cuts" and span.until is not None:
            scenes.append(span.until.number)
        if span.passage is not None:
            counts["replaced"] += len(span.shots) - 1
            found.append(span.passage.reliable)
            report["reliable"] = sum(found) / len(found)
            if span.passage.reliable < _LOST:
                lost.append(span.shots[0].number)
        return _shown(span)

    own = timing.at if step is None else lambda number: number * step
    spans = _spans(_runs(_shots(frames, replacing)), own, timing.rate)
    prepared = ordered(lambda span: _prepared(span, timing.rate, cutting), spans)
    for kind, frame in ordered(_made, chain.from_iterable(map(noted, prepared))):
        counts[kind] += 1
        report.update(counts)
        yield frame
    if lost:
        between = "1 pair of frames" if len(lost) == 1 else f"{len(lost)} pairs of frames"
        told = f"motion was found in less than half of the picture between {between}, first after frame {lost[0]}"
        report.setdefault("warnings", []).append(f"{told}: what is shown there is mostly a fade")


def _shots(frames: Frames, replacing: bool) -> Iterator[tuple[_Shot, bool]]:
    """Yield the frames with their times, and whether each is to be replaced if its run is short."""

    def compared(pair: tuple[Array, Array]) -> tuple[Array, bool]:
        return pair[1], replacing and is_repeat_of(*pair, frames.scale)

    first = next(frames)
    pairs = pairwise(chain([first, first], frames))
    for number, (frame, same) in enumerate((ordered if replacing else map)(compared, pairs)):
        yield _Shot(frame, number, frames.timing.at(number)), same and number > 0


def _runs(shots: Iterable[tuple[_Shot, bool]]) -> Iterator[list[_Shot]]:
    """Yield frames, each with its repeats; each frame of a still alone."""
    run: list[_Shot] = []
    for shot, same in shots:
        if not same:
            if run:
                yield run
            run = [shot]
        elif run and len(run) <= _REPEATS:
            run.append(shot)
        else:
            yield from ([one] for one in (*run, shot))
            run = []
    if run:
        yield run


def _spans(runs: Iterable[list[_Shot]], time: Callable[[int], Fraction], rate: Fraction | None) -> Iterator[_Span]:
    """Yield what is between the first frames of runs, with the times there at which a frame is wanted."""
    number = 0
    before: list[_Shot] = []
    for run in runs:
        wanted = []
        while time(number) < run[0].time:
            wanted.append(time(number))
            number += 1
        if before:
            yield _Span(before, wanted, run[0])
        before = run
    last = before[-1].time
    wanted = []
    while time(number) <= last or (rate is not None and time(number) < last + 1 / rate):
        wanted.append(time(number))
        number += 1
    yield _Span(before, wanted, None)


def _prepared(span: _Span, rate: Fraction | None, cutting: bool) -> _Span:
    """Return a span with its passage, if one is needed and the motion may be followed."""
    first, last = span.shots[0], span.until
    if last is None or not {*span.wanted} - {first.time} or np.array_equal(first.frame, last.frame):
        return span
    if rate is not None and last.time - first.time > _FARTHEST / rate:
        return span
    if cutting and of_two_scenes(first.frame, last.frame):
        return span._replace(how="at_cuts")
    return span._replace(passage=Passage(first.frame, last.frame))


def _shown(span: _Span) -> Iterator[tuple[str, Array | Passage, Fraction]]:
    """Yield for each time that is wanted what is shown: a frame, or a passage and a share of its way."""
    shots, first, last = span.shots, span.shots[0], span.until
    kept = {shot.time: shot.frame for shot in (shots if span.passage is None else shots[:1])}
    for time in span.wanted:
        if time in kept:
            yield "originals", kept[time], Fraction(0)
        elif last is not None and span.passage is not None:
            yield "new", span.passage, (time - first.time) / (last.time - first.time)
        elif last is not None and span.how == "at_cuts":
            yield span.how, min([*shots, last], key=lambda shot: abs(shot.time - time)).frame, Fraction(0)
        else:
            yield span.how, [shot for shot in shots if shot.time <= time][-1].frame, Fraction(0)


def _made(shown: tuple[str, Array | Passage, Fraction]) -> tuple[str, Array]:
    """Return what is shown as a frame of its own."""
    kind, what, share = shown
    if isinstance(what, Passage):
        return kind, what.at(float(share))
    return kind, np.array(what)
