"""The input of a filter, and how it processes several frames at once."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any, TypeAlias

from pde_video.arrays.grid import all_finite
from pde_video.errors import REPLACE, InputError
from pde_video.protocols import Array
from pde_video.threads import ordered
from pde_video.video.timing import Timing

Report: TypeAlias = dict[str, Any] | None  # A dict that receives what was estimated and done.
WITHIN = 40  # Frames to search for one that is not constant: films fade in from black.
_LARGE = 2**18  # Values in a frame that are worth a task of their own.


class Frames:
    """The input of a filter: an iterator of float frames (H, W, C), with their scale and the report.

    Attributes
    ----------
    scale : float
        The value of 1.0 inside the filter in units of the input: 255 for uint8, 1 for floats.
    report : dict
        What the filters estimated and did, in units of the input; they add to it.
    timing : Timing
        When the frames are shown: ``timing.at(k)`` for frame k, once it was taken.
    """

    def __init__(
        self,
        frames: Iterable[Array],
        scale: float = 1.0,
        report: Report = None,
        *,
        unchecked: bool = False,
        borrowed: bool = False,
        timing: Timing | None = None,
    ) -> None:
        self._frames = iter(frames)
        self._unchecked = unchecked  # Whether frames may hold values that are not finite.
        self._borrowed = borrowed  # Whether they are the caller's: then a filter gets copies, so that it may write.
        self._given = 0
        self.scale = scale
        self.report = {} if report is None else report
        self.timing = Timing() if timing is None else timing

    def __iter__(self) -> Iterator[Array]:
        return self

    def __next__(self) -> Array:
        frame = next(self._frames)
        if self._unchecked:
            _refuse_infinite(frame, self._given)
        self._given += 1
        return frame.copy() if self._borrowed else frame

    def mapped(
        self, function: Callable[[Any, Array | None], Array], items: Iterable[Any] | None = None
    ) -> Iterator[Array]:
        """Yield function(frame, out) for every frame, in order, several at a time on the library's threads.

        The function must not write to its frame, and must refuse values that are not finite, as `evolve` does: a check
        of each frame beforehand would cost as much as a step. `items`, one for each frame (such as the frames
        themselves, checked), replace the frames. `out` is None, or an array of the frame's shape and dtype that the
        function may fill and return; that requires that the filter returns this iterator unchanged.
        """
        return Mapped(self, function, items)

    def peek(self, n: int) -> list[Array]:
        """Return the next `n` frames (fewer at the end) without consuming them; they must not be written to."""
        head = list(islice(self._frames, n))
        for number, frame in enumerate(head, self._given):
            if self._unchecked:
                _refuse_infinite(frame, number)
        self._frames = chain(head, self._frames)
        return head

    def lively(self, n: int) -> list[Array]:
        """Return, as `peek` does, the first `n` frames that are not constant, of at most `WITHIN` examined."""
        ahead = n
        while True:
            head = self.peek(ahead)
            found = [frame for frame in head if frame.min() < frame.max()][:n]
            if len(found) == n or len(head) < ahead or ahead >= WITHIN:
                return found
            ahead = min(2 * ahead, WITHIN)

    def numbered(self) -> Iterator[tuple[int, Array]]:
        """Yield the unchecked frames with their numbers; they must not be written to."""
        for frame in self._frames:
            self._given += 1
            yield self._given - 1, frame


class Mapped(Iterator[Array]):
    """What `Frames.mapped` returns: results, whose computation starts when the first is requested."""

    def __init__(self, frames: Frames, function: Callable[..., Array], items: Iterable[Any] | None) -> None:
        self._frames, self._function, self._items = frames, function, items
        self._results: Iterator[Array] | None = None
        self.outputs: Iterable[Array] | None = None  # A buffer for the result of each frame.

    def __next__(self) -> Array:
        if self._results is None:
            self._results = self._begun()
        return next(self._results)

    def _begun(self) -> Iterator[Array]:
        frames, function, at_once = self._frames, self._function, 1
        if self.outputs is not None:  # Small frames go to the threads in groups.
            at_once = max([1, *(_LARGE // frame.size for frame in frames.peek(1))])
        items: Iterable[Any] = frames.numbered() if self._items is None else self._items
        outputs = repeat(None) if self.outputs is None else self.outputs
        pairs = zip(items, outputs, strict=False)
        groups = iter(lambda: list(islice(pairs, at_once)), [])
        one = _naming_the_frame(function) if self._items is None else function
        return chain.from_iterable(ordered(lambda group: [one(*pair) for pair in group], groups))


def _naming_the_frame(function: Callable[[Array, Array | None], Array]) -> Callable[..., Array]:
    def named(numbered: tuple[int, Array], out: Array | None) -> Array:
        number, frame = numbered
        try:
            return function(frame, out)
        except ValueError:
            _refuse_infinite(frame, number)
            raise

    return named


def _refuse_infinite(frame: Array, number: int) -> None:
    if not all_finite(frame):
        raise InputError(f"frame {number} holds NaN or infinite values; {REPLACE}")
