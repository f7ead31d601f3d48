"""Displacements of small windows, found by comparing them: where the flow is lost, far from where it began."""

import math

import numpy as np

from pde_video.kernels.jit import kernel

REACH = 2  # Of a window: 5 × 5 pixels.
_NEXT = 2  # Displacements that far from the best are no others.


@kernel
def _apart(first, second, i, j, p, q, limit):
    """Return the sum of squared differences of two windows, or what it has reached above a limit."""
    total = first.dtype.type(0)
    for m in range(-REACH, REACH + 1):
        a, b = first[i + m], second[p + m]
        for k in range(-REACH, REACH + 1):
            d = a[j + k] - b[q + k]
            total += d * d
        if total >= limit:
            break
    return total


@kernel
def _nearest(first, second, i, j, down, across, limit):
    """Return where the window of `first` at (i, j) is in `second`, within a range, and how far apart, below a limit."""
    height, width = first.shape
    top, bottom = max(REACH, i - down), min(height - 1 - REACH, i + down)
    left, right = max(REACH, j - across), min(width - 1 - REACH, j + across)
    least, y, x = limit, i, j
    for p in range(top, bottom + 1):
        for q in range(left, right + 1):
            apart = _apart(first, second, i, j, p, q, least)
            if apart < least:
                least, y, x = apart, p, q
    return y, x, least


@kernel
def _is_clear(first, second, i, j, y, x, down, across, limit):
    """Tell whether no window farther from (y, x) is nearer to that of `first` at (i, j) than a limit."""
    height, width = first.shape
    top, bottom = max(REACH, i - down), min(height - 1 - REACH, i + down)
    left, right = max(REACH, j - across), min(width - 1 - REACH, j + across)
    for p in range(top, bottom + 1):
        for q in range(left, right + 1):
            far = abs(p - y) > _NEXT or abs(q - x) > _NEXT
            if far and _apart(first, second, i, j, p, q, limit) < limit:
                return False
    return True


@kernel
def match(first, second, wrong, wrong_there, bad, gain, clearly, share, down, across, flow, found):
    """Put into the flow where windows of both pictures are each other's nearest.

    Where the flow is `wrong` in both, as mean squares above `bad`, and they are nearer than `gain` times that, and than
    `clearly` times any other; `found` is 1 there. A window at y found at z is a motion at y + share · (z − y); of two
    at the same place the nearer counts, and if they are as near, none.
    """
    height, width = first.shape
    best = np.full((height, width), first.dtype.type(np.inf))
    size, moved = first.dtype.type((2 * REACH + 1) ** 2), np.empty_like(flow)
    for i in range(REACH, height - REACH):
        for j in range(REACH, width - REACH):
            if wrong[i, j] <= bad:
                continue
            limit = gain * size * wrong[i, j]
            p, q, apart = _nearest(first, second, i, j, down, across, limit)
            if apart >= limit or wrong_there[p, q] <= bad or apart >= gain * size * wrong_there[p, q]:
                continue
            y, x, _ = _nearest(second, first, p, q, down, across, limit)
            if y != i or x != j:
                continue
            least = apart / clearly
            if not _is_clear(first, second, i, j, p, q, down, across, least):
                continue
            if not _is_clear(second, first, p, q, i, j, down, across, least):
                continue
            y, x = math.floor(i + share * (p - i) + 0.5), math.floor(j + share * (q - j) + 0.5)
            if apart < best[y, x]:
                best[y, x], found[y, x] = apart, 1
                moved[0, y, x], moved[1, y, x] = p - i, q - j
            elif apart == best[y, x]:
                found[y, x] = 0
    for y in range(height):
        for x in range(width):
            if found[y, x]:
                flow[0, y, x], flow[1, y, x] = moved[0, y, x], moved[1, y, x]


@kernel
def at(picture, y, x):
    """Return a picture between pixels, interpolated linearly; edges are replicated."""
    height, width = picture.shape
    p, q = math.floor(y), math.floor(x)
    s, t = picture.dtype.type(y - p), picture.dtype.type(x - q)
    top, bottom = min(max(p, 0), height - 1), min(max(p + 1, 0), height - 1)
    left, right = min(max(q, 0), width - 1), min(max(q + 1, 0), width - 1)
    upper = picture[top, left] + t * (picture[top, right] - picture[top, left])
    lower = picture[bottom, left] + t * (picture[bottom, right] - picture[bottom, left])
    return upper + s * (lower - upper)


@kernel
def _missed(first, second, i, j, u, v, share):
    """Return the mean squared difference over a window that moves by (u, v); −1 where that leads out of a frame."""
    height, width = first.shape
    rest = first.dtype.type(1) - share
    y, x, z, w = i - share * u, j - share * v, i + rest * u, j + rest * v
    if min(min(y, z), min(x, w)) < 0 or max(y, z) > height - 1 or max(x, w) > width - 1:
        return first.dtype.type(-1)
    total = first.dtype.type(0)
    for m in range(-REACH, REACH + 1):
        for k in range(-REACH, REACH + 1):
            d = at(first, y + m, x + k) - at(second, z + m, w + k)
            total += d * d
    return total / first.dtype.type((2 * REACH + 1) ** 2)


@kernel
def spread(first, second, found, bad, gain, share, rounds, flow):
    """Take over the motion of neighbours that was found, where it misses less than `gain` times what the own does.

    Only where that is above `bad`. Rows and columns are walked forwards and backwards, `rounds` times.
    """
    height, width = first.shape
    missed = np.full((height, width), first.dtype.type(-2))
    for walk in range(2 * rounds):
        step = 1 if walk % 2 == 0 else -1
        for n in range(height):
            i = n if step == 1 else height - 1 - n
            for m in range(width):
                j = m if step == 1 else width - 1 - m
                for side in range(2):
                    p, q = (i - step, j) if side == 0 else (i, j - step)
                    if p < 0 or p >= height or q < 0 or q >= width or not found[p, q]:
                        continue
                    if missed[i, j] == -2:
                        missed[i, j] = _missed(first, second, i, j, flow[0, i, j], flow[1, i, j], share)
                    if missed[i, j] <= bad:
                        continue
                    other = _missed(first, second, i, j, flow[0, p, q], flow[1, p, q], share)
                    if 0 <= other < gain * missed[i, j]:
                        missed[i, j], found[i, j] = other, 1
                        flow[0, i, j], flow[1, i, j] = flow[0, p, q], flow[1, p, q]
