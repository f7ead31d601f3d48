"""Overlap of reading, filtering and writing: items are produced ahead, or consumed behind, in another thread.

Order is kept, memory is bounded, and when one side stops, for whatever reason, so does the other: no thread is left.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Channel(Generic[Item]):
    """A bounded queue between two threads, either of which may leave."""

    def __init__(self, size: int) -> None:
        self._items: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()  # None: the end.
        self._free = threading.Semaphore(size)
        self._left = False

    def put(self, item: Item) -> bool:
        """Wait for a free place and add an item, or return False if the consumer has left."""
        self._free.acquire()
        if not self._left:
            self._items.put((item,))
        return not self._left

    def end(self, fault: BaseException | None = None) -> None:
        """Say that no more items come; the consumer gets the fault after the last of them."""
        self._items.put(fault)

    def leave(self) -> None:
        """Say that no more items are wanted, and release a producer that waits."""
        self._left = True
        self._free.release()

    def __iter__(self) -> Iterator[Item]:
        while isinstance(entry := self._items.get(), tuple):
            self._free.release()
            yield entry[0]
        if entry is not None:
            raise entry


def ahead(items: Iterable[Item], size: int) -> Generator[Item, None, None]:
    """Yield the items, drawn in another thread; at most `size` of them wait for the consumer."""
    channel: _Channel[Item] = _Channel(size)

    def draw() -> None:
        try:
            iterator = iter(items)
            for item in iterator:
                if not channel.put(item):
                    break
            getattr(iterator, "close", lambda: None)()
        except BaseException as fault:
            channel.end(fault)
        else:
            channel.end()

    thread = threading.Thread(target=draw, name="pde_video ahead", daemon=True)
    thread.start()
    try:
        yield from channel
    finally:
        channel.leave()
        if thread is not threading.current_thread():  # That thread may be the one that collects this generator.
            thread.join()


def behind(consume: Callable[[Iterator[Item]], Result], items: Iterable[Item], size: int) -> Result:
    """Return consume(items), run in another thread, while the items are drawn in the caller's thread."""
    return all_behind([consume], ((item,) for item in items), size)[0]


def all_behind(
    consumers: Sequence[Callable[[Iterator[Item]], Result]], rows: Iterable[Sequence[Item]], size: int
) -> list[Result]:
    """Return the results of consumers, each run on its column of the rows; if one stops, no more rows are drawn."""
    channels: list[_Channel[Item]] = [_Channel(size) for _ in consumers]
    outcomes: list[Future[Result]] = [Future() for _ in consumers]

    def work(consume: Callable[[Iterator[Item]], Result], channel: _Channel[Item], outcome: Future[Result]) -> None:
        try:
            outcome.set_result(consume(iter(channel)))
        except BaseException as fault:
            outcome.set_exception(fault)
        channel.leave()

    threads = [
        threading.Thread(target=work, args=each, name="pde_video behind", daemon=True)
        for each in zip(consumers, channels, outcomes, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        for row in rows:
            if not all([channel.put(item) for channel, item in zip(channels, row, strict=True)]):
                break
        for channel in channels:
            channel.end()
        return [outcome.result() for outcome in outcomes]
    except BaseException:
        for channel in channels:
            channel.end(CancelledError())  # So that consumers clean up.
        raise
    finally:
        for thread in threads:
            thread.join()
