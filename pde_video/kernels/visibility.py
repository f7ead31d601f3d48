"""Which of two frames shows what lies between them: motions of surroundings are tried where both differ."""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.matching import at

_DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)])
BOTH, FIRST, SECOND, NEITHER = 0, 1, 2, 3


@kernel
def claims(flow, missed, trusted, share, owner, least):
    """owner = the pixel, numbered row by row, whose motion leads to each place of a frame `share` · w away, or −1.

    Of those that are trusted the one that missed least, kept in `least`.
    """
    _, height, width = flow.shape
    owner[:] = -1
    least[:] = np.inf
    for i in range(height):
        for j in range(width):
            y, x = math.floor(i + share * flow[0, i, j] + 0.5), math.floor(j + share * flow[1, i, j] + 0.5)
            inner = trusted[i, j] and 0 <= y < height and 0 <= x < width
            if inner and missed[i, j] < least[y, x]:
                owner[y, x], least[y, x] = i * width + j, missed[i, j]


@kernel
def _is_hidden(flow, owner, i, j, u, v, share, apart):
    """Tell whether the place to which (u, v) leads from (i, j) is another's, whose motion differs by more than `apart`.

    2 if it lies outside of the frame.
    """
    _, height, width = flow.shape
    y, x = math.floor(i + share * u + 0.5), math.floor(j + share * v + 0.5)
    if y < 0 or y >= height or x < 0 or x >= width:
        return 2
    if owner[y, x] < 0:
        return 0
    p, q = owner[y, x] // width, owner[y, x] % width
    du, dv = flow[0, p, q] - u, flow[1, p, q] - v
    return 1 if du * du + dv * dv > apart * apart else 0


@kernel
def _apart(first, second, i, j, u, v, share, rest):
    """Return the squared difference of both frames at a pixel that moves by (u, v)."""
    d = at(first, i - share * u, j - share * v) - at(second, i + rest * u, j + rest * v)
    return d * d


@kernel
def resolve(first, second, flow, doubtful, steady, owners, share, reach, apart, limit, first_row, last_row, out, seen):
    """Give doubtful pixels the motion of a steady one around with which both frames agree, or which one frame explains.

    Candidates are the nearest steady pixels in eight directions. The one with which both frames differ least is taken
    if that is below `limit`; else the nearest of those whose place in one frame is hidden, and is free in the other.
    `seen` says which frames show a pixel.
    """
    _, height, width = flow.shape
    rest = flow.dtype.type(1) - share
    for i in range(first_row, last_row):
        for j in range(width):
            out[0, i, j], out[1, i, j], seen[i, j] = flow[0, i, j], flow[1, i, j], BOTH
            if not doubtful[i, j]:
                continue
            seen[i, j] = NEITHER
            best = _apart(first, second, i, j, flow[0, i, j], flow[1, i, j], share, rest)
            best, nearest = min(best, limit), reach + 1
            for k in range(8):
                for distance in range(1, reach + 1):
                    p, q = i + _DIRECTIONS[k, 0] * distance, j + _DIRECTIONS[k, 1] * distance
                    if p < 0 or p >= height or q < 0 or q >= width:
                        break
                    if not steady[p, q]:
                        continue
                    u, v = flow[0, p, q], flow[1, p, q]
                    old = _is_hidden(flow, owners[0], i, j, u, v, -share, apart)
                    new = _is_hidden(flow, owners[1], i, j, u, v, rest, apart)
                    if old < 2 and new < 2:
                        missed = _apart(first, second, i, j, u, v, share, rest)
                        if missed < best:
                            best, nearest, seen[i, j] = missed, 0, BOTH
                            out[0, i, j], out[1, i, j] = u, v
                    if distance < nearest and (old == 0) != (new == 0):
                        nearest, seen[i, j] = distance, FIRST if old == 0 else SECOND
                        out[0, i, j], out[1, i, j] = u, v
                    break
