"""Two videos on one canvas: where the pixels of both are, and their planes there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.protocols import Array
from pde_video.restoration.exposure import Exposure, Shared
from pde_video.restoration.homography import Homography

LARGEST = 4  # Pixels of the result, relative to those of both videos, at most.
_SMOOTH = 1.5  # Pixels of the means whose light is compared.
_SLACK = 0.25  # Pixels by which places may be wrong.

Pair = tuple[Array, Array]  # Planes (C, H, W) of both videos.


class Canvas(NamedTuple):
    """What both videos are laid on."""

    shape: tuple[int, int]
    corner: tuple[int, int]  # The first video begins here.


class Rig(NamedTuple):
    """Where on the canvas the pixels of both videos are."""

    canvas: Canvas
    sees: Array  # (2, H, W): whether the first, and the other, see a pixel.
    places: Array  # (2, n): rows and columns in the other video of what that sees.
    squares: Array  # (n,): r² there, of a distance r from its middle, in units of half its diagonal.
    nearest: Array  # (2, H, W): of what both see.
    upright: bool  # Whether the seam goes from top to bottom.
    first_before: bool  # Whether the first video is left of the other, or above it.
    left_out: int  # Pixels by which the other video leaves the canvas.


class Laid(NamedTuple):
    """Planes of both videos on the canvas, (C, H, W)."""

    first: Array
    second: Array
    rig: Rig

    def shared(self) -> Shared:
        """Return what both see, smoothed."""
        both = self.rig.sees.all(axis=0)
        inner: Array = ndimage.binary_erosion(both, iterations=2)
        where = inner if inner.any() else np.asarray(both)
        share = ndimage.gaussian_filter(both.astype(np.float64), _SMOOTH)[where]  # What is missing does not count.
        of_both = [
            [ndimage.gaussian_filter(np.where(both, one, 0.0), _SMOOTH)[where] / share for one in planes]
            for planes in self[:2]
        ]
        first, second = (np.array(one, np.float64) for one in of_both)
        return Shared(first, second, self.rig.squares[where[self.rig.sees[1]]])


def canvas_for(homography: Homography, room: int) -> Canvas | None:
    """Return a canvas for what one of both sees, with some room around it; None if that would be bent too much."""
    low, high = reach(homography)
    height, width = high - low + 1
    if not height * width <= LARGEST * (math.prod(homography.size) + math.prod(homography.other)):  # Or is NaN.
        return None
    row, column = room - low
    return Canvas((int(height) + 2 * room, int(width) + 2 * room), (int(row), int(column)))


def reach(homography: Homography) -> tuple[Array, Array]:
    """Return the first and the last row and column of what one of both sees, on the pixels of the first video."""
    edges = np.array([(i, j) for i in (0, homography.other[0] - 1) for j in (0, homography.other[1] - 1)], float).T
    corners = np.array(homography.back(*edges))
    low = np.minimum(np.floor(corners.min(axis=1) + _SLACK), 0)
    return low, np.maximum(np.ceil(corners.max(axis=1) - _SLACK), np.array(homography.size) - 1)


def rig_on(homography: Homography, canvas: Canvas) -> Rig:
    """Return how the videos lie on the canvas."""
    rows, columns = (np.indices(canvas.shape) - np.reshape(canvas.corner, (2, 1, 1))).astype(float)
    there, two = np.stack(homography(rows, columns)), homography.other
    sees = np.stack([_inside((rows, columns), homography.size, 0.0), _inside(there, two, _SLACK)])
    places, middle = there[:, sees[1]], (np.array(two) - 1) / 2
    squares = np.square(places - middle[:, np.newaxis]).sum(axis=0) / np.square(middle).sum()
    nearest = ndimage.distance_transform_edt(~sees.all(axis=0), return_distances=False, return_indices=True)
    ends = homography.back(*np.reshape(middle, (2, 1)))
    apart = [float(at[0]) - (n - 1) / 2 for at, n in zip(ends, homography.size, strict=True)]
    upright = abs(apart[1]) * homography.size[0] >= abs(apart[0]) * homography.size[1]
    low, high = reach(homography)
    outside = np.maximum(-np.array(canvas.corner) - low, high + canvas.corner - canvas.shape + 1)
    left_out = max(0, int(outside.max())) if np.isfinite(outside).all() else max(canvas.shape)
    return Rig(canvas, sees, places, squares, nearest, upright, apart[int(upright)] >= 0, left_out)


def _inside(places: Sequence[Array] | Array, size: tuple[int, ...], slack: float) -> Array:
    down, across = ((at >= -slack) & (at <= n - 1 + slack) for at, n in zip(places, size, strict=True))
    return np.asarray(down & across)


def laid_on(pair: Pair, rig: Rig, exposure: Exposure | None = None) -> Laid:
    """Return the planes of both videos on the canvas, the other in the light of the first."""
    one, two = pair
    first, second = np.zeros((2, len(one), *rig.canvas.shape), one.dtype)
    first[:, rig.sees[0]] = one.reshape(len(one), -1)
    values = np.stack([ndimage.map_coordinates(p.astype(np.float64), rig.places, order=3, mode="nearest") for p in two])
    if exposure is not None:
        values = exposure.undone(values, rig.squares)
    second[:, rig.sees[1]] = values
    return Laid(first, second, rig)
