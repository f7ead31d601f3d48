"""Diffusion of a plane by the structure tensor of itself, in one pass down the rows.

Everything between the picture and its rate stays in ring buffers of a few rows: smoothed rows v, rows of the structure
tensor J, rows of weights. Where |D₁₂| ≤ min(D₁₁, D₂₂), Selling's offsets are (1, 0), (0, 1) and (1, ±1), and the rate
is a sum over the eight neighbours; the other pixels are listed, and exchange along their own offsets once the rows they
reach have been written.

The result does not depend on how a picture is cut into bands of rows: a band computes everything it needs itself.
"""

import numpy as np

from pde_video.kernels import plane_rows
from pde_video.kernels.conductance import conduct
from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import ABSENT, DIRICHLET, PERIODIC, fill_rim, inside, weighted
from pde_video.kernels.selling import LANES, exchange, limit_compact, limit_listed, list_pixels, reduce_listed

_RIM = 16  # Unused values before each row of a ring that has rims: more than a rim of one, and rows stay aligned.
_SLOTS = 4  # Rows of the rings of smoothed values and of weights.
_FAR = 1 << 40
_BLOCK = 64  # Pixels that are looked at together.


@kernel
def _one_pixel(y, w, out, sums, i, j, boundary):
    """As `_eight` for one pixel anywhere. `w` is the ring (row, offset, column)."""
    channels, n1, n2 = y.shape
    slots, row = w.shape[0], i % n1
    total = w[0, 0, 0] - w[0, 0, 0]
    for c in range(channels):
        out[c, row, j] = 0
    for m in range(4):
        di, dj = (1 if m != 1 else 0), (0 if m == 0 else (-1 if m == 3 else 1))
        own = w[i % slots, m, j]
        for sign in (-1, 1):
            k, other = i + sign * di, j + sign * dj
            if boundary == PERIODIC:
                other %= n2
            elif not (0 <= k < n1 and 0 <= other < n2):
                if boundary == DIRICHLET:
                    total += own + own
                    for c in range(channels):
                        out[c, row, j] -= (own + own) * y[c, row, j]
                continue
            f = own + w[k % slots, m, other]
            total += f
            for c in range(channels):
                out[c, row, j] += f * (y[c, k % n1, other] - y[c, row, j])
    sums[i % sums.shape[0], j] = total


@kernel
def _places(r, m, n1, boundary, ring, step, offset, zeros, places):
    """Write the offsets of the rows r − m … r + m in a ring of rows of length `step`; return whether none is missing.

    Missing rows are at `zeros`. Rows of a periodic grid are not wrapped: the ring holds those beyond the border.
    """
    whole = True
    for k in range(-m, m + 1):
        i = r + k if boundary == PERIODIC else inside(r + k, n1, boundary)
        if i < 0 and boundary != PERIODIC:
            whole, places[k + m] = False, zeros
        else:
            places[k + m] = (i % ring) * step + offset
    return whole


@kernel
def _smooth_row(y, taps, ring, c, r, strip, places, along, boundary):
    """Write row `r` of channel `c`, smoothed both ways, and its rim of one, into the ring (channel, row, column)."""
    _, n1, n2 = y.shape
    flat, m, pitch = y.reshape(-1), taps.shape[0] - 1, n2 + 2 * _RIM
    at = (c * (_SLOTS + 1) + r % _SLOTS) * pitch + _RIM
    whole = _places(r % n1 if boundary == PERIODIC else r, m, n1, boundary, n1, n2, c * n1 * n2, ABSENT, places)
    if m == 0:
        weighted(flat, places, 0, True, taps, ring, at, n2)
    else:
        weighted(flat, places, m, whole, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, along, m, True, taps, ring, at, n2)
    fill_rim(ring, at, n2, 1, boundary)


@kernel
def _differences_row(ring, c, r, n1, n2, places, stencil, down, across, boundary):
    """Write row `r` of the differences and of the weighted sums of channel `c` along columns, with a rim."""
    pitch = n2 + 2 * _RIM
    base = c * (_SLOTS + 1) * pitch + _RIM - 1
    _places(r, 1, n1, boundary, _SLOTS, pitch, base, np.uint64(base + _SLOTS * pitch), places)
    plane_rows.differences(
        ring, places[0], places[1], places[2], down, across, stencil[2], stencil[3], np.uint64(n2 + 2)
    )


@kernel
def _integrated_row(flat, r, n1, n2, slots, taps, strip, places, along, mean, boundary):
    """Write row `r` of the tensor in the ring (row, entry, column), smoothed both ways, into mean (entry, column)."""
    m = taps.shape[0] - 1
    for entry in range(3):
        whole = _places(r, m, n1, boundary, slots, 3 * n2, entry * n2, ABSENT, places)
        weighted(flat, places, m, whole, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, along, m, True, taps, mean, entry * n2, n2)


@kernel
def _rate_row(y, w, out, sums, f, boundary):
    """Write row `f` of the rate along the offsets to the eight neighbours, and its sums of weights."""
    channels, n1, n2 = y.shape
    pitch, row, step = w.shape[2], f % n1, 4 * w.shape[2]
    if not ((boundary == PERIODIC or 0 < f < n1 - 1) and n2 > 2):
        for j in range(n2):
            _one_pixel(y, w, out, sums, f, j, boundary)
        return
    _one_pixel(y, w, out, sums, f, 0, boundary)
    _one_pixel(y, w, out, sums, f, n2 - 1, boundary)
    weights = (((f - 1) % _SLOTS) * step, (f % _SLOTS) * step, ((f + 1) % _SLOTS) * step)
    s = (f % sums.shape[0]) * n2
    for c in range(channels):
        values = ((c * n1 + (f - 1) % n1) * n2, (c * n1 + row) * n2, (c * n1 + (f + 1) % n1) * n2)
        plane_rows.eight(y.reshape(-1), values, w.reshape(-1), weights, pitch, out.reshape(-1), sums.reshape(-1), s, n2)


@kernel
def plane_rate(y, source, out, sums, totals, exceeding, first, last, recipe, boundary):
    """Write the rows first ≤ i < last of div(D ∇y), and mark rows with a sum of weights above the cap in `exceeding`.

    `sums` is a ring of at least 2 · far + 2 rows; with N1 rows it holds all sums in the end. `totals` are such sums of
    all rows, by which weights above the cap are limited; an empty array limits none.

    D is made by the `recipe` of `source` (C, N1, N2), smoothed by `taps`, and of its structure tensor, smoothed by
    `mean_taps`: the halves of symmetric kernels, from their centres on. `stencil` holds the weights of the derivatives:
    3 and 10 along rows, 3 and 10 along columns, times a scale. h = ½ / (h_a h_b) for the entries 11, 12, 22. `kind` is
    0 (edge-enhancing), -1 (coherence-enhancing), both with the conductance `conducts`, or -2 for the rational
    conductance of the gradient of one channel, where `rule` holds the numbers of `rational_weights`. Then follow the
    smallest eigenvalue, the cap, the greatest length of an offset, and the factor that brings squares to the unit of
    the conductance.
    """
    channels, n1, n2 = y.shape
    taps, mean_taps, stencil, h, kind, conducts, rule, (least, cap, reach, per_unit) = recipe
    rational = kind == -2
    m, rho = taps.shape[0] - 1, mean_taps.shape[0] - 1
    widest = max(m, rho, 1)
    places, along = np.empty(2 * widest + 1, np.uint64), np.arange(2 * widest + 1).astype(np.uint64)
    strip, ring = np.empty(n2 + 2 * widest, y.dtype), np.zeros(channels * (_SLOTS + 1) * (n2 + 2 * _RIM), y.dtype)
    down, across = np.empty(n2 + 2, y.dtype), np.empty(n2 + 2, y.dtype)
    j_slots = 2 * rho + 1
    tensor, mean = np.empty((1 if rational else j_slots) * 3 * n2, y.dtype), np.empty(3 * n2, y.dtype)
    a, b, c = np.empty(n2, y.dtype), np.empty(n2, y.dtype), np.empty(n2, y.dtype)
    g, excess = np.empty(n2, y.dtype), np.empty(n2, y.dtype)
    w, limited, flat_sums = np.zeros((_SLOTS, 4, n2 + _RIM), y.dtype), totals.size > 0, sums.reshape(-1)
    slots, size = reach + 2, n2 + LANES
    columns, listed = np.empty(slots * size, np.int32), np.zeros(slots, np.int64)
    p, e = np.empty((3, slots * size), y.dtype), np.empty((3, slots * size), y.dtype)
    n, pitch = np.uint64(n2), np.uint64(n2 + _RIM)

    low, high = (-_FAR, _FAR) if boundary == PERIODIC else (0, n1)
    begin, end = max(first - reach, low), min(last + reach, high)
    next_j = max(begin - rho, low)
    next_v = max(next_j - 1, low)
    for s in range(begin, last + 2 * reach + 1):
        if s < end:
            while next_j < min(s + rho + 1, high):
                while next_v < min(next_j + 2, high):
                    for k in range(channels):
                        _smooth_row(source, taps, ring, k, next_v, strip, places, along, boundary)
                    next_v += 1
                o = np.uint64((next_j % j_slots) * 3 * n2)
                for k in range(channels):
                    _differences_row(ring, k, next_j, n1, n2, places, stencil, down, across, boundary)
                    if not rational:
                        plane_rows.products(down, across, tensor, o, stencil[0], stencil[1], n, k > 0)
                next_j += 1
            flat_w, o = w.reshape(-1), np.uint64(s % _SLOTS * 4) * pitch
            if rational:
                plane_rows.rational_weights(down, across, flat_w, o, pitch, excess, *rule, stencil[0], stencil[1], n)
            else:
                if rho > 0:
                    _integrated_row(tensor, s, n1, n2, j_slots, mean_taps, strip, places, along, mean, boundary)
                t, coherence = mean if rho > 0 else tensor, kind < 0
                plane_rows.squared_contrast(t, g, coherence, per_unit, n)
                conduct(g, conducts, 0)
                plane_rows.entries(t, g, a, b, c, h, coherence, least, n)
                plane_rows.compact_weights(a, b, c, flat_w, o, pitch, excess, n)
            x, start = s % slots, (s % slots) * size
            stop = start
            for left in range(0, n2, _BLOCK):
                found, right = stop, min(left + _BLOCK, n2)
                stop = list_pixels(excess, left, right, columns, stop)
                if rational and stop > found:
                    part = (np.uint64(left), np.uint64(right))
                    plane_rows.rational_entries(down, across, a, b, c, *rule, stencil[0], stencil[1], *part)
            listed[x] = stop - start
            if listed[x] > 0:
                reduce_listed(a, b, c, columns, p, e, start, stop, 4 * reach + 8)
            if limited:
                limit_compact(w[s % _SLOTS], s, totals, cap, boundary)
                limit_listed(columns, p, e, start, listed[x], s, totals, cap, boundary)
        f = s - 1
        if first <= f < last:
            _rate_row(y, w, out, sums, f, boundary)
        done = f - reach
        if begin <= done < end and listed[done % slots] > 0:
            x = done % slots
            exchange(y, out, sums, done, columns, p, e, x * size, listed[x], first, last, reach, boundary)
        complete = done - reach
        if first <= complete < last:
            row = (complete % sums.shape[0]) * n2
            for j in range(np.uint64(row), np.uint64(row + n2)):
                exceeding[complete] |= flat_sums[j] > cap
