"""Weighted sums of rows, and rims of rows, in flat arrays addressed by offsets.

A slice costs as much as a hundred values of its row; an offset costs nothing. Offsets are unsigned, as a signed one
would be tested for being negative at every value.
"""

import numpy as np

from pde_video.kernels.jit import kernel

NEUMANN, PERIODIC, DIRICHLET = 0, 1, 2
ABSENT = np.uint64(2**64 - 1)


@kernel
def inside(i, n, boundary):
    """The index in [0, n) that a boundary maps `i` to: mirrored (no flux), wrapped, or -1 for the value zero."""
    if 0 <= i < n:
        return i
    if boundary == PERIODIC:
        return i % n
    if boundary == NEUMANN:
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i
    return -1


@kernel
def copy(source, target):
    """target ← source, value by value: `target[:] = source` takes seconds to compile, for its message on shapes."""
    for j in range(target.shape[0]):
        target[j] = source[j]


@kernel
def fill_rim(row, start, n, rim, boundary):
    """Write the `rim` values before and after the `n` values at `start`."""
    for k in range(1, rim + 1):
        a, b = inside(-k, n, boundary), inside(n - 1 + k, n, boundary)
        row[start - k] = row[start + a] if a >= 0 else 0
        row[start + n - 1 + k] = row[start + b] if b >= 0 else 0


@kernel
def add_squared_difference(total, before, after, factor):
    """total += (factor · (after − before))², multiplied before it is squared, which may overflow."""
    for j in range(before.shape[0]):
        difference = (after[j] - before[j]) * factor
        total[j] += difference * difference


@kernel
def _start(a, places, m, taps, out, o, n):
    """out = the row in the middle and the four pairs of rows next to it."""
    c, w = places[m], taps[0]
    p0, p1, p2, p3 = places[m - 1], places[m - 2], places[m - 3], places[m - 4]
    q0, q1, q2, q3 = places[m + 1], places[m + 2], places[m + 3], places[m + 4]
    w0, w1, w2, w3 = taps[1], taps[2], taps[3], taps[4]
    for j in range(n):
        out[o + j] = (w * a[c + j] + w0 * (a[p0 + j] + a[q0 + j])) + (
            (w1 * (a[p1 + j] + a[q1 + j]) + w2 * (a[p2 + j] + a[q2 + j])) + w3 * (a[p3 + j] + a[q3 + j])
        )


@kernel
def _add_four(a, places, m, k, taps, out, o, n):
    """out += four pairs of rows, from the k-th on."""
    p0, p1, p2, p3 = places[m - k], places[m - k - 1], places[m - k - 2], places[m - k - 3]
    q0, q1, q2, q3 = places[m + k], places[m + k + 1], places[m + k + 2], places[m + k + 3]
    w0, w1, w2, w3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
    for j in range(n):
        out[o + j] += (w0 * (a[p0 + j] + a[q0 + j]) + w1 * (a[p1 + j] + a[q1 + j])) + (
            w2 * (a[p2 + j] + a[q2 + j]) + w3 * (a[p3 + j] + a[q3 + j])
        )


@kernel
def weighted(a, places, m, whole, taps, out, o, n):
    """out[o + j] = taps[0] a[here + j] + Σ_k taps[k] (a[before_k + j] + a[after_k + j]) for j < n and k = 1 … m.

    `places` are the unsigned offsets of the 2 m + 1 rows, here in the middle; ABSENT is a row of zeros, of which there
    is none if `whole`. Loops take several rows at a time, which saves loads and stores of the sum.
    """
    o, n, k = np.uint64(o), np.uint64(n), 1
    if whole and m >= 4:
        _start(a, places, m, taps, out, o, n)
        k = 5
    else:
        here, w = places[m], taps[0]
        for j in range(n):
            out[o + j] = w * a[here + j]
    while whole and k + 3 <= m:
        _add_four(a, places, m, k, taps, out, o, n)
        k += 4
    while k <= m:
        before, after, w = places[m - k], places[m + k], taps[k]
        if before != ABSENT and after != ABSENT:
            for j in range(n):
                out[o + j] += w * (a[before + j] + a[after + j])
        elif before != ABSENT or after != ABSENT:
            there = min(before, after)
            for j in range(n):
                out[o + j] += w * a[there + j]
        k += 1
