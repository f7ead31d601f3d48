"""Two things at once along one stream: reading ahead of whoever consumes, writing behind whoever produces.

Order is kept, memory bounded, and whoever stops, for whatever reason, stops the other: no thread is left.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Abandoned(Exception):
    """Raised in a consumer whose producer failed, so that it cleans up."""


class _Channel(Generic[Item]):
    """A bounded queue between two threads, which either may leave."""

    def __init__(self, room: int) -> None:
        self._items: deque[Item] = deque()
        self._room = room
        self._changed = threading.Condition()
        self._ended = self._left = False
        self._fault: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Wait for room and add an item, or return False if the consumer has left."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or len(self._items) < self._room)
            if not self._left:
                self._items.append(item)
                self._changed.notify_all()
            return not self._left

    def end(self, fault: BaseException | None = None) -> None:
        """Say that no more items come; the consumer gets the fault behind the last of them."""
        with self._changed:
            self._ended, self._fault = True, fault
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that no more items come, and that those which wait are not to be used."""
        with self._changed:
            self._items.clear()
            self.end(_Abandoned())

    def leave(self) -> None:
        """Say that no more items are wanted."""
        with self._changed:
            self._left = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._fault is not None:
            raise self._fault


def ahead(items: Iterable[Item], room: int) -> Generator[Item, None, None]:
    """Yield the items, drawn in a thread of their own; `room` of them may wait for the consumer."""
    channel: _Channel[Item] = _Channel(room)

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
        if thread is not threading.current_thread():  # Where this is garbage, that thread may be who collects it.
            thread.join()


def behind(consume: Callable[[Iterator[Item]], Result], items: Iterable[Item], room: int) -> Result:
    """Return consume(items), run in a thread of its own, while the items are drawn in the caller's thread."""
    return all_behind([consume], ((item,) for item in items), room)[0]


def all_behind(
    consumers: Sequence[Callable[[Iterator[Item]], Result]], rows: Iterable[Sequence[Item]], room: int
) -> list[Result]:
    """Return what each consumer makes of its column of the rows, each in a thread of its own, as `behind` does.

    The first that leaves ends it for all.
    """
    channels: list[_Channel[Item]] = [_Channel(room) for _ in consumers]
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
            channel.abandon()
        raise
    finally:
        for thread in threads:
            thread.join()
