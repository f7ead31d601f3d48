"""Progress: a bar on a terminal, otherwise one line a minute."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from pde_video.cli.interruption import heeded

_EVERY = 60.0  # Seconds from one line to the next.


def shown_progress(frames: Iterable[Any], count: int | None, unit: str = " frames") -> Iterable[Any]:
    """Yield the frames, and show their number, rate and remaining time on standard error."""
    frames = heeded(frames)
    if not sys.stderr.isatty():
        return told_by_the_minute(frames, count, unit)
    from tqdm import tqdm

    return tqdm(frames, total=count, unit=unit, leave=False)


def no_progress(frames: Iterable[Any], count: int | None) -> Iterable[Any]:
    """Yield the frames, and show nothing."""
    return heeded(frames)


def told_by_the_minute(
    frames: Iterable[Any], count: int | None, unit: str = " frames", *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Any]:
    """Yield the frames, and print "1200 of 5000 frames, 23.1 frames/s, 2 min 45 s left" or the like every minute."""
    said = begun = clock()
    for number, frame in enumerate(frames, 1):
        if number == 1:
            begun = clock()  # Before that, kernels were compiled and the first frames examined.
        yield frame
        now = clock()
        if now - said >= _EVERY:
            said = now
            total = "" if count is None else f" of {count}"
            pace = ""
            if number > 1:
                rate = (number - 1) / (now - begun)
                left = "" if count is None else f", {duration(max(0, count - number) / rate)} left"
                pace = f", {rate:.3g}{unit}/s{left}"
            click.echo(f"pde-video: {number}{total}{unit}{pace}", err=True)


def duration(seconds: float) -> str:
    """Return a time span in words."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
