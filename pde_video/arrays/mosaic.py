"""Boxes around the parts of a mask, side by side in one small picture: work costs what the mask is large."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.protocols import Array

Box = tuple[slice, slice]
_WORTH = 0.5  # Share of the picture, above which the boxes are taken for the whole.


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Where boxes of a picture (H, W) lie in the mosaic, and the parts of the mask, each in one of them."""

    boxes: list[Box]
    places: list[Box]  # Of the boxes, in the mosaic.
    mask: Array  # Of the mosaic: what else of the mask lies in a box is left out.

    def cut(self, field: Array) -> Array:
        """Return the boxes of a field (..., H, W) as a mosaic, with zeros between them."""
        out = np.zeros((*field.shape[:-2], *self.mask.shape), field.dtype)
        for box, place in zip(self.boxes, self.places, strict=True):
            out[(..., *place)] = field[(..., *box)]
        return out

    def paste(self, mosaic: Array, field: Array) -> None:
        """Write to a field (..., H, W), where the mask is true, what the mosaic has there."""
        for box, place in zip(self.boxes, self.places, strict=True):
            np.copyto(field[(..., *box)], mosaic[(..., *place)], where=self.mask[place])


def mosaics(mask: Array, margin: int) -> list[Mosaic]:
    """Return mosaics of boxes around the connected parts of a mask, with so many pixels on each side.

    Parts whose margins touch share a box. Boxes at the same border of the picture are beside each other in one, at its
    border, as their cells must have no neighbours there; a box in a corner is a mosaic of its own.
    """
    from scipy.ndimage import find_objects, label, maximum_filter

    parts = label(maximum_filter(mask, size=2 * margin + 1), np.ones((3, 3), int))[0]
    boxes = find_objects(parts)
    if sum(_area(box) for box in boxes) >= _WORTH * mask.size:
        whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        return [Mosaic([whole], [whole], mask)]
    owned = [(box, mask[box] & (parts[box] == k)) for k, box in enumerate(boxes, 1)]
    groups: dict[tuple[Any, ...], list[tuple[Box, Array]]] = {}
    for number, pair in enumerate(owned):
        borders = [_borders(side, n) for side, n in zip(pair[0], mask.shape, strict=True)]
        groups.setdefault((*borders, number if all(map(any, borders)) else None), []).append(pair)
    return [_packed(group, *key[:2]) for key, group in groups.items()]


def _area(box: Box) -> int:
    return math.prod(side.stop - side.start for side in box)


def _borders(side: slice, n: int) -> tuple[bool, bool]:
    """Tell whether a side of a box begins at the border, and whether it ends there."""
    return side.start == 0, side.stop == n


def _packed(owned: list[tuple[Box, Array]], rows: tuple[bool, bool], columns: tuple[bool, bool]) -> Mosaic:
    """Return the mosaic of boxes with what of the mask is theirs, which are at some borders of rows and of columns."""
    owned = sorted(owned, key=lambda pair: -pair[1].shape[0])
    sizes = [own.shape for _, own in owned]
    places = _in_line(sizes, rows, columns) if any(rows) or any(columns) else _on_shelves(sizes)
    found = np.zeros([max(place[axis].stop for place in places) for axis in (0, 1)], bool)
    for place, (_, own) in zip(places, owned, strict=True):
        found[place] = own
    return Mosaic([box for box, _ in owned], places, found)


def _on_shelves(sizes: list[tuple[int, ...]]) -> list[Box]:
    """Return places of boxes on shelves of one width."""
    most = max(max(width for _, width in sizes), math.isqrt(sum(map(math.prod, sizes))) + 1)
    places: list[Box] = []
    top, left, shelf = 0, 0, 0
    for height, width in sizes:
        if left + width > most:
            top, left, shelf = top + shelf, 0, 0
        places.append((slice(top, top + height), slice(left, left + width)))
        left, shelf = left + width, max(shelf, height)
    return places


def _in_line(sizes: list[tuple[int, ...]], rows: tuple[bool, bool], columns: tuple[bool, bool]) -> list[Box]:
    """Return places of boxes beside each other along a border: that of rows, or else of columns."""
    across = 0 if any(rows) else 1
    most, ends = max(size[across] for size in sizes), (rows if across == 0 else columns)[1]
    places, at = [], 0
    for size in sizes:
        first = most - size[across] if ends else 0
        place = slice(first, first + size[across]), slice(at, at + size[1 - across])
        places.append(place if across == 0 else place[::-1])
        at += size[1 - across]
    return places
