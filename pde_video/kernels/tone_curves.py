"""Monotone curves of values, as tables: y = x + c(x), piecewise linear, and linear beyond their ends."""

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def follow(knots, changes, ends, held, values, out):
    """out = values + c(values), row by row, with `changes` c at increasing `knots`, and the slopes of c at both `ends`.

    A value that equals held[r, k, 0] becomes held[r, k, 1].
    """
    for r in range(values.shape[0]):
        x, c, source, target = knots[r], changes[r], values[r], out[r]
        last = x.shape[0] - 1
        k = 0
        for j in range(source.shape[0]):
            v = source[j]
            while k < last - 1 and v > x[k + 1]:
                k += 1
            while k > 0 and v < x[k]:
                k -= 1
            if v <= x[0]:
                target[j] = v + (c[0] + ends[r, 0] * (v - x[0]))
            elif v >= x[last]:
                target[j] = v + (c[last] + ends[r, 1] * (v - x[last]))
            else:
                target[j] = v + (c[k] + (v - x[k]) * ((c[k + 1] - c[k]) / (x[k + 1] - x[k])))
            for h in range(held.shape[1]):
                if v == held[r, h, 0]:
                    target[j] = held[r, h, 1]


@kernel
def change(plane, low, step, tables, first, last, out):
    """out = plane + c(plane), in rows first ≤ r < last, with c at low + k · step.

    `tables` (rows, columns, k) belong to the middles of as many tiles of the plane, and are interpolated linearly
    between them.
    """
    height, width = plane.shape
    rows, columns, n = tables.shape
    zero, one = np.float64(0), np.float64(1)
    inverse = one / step
    left, share = np.empty(width, np.int64), np.empty(width, np.float64)
    for j in range(width):
        place = min(max((j + 0.5) * columns / width - 0.5, zero), np.float64(columns - 1))
        left[j] = min(np.int64(place), max(columns - 2, 0))
        share[j] = place - left[j]
    for i in range(first, last):
        place = min(max((i + 0.5) * rows / height - 0.5, zero), np.float64(rows - 1))
        above = min(np.int64(place), max(rows - 2, 0))
        down = place - above
        below = min(above + 1, rows - 1)
        for j in range(width):
            at = min(max((np.float64(plane[i, j]) - low) * inverse, zero), np.float64(n - 1))
            k = min(np.int64(at), n - 2)
            t = at - k
            a, b = left[j], min(left[j] + 1, columns - 1)
            upper = (one - share[j]) * _between(tables[above, a], k, t) + share[j] * _between(tables[above, b], k, t)
            lower = (one - share[j]) * _between(tables[below, a], k, t) + share[j] * _between(tables[below, b], k, t)
            out[i, j] = plane[i, j] + ((one - down) * upper + down * lower)


@kernel
def _between(table, k, t):
    return table[k] + t * (table[k + 1] - table[k])
