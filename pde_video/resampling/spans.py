"""Which frames of a video lie on both sides of the times at which one is wanted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pde_video.errors import InputError
from pde_video.filters import Frames
from pde_video.protocols import Array
from pde_video.resampling.scenes import with_repeats
from pde_video.video.timing import Rising, Timing

_FARTHEST = 8  # Frames of the video that a pause is longer than,
_AROUND = 3  # as long as the longest so many before it.
_LONGEST = 2**18  # Frames in a pause, at most: more are not meant.


class Shot(NamedTuple):
    """A frame of the video, its number, and when it is shown."""

    frame: Array
    number: int
    time: Fraction


class Span(NamedTuple):
    """What is shown from one frame on to before another: it and repeats of it, frames that are wanted, the other."""

    shots: list[Shot]
    wanted: range  # Numbers of frames.
    until: Shot | None  # None after the last frame.
    is_pause: bool = False


@dataclass(frozen=True)
class Clock:
    """When frames are wanted: after each step, or else when those of the video are shown."""

    timing: Timing
    step: Fraction | None

    def times(self, span: Span) -> list[Fraction]:
        """Return when frames are wanted."""
        return [shot.time for shot in span.shots] if self.step is None else [n * self.step for n in span.wanted]

    def before(self, shot: Shot) -> int:
        """Return how many frames are wanted before another is shown."""
        return shot.number if self.step is None else math.ceil(shot.time / self.step)

    def in_all(self, last: Shot) -> int:
        """Return how many frames are wanted until after the last, which is shown as long as the rate says."""
        if self.step is None:
            return last.number + 1
        if self.timing.rate is None:
            return math.floor(last.time / self.step) + 1
        return math.ceil((last.time + 1 / self.timing.rate) / self.step)


def spans(frames: Frames, clock: Clock, *, replacing: bool) -> Iterator[Span]:
    """Yield what is shown between frames; those that repeat others are no others where they are `replacing`."""
    start, before = 0, None
    rate = clock.timing.rate
    gaps: deque[Fraction] = deque(maxlen=_AROUND)
    for run in _runs(frames, replacing=replacing):
        if before is not None:
            stop = max(start, clock.before(run[0]))
            gap = run[0].time - before[-1].time
            is_pause = rate is not None and gap > _FARTHEST * min([1 / rate, max(gaps, default=gap)])
            gaps.append(gap)
            yield _checked(Span(before, range(start, stop), run[0], is_pause))
            start = stop
        before = run
    if before is not None:
        yield Span(before, range(start, max(start, clock.in_all(before[-1]))), None)


def _runs(frames: Frames, *, replacing: bool) -> Iterator[list[Shot]]:
    """Yield the frames with their times, each together with those that repeat it and are to be replaced."""
    run: list[Shot] = []
    times = Rising(frames.timing)
    marked: Iterable[tuple[Array, bool]] = with_repeats(frames) if replacing else ((frame, False) for frame in frames)
    for number, (frame, repeats) in enumerate(marked):
        if run and not repeats:
            yield run
            run = []
        run.append(Shot(frame, number, times.at(number)))
    yield run
    if said := times.said():
        frames.report.setdefault("warnings", []).append(said)


def _checked(span: Span) -> Span:
    if span.until is not None and len(span.wanted) > _LONGEST:
        seconds = float(span.until.time - span.shots[-1].time)
        raise InputError(
            f"frame {span.until.number} is shown {seconds:g} s after the one before it, which would be repeated "
            f"{len(span.wanted):,} times; cut the video there, or give a lower rate"
        )
    return span
