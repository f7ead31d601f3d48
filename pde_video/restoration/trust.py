"""How much of a result a hint, such as a guide or the motion, gets: by tests on what is known, in frames up to each."""

import math
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Protocol, TypeVar

# Error with the hint, relative to that without it, up to which it counts wholly, and from which on not at all.
_CERTAIN, _CHANCE = 0.97, 1.0
_KEPT = 0.8  # Weight of the tests of frames before.


class Tried(Protocol):
    """A frame with the squared errors of tests of a hint: with it, and without."""

    @property
    def errors(self) -> list[tuple[float, float]]:
        """Return a pair for each test; none if the frame tests nothing."""
        ...


One = TypeVar("One", bound=Tried)


def with_shares(tried: Iterable[One], untested: bool = True) -> Iterator[tuple[One, float]]:
    """Yield frames with the share that their hint deserves, by the tests of some frames up to each.

    `untested` tells whether the hint counts before the first test.
    """
    sums: list[tuple[float, float]] = []
    for one in tried:
        if one.errors:  # A frame that tests nothing changes nothing.
            pairs = zip(sums or repeat((0.0, 0.0)), one.errors, strict=False)
            sums = [(_KEPT * a + c, _KEPT * b + d) for (a, b), (c, d) in pairs]
        yield one, share_by(sums, untested)


def share_by(errors: Iterable[tuple[float, float]], untested: bool = True) -> float:
    """Return the share that a hint deserves by squared errors with it, and without it."""
    worst = [math.sqrt(hinted / without) if without else math.inf for hinted, without in errors if hinted or without]
    return min(max((_CHANCE - max(worst)) / (_CHANCE - _CERTAIN), 0.0), 1.0) if worst else float(untested)
