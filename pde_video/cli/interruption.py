"""Signals: a run that is asked to end does so between two frames, or else wherever it is.

An exception raised by a signal handler may arrive after a lock is acquired and before its release is guaranteed, or be
swallowed by a library that catches everything. Between two frames neither can happen.
"""

import signal
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")

_PATIENCE = 2.0  # Seconds: compilation, or a live stream that stalls, must not delay the end any longer.
_asked: int | None = None
_flowing = False


class Interrupted(SystemExit):
    """A signal has asked the run to end; its exit code says so."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def listen() -> None:
    """End with `Interrupted` on SIGINT and SIGTERM, unless the parent process has them ignored."""
    global _asked
    _asked = None
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ask)


def heeded(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield the items until a signal asks for an end."""
    global _flowing
    _flowing = True
    try:
        for item in items:
            if _asked is not None:
                _patience(0)
                raise Interrupted(_asked)
            yield item
    finally:
        _flowing = False


def _ask(number: int, frame: Any) -> None:
    global _asked
    again, _asked = _asked is not None, number
    if again or not _flowing or not _patience(_PATIENCE):
        _patience(0)  # The clean-up that follows is not interrupted.
        raise Interrupted(number)


def _patience(seconds: float) -> bool:
    """Raise `Interrupted` after so many seconds, or never if 0; return whether the system supports that."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.signal(signal.SIGALRM, _insist)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def _insist(number: int, frame: Any) -> None:
    if _asked is not None:
        raise Interrupted(_asked)
