"""Weighted sums of rows, and rims of rows, in flat arrays addressed by offsets.

A slice costs as much as a hundred values of its row; an offset costs nothing. Offsets are unsigned, as a signed one
would be tested for being negative at every value.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel

NEUMANN, PERIODIC, DIRICHLET = 0, 1, 2


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
def fill_rim(row, start, n, rim, boundary):
    """Write the `rim` values before and after the `n` values at `start`."""
    for k in range(1, rim + 1):
        a, b = inside(-k, n, boundary), inside(n - 1 + k, n, boundary)
        row[start - k] = row[start + a] if a >= 0 else 0
        row[start + n - 1 + k] = row[start + b] if b >= 0 else 0


@kernel
def _centre(a, c, w, out, o, n):
    for j in range(n):
        out[o + j] = w * a[c + j]


@kernel
def _centre_and_four(a, c, p0, q0, p1, q1, p2, q2, p3, q3, w, w0, w1, w2, w3, out, o, n):
    for j in range(n):
        out[o + j] = (w * a[c + j] + w0 * (a[p0 + j] + a[q0 + j])) + (
            (w1 * (a[p1 + j] + a[q1 + j]) + w2 * (a[p2 + j] + a[q2 + j])) + w3 * (a[p3 + j] + a[q3 + j])
        )


@kernel
def _add_four(a, p0, q0, p1, q1, p2, q2, p3, q3, w0, w1, w2, w3, out, o, n):
    for j in range(n):
        out[o + j] += (w0 * (a[p0 + j] + a[q0 + j]) + w1 * (a[p1 + j] + a[q1 + j])) + (
            w2 * (a[p2 + j] + a[q2 + j]) + w3 * (a[p3 + j] + a[q3 + j])
        )


@kernel
def _add_pair(a, p, q, w, out, o, n):
    for j in range(n):
        out[o + j] += w * (a[p + j] + a[q + j])


@kernel
def _add(a, p, w, out, o, n):
    for j in range(n):
        out[o + j] += w * a[p + j]


@kernel
def weighted(a, places, m, whole, taps, out, o, n):
    """out[o + j] = taps[0] a[here + j] + Σ_k taps[k] (a[before_k + j] + a[after_k + j]) for j < n and k = 1 … m.

    `places` are the offsets of the 2 m + 1 rows, here in the middle; -1 is a row of zeros, of which there is none if
    `whole`. Loops take several rows at a time, which saves loads and stores of the sum.
    """
    o, n, k = np.uint64(o), np.uint64(n), 1
    if whole and m >= 4:
        _centre_and_four(
            a, np.uint64(places[m]), np.uint64(places[m - 1]), np.uint64(places[m + 1]), np.uint64(places[m - 2]),
            np.uint64(places[m + 2]), np.uint64(places[m - 3]), np.uint64(places[m + 3]), np.uint64(places[m - 4]),
            np.uint64(places[m + 4]), taps[0], taps[1], taps[2], taps[3], taps[4], out, o, n,
        )  # fmt: skip
        k = 5
    else:
        _centre(a, np.uint64(places[m]), taps[0], out, o, n)
    while whole and k + 3 <= m:
        x, y = m - k, m + k
        _add_four(
            a, np.uint64(places[x]), np.uint64(places[y]), np.uint64(places[x - 1]), np.uint64(places[y + 1]),
            np.uint64(places[x - 2]), np.uint64(places[y + 2]), np.uint64(places[x - 3]), np.uint64(places[y + 3]),
            taps[k], taps[k + 1], taps[k + 2], taps[k + 3], out, o, n,
        )  # fmt: skip
        k += 4
    while k <= m:
        before, after = places[m - k], places[m + k]
        if before >= 0 and after >= 0:
            _add_pair(a, np.uint64(before), np.uint64(after), taps[k], out, o, n)
        elif before >= 0:
            _add(a, np.uint64(before), taps[k], out, o, n)
        elif after >= 0:
            _add(a, np.uint64(after), taps[k], out, o, n)
        k += 1
