"""Colour planes with independent noise of equal strength."""

import math

import numpy as np

from pde_video.protocols import Array


def opponent(frame: Array) -> Array:
    """Return planes (C, H, W); for red, green and blue, their orthonormal mean and differences."""
    planes = np.ascontiguousarray(np.moveaxis(frame, -1, 0))
    if len(planes) != 3:
        return planes
    red, green, blue = planes
    a, b, c = (frame.dtype.type(1 / math.sqrt(n)) for n in (3, 2, 6))
    return np.stack([a * (red + green + blue), b * (red - blue), c * (red - 2 * green + blue)])


def from_opponent(planes: Array) -> Array:
    """Return the frame (H, W, C) from its `opponent` planes."""
    if len(planes) == 3:
        a, b, c = (planes.dtype.type(1 / math.sqrt(n)) for n in (3, 2, 6))
        mean, across, along = a * planes[0], b * planes[1], c * planes[2]
        planes = np.stack([mean + across + along, mean - 2 * along, mean - across + along])
    return np.moveaxis(planes, 0, -1)
