"""The tridiagonal solves of an AOS step: Thomas's algorithm on blocks of parallel lines.

Loops run across the lines, where there is no recursion. The coefficients of a block stay in the second-level cache
between elimination and back substitution. Lines are independent, so the result does not depend on the threads.

Blocks are flat arrays of rows that are LANES apart: as that is a constant, the compiler needs no check that a row and
the one before it do not overlap.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.transpose import transpose

LANES = np.uint64(64)
ZERO, ONE, TWO = np.uint64(0), np.uint64(1), np.uint64(2)


@kernel
def _pivots(g, start, along, numbers, n, m, ratio, inverse, q):
    """The pivots of the elimination: inverse_i = 1/p_i and ratio_i = g_i/p_i, with p_i = q_i + g_i.

    The face after cell i is g[start + i·along], times the inner or the outer factor. As q_i = 1 + ratio_{i-1} q_{i-1}
    is a sum of positive numbers, nothing cancels, however large g is.
    """
    one, inner, outer, _ = numbers
    q[:] = one
    if outer > 0:
        for j in range(m):
            q[j] += outer * g[start - along + j]
    for i in range(n):
        here, face, factor = i * LANES, start + i * along, inner if i < n - ONE else outer
        for j in range(m):
            after = factor * g[face + j]
            p = one / (q[j] + after)
            c = after * p
            inverse[here + j] = p
            ratio[here + j] = c
            q[j] = one + c * q[j]


@kernel
def _down(z, n, m, ratio):
    """z_i ← z_i + ratio_{i-1} z_{i-1}."""
    for i in range(ONE, n):
        here = i * LANES
        for j in range(m):
            z[here + j] += ratio[here - LANES + j] * z[here - LANES + j]


@kernel
def _down_from(y, start, along, n, m, ratio, z):
    """As `_down`, with z_i from y[start + i·along]."""
    for j in range(m):
        z[j] = y[start + j]
    for i in range(ONE, n):
        here, row = i * LANES, start + i * along
        for j in range(m):
            z[here + j] = y[row + j] + ratio[here - LANES + j] * z[here - LANES + j]


@kernel
def _up(z, n, m, ratio, inverse):
    """z_i ← inverse_i z_i + ratio_i z_{i+1}, with a row of zeros after the last."""
    z[n * LANES :] = 0
    for k in range(ONE, n + ONE):
        here = (n - k) * LANES
        two, c, p = z[here : here + TWO * LANES], ratio[here : here + LANES], inverse[here : here + LANES]
        for j in range(m):
            two[j] = p[j] * two[j] + c[j] * two[j + LANES]


@kernel
def _put(z, n, m, weight, out, start, along):
    for i in range(n):
        here, row = i * LANES, start + i * along
        if weight > 0:
            for j in range(m):
                out[row + j] = (out[row + j] + z[here + j]) * weight
        else:
            for j in range(m):
                out[row + j] = z[here + j]


@kernel
def solve_columns(y, out, g, numbers, uniform, sizes):
    """Solve z_i − g_i (z_{i+1} − z_i) + g_{i-1} (z_i − z_{i-1}) = y_i along lines side by side, values outside 0.

    Arrays are flat. `numbers` are 1, the factor of the inner faces, that of the first and the last face, and a weight
    w: `out` becomes (out + z)·w, or z if w is 0. `sizes`, unsigned, are: the cells of a line; the first line and one
    past the last; the number of channels and their stride; the start of line 0 in `y` and the stride of its cells; the
    start of its faces (after the cells) in `g` and their stride. If `uniform`, g is the same for all lines and is given
    for LANES of them.
    """
    n, first, stop, channels, apart, y_start, y_along, g_start, g_along = sizes
    size = n * LANES
    ratio, inverse = np.empty(size, y.dtype), np.empty(size, y.dtype)
    z, q = np.empty(size + LANES, y.dtype), np.empty(LANES, y.dtype)
    for line in range(first, stop, LANES):
        m = min(LANES, stop - line)
        if not uniform or line == first:
            _pivots(g, g_start if uniform else g_start + line, g_along, numbers, n, m, ratio, inverse, q)
        for c in range(channels):
            start = c * apart + y_start + line
            _down_from(y, start, y_along, n, m, ratio, z)
            _up(z, n, m, ratio, inverse)
            _put(z, n, m, numbers[3], out, start, y_along)


@kernel
def solve_rows(y, out, g, numbers, uniform, sizes):
    """As `solve_columns` for contiguous lines, with `out` = z; `sizes` hold the strides of lines, not of cells."""
    n, first, stop, channels, apart, y_start, y_line, g_start, g_line = sizes
    size = n * LANES
    ratio, inverse = np.empty(size, y.dtype), np.empty(size, y.dtype)
    z, q = np.empty(size + LANES, y.dtype), np.empty(LANES, y.dtype)
    before = ONE if numbers[2] > 0 else ZERO  # Only then is there a face before the first cell.
    for line in range(first, stop, LANES):
        m = min(LANES, stop - line)
        if not uniform:
            # The block holds the faces until the cells are loaded.
            transpose(g, g_start + line * g_line - before, g_line, m, n + before, z, (ONE - before) * LANES, LANES)
            _pivots(z, LANES, LANES, numbers, n, m, ratio, inverse, q)
        elif line == first:
            _pivots(g, g_start, g_line, numbers, n, m, ratio, inverse, q)
        for c in range(channels):
            start = c * apart + y_start + line * y_line
            transpose(y, start, y_line, m, n, z, ZERO, LANES)
            _down(z, n, m, ratio)
            _up(z, n, m, ratio, inverse)
            transpose(z, ZERO, LANES, n, m, out, start, y_line)
