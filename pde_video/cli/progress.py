"""How far it is: a bar on a terminal, a line a minute elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from pde_video.cli.interruption import heeded

_EVERY = 60.0  # Seconds from one line to the next.


def shown_progress(frames: Iterable[Any], count: int | None, unit: str = " frames") -> Iterable[Any]:
    """Pass on what comes, and show on standard error how many came, how fast, and how long the rest will take."""
    frames = heeded(frames)
    if not sys.stderr.isatty():
        return told_by_the_minute(frames, count, unit)
    from tqdm import tqdm

    return tqdm(frames, total=count, unit=unit, leave=False)


def told_by_the_minute(
    frames: Iterable[Any], count: int | None, unit: str = " frames", *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Any]:
    """Pass on what comes, with a line such as "1200 of 5000 frames, 23.1 frames/s, 2 min 45 s left" every minute."""
    said = begun = clock()
    for number, frame in enumerate(frames, 1):
        if number == 1:
            begun = clock()  # What came before was compiling, and looking at the first frames.
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
    """Return a time span as people say it."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
