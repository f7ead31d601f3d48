"""When the frames of a video are shown."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from pde_video.protocols import Array


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

    def at(self, index: int) -> Fraction:
        """Return when a frame is shown, in seconds after the first; its number if frames have no times.

        By the rate where that is within the rounding of the clock; frames without a stamp follow the last at the rate.
        """
        rate = self.rate or Fraction(1)
        by_rate = index / rate
        if self.rate is None or not self.stamps:
            return by_rate
        last = min(index, len(self.stamps) - 1)
        shown = self.stamps[last] - self.stamps[0] + (index - last) / rate
        rounds = self.tick is not None and (1 / rate / self.tick).denominator != 1
        return by_rate if rounds and self.tick is not None and abs(shown - by_rate) <= self.tick else shown

    def evenly(self, rate: Fraction | None, count: int | None, *, pace: Fraction = Fraction(1)) -> Timing:
        """Return the timing of frames that a filter shows at a rate, from the first frame on."""
        sure = self.is_sure and self.rate is None  # The times of others may vary.
        return replace(self, rate=rate, count=count, is_sure=sure, is_made=True, pace=self.pace * pace, stamps=())


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
