"""Windows of pictures around each: its neighbours of the same scene."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

REACH = 3  # Distance of the farthest frames, in radii, where frames repeat.

Picture = TypeVar("Picture", bound=Any)  # With a number, a scene, an original (the first that it repeats), and links.


def windows(pictures: Iterable[Picture], before: int, after: int) -> Iterator[tuple[int, list[Picture]]]:
    """Yield, for each picture, its place in its window, and this: so many pictures on each side, repeats left out."""
    held: list[Any] = []
    at = 0
    for picture in chain(pictures, [None]):
        held += [picture] if picture is not None else []
        while at < len(held) and (picture is None or _is_complete(held[at:], after)):
            here = held[at]
            past, future = _nearest(here, held[:at][::-1], before)[::-1], _nearest(here, held[at + 1 :], after)
            yield len(past), [*past, here, *future]
            # Later pictures have their own links, and these are large.
            held[: at + 1] = [*past, here._replace(links={})]
            at = len(past) + 1


def _is_complete(pictures: list[Any], after: int) -> bool:
    """Tell whether so many different pictures follow the first, or as many as are waited for."""
    first, last = pictures[0], pictures[-1]
    different = {one.original for one in pictures} - {first.original}
    return len(different) >= after or last.number - first.number >= REACH * after


def _nearest(here: Any, others: list[Any], most: int) -> list[Any]:
    """Return the first few of other pictures of the same scene within reach, each original once."""
    found = {here.original: here}
    for other in others:
        if other.scene == here.scene and abs(other.number - here.number) <= REACH * most and len(found) <= most:
            found.setdefault(other.original, other)
    return list(found.values())[1:]
