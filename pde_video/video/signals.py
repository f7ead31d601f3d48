"""Steps that no signal interrupts."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name)]


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals that would end the program wait for the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # Only there do handlers run.
        yield
        return
    arrived: list[int] = []
    holding = True
    # Ignored ones are still ignored, and those of other languages' handlers (None) cannot be put back.
    before = {number: known for number in _HELD if (known := signal.getsignal(number)) not in (None, signal.SIG_IGN)}

    def keep(number: int, frame: Any) -> None:
        if holding:
            arrived.append(number)
        else:  # While the handlers were put back, one of them has raised before it was this one's turn.
            signal.signal(number, before[number])
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, keep)
        yield
    finally:
        holding = False
        for number, known in before.items():
            signal.signal(number, known)
        with contextlib.ExitStack() as each:  # Also when the handler of one of them raises.
            for number in reversed(arrived):
                each.callback(signal.raise_signal, number)
