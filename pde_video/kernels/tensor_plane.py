"""Diffusion of a plane by the structure tensor of itself, in one pass down the rows.

Everything between the picture and its rate stays in ring buffers of a few rows: smoothed rows v, rows of the structure
tensor J, rows of weights. Where |D₁₂| ≤ min(D₁₁, D₂₂), Selling's offsets are (1, 0), (0, 1) and (1, ±1), and the rate
is a sum over the eight neighbours; the other pixels are listed, and exchange along their own offsets once the rows they
reach have been written.

The result does not depend on how a picture is cut into bands of rows: a band computes everything it needs itself.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.conductance import conductance
from pde_video.kernels.jit import kernel
from pde_video.kernels.plane_rows import (
    across_edges,
    along_lines,
    compact_weights,
    differences,
    eight,
    inverse_coherence,
    products,
    rational_entries,
    rational_weights,
    trace,
)
from pde_video.kernels.rows import DIRICHLET, PERIODIC, fill_rim, inside, weighted
from pde_video.kernels.selling import LANES, exchange, find_pixels, limit_compact, limit_listed, reduce_row, superbases

_RIM = 16  # Unused values before each row of a ring that has rims: more than a rim of one, and rows stay aligned.
_FAR = 1 << 40
_BLOCK = 64


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
def _smooth_row(flat, taps, ring, c, r, n1, n2, slots, strip, places, along, boundary):
    """Write row `r` of channel `c`, smoothed both ways, and its rim of one, into the ring (channel, row, column)."""
    m, pitch = taps.shape[0] - 1, n2 + 2 * _RIM
    at = (c * (slots + 1) + r % slots) * pitch + _RIM
    whole = _places(r % n1 if boundary == PERIODIC else r, m, n1, boundary, n1, n2, c * n1 * n2, -1, places)
    if m == 0:
        weighted(flat, places, 0, True, taps, ring, at, n2)
    else:
        weighted(flat, places, m, whole, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, along, m, True, taps, ring, at, n2)
    fill_rim(ring, at, n2, 1, boundary)


@kernel
def _differences_row(ring, c, r, n1, n2, slots, places, stencil, down, across, boundary):
    """Write row `r` of the differences and of the weighted sums of channel `c` along columns, with a rim."""
    pitch = n2 + 2 * _RIM
    base = c * (slots + 1) * pitch + _RIM - 1
    _places(r, 1, n1, boundary, slots, pitch, base, base + slots * pitch, places)
    a, b, d = np.uint64(places[0]), np.uint64(places[1]), np.uint64(places[2])
    differences(ring, a, b, d, down, across, stencil[2], stencil[3], np.uint64(n2 + 2))


@kernel
def _integrated_row(flat, r, n1, n2, slots, taps, strip, places, along, mean, boundary):
    """Write row `r` of the tensor in the ring (row, entry, column), smoothed both ways, into mean (entry, column)."""
    m = taps.shape[0] - 1
    for entry in range(3):
        whole = _places(r, m, n1, boundary, slots, 3 * n2, entry * n2, -1, places)
        weighted(flat, places, m, whole, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, along, m, True, taps, mean, entry * n2, n2)


@kernel
def _listed(rational, excess, down, across, a, b, c, rule, stencil, n2, columns, p, e, start):
    """List the pixels of a row that need longer offsets, from `start` on; return how many there are."""
    h, steep, flat, zero = rule
    count = start
    for begin in range(0, n2, _BLOCK):
        end = min(begin + _BLOCK, n2)
        found = 0
        for j in range(np.uint64(begin), np.uint64(end)):
            found += not excess[j] <= zero
        if found > 0:
            if rational:
                u, v = np.uint64(begin), np.uint64(end)
                rational_entries(down, across, a, b, c, h, steep, flat, stencil[0], stencil[1], u, v)
            before, count = count, find_pixels(excess, begin, end, columns, count, zero)
            superbases(a, b, c, columns, p, e, before, count)
    return count - start


@kernel
def _rate_row(y, flat_y, w, flat_w, out, flat_out, sums, flat_sums, f, boundary):
    """Write row `f` of the rate along the offsets to the eight neighbours, and its sums of weights."""
    channels, n1, n2 = y.shape
    pitch, row, step = w.shape[2], f % n1, 4 * w.shape[2]
    if not ((boundary == PERIODIC or 0 < f < n1 - 1) and n2 > 2):
        for j in range(n2):
            _one_pixel(y, w, out, sums, f, j, boundary)
        return
    _one_pixel(y, w, out, sums, f, 0, boundary)
    _one_pixel(y, w, out, sums, f, n2 - 1, boundary)
    above, here, below = ((f - 1) % 4) * step, (f % 4) * step, ((f + 1) % 4) * step
    for c in range(channels):
        o = (c * n1 + row) * n2
        up, down = (c * n1 + (f - 1) % n1) * n2, (c * n1 + (f + 1) % n1) * n2
        eight(
            flat_y, np.uint64(up), np.uint64(o), np.uint64(down),
            np.uint64(above), np.uint64(here), np.uint64(below), np.uint64(pitch), flat_w,
            flat_out, flat_sums, np.uint64(o), np.uint64((f % sums.shape[0]) * n2), np.uint64(n2),
        )  # fmt: skip


@kernel
def _conduct(row, g, inverse_kappa, per_unit):
    for j in range(row.shape[0]):
        row[j] = conductance(g, row[j] * per_unit, inverse_kappa)


@kernel
def plane_rate(
    y, source, out, sums, totals, exceeding, first, last, taps, mean_taps, stencil, h, kind, conducts, rule, limits,
    boundary, constants,
):  # fmt: skip
    """Write the rows first ≤ i < last of div(D ∇y), and mark rows with a sum of weights above the cap in `exceeding`.

    `sums` is a ring of at least 2 · far + 2 rows; with N1 rows it holds all sums in the end. `totals` are such sums of
    all rows, by which weights above the cap are limited; an empty array limits none.

    D is that of `source` (C, N1, N2), smoothed by `taps`, and of its structure tensor, smoothed by `mean_taps`: the
    halves of symmetric kernels, from their centres on. `stencil` holds the weights of the derivatives: 3 and 10 along
    rows, 3 and 10 along columns, times a scale. `kind` is 0 (edge-enhancing), -1 (coherence-enhancing), both with the
    conductance `conducts`, or -2 for the rational conductance of the gradient of one channel, where `rule` holds the
    numbers of `rational_weights`. h = ½ / (h_a h_b) for the entries 11, 12, 22. `limits` are 1/κ, the smallest
    eigenvalue, the cap, and the greatest length of an offset.
    """
    channels, n1, n2 = y.shape
    zero, one, tiny, half, nothing, per_unit = constants
    inverse_kappa, least, cap, far = limits
    reach, rational = np.int64(far), kind == -2
    m, rho = taps.shape[0] - 1, mean_taps.shape[0] - 1
    widest = max(m, rho, 1)
    places, along_m, along_rho = np.empty(2 * widest + 1, np.int64), np.arange(2 * m + 1), np.arange(2 * rho + 1)
    strip, ring = np.empty(n2 + 2 * widest, y.dtype), np.zeros(channels * 5 * (n2 + 2 * _RIM), y.dtype)
    down, across = np.empty(n2 + 2, y.dtype), np.empty(n2 + 2, y.dtype)
    j_slots = 2 * rho + 1
    tensor, mean = np.empty((1 if rational else j_slots) * 3 * n2, y.dtype), np.empty(3 * n2, y.dtype)
    a, b, c = np.empty(n2, y.dtype), np.empty(n2, y.dtype), np.empty(n2, y.dtype)
    g, excess = np.empty(n2, y.dtype), np.empty(n2, y.dtype)
    w, limited = np.zeros((4, 4, n2 + _RIM), y.dtype), totals.size > 0
    slots, size = reach + 2, n2 + LANES
    columns, listed = np.empty(slots * size, np.int32), np.zeros(slots, np.int64)
    p, e = np.empty((3, slots * size), y.dtype), np.empty((3, slots * size), y.dtype)
    flat_y, flat_source, flat_out = y.reshape(-1), source.reshape(-1), out.reshape(-1)
    flat_sums, flat_w = sums.reshape(-1), w.reshape(-1)
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
                        _smooth_row(flat_source, taps, ring, k, next_v, n1, n2, 4, strip, places, along_m, boundary)
                    next_v += 1
                o = np.uint64((next_j % j_slots) * 3 * n2)
                for k in range(channels):
                    _differences_row(ring, k, next_j, n1, n2, 4, places, stencil, down, across, boundary)
                    if rational:
                        continue
                    products(down, across, tensor, o, o + n, o + n + n, stencil[0], stencil[1], n, k > 0)
                next_j += 1
            q0 = np.uint64((s % 4) * 4) * pitch
            q1, q2, q3 = q0 + pitch, q0 + pitch + pitch, q0 + pitch + pitch + pitch
            if rational:
                scale, steep, flat, _ = rule
                rational_weights(
                    down, across, flat_w, q0, q1, q2, q3, excess, scale, steep, flat, stencil[0], stencil[1], zero, n
                )
            else:
                if rho > 0:
                    _integrated_row(tensor, s, n1, n2, j_slots, mean_taps, strip, places, along_rho, mean, boundary)
                t = mean if rho > 0 else tensor
                o0, o1, o2 = n - n, n, n + n
                if kind < 0:
                    inverse_coherence(t, o0, o1, o2, g, one, tiny, n)
                    _conduct(g, conducts, inverse_kappa, per_unit)
                    along_lines(t, o0, o1, o2, g, a, b, c, h[0], h[1], h[2], least, zero, one, half, nothing, n)
                else:
                    trace(t, o0, o2, g, n)
                    _conduct(g, conducts, inverse_kappa, per_unit)
                    across_edges(t, o0, o1, o2, g, a, b, c, h[0], h[1], h[2], least, zero, one, half, nothing, n)
                compact_weights(a, b, c, flat_w, q0, q1, q2, q3, excess, zero, n)
            x, start = s % slots, (s % slots) * size
            listed[x] = _listed(rational, excess, down, across, a, b, c, rule, stencil, n2, columns, p, e, start)
            if listed[x] > 0:
                reduce_row(p, e, start, listed[x], 4 * reach + 8, zero)
            if limited:
                limit_compact(w[s % 4], s, totals, cap, boundary)
                limit_listed(columns, p, e, start, listed[x], s, totals, cap, boundary)
        f = s - 1
        if first <= f < last:
            _rate_row(y, flat_y, w, flat_w, out, flat_out, sums, flat_sums, f, boundary)
        done = f - reach
        if begin <= done < end and listed[done % slots] > 0:
            x = done % slots
            exchange(
                y, flat_y, out, flat_out, sums, flat_sums, done, columns, p, e, x * size, listed[x], first, last, reach,
                boundary,
            )  # fmt: skip
        complete = done - reach
        if first <= complete < last:
            row = (complete % sums.shape[0]) * n2
            for j in range(np.uint64(row), np.uint64(row + n2)):
                exceeding[complete] |= flat_sums[j] > cap
