"""Boxes around the parts of a mask, side by side in one small picture: work costs what the mask is large."""

import math
from dataclasses import dataclass

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

    Parts whose margins touch share a box. A box at the border of the picture is a mosaic of its own, as its cells must
    have no neighbours there; but those from border to border are side by side in one.
    """
    from scipy.ndimage import find_objects, label, maximum_filter

    parts = label(maximum_filter(mask, size=2 * margin + 1), np.ones((3, 3), int))[0]
    boxes = find_objects(parts)
    if sum(_area(box) for box in boxes) >= _WORTH * mask.size:
        whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        return [Mosaic([whole], [whole], mask)]
    owned = [(box, mask[box] & (parts[box] == k)) for k, box in enumerate(boxes, 1)]
    widest: dict[tuple[bool, ...], int | None] = {
        (False,) * 4: None,
        (True, True, False, False): sum(own.shape[1] for _, own in owned),  # One beside the other,
        (False, False, True, True): mask.shape[1],  # or one below the other.
    }
    groups = [([pair for pair in owned if _borders(pair[0], mask.shape) == key], most) for key, most in widest.items()]
    groups += [([pair], None) for pair in owned if _borders(pair[0], mask.shape) not in widest]
    return [_packed(group, most) for group, most in groups if group]


def _area(box: Box) -> int:
    return math.prod(side.stop - side.start for side in box)


def _borders(box: Box, shape: tuple[int, ...]) -> tuple[bool, ...]:
    """Tell whether a box is at the top, at the bottom, at the left, and at the right."""
    return tuple(at for side, n in zip(box, shape, strict=True) for at in (side.start == 0, side.stop == n))


def _packed(owned: list[tuple[Box, Array]], most: int | None = None) -> Mosaic:
    """Return the mosaic of boxes with what of the mask is theirs: on shelves of one width, the highest first."""
    owned = sorted(owned, key=lambda pair: -pair[1].shape[0])
    most = most or max(max(own.shape[1] for _, own in owned), math.isqrt(sum(own.size for _, own in owned)) + 1)
    places: list[Box] = []
    top, left, shelf = 0, 0, 0
    for _, own in owned:
        height, width = own.shape
        if left + width > most:
            top, left, shelf = top + shelf, 0, 0
        places.append((slice(top, top + height), slice(left, left + width)))
        left, shelf = left + width, max(shelf, height)
    found = np.zeros((top + shelf, max(place[1].stop for place in places)), bool)
    for place, (_, own) in zip(places, owned, strict=True):
        found[place] = own
    return Mosaic([box for box, _ in owned], places, found)
