"""Selling's reduction for many pixels side by side, and the exchange along the long offsets that it finds.

Offsets are packed into one integer, row · PACK + column: the reduction only adds them and changes their signs.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.diffusion import DIRICHLET, PERIODIC
from pde_video.kernels.jit import kernel

PACK, _SHIFT, _HALF_PACK = 4096, 12, 2048  # Offsets reach below 2048 pixels.


@kernel
def _reduce_once(p0, p1, p2, e0, e1, e2, start, n, zero):
    """One reduction wherever a p is negative (never two are); return how many there were."""
    count = 0
    for k in range(n):
        x = start + k
        a, b, c = p0[x], p1[x], p2[x]
        d, e, f = e0[x], e1[x], e2[x]
        na, nb, nc = a < zero, b < zero, c < zero
        s = (min(a, zero) + min(b, zero)) + min(c, zero)
        count += s < zero
        s = s + s
        p0[x] = -a if na else a + s
        p1[x] = -b if nb else b + s
        p2[x] = -c if nc else c + s
        e0[x] = e - f if na else (-d if nc else d)
        e1[x] = f - d if nb else (-e if na else e)
        e2[x] = d - e if nc else (-f if nb else f)
    return count


@kernel
def reduce_row(p, e, start, n, most, zero):
    """Reduce the `n` superbases from `start` on, in at most `most` steps: p then are weights, e offsets.

    p (3, size) begins as D₂₂ + D₁₂, D₁₁ + D₁₂ and −D₁₂, e as the offsets (0, 1), (−1, 0) and (1, −1).
    """
    start, n = np.uint64(start), np.uint64(n)
    p0, p1, p2, e0, e1, e2 = p[0], p[1], p[2], e[0], e[1], e[2]
    for _ in range(most):
        if _reduce_once(p0, p1, p2, e0, e1, e2, start, n, zero) == 0:
            break


@kernel
def list_pixels(excess, a, b, c, begin, end, columns, p, e, count):
    """List the pixels of a part of a row whose excess is not ≤ 0, with the entries 11, 12 and 22 of D in a, b, c."""
    for j in range(begin, end):
        if not excess[j] <= 0:
            columns[count] = j
            p[0, count], p[1, count], p[2, count] = c[j] + b[j], a[j] + b[j], -b[j]
            e[0, count], e[1, count], e[2, count] = 1, -PACK, PACK - 1
            count += 1
    return count


@kernel
def exchange(y, out, sums, i, columns, p, e, start, n, first, last, reach, boundary):
    """Give and take along the offsets of the `n` listed pixels of row `i`, in the rows from `first` to `last`.

    out (C, N1, N2) receives what each pixel gains, `sums` (a ring of rows) the weights of the pairs it is in.
    """
    channels, n1, n2 = y.shape
    ring = sums.shape[0]
    here = first <= i < last
    row = i % n1
    for x in range(start, start + n):
        j = columns[x]
        for m in range(3):
            w = p[m, x]
            if w <= 0:
                continue
            e1 = np.int64(e[m, x] + _HALF_PACK) >> _SHIFT
            e2 = np.int64(e[m, x]) - e1 * PACK
            if abs(e1) > reach:
                continue  # Rounding alone makes such offsets, of a weight that is nothing.
            for sign in (-1, 1):
                k, l = i + sign * e1, j + sign * e2
                away = first <= k < last
                if not (here or away):
                    continue
                if boundary == PERIODIC:
                    other = k % n1
                    l %= n2
                elif 0 <= k < n1 and 0 <= l < n2:
                    other = k
                else:
                    if boundary == DIRICHLET and here:
                        sums[i % ring, j] += w + w
                        for c in range(channels):
                            out[c, row, j] -= (w + w) * y[c, row, j]
                    continue
                if here:
                    sums[i % ring, j] += w
                if away:
                    sums[k % ring, l] += w
                for c in range(channels):
                    flux = w * (y[c, other, l] - y[c, row, j])
                    if here:
                        out[c, row, j] += flux
                    if away:
                        out[c, other, l] -= flux
