"""One pool of threads for the whole library.

Kernels release the interpreter lock, so threads run them in parallel. Work is cut into independent pieces, each
computed in the same way on any thread: results are the same for any number of threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from pde_video.errors import ParameterError
from pde_video.protocols import Array

_VARIABLE = "PDE_VIDEO_NUM_THREADS"
_MOST = 1024  # A greater number of threads is a mistake.
_ROWS = 32  # The fewest rows of a plane that are worth a thread.
_SPARE = 1  # Items that `ordered` has in progress beyond one for each thread: more would only add latency.

Item = TypeVar("Item")
Result = TypeVar("Result")


class _State:
    """The requested number of threads, and the pool once it is needed."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.forget_pool()

    def forget_pool(self) -> None:
        """Start afresh, as in a forked child, where the pool's threads do not exist and the lock may be held."""
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.here = threading.local()  # .working is set in the pool's own threads.


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.forget_pool)


def num_threads() -> int:
    """Return how many threads the library uses.

    The number set by `set_num_threads`, else the environment variable PDE_VIDEO_NUM_THREADS, else the number of CPUs
    available to this process.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ParameterError
        If PDE_VIDEO_NUM_THREADS is not a whole number of at least 1.

    Examples
    --------
    >>> num_threads() >= 1
    True
    """
    if _state.asked is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _state.asked = _checked(os.environ.get(_VARIABLE) or usable, _VARIABLE)
    return _state.asked


def set_num_threads(n: int) -> None:
    """Set how many threads the library uses in this process. Results do not depend on it.

    Parameters
    ----------
    n : int
        At least 1; with 1, everything runs in the calling thread.

    Raises
    ------
    ParameterError
        If `n` is not a whole number of at least 1.

    Examples
    --------
    >>> before = num_threads()
    >>> set_num_threads(1)
    >>> num_threads()
    1
    >>> set_num_threads(before)
    """
    asked = _checked(n, "n")
    with _state.lock:
        old, _state.pool, _state.asked = _state.pool, None, asked
    if old is not None:
        old.shutdown(wait=False)  # It finishes what it has begun.


def each(function: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `function` on every item, on all threads; the caller works too, so a busy pool cannot block it."""
    items = list(items)
    if available() == 1 or len(items) < 2:
        for item in items:
            function(item)
        return
    remaining = iter(items)
    stopped = threading.Event()
    turn = threading.Lock()

    def work() -> None:
        while not stopped.is_set():
            with turn:
                item = next(remaining, stopped)
            if item is stopped:
                return
            try:
                function(item)  # type: ignore[arg-type]
            except BaseException:
                stopped.set()
                raise

    helpers = [_submit(work) for _ in range(min(num_threads(), len(items)) - 1)]
    try:
        work()
    finally:
        stopped.set()  # Also after an interrupt between two items.
        # Helpers that have not begun are no longer needed; others may still be writing.
        failures = [helper.exception() for helper in helpers if not helper.cancel()]
    for failure in failures:
        if failure is not None:
            raise failure


def by_rows(kernel: Callable[..., None], out: Array, *arguments: Any) -> Array:
    """Fill `out`, (…, H, W), with a kernel that takes `arguments`, a range of rows and `out`, on all threads."""
    each(lambda rows: kernel(*arguments, *rows, out), pieces(out.shape[-2], _ROWS))
    return out


def ordered(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) for every item, in order, with a few items in progress on other threads.

    Items are drawn in the thread of the consumer, when it asks for the next result.
    """
    if available() == 1:
        yield from map(function, items)
        return
    remaining, ahead = iter(items), num_threads() + _SPARE
    in_progress: deque[Future[Result]] = deque()
    try:
        while True:
            in_progress.extend(_submit(function, item) for item in islice(remaining, ahead - len(in_progress)))
            if not in_progress:
                return
            yield in_progress.popleft().result()
    finally:
        for future in in_progress:
            if not future.cancel():
                future.exception()  # Wait, as it may be writing to an array of the caller.


def available() -> int:
    """Return how many threads a call from this thread may use: one in the threads of the pool."""
    return 1 if getattr(_state.here, "working", False) else num_threads()


def pieces(length: int, at_least: int) -> list[tuple[int, int]]:
    """Return `length` cut into one range for each thread that is available, each of at least `at_least`."""
    n = max(1, min(available(), length // at_least))
    return [(length * k // n, length * (k + 1) // n) for k in range(n)]


def _submit(function: Callable[..., Result], *args: Any) -> Future[Result]:
    with _state.lock:
        if _state.pool is None:
            _state.pool = ThreadPoolExecutor(num_threads(), "pde_video", setattr, (_state.here, "working", True))
        try:
            return _state.pool.submit(function, *args)
        except BaseException:
            # An interrupt may come before the pool has recorded a thread it started: without a shutdown, that thread
            # would never be told to stop, and the process would wait for it at exit.
            _state.pool.shutdown(wait=False)
            _state.pool = None
            raise


def _checked(n: Any, name: str) -> int:
    try:
        whole = int(n)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if isinstance(n, bool) or not 1 <= whole <= _MOST or whole != (float(n) if not isinstance(n, str) else whole):
        raise ParameterError(f"{name} is {n!r}; it must be a whole number of threads, from 1 to {_MOST}")
    return whole
