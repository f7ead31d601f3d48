"""Shrinkage of the cosine coefficients of all 8 × 8 windows, many windows side by side.

Windows start at every `step`-th row and column. A strip of windows is worked on in chunks of at most 128 pixels: the
columns of the chunk are transformed where they lie, next to each other; then pixels that are `step` apart are brought
together, so that neighbouring windows lie next to each other for the transform of their rows and for the shrinkage.
Rows of all buffers are `_WIDE` apart, a constant: thus a compiler sees that they do not overlap.
"""

from __future__ import annotations

import math

import numpy as np

from pde_video.kernels.jit import kernel

_SIDE = np.uint64(8)
_CHUNK = np.uint64(128)  # Pixels between the first columns of two chunks; a multiple of every step.
_WIDE = np.uint64(136)  # Pixels that the windows of a chunk reach over, at most.
_ONE, _ZERO = np.uint64(1), np.uint64(0)
# √(1/8), and ½ cos(kπ/16) for k = 1..7.
CONSTANTS = np.array([math.sqrt(0.125)] + [0.5 * math.cos(k * math.pi / 16) for k in range(1, 8)])


@kernel
def _forward(b, base, n, c):
    """Transform eight rows of a buffer, in place: coefficient k of a column goes to row k.

    In sums and differences only: of equal values, every coefficient but the first is exactly 0.
    """
    a, c1, c2, c3, c5, c6, c7 = c[0], c[1], c[2], c[3], c[5], c[6], c[7]
    r0, r1, r2, r3 = base, base + _WIDE, base + np.uint64(2) * _WIDE, base + np.uint64(3) * _WIDE
    r4, r5, r6, r7 = (
        base + np.uint64(4) * _WIDE,
        base + np.uint64(5) * _WIDE,
        base + np.uint64(6) * _WIDE,
        base + np.uint64(7) * _WIDE,
    )
    for i in range(n):
        s0, s1, s2, s3 = b[r0 + i] + b[r7 + i], b[r1 + i] + b[r6 + i], b[r2 + i] + b[r5 + i], b[r3 + i] + b[r4 + i]
        d0, d1, d2, d3 = b[r0 + i] - b[r7 + i], b[r1 + i] - b[r6 + i], b[r2 + i] - b[r5 + i], b[r3 + i] - b[r4 + i]
        t0, t1, t2, t3 = s0 + s3, s1 + s2, s1 - s2, s0 - s3
        b[r0 + i] = (t0 + t1) * a
        b[r4 + i] = (t0 - t1) * a
        b[r2 + i] = t3 * c2 + t2 * c6
        b[r6 + i] = t3 * c6 - t2 * c2
        b[r1 + i] = d0 * c1 + d1 * c3 + d2 * c5 + d3 * c7
        b[r3 + i] = d0 * c3 - d1 * c7 - d2 * c1 - d3 * c5
        b[r5 + i] = d0 * c5 - d1 * c1 + d2 * c7 + d3 * c3
        b[r7 + i] = d0 * c7 - d1 * c5 + d2 * c3 - d3 * c1


@kernel
def _backward(b, base, n, c):
    """Undo `_forward`: its transpose."""
    a, c1, c2, c3, c5, c6, c7 = c[0], c[1], c[2], c[3], c[5], c[6], c[7]
    r0, r1, r2, r3 = base, base + _WIDE, base + np.uint64(2) * _WIDE, base + np.uint64(3) * _WIDE
    r4, r5, r6, r7 = (
        base + np.uint64(4) * _WIDE,
        base + np.uint64(5) * _WIDE,
        base + np.uint64(6) * _WIDE,
        base + np.uint64(7) * _WIDE,
    )
    for i in range(n):
        x1, x3, x5, x7 = b[r1 + i], b[r3 + i], b[r5 + i], b[r7 + i]
        t0, t1 = (b[r0 + i] + b[r4 + i]) * a, (b[r0 + i] - b[r4 + i]) * a
        t3, t2 = b[r2 + i] * c2 + b[r6 + i] * c6, b[r2 + i] * c6 - b[r6 + i] * c2
        s0, s1, s2, s3 = t0 + t3, t1 + t2, t1 - t2, t0 - t3
        d0 = x1 * c1 + x3 * c3 + x5 * c5 + x7 * c7
        d1 = x1 * c3 - x3 * c7 - x5 * c1 - x7 * c5
        d2 = x1 * c5 - x3 * c1 + x5 * c7 + x7 * c3
        d3 = x1 * c7 - x3 * c5 + x5 * c3 - x7 * c1
        b[r0 + i], b[r7 + i] = s0 + d0, s0 - d0
        b[r1 + i], b[r6 + i] = s1 + d1, s1 - d1
        b[r2 + i], b[r5 + i] = s2 + d2, s2 - d2
        b[r3 + i], b[r4 + i] = s3 + d3, s3 - d3


@kernel
def _folded(i, n):
    """Reflect an index at the edges of n values, as often as it takes: … 1 0 | 0 1 … n−1 | n−1 n−2 …"""
    i = i % (2 * n)
    return i if i < n else 2 * n - 1 - i


@kernel
def _load(plane, top, left, pixels, b):
    """Copy eight rows of a plane, from (top, left) on, reflected at its edges."""
    height, width = plane.shape
    inside = left >= 0 and left + pixels <= width
    for k in range(8):
        row, at = plane[_folded(top + k, height)], np.uint64(k) * _WIDE
        if inside:
            part = row[left : left + pixels]
            for x in range(np.uint64(pixels)):
                b[at + x] = part[x]
        else:
            for x in range(pixels):
                b[at + np.uint64(x)] = row[_folded(left + x, width)]


@kernel
def _transform(b, step, lanes, pixels, c, apart, z):
    """Make of the pixels `b` the coefficients `z` of all windows: row 8 k + l holds coefficient (k, l)."""
    _forward(b, _ZERO, _WIDE, c)
    gap = _WIDE // step
    for k in range(_SIDE):
        for phase in range(step):
            for i in range((pixels - phase + step - _ONE) // step):
                apart[phase * gap + i] = b[k * _WIDE + phase + i * step]
        for q in range(_SIDE):
            source, target = q % step * gap + q // step, (_SIDE * k + q) * _WIDE
            for i in range(lanes):
                z[target + i] = apart[source + i]
        _forward(z, _SIDE * k * _WIDE, lanes, c)


@kernel
def _variances(b, step, lanes, pixels, v):
    """Put the mean of each window's pixels into `v`, never 0: a coefficient of 0 is divided by its square plus this."""
    for k in range(_ONE, _SIDE):
        for x in range(pixels):
            b[x] += b[k * _WIDE + x]
    share, least = b.dtype.type(1 / 64), b.dtype.type(1e-30)
    for i in range(lanes):
        total = b[i * step]
        for q in range(_ONE, _SIDE):
            total += b[i * step + q]
        v[i] = max(total * share, least)


@kernel
def _cut(z, lanes, v, threshold, kept):
    """Keep of z what shrinkage takes away: coefficients within `threshold` deviations, the first excepted."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    squared = threshold * threshold
    for i in range(lanes):
        z[i] = zero
        kept[i] = one
    for k in range(_ONE, _SIDE * _SIDE):
        at = k * _WIDE
        for i in range(lanes):
            stays = z[at + i] * z[at + i] > squared * v[i]
            kept[i] += one if stays else zero
            z[at + i] = zero if stays else z[at + i]


@kernel
def _attenuate(z, pilot, lanes, v, kept):
    """Keep of z what shrinkage takes away: v / (p² + v) of it, p being the pilot's coefficient, the first excepted."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    for i in range(lanes):
        z[i] = zero
        kept[i] = one
    for k in range(_ONE, _SIDE * _SIDE):
        at = k * _WIDE
        for i in range(lanes):
            power = pilot[at + i] * pilot[at + i]
            gain = power / (power + v[i])
            kept[i] += gain * gain
            z[at + i] = (one - gain) * z[at + i]


@kernel
def _back(z, step, lanes, pixels, c, weight, window, apart, b, weights):
    """Make of coefficients the weighted pixels `b` of the chunk, and the sums of the weights in one row of it."""
    zero = z.dtype.type(0)
    gap = _WIDE // step
    for phase in range(step):
        for i in range(gap):
            apart[phase * gap + i] = zero
    for q in range(_SIDE):
        at, share = q % step * gap + q // step, window[q]
        for i in range(lanes):
            apart[at + i] += share * weight[i]
    for phase in range(step):
        for i in range((pixels - phase + step - _ONE) // step):
            weights[phase + i * step] = apart[phase * gap + i]
    for k in range(_SIDE):
        _backward(z, _SIDE * k * _WIDE, lanes, c)
        for i in range(_WIDE):
            apart[i] = zero
        for q in range(_SIDE):
            source, at, share = (_SIDE * k + q) * _WIDE, q % step * gap + q // step, window[q]
            for i in range(lanes):
                apart[at + i] += share * weight[i] * z[source + i]
        for phase in range(step):
            for i in range((pixels - phase + step - _ONE) // step):
                b[k * _WIDE + phase + i * step] = apart[phase * gap + i]
    _backward(b, _ZERO, _WIDE, c)


@kernel
def shrink(plane, pilot, guided, variance, threshold, step, window, constants, first, last, out):
    """out = plane − Σ weighted (what shrinkage takes from each window) / Σ weights, for rows first ≤ r < last.

    Without a pilot, coefficients within `threshold` deviations of the noise go; with one (`guided`), each is
    multiplied by p² / (p² + v). A window weighs 1 / (v · what is left of its noise), times `window` for the pixel's
    place in it.
    """
    width = plane.shape[1]
    before, jump = 8 - step, np.uint64(step)  # Windows begin this far outside, so all pixels are in equally many.
    across = (width + 7 - step) // step + 1
    b, p, v8 = (
        np.empty(_SIDE * _WIDE, plane.dtype),
        np.empty(_SIDE * _WIDE, plane.dtype),
        np.empty(_SIDE * _WIDE, plane.dtype),
    )
    z, y = np.empty(_SIDE * _SIDE * _WIDE, plane.dtype), np.empty(_SIDE * _SIDE * _WIDE, plane.dtype)
    apart, weights = np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype)
    v, kept, weight = np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype)
    room = across * step + 16
    taken, total = np.zeros((8, room), plane.dtype), np.zeros((8, room), plane.dtype)
    one = plane.dtype.type(1)
    at_once = 128 // step
    top = first // step * step - before
    while top < last:
        for begin in range(0, across, at_once):
            n = min(at_once, across - begin)
            lanes, pixels, left = np.uint64(n), n * step + 8 - step, begin * step - before
            wide = np.uint64(pixels)
            for x in range(_SIDE * _WIDE):
                b[x] = plane.dtype.type(0)
            _load(variance, top, left, pixels, v8)
            _variances(v8, jump, lanes, wide, v)
            _load(plane, top, left, pixels, b)
            _transform(b, jump, lanes, wide, constants, apart, z)
            if guided:
                _load(pilot, top, left, pixels, p)
                _transform(p, jump, lanes, wide, constants, apart, y)
                _attenuate(z, y, lanes, v, kept)
            else:
                _cut(z, lanes, v, threshold, kept)
            for i in range(lanes):
                weight[i] = one / (kept[i] * v[i])
            _back(z, jump, lanes, wide, constants, weight, window, apart, b, weights)
            for k in range(8):
                slot = (top + k + 8) % 8
                a, t, share = taken[slot, begin * step :], total[slot, begin * step :], window[k]
                at = np.uint64(k) * _WIDE
                for x in range(wide):
                    a[x] += share * b[at + x]
                    t[x] += share * weights[x]
        for k in range(step):  # The rows that no further strip reaches.
            r = top + k
            slot = (r + 8) % 8
            if first <= r < last:
                a, t = taken[slot, before : before + width], total[slot, before : before + width]
                source, target = plane[r], out[r]
                for x in range(width):
                    target[x] = source[x] - a[x] / t[x]
            for x in range(room):
                taken[slot, x] = plane.dtype.type(0)
                total[slot, x] = plane.dtype.type(0)
        top += step
