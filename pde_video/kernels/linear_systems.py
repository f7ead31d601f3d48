"""The inner loops of implicit solves: by transforms, by conjugate gradients, by elimination.

The tridiagonal solves of an AOS step are Thomas's algorithm on blocks of parallel lines. Loops run across the lines,
where there is no recursion. The coefficients of a block stay in the second-level cache between elimination and back
substitution. Lines are independent, so the result does not depend on the threads. Blocks are flat arrays of rows that
are LANES apart: as that is a constant, the compiler needs no check that a row and the one before it do not overlap.
"""

import numpy as np

from pde_video.kernels.intrinsics import transpose
from pde_video.kernels.jit import kernel

LANES = np.uint64(64)  # Lines of a block.
_SUMS = np.uint64(16)  # Sums side by side: a single one would wait for every addition.
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)


@kernel
def divide_by_sums(x, rows, columns):
    """Divide x[c, i, j] by rows[i] + columns[j], in place."""
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            row, outer = x[c, i], rows[i]
            for j in range(row.shape[0]):
                row[j] /= outer + columns[j]


@kernel
def product(a, b):
    """Σ a·b, for flat arrays."""
    lanes, n = np.zeros(_SUMS), np.uint64(a.shape[0])
    whole = n - n % _SUMS
    for start in range(_ZERO, whole, _SUMS):
        for j in range(_SUMS):
            lanes[j] += a[start + j] * b[start + j]
    for j in range(whole, n):
        lanes[_ZERO] += a[j] * b[j]
    return lanes.sum()


@kernel
def advance(z, r, p, q, inverse, alpha):
    """z += α p, r −= α q; return Σ r² and Σ r²·inverse."""
    norm, weighted, n = np.zeros(_SUMS), np.zeros(_SUMS), np.uint64(z.shape[0])
    for j in range(n):
        z[j] += alpha * p[j]
        r[j] -= alpha * q[j]
    whole = n - n % _SUMS
    for start in range(_ZERO, whole, _SUMS):
        for j in range(_SUMS):
            square = r[start + j] * r[start + j]
            norm[j] += square
            weighted[j] += square * inverse[start + j]
    for j in range(whole, n):
        norm[_ZERO] += r[j] * r[j]
        weighted[_ZERO] += r[j] * r[j] * inverse[j]
    return norm.sum(), weighted.sum()


@kernel
def redirect(p, r, inverse, beta):
    """p = r·inverse + β p."""
    for j in range(p.shape[0]):
        p[j] = r[j] * inverse[j] + beta * p[j]


@kernel
def thomas(first, coupling, last, z):
    """Solve z_i − g_{i+1} (z_{i+1} − z_i) + g_i (z_i − z_{i-1}) = rhs_i for every column; rhs is passed in `z`.

    For periodic or very long systems, for which `solve_lines` does not serve. g is `first`, the rows of `coupling`,
    `last`; values outside are zero. The pivot is carried as 1 + g_i q_{i-1}/p_{i-1}, a sum of positive numbers, so
    nothing cancels however large g is.
    """
    n, m = z.shape
    inverse = np.empty((n, m), z.dtype)
    q = 1.0 + first
    for i in range(n):
        for j in range(m):
            if i > 0:
                g = coupling[i - 1, j]
                z[i, j] += g * z[i - 1, j]
                q[j] = 1.0 + g * q[j] * inverse[i - 1, j]
            after = coupling[i, j] if i < n - 1 else last[j]
            inverse[i, j] = 1.0 / (q[j] + after)
            z[i, j] *= inverse[i, j]
    for i in range(n - 2, -1, -1):
        for j in range(m):
            z[i, j] += coupling[i, j] * inverse[i, j] * z[i + 1, j]
    return z


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
        here, face, factor = i * LANES, start + i * along, inner if i < n - _ONE else outer
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
    for i in range(_ONE, n):
        here = i * LANES
        for j in range(m):
            z[here + j] += ratio[here - LANES + j] * z[here - LANES + j]


@kernel
def _down_from(y, start, along, n, m, ratio, z):
    """As `_down`, with z_i from y[start + i·along]."""
    for j in range(m):
        z[j] = y[start + j]
    for i in range(_ONE, n):
        here, row = i * LANES, start + i * along
        for j in range(m):
            z[here + j] = y[row + j] + ratio[here - LANES + j] * z[here - LANES + j]


@kernel
def _up(z, n, m, ratio, inverse):
    """z_i ← inverse_i z_i + ratio_i z_{i+1}, with a row of zeros after the last."""
    z[n * LANES :] = 0
    for k in range(_ONE, n + _ONE):
        here = (n - k) * LANES
        two, c, p = z[here : here + _TWO * LANES], ratio[here : here + LANES], inverse[here : here + LANES]
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
def solve_lines(y, out, g, numbers, uniform, contiguous, sizes):
    """Solve z_i − g_i (z_{i+1} − z_i) + g_{i-1} (z_i − z_{i-1}) = y_i along lines side by side, values outside 0.

    Arrays are flat. `numbers` are 1, the factor of the inner faces, that of the first and the last face, and a weight
    w: `out` becomes (out + z)·w, or z if w is 0. `sizes`, unsigned, are: the cells of a line; the first line and one
    past the last; the number of channels and their stride; the start of line 0 in `y` and the stride of its cells; the
    start of its faces (after the cells) in `g` and their stride. If `uniform`, g is the same for all lines and is given
    for LANES of them. If the lines are `contiguous`, strides are those of lines, not of cells, and w is taken as 0.
    """
    n, first, stop, channels, apart, y_start, y_stride, g_start, g_stride = sizes
    size = n * LANES
    ratio, inverse = np.empty(size, y.dtype), np.empty(size, y.dtype)
    z, q = np.empty(size + LANES, y.dtype), np.empty(LANES, y.dtype)
    before = _ONE if numbers[2] > 0 else _ZERO  # Only then is there a face before the first cell.
    for line in range(first, stop, LANES):
        m = min(LANES, stop - line)
        if uniform:
            if line == first:
                _pivots(g, g_start, g_stride, numbers, n, m, ratio, inverse, q)
        elif contiguous:
            # The block holds the faces until the cells are loaded.
            faces = g_start + line * g_stride - before
            transpose(g, faces, g_stride, m, n + before, z, (_ONE - before) * LANES, LANES)
            _pivots(z, LANES, LANES, numbers, n, m, ratio, inverse, q)
        else:
            _pivots(g, g_start + line, g_stride, numbers, n, m, ratio, inverse, q)
        for c in range(channels):
            start = c * apart + y_start + line * (y_stride if contiguous else _ONE)
            if contiguous:
                transpose(y, start, y_stride, m, n, z, _ZERO, LANES)
                _down(z, n, m, ratio)
                _up(z, n, m, ratio, inverse)
                transpose(z, _ZERO, LANES, n, m, out, start, y_stride)
            else:
                _down_from(y, start, y_stride, n, m, ratio, z)
                _up(z, n, m, ratio, inverse)
                _put(z, n, m, numbers[3], out, start, y_stride)
