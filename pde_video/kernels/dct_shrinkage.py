"""Shrinkage of the cosine coefficients of all 8 × 8 windows, many windows side by side.

Windows start at every `step`-th row and column. A strip of windows is processed in chunks of 128 pixels: first the
columns of the chunk are transformed in place; then pixels that are `step` apart are gathered, so that neighbouring
windows are contiguous for the transform of their rows and for the shrinkage. The rows of all buffers are `_WIDE` apart,
a constant, which shows the compiler that they do not overlap.
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import NEUMANN, inside

_SIDE = np.uint64(8)
_CHUNK = 128  # Pixels between the first columns of two chunks; a multiple of every step.
_WIDE = np.uint64(136)  # Pixels that the windows of a chunk reach over, at most.
_ZERO, _ONE, _FOUR = np.uint64(0), np.uint64(1), np.uint64(4)
_LOW = np.uint64(4)  # Coefficients along each axis that count as low.
# √(1/8), and ½ cos(kπ/16) for k = 1..7.
CONSTANTS = np.array([math.sqrt(0.125)] + [0.5 * math.cos(k * math.pi / 16) for k in range(1, 8)])


@kernel
def _rows_from(base):
    """The offsets of eight consecutive rows of a buffer."""
    second, fourth = base + _WIDE + _WIDE, base + _FOUR * _WIDE
    sixth = fourth + _WIDE + _WIDE
    return base, base + _WIDE, second, second + _WIDE, fourth, fourth + _WIDE, sixth, sixth + _WIDE


@kernel
def _forward(b, base, n, c):
    """Transform eight rows of a buffer, in place: coefficient k of a column goes to row k.

    It uses sums and differences only: for a constant column, every coefficient but the first is exactly 0.
    """
    a, c1, c2, c3, c5, c6, c7 = c[0], c[1], c[2], c[3], c[5], c[6], c[7]
    r0, r1, r2, r3, r4, r5, r6, r7 = _rows_from(base)
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
    r0, r1, r2, r3, r4, r5, r6, r7 = _rows_from(base)
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
def _load(plane, top, left, pixels, b):
    """Copy eight rows of a plane, from (top, left) on, reflected at its edges."""
    height, width = plane.shape
    contained = left >= 0 and left + pixels <= width
    for k in range(8):
        row, at = plane[inside(top + k, height, NEUMANN)], np.uint64(k) * _WIDE
        if contained:
            part = row[left : left + pixels]
            for x in range(np.uint64(pixels)):
                b[at + x] = part[x]
        else:
            for x in range(pixels):
                b[at + np.uint64(x)] = row[inside(left + x, width, NEUMANN)]


@kernel
def _transform(b, step, lanes, pixels, c, apart, z):
    """Transform the pixels `b` to the coefficients `z` of all windows: row 8 k + l holds coefficient (k, l)."""
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
    """v = the mean over each window, kept above 0: coefficients are divided by their square plus this."""
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
def _remove(z, pilot, guided, lanes, v, spectrum, threshold, kept):
    """Leave in z what shrinkage removes of all coefficients but the first; p of `shrink` are those of the pilot."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    squared = threshold * threshold
    for i in range(lanes):
        z[i] = zero
        kept[i] = spectrum[0]
    for k in range(_ONE, _SIDE * _SIDE):
        at, share = k * _WIDE, spectrum[k]
        if guided:
            for i in range(lanes):
                power = pilot[at + i] * pilot[at + i]
                gain = power / (power + share * v[i])
                kept[i] += share * (gain * gain)
                z[at + i] = (one - gain) * z[at + i]
        else:
            least = squared * share
            for i in range(lanes):
                stays = z[at + i] * z[at + i] > least * v[i]
                kept[i] += share if stays else zero
                z[at + i] = zero if stays else z[at + i]


@kernel
def _keep_noise(z, pilot, guided, lanes, v, spectrum, threshold, kept):
    """Leave in z what is above the noise: low coefficients of more than `threshold` deviations, or all times a gain.

    Where high coefficients have more than the noise, low ones must exceed that. With a pilot, the gain is p² / (p² +
    threshold · variance).
    """
    zero, one, share = z.dtype.type(0), z.dtype.type(1), z.dtype.type(1 / 48)  # As many are high.
    squared = threshold * threshold
    for i in range(lanes):
        kept[i] = zero
    for k in range(_SIDE * _SIDE):
        at, least, relative = k * _WIDE, threshold * spectrum[k], share / spectrum[k]
        if guided:
            for i in range(lanes):
                power = pilot[at + i] * pilot[at + i]
                z[at + i] = power / (power + least * v[i]) * z[at + i]
        elif max(k // _SIDE, k % _SIDE) >= _LOW:
            for i in range(lanes):
                kept[i] += relative * (z[at + i] * z[at + i])
                z[at + i] = zero
    if not guided:
        for i in range(lanes):
            kept[i] = max(kept[i], v[i])
        for k in range(_LOW * _SIDE):
            if k % _SIDE < _LOW:
                at, least = k * _WIDE, squared * spectrum[k]
                for i in range(lanes):
                    z[at + i] = z[at + i] if z[at + i] * z[at + i] > least * kept[i] else zero
    for i in range(lanes):
        kept[i] = one


@kernel
def _back(z, step, lanes, pixels, c, weight, window, apart, b, weights):
    """Transform coefficients back: weighted pixels `b` of the chunk, and the sums of the weights along a row."""
    zero = z.dtype.type(0)
    gap = _WIDE // step
    for i in range(_WIDE):
        apart[i] = zero
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
def shrink(
    plane, pilot, guided, excess, variance, spectrum, threshold, step, window, constants, first, last, out, noise
):
    """out = plane − Σ weight · (what shrinkage removes from each window) / Σ weights, for rows first ≤ r < last.

    The noise of coefficient k has the variance v_k = spectrum[k] · the mean variance in the window. Without a pilot,
    coefficients below `threshold` standard deviations are removed; with one (`guided`), each is multiplied by
    p² / (p² + v_k). The weight of a window is 1 / (the variance of the noise that is left) times `window` at the pixel.
    With `excess`, what is above the noise is removed instead (`_keep_noise`).
    noise = this variance of a pixel, the harmonic mean over its windows, unless it is empty.
    """
    width = plane.shape[1]
    before, jump = 8 - step, np.uint64(step)  # Windows begin this far outside, so that every pixel is in equally many.
    across = (width + 7 - step) // step + 1
    strip, windows = _SIDE * _WIDE, _SIDE * _SIDE * _WIDE
    b, p, v8 = np.empty(strip, plane.dtype), np.empty(strip, plane.dtype), np.empty(strip, plane.dtype)
    z, y = np.empty(windows, plane.dtype), np.empty(windows, plane.dtype)
    apart, weights = np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype)
    v, kept, weight = np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype), np.empty(_WIDE, plane.dtype)
    room = across * step + 16
    taken, total = np.zeros((8, room), plane.dtype), np.zeros((8, room), plane.dtype)
    one, share = plane.dtype.type(1), plane.dtype.type(0)
    for k in range(8):  # `window.sum()` would load Numba's linear algebra.
        share += window[k]
    share *= share / plane.dtype.type(64 * step * step)
    at_once = _CHUNK // step
    top = first // step * step - before
    while top < last:
        for begin in range(0, across, at_once):
            n = min(at_once, across - begin)
            lanes, pixels, left = np.uint64(n), n * step + 8 - step, begin * step - before
            wide = np.uint64(pixels)
            b[:] = 0
            _load(variance, top, left, pixels, v8)
            _variances(v8, jump, lanes, wide, v)
            _load(plane, top, left, pixels, b)
            _transform(b, jump, lanes, wide, constants, apart, z)
            if guided:
                _load(pilot, top, left, pixels, p)
                _transform(p, jump, lanes, wide, constants, apart, y)
            if excess:
                _keep_noise(z, y, guided, lanes, v, spectrum, threshold, kept)
            else:
                _remove(z, y, guided, lanes, v, spectrum, threshold, kept)
            for i in range(lanes):
                weight[i] = one / (kept[i] * v[i])
            _back(z, jump, lanes, wide, constants, weight, window, apart, b, weights)
            for k in range(8):
                slot = (top + k + 8) % 8
                a, t, w = taken[slot, begin * step :], total[slot, begin * step :], window[k]
                at = np.uint64(k) * _WIDE
                for x in range(wide):
                    a[x] += w * b[at + x]
                    t[x] += w * weights[x]
        for k in range(step):  # The rows that no further strip reaches.
            r = top + k
            slot = (r + 8) % 8
            if first <= r < last:
                a, t = taken[slot, before : before + width], total[slot, before : before + width]
                source, target = plane[r], out[r]
                for x in range(width):
                    target[x] = source[x] - a[x] / t[x]
                if noise.shape[0] > 0:
                    target = noise[r]
                    for x in range(width):
                        target[x] = share / t[x]
            taken[slot] = 0
            total[slot] = 0
        top += step
