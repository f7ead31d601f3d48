"""Pixels that stand out from all their neighbours, and their replacement by what lies around them."""

import numpy as np

from pde_video.kernels.jit import kernel

_RANKS = 4  # Of the values kept in order at each end.
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # In the order of their angle.


@kernel
def _mirrored(place, length):
    """The place inside of a line for one up to `length` − 1 outside: lines that end at the border go on there."""
    inside = -place if place < 0 else place
    inside = 2 * length - 2 - inside if inside >= length else inside
    return max(inside, 0)


@kernel
def _ends(plane, i, j, reach, centre, highest, lowest):
    """Write the four largest and smallest values of the square around a pixel, with its centre or without, in order."""
    height, width = plane.shape
    for rank in range(_RANKS):
        highest[rank], lowest[rank] = -np.inf, np.inf
    for y in range(i - reach, i + reach + 1):
        for x in range(j - reach, j + reach + 1):
            if centre or y != i or x != j:
                value = plane[_mirrored(y, height), _mirrored(x, width)]
                rank = _RANKS
                while rank > 0 and value > highest[rank - 1]:
                    if rank < _RANKS:
                        highest[rank] = highest[rank - 1]
                    rank -= 1
                if rank < _RANKS:
                    highest[rank] = value
                rank = _RANKS
                while rank > 0 and value < lowest[rank - 1]:
                    if rank < _RANKS:
                        lowest[rank] = lowest[rank - 1]
                    rank -= 1
                if rank < _RANKS:
                    lowest[rank] = value


@kernel
def stand_out(plane, around, centre, threshold, share, noise, low, high, first, last, out):
    """out = 1 or −1 where a pixel is far above or below all but one of 8 and all but three of 24 neighbours, else 0.

    Far is more than the threshold and a share of the range of these neighbours beyond that of noise, for the wider
    square twice the share, either of which suffices. At the limits `low` and `high` the threshold alone counts. The
    neighbours are those in `around`, with the pixel at the same place if `centre`.
    """
    height, width = plane.shape
    highest, lowest = np.empty(_RANKS, plane.dtype), np.empty(_RANKS, plane.dtype)
    zero = plane.dtype.type(0)
    for i in range(first, last):
        for j in range(width):
            value = plane[i, j]
            out[i, j] = 0
            near = (
                abs(around[max(i - 1, 0), j] - value) <= threshold
                and abs(around[i, max(j - 1, 0)] - value) <= threshold
            )
            far_end = abs(around[min(i + 1, height - 1), j] - value), abs(around[i, min(j + 1, width - 1)] - value)
            if near and far_end[0] <= threshold and far_end[1] <= threshold:
                continue  # Most pixels.
            counts = zero if value <= low or value >= high else share
            for reach in range(1, 3):
                _ends(around, i, j, reach, centre, highest, lowest)
                rank = 1 if reach == 1 else _RANKS - 1
                spread = max(highest[rank] - lowest[rank] - noise, zero)
                far = threshold + counts * plane.dtype.type(reach) * spread
                if value - highest[rank] > far:
                    out[i, j] = 1
                elif lowest[rank] - value > far:
                    out[i, j] = -1


@kernel
def lone(plane, marked, first, last, out):
    """out = the marked pixels of whose 8 neighbours at most two have the same value, and lie less than 135° apart.

    Pixels of lines have two that lie further apart, and those of larger areas have three.
    """
    height, width = plane.shape
    for i in range(first, last):
        for j in range(width):
            out[i, j] = marked[i, j]
            same, before, apart = 0, 0, 0
            for place in range(8 if marked[i, j] else 0):
                y, x = i + _AROUND[place][0], j + _AROUND[place][1]
                if 0 <= y < height and 0 <= x < width and plane[y, x] == plane[i, j]:
                    apart = min(place - before, 8 - place + before) if same else 0
                    same, before = same + 1, place
            out[i, j] &= same < 2 or (same == 2 and apart < 3)


@kernel
def mend(plane, marked, first, last, out):
    """out = the plane, with the median of the unmarked of 8 neighbours (or else of 24) where it is marked."""
    height, width = plane.shape
    values = np.empty(24, plane.dtype)
    for i in range(first, last):
        for j in range(width):
            out[i, j] = plane[i, j]
            count, reach = 0, 1
            while marked[i, j] and count < 3 and reach < 3:
                count = 0
                for y in range(max(i - reach, 0), min(i + reach + 1, height)):
                    for x in range(max(j - reach, 0), min(j + reach + 1, width)):
                        if not marked[y, x]:
                            place = count
                            while place > 0 and values[place - 1] > plane[y, x]:
                                values[place] = values[place - 1]
                                place -= 1
                            values[place] = plane[y, x]
                            count += 1
                reach += 1
            if count:
                out[i, j] = plane.dtype.type(0.5) * (values[(count - 1) // 2] + values[count // 2])
