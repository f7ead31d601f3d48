"""Wiener filters of groups of similar patches of 8 × 8 pixels.

Matrices are flat, a row after the other, and products of them are summed in tiles (`tiles`).
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.tiles import LANES, ROWS, products, squares

SIDE = 8  # Of a patch.
SOUGHT = 16  # Similar patches are sought at as many places in each direction: as many as a tile has lanes.
AREA = SOUGHT + SIDE - 1  # Pixels in each direction that these patches cover.
_GROUP, _TREATED = 32, LANES  # The most similar patches, whose statistics count; how many of them are filtered.
_PIXELS = SIDE * SIDE
_ROUNDED, _NONE = np.float32(3e-8), np.float32(1e-30)  # Of the trace of a matrix: lower eigenvalues are rounding.


@kernel
def _distances(pilot, y, x, top, left, out):
    """out[16 i + j] = the squared difference of the pilot between its patches at (y, x) and (top + i, left + j)."""
    channels, height, width = pilot.shape
    flat = pilot.ravel()
    out[:] = 0
    for c in range(channels):
        for i in range(0, SOUGHT, ROWS):
            for a in range(SIDE):
                here, there = (c * height + y + a) * width + x, (c * height + top + i + a) * width + left
                squares(out, i * SOUGHT, SOUGHT, flat, here, flat, there, width, SIDE)


@kernel
def _nearest(distances, least, places):
    """places = the indices of the smallest distances, in order."""
    for i in range(distances.shape[0]):
        d = distances[i]
        if i < _GROUP or d < least[_GROUP - 1]:
            k = min(i, _GROUP - 1)
            while k > 0 and least[k - 1] > d:
                least[k], places[k] = least[k - 1], places[k - 1]
                k -= 1
            least[k], places[k] = d, i


@kernel
def _gather(plane, places, top, left, out):
    """out[p, m] = pixel p of patch m."""
    for m in range(_GROUP):
        i, j = top + places[m] // SOUGHT, left + places[m] % SOUGHT
        for a in range(SIDE):
            row = plane[i + a, j : j + SIDE]
            for b in range(SIDE):
                out[(a * SIDE + b) * _GROUP + m] = row[b]


@kernel
def _solve(g, t, least):
    """t = (g + least)⁻¹ t, by Cholesky's decomposition of g, of which the upper triangle is given.

    Four rows at a time: what the rows above contribute is subtracted, and then what they contribute to each other.
    """
    one = g.dtype.type(1)
    for top in range(0, _GROUP, ROWS):
        first = top // LANES * LANES
        for left in range(first, _GROUP, LANES):
            products(g, top * _GROUP + left, _GROUP, g, top, 1, _GROUP, g, left, _GROUP, top, True)
        products(t, top * _TREATED, _TREATED, g, top, 1, _GROUP, t, 0, _TREATED, top, True)
        for i in range(top, top + ROWS):
            row, target = g[i * _GROUP : (i + 1) * _GROUP], t[i * _TREATED : (i + 1) * _TREATED]
            for k in range(top, i):
                factor = g[k * _GROUP + i]
                for j in range(i, _GROUP):
                    row[j] -= factor * g[k * _GROUP + j]
                for j in range(_TREATED):
                    target[j] -= factor * t[k * _TREATED + j]
            pivot = one / math.sqrt(max(row[i] + least, least))  # But for rounding, none is below `least`.
            for j in range(i + 1, _GROUP):
                row[j] *= pivot
            for j in range(_TREATED):
                target[j] *= pivot
            row[i] = pivot
    for top in range(_GROUP - ROWS, -1, -ROWS):
        below = top + ROWS
        factors, others = top * _GROUP + below, below * _TREATED
        products(t, top * _TREATED, _TREATED, g, factors, _GROUP, 1, t, others, _TREATED, _GROUP - below, True)
        for i in range(below - 1, top - 1, -1):
            row, target = g[i * _GROUP : (i + 1) * _GROUP], t[i * _TREATED : (i + 1) * _TREATED]
            for k in range(i + 1, below):
                for j in range(_TREATED):
                    target[j] -= row[k] * t[k * _TREATED + j]
            for j in range(_TREATED):
                target[j] *= row[i]


@kernel
def _filter(b, d, least, g, t):
    """d = b (bᵀ b + least)⁻¹ (bᵀ d − least): what the Wiener filter of the patches b changes in them."""
    for top in range(0, _GROUP, ROWS):
        first = top // LANES * LANES
        for left in range(first, _GROUP, LANES):
            products(g, top * _GROUP + left, _GROUP, b, top, 1, _GROUP, b, left, _GROUP, _PIXELS, False)
        products(t, top * _TREATED, _TREATED, b, top, 1, _GROUP, d, 0, _GROUP, _PIXELS, False)
    trace = g.dtype.type(0)
    for i in range(_GROUP):
        trace += g[i * _GROUP + i]
    least = max(least, _ROUNDED * trace, _NONE)
    for m in range(_TREATED):
        t[m * _TREATED + m] -= least
    _solve(g, t, least)
    for top in range(0, _PIXELS, ROWS):
        products(d, top * _GROUP, _GROUP, b, top * _GROUP, _GROUP, 1, t, 0, _TREATED, _GROUP, False)


@kernel
def _deviations(b, d):
    """Subtract b from d, and then its mean from each row of b."""
    for p in range(0, _PIXELS * _GROUP, _GROUP):
        mean, first = b.dtype.type(0), b[p]
        for m in range(p, p + _GROUP):
            d[m] -= b[m]
            b[m] -= first  # What is equal has no deviation, not even by rounding.
        for m in range(p, p + _GROUP, 4):
            mean += (b[m] + b[m + 1]) + (b[m + 2] + b[m + 3])
        mean /= b.dtype.type(_GROUP)
        for m in range(p, p + _GROUP):
            b[m] -= mean


@kernel
def _transformed(matrix, b, out):
    """out = matrix · b."""
    for top in range(0, _PIXELS, ROWS):
        for left in range(0, _GROUP, LANES):
            at = top * _GROUP + left
            products(out, at, _GROUP, matrix, top * _PIXELS, _PIXELS, 1, b, left, _GROUP, _PIXELS, False)


@kernel
def _add(d, places, top, left, total, count, number):
    """Add the changes d to the sums at the places of their patches, and `number` to how many these are."""
    for m in range(_TREATED):
        i, j = top + places[m] // SOUGHT, left + places[m] % SOUGHT
        for a in range(SIDE):
            target, times = total[i + a, j : j + SIDE], count[i + a, j : j + SIDE]
            for b in range(SIDE):
                target[b] += d[(a * SIDE + b) * _GROUP + m]
                times[b] += number


@kernel
def filter_groups(noisy, pilot, variance, whitening, colouring, rows, columns, origin, total, count):
    """Add up what Wiener filters change in patches similar to those at (y, x), y in `rows` and x in `columns`.

    `total` and `count`, how many changes were added, begin at row `origin`. Unless they are empty, the matrices
    `whitening` (C, 64 · 64) make the noise white, and `colouring` undo it.
    """
    channels, height, width = pilot.shape
    real, group, pixels = pilot.dtype.type, pilot.dtype.type(_GROUP), pilot.dtype.type(_PIXELS)
    distances, least, places = np.empty(SOUGHT * SOUGHT, real), np.empty(_GROUP, real), np.empty(_GROUP, np.int64)
    b, d, e = np.empty(_PIXELS * _GROUP, real), np.empty(_PIXELS * _GROUP, real), np.empty(_PIXELS * _GROUP, real)
    g, t = np.empty(_GROUP * _GROUP, real), np.empty(_GROUP * _TREATED, real)
    for y in rows:
        top = max(0, min(y - SOUGHT // 2, height - AREA))
        for x in columns:
            left = max(0, min(x - SOUGHT // 2, width - AREA))
            _distances(pilot, y, x, top, left, distances)
            _nearest(distances, least, places)
            v = real(0)
            for i in range(SIDE):
                for j in range(SIDE):
                    v += variance[y + i, x + j]
            v *= group / pixels
            for c in range(channels):
                _gather(pilot[c], places, top, left, b)
                _gather(noisy[c], places, top, left, d)
                _deviations(b, d)
                if len(whitening):
                    _transformed(whitening[c], b, e)
                    _transformed(whitening[c], d, b)
                    _filter(e, b, v, g, t)
                    _transformed(colouring[c], b, d)
                else:
                    _filter(b, d, v, g, t)
                _add(d, places, top - origin, left, total[c], count, real(c == 0))
