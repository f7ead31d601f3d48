"""When the frames of a video are shown."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from pde_video.protocols import Array

_FAR = 3  # Frames back, from which on timestamps are those of another recording.


@dataclass(frozen=True)
class Timing:
    """When the frames of a video are shown, and how many there are."""

    rate: Fraction | None = None  # Frames per second; None for frames that have no times.
    count: int | None = None  # Expected, if it is known,
    is_sure: bool = True  # and whether it is certain.
    is_made: bool = False  # By a filter: then the times of a source are not those of the frames.
    pace: Fraction = Fraction(1)  # Seconds in which a second of the source is shown.
    stamps: Sequence[Fraction] = field(default=(), repr=False)  # Seconds on a clock, of the first frames,
    tick: Fraction | None = None  # which counts these.

    def at(self, index: int, first: int = 0) -> Fraction:
        """Return when a frame is shown, in seconds after another, the first; its number if frames have no times.

        By the rate where that is within the rounding of the clock; frames without a stamp follow the last at the rate.
        """
        rate = self.rate or Fraction(1)
        by_rate = (index - first) / rate
        if self.rate is None or not self.stamps:
            return by_rate
        last = min(index, len(self.stamps) - 1)
        shown = self.stamps[last] - self.stamps[min(first, last)] + (index - last) / rate
        rounds = self.tick is not None and (1 / rate / self.tick).denominator != 1
        return by_rate if rounds and self.tick is not None and abs(shown - by_rate) <= self.tick else shown

    def evenly(self, rate: Fraction | None, count: int | None, *, pace: Fraction = Fraction(1)) -> Timing:
        """Return the timing of frames that a filter shows at a rate, from the first frame on."""
        sure = self.is_sure and self.rate is None  # The times of others may vary.
        return replace(self, rate=rate, count=count, is_sure=sure, is_made=True, pace=self.pace * pace, stamps=())


class Rising:
    """Times of frames, taken one after another, that rise also where timestamps do not.

    A frame whose timestamp is not after all before it follows at the rate. Where the timestamps jump back far, those of
    another recording begin; else the frames after it are shown closer, until they are at their own times again.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._first, self._begin = 0, Fraction(0)  # Of the recording: its first frame, and when it is shown.
        self._latest, self._shown = Fraction(-1), Fraction(-1)
        self.astray: list[int] = []  # Numbers of frames whose timestamps do not rise: the first; how many there are.

    def at(self, index: int) -> Fraction:
        """Return when the next frame is shown."""
        timing, period = self._timing, 1 / (self._timing.rate or Fraction(1))
        time = self._begin + timing.at(index, self._first)
        if index == 0 or time > self._shown:
            self._shown = time
        elif time > self._latest:
            self._shown += period / 2
        else:
            self._shown += period
            self.astray = [self.astray[0], self.astray[1] + 1] if self.astray else [index, 1]
            if self._latest - time >= _FAR * period:
                self._first, self._begin, time = index, self._shown, self._shown
        self._latest = max(self._latest, time)
        return self._shown

    def said(self) -> str | None:
        """Return a warning where timestamps did not rise."""
        if not self.astray:
            return None
        first, many = self.astray
        stamps, others = self._timing.stamps, "" if many == 1 else f", nor do those of {many - 1} other frames"
        return (
            f"the timestamp of frame {first}, {float(stamps[first]):g} s, does not follow that of the frame before, "
            f"{float(stamps[first - 1]):g} s{others}: these are shown at {self._timing.rate} frames/s after those "
            "before them"
        )


class Timed(Iterator[Array]):
    """Frames with the times at which they are shown."""

    def __init__(self, frames: Iterable[Array], timing: Timing) -> None:
        self._frames, self.timing = iter(frames), timing

    def __next__(self) -> Array:
        return next(self._frames)

    def close(self) -> None:
        """Close what the frames come from."""
        if isinstance(self._frames, Generator):
            self._frames.close()


def timing_of(video: Any) -> Timing:
    """Return the timing of a video that has one; else the number of a frame is its time."""
    found = getattr(video, "timing", None)
    return found if isinstance(found, Timing) else Timing()


def beyond_stamps(frames: Any, count: int, source: Timing) -> str | None:
    """Return a warning if frames that do not tell their times were more than those of the source whose they got."""
    known = max(len(source.stamps), source.count or 0)
    if isinstance(frames, Timed) or not source.stamps or count <= known:
        return None
    return (
        f"{count} frames are more than the {known} of the source, whose times they got, and the others follow at its "
        "rate; if a filter made them for other times, give what it returns, or a rate, to write"
    )
