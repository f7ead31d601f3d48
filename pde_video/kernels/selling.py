"""Selling's reduction of many pixels at a time, and the exchange along the long offsets that it finds.

`anisotropic` reduces one tensor after the other in exact integers, for volumes and as the reference. Here, offsets are
packed into one number, row · PACK + column, as the reduction only adds them and changes their signs: a whole number in
the precision of the weights, which represents all that occur exactly.
"""

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import DIRICHLET, PERIODIC

PACK, _SHIFT, _HALF_PACK = 4096, 12, 2048  # Offsets reach below 2048 pixels.
LANES = 16  # The most values that one instruction processes.


@kernel
def _reduce_once(p0, p1, p2, e0, e1, e2, start, n, zero):
    """One reduction of each superbase with a negative p (at most one is); return how many there were."""
    count = 0
    for k in range(n):
        x = start + k
        a, b, c = p0[x], p1[x], p2[x]
        d, e, f = e0[x], e1[x], e2[x]
        na, nb, nc = a < zero, b < zero, c < zero
        s = (min(a, zero) + min(b, zero)) + min(c, zero)
        count += s < zero
        s = s + s
        u, v, w = a + s, b + s, c + s
        ef, fd, de = e - f, f - d, d - e
        p0[x] = -a if na else u
        p1[x] = -b if nb else v
        p2[x] = -c if nc else w
        e0[x] = ef if na else (-d if nc else d)
        e1[x] = fd if nb else (-e if na else e)
        e2[x] = de if nc else (-f if nb else f)
    return count


@kernel
def list_pixels(excess, first, last, columns, count):
    """List the columns first ≤ j < last whose excess is not ≤ 0, from entry `count` on; return the next entry."""
    zero, found = excess.dtype.type(0), 0
    for j in range(np.uint64(first), np.uint64(last)):
        found += not excess[j] <= zero
    if found > 0:
        for j in range(np.uint64(first), np.uint64(last)):  # Most are overwritten: there is no branch to mispredict.
            columns[count] = j
            count += not excess[j] <= zero
    return count


@kernel
def reduce_listed(a, b, c, columns, p, e, start, stop, most):
    """Reduce the superbases of the pixels listed from `start` to `stop` in at most `most` steps.

    a, b, c are the entries 11, 12, 22 of a row. Writes weights p (3, size) and offsets e, at first those of the initial
    superbases. The last group of LANES is filled up with zeros.
    """
    zero = p.dtype.type(0)
    for x in range(np.uint64(start), np.uint64(stop)):
        j = np.uint64(columns[x])
        p[0, x], p[1, x], p[2, x] = c[j] + b[j], a[j] + b[j], -b[j]
        e[0, x], e[1, x], e[2, x] = 1, -PACK, PACK - 1
    padded = (stop - start + LANES - 1) // LANES * LANES
    for x in range(stop, start + padded):
        for m in range(3):
            p[m, x], e[m, x] = zero, zero
    rows = (p[0], p[1], p[2], e[0], e[1], e[2])
    for _ in range(most):
        if _reduce_once(*rows, np.uint64(start), np.uint64(padded), zero) == 0:
            break


@kernel
def _exchange_anywhere(y, out, sums, i, j, w, e1, e2, first, last, boundary):
    """The exchange of a pixel with the two at ±(e1, e2), written to the rows first ≤ i < last only."""
    channels, n1, n2 = y.shape
    ring, row, here = sums.shape[0], i % n1, first <= i < last
    k0, l0, k1, l1 = i - e1, j - e2, i + e1, j + e2
    away0, away1 = first <= k0 < last, first <= k1 < last
    inside0, inside1 = 0 <= k0 < n1 and 0 <= l0 < n2, 0 <= k1 < n1 and 0 <= l1 < n2
    other0, other1 = k0, k1
    if boundary == PERIODIC:
        other0, l0, other1, l1, inside0, inside1 = k0 % n1, l0 % n2, k1 % n1, l1 % n2, True, True
    zero = w - w  # In the precision of w; NaN stays NaN.
    missing = w + w if boundary == DIRICHLET else zero
    if away0 and inside0:
        sums[k0 % ring, l0] += w
    if away1 and inside1:
        sums[k1 % ring, l1] += w
    if here:
        sums[i % ring, j] += (w if inside0 else missing) + (w if inside1 else missing)
    for c in range(channels):
        z = y[c, row, j]
        f = w * (y[c, other0, l0] - z) if inside0 else -missing * z
        g = w * (y[c, other1, l1] - z) if inside1 else -missing * z
        if away0 and inside0:
            out[c, other0, l0] -= f
        if away1 and inside1:
            out[c, other1, l1] -= g
        if here:
            out[c, row, j] += f + g


@kernel
def exchange(y, out, sums, i, columns, p, e, start, n, first, last, reach, boundary):
    """Exchange along the offsets of the `n` listed pixels of row `i`, written to the rows first ≤ i < last.

    Adds what each pixel gains to `out` (C, N1, N2), and the weights of its pairs to `sums`, a ring of rows. Away from
    the borders this needs no tests, and positions are sums of offsets.
    """
    channels, n1, n2 = y.shape
    ring, plane = sums.shape[0], n1 * n2
    flat_y, flat_out, flat_sums = y.reshape(-1), out.reshape(-1), sums.reshape(-1)
    far_in = max(first, 0) + reach <= i < min(last, n1) - reach
    slot = i % ring
    p0, p1, p2, e0, e1, e2 = p[0], p[1], p[2], e[0], e[1], e[2]
    for x in range(np.uint64(start), np.uint64(start + n)):
        j = np.int64(columns[x])
        within = far_in and reach <= j < n2 - reach
        for m in range(3):
            w = p0[x] if m == 0 else (p1[x] if m == 1 else p2[x])
            packed = np.int64(e0[x] if m == 0 else (e1[x] if m == 1 else e2[x]))
            rows = (packed + _HALF_PACK) >> _SHIFT
            aside = packed - rows * PACK
            if w <= 0 or abs(rows) > reach or abs(aside) > reach:
                continue  # Only rounding makes longer offsets, with negligible weights.
            if not within:
                _exchange_anywhere(y, out, sums, i, j, w, rows, aside, first, last, boundary)
                continue
            before, after = slot - rows, slot + rows
            before += ring if before < 0 else (-ring if before >= ring else 0)
            after += ring if after < 0 else (-ring if after >= ring else 0)
            flat_sums[np.uint64(before * n2 + j - aside)] += w
            flat_sums[np.uint64(after * n2 + j + aside)] += w
            flat_sums[np.uint64(slot * n2 + j)] += w + w
            here, step = i * n2 + j, rows * n2 + aside
            for c in range(channels):
                a, b, d = np.uint64(here - step), np.uint64(here), np.uint64(here + step)
                z = flat_y[b]
                f, g = w * (flat_y[a] - z), w * (flat_y[d] - z)
                flat_out[a] -= f
                flat_out[d] -= g
                flat_out[b] += f + g
                here += plane


@kernel
def _largest(totals, i, j, e1, e2, boundary):
    """The largest total of a pixel and the two at ±(e1, e2)."""
    n1, n2 = totals.shape
    largest = totals[i % n1, j]
    for sign in (-1, 1):
        k, m = i + sign * e1, j + sign * e2
        if boundary == PERIODIC:
            largest = max(largest, totals[k % n1, m % n2])
        elif 0 <= k < n1 and 0 <= m < n2:
            largest = max(largest, totals[k, m])
    return largest


@kernel
def limit_compact(w, i, totals, cap, boundary):
    """Limit the weights w (offset, column) of row `i` on (1, 0), (0, 1), (1, 1) and (1, −1), as `anisotropic.limit`."""
    n1, n2 = totals.shape
    found = 0
    for k in range(i - 1, i + 2):
        if boundary == PERIODIC or 0 <= k < n1:
            row = totals[k % n1]
            for j in range(n2):
                found += row[j] > cap
    if found > 0:
        for m, e1, e2 in ((0, 1, 0), (1, 0, 1), (2, 1, 1), (3, 1, -1)):
            for j in range(n2):
                largest = _largest(totals, i, j, e1, e2, boundary)
                if largest > cap:
                    w[m, j] *= cap / largest


@kernel
def limit_listed(columns, p, e, start, n, i, totals, cap, boundary):
    """As `limit_compact`, for the weights of the `n` listed pixels of row `i`."""
    for x in range(start, start + n):
        for m in range(3):
            packed = np.int64(e[m, x])
            e1 = (packed + _HALF_PACK) >> _SHIFT
            largest = _largest(totals, i, np.int64(columns[x]), e1, packed - e1 * PACK, boundary)
            if largest > cap:
                p[m, x] *= cap / largest
