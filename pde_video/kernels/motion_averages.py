"""Squared differences and averages between frames along the motion.

Planes (C, H, W) of the other frame are padded by `EDGE` rows and columns on each side. A flow (2, h, w) of rows and
columns, in its own pixels, belongs to planes of its own size or of twice its size. The light (1 + C, H) is the gain of
each row of the frame that is compared or averaged with the other, and the offset of each channel there.
"""

import numpy as np

from pde_video.kernels.conductance import conduct
from pde_video.kernels.jit import kernel

_ZERO, _ONE, _TWO, _THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_1, _2, _3 = np.float32(1), np.float32(2), np.float32(3)  # Python literals would widen single precision.
EDGE = 2  # How far bicubic interpolation reaches beyond the outermost pixels.


@kernel
def _fill_row(plane, i, height, out):
    """out = row i of a plane or, where another height or width is wanted, of the plane at twice its size."""
    (h, w), width = plane.shape, out.shape[0]
    if h == height and w == width:
        for j in range(width):
            out[j] = plane[i, j]
        return
    near = i // 2
    far = min(max(near + (1 if i % 2 else -1), 0), h - 1)
    most, least = plane.dtype.type(0.75), plane.dtype.type(0.25)
    a, b = plane[near], plane[far]
    for j in range(1, w):
        left, right = most * a[j - 1] + least * b[j - 1], most * a[j] + least * b[j]
        out[2 * j - 1] = most * left + least * right
        out[2 * j] = least * left + most * right
    out[0] = most * a[0] + least * b[0]
    if width == 2 * w:
        out[width - 1] = most * a[w - 1] + least * b[w - 1]


@kernel
def _locate(flow, i, height, rows, columns, y, x):
    """Write where row i comes from, clipped to the frame: whole parts to `y` and `x`, fractions to the others."""
    real, width = flow.dtype.type, rows.shape[0]
    factor = real(1 if flow.shape[1] == height and flow.shape[2] == width else 2)
    zero, bottom, right = real(0), real(height - 1), real(width - 1)
    _fill_row(flow[0], i, height, rows)
    _fill_row(flow[1], i, height, columns)
    for j in range(width):
        place = real(i) + factor * rows[j]
        place = min(place if place > zero else zero, bottom)  # NaN becomes 0, no index.
        y[j] = np.int32(place)
        rows[j] = place - real(y[j])
        place = real(j) + factor * columns[j]
        place = min(place if place > zero else zero, right)
        x[j] = np.int32(place)
        columns[j] = place - real(x[j])


@kernel
def _cubic(t, a):
    """Keys's weights of the four neighbours at −1, 0, 1, 2 for a position t in [0, 1]."""
    s = _1 - t
    second = ((a + _2) * t - (a + _3)) * t * t + _1
    third = ((a + _2) * s - (a + _3)) * s * s + _1
    return a * t * s * s, second, third, a * s * t * t


@kernel
def _between(flat, p, stride, s, t, a):
    """Interpolate a flat plane between 4 × 4 pixels from p on, s rows and t columns after the second."""
    v0, v1, v2, v3 = _cubic(s, a)
    h0, h1, h2, h3 = _cubic(t, a)
    q, r = p + stride, p + _TWO * stride
    o = r + stride
    top = h0 * flat[p] + h1 * flat[p + _ONE] + h2 * flat[p + _TWO] + h3 * flat[p + _THREE]
    upper = h0 * flat[q] + h1 * flat[q + _ONE] + h2 * flat[q + _TWO] + h3 * flat[q + _THREE]
    lower = h0 * flat[r] + h1 * flat[r + _ONE] + h2 * flat[r + _TWO] + h3 * flat[r + _THREE]
    bottom = h0 * flat[o] + h1 * flat[o + _ONE] + h2 * flat[o + _TWO] + h3 * flat[o + _THREE]
    return v0 * top + v1 * upper + v2 * lower + v3 * bottom


@kernel
def _sample(plane, y, x, rows, columns, a, out):
    """out = the padded plane, interpolated at y + rows, x + columns."""
    stride, n = np.uint64(plane.shape[1]), np.uint64(out.shape[0])
    flat = plane.ravel()
    begin = _ZERO
    while begin < n:  # Runs that are contiguous in the source too: their loop needs no gathering.
        end, row, shift = begin + _ONE, y[begin], x[begin] - np.int32(begin)
        while end < n and y[end] == row and x[end] - np.int32(end) == shift:
            end += _ONE
        at = np.uint64(row + 1) * stride + np.uint64(x[begin] + 1) - begin
        for j in range(begin, end):
            out[j] = _between(flat, at + j, stride, rows[j], columns[j], a)
        begin = end


@kernel
def squared_differences(here, there, light, flow, a, first, last, out):
    """out(x) = mean over channels of (gain · there(x + w(x)) + offset − here(x))², in rows first ≤ r < last."""
    channels, height, width = here.shape
    rows, columns, value = np.empty(width, here.dtype), np.empty(width, here.dtype), np.empty(width, here.dtype)
    y, x = np.empty(width, np.int32), np.empty(width, np.int32)
    share = here.dtype.type(1 / channels)
    for i in range(first, last):
        _locate(flow, i, height, rows, columns, y, x)
        gain, target = light[0, i], out[i]
        for c in range(channels):
            _sample(there[c], y, x, rows, columns, a, value)
            source, offset = here[c, i], light[1 + c, i]
            for j in range(width):
                apart = gain * value[j] + offset - source[j]
                square = apart * apart * share
                target[j] = square if c == 0 else target[j] + square


@kernel
def gather(here, there, light, flow, conductance, a, first, last, total, weights, squares):
    """total += g (a · there(x + w) + offset − here), weights += g, squares += (a g)², in rows first ≤ r < last.

    a is the gain.
    """
    channels, height, width = here.shape
    rows, columns, value = np.empty(width, here.dtype), np.empty(width, here.dtype), np.empty(width, here.dtype)
    g, y, x = np.empty(width, here.dtype), np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(first, last):
        _locate(flow, i, height, rows, columns, y, x)
        _fill_row(conductance, i, height, g)
        w, s, gain = weights[i], squares[i], light[0, i]
        for j in range(width):
            w[j] += g[j]
            s[j] += (gain * g[j]) * (gain * g[j])
        for c in range(channels):
            _sample(there[c], y, x, rows, columns, a, value)
            source, target, offset = here[c, i], total[c, i], light[1 + c, i]
            for j in range(width):
                target[j] += g[j] * (gain * value[j] + offset - source[j])


@kernel
def smoothed(plane, weights, scale, first, last, out):
    """out = scale · the plane smoothed along rows and columns, in rows first ≤ r < last; edges are replicated."""
    height, width = plane.shape
    reach = weights.shape[0] // 2
    column = np.empty(width + 2 * reach, plane.dtype)
    for i in range(first, last):
        middle, target = column[reach : reach + width], out[i]
        for j in range(width):
            middle[j] = 0
            target[j] = 0
        for k in range(-reach, reach + 1):
            source, w = plane[min(max(i + k, 0), height - 1)], scale * weights[reach + k]
            for j in range(width):
                middle[j] += w * source[j]
        for k in range(reach):
            column[k], column[reach + width + k] = middle[0], middle[width - 1]
        for k in range(2 * reach + 1):
            source, w = column[k : k + width], weights[k]
            for j in range(width):
                target[j] += w * source[j]


@kernel
def smoothed_conductance(squares, noise, weights, g, scale, least, share, first, last, out):
    """out = g(scale · the squares smoothed / (least + share · noise)), in rows first ≤ r < last."""
    smoothed(squares, weights, scale, first, last, out)
    for i in range(first, last):
        s, v = out[i], noise[i]
        for j in range(s.shape[0]):
            s[j] /= least + share * v[j]
        conduct(s, g, 2)


@kernel
def inconsistent(flow, there, first, last, out):
    """out = whether |w + w'|² > 0.01 (|w|² + |w'|²) + 0.5, where `there` is w', the backward flow at x + w."""
    share, least = flow.dtype.type(0.01), flow.dtype.type(0.5)
    for i in range(first, last):
        a, b, c, d, target = flow[0, i], flow[1, i], there[0, i], there[1, i], out[i]
        for j in range(a.shape[0]):
            apart = (a[j] + c[j]) * (a[j] + c[j]) + (b[j] + d[j]) * (b[j] + d[j])
            long = (a[j] * a[j] + b[j] * b[j]) + (c[j] * c[j] + d[j] * d[j])
            target[j] = apart > share * long + least


@kernel
def close(conductance, where, first, last):
    """Set the conductance to 0 in the mask `where`, of the same size or half of it."""
    times = 1 if where.shape == conductance.shape else 2
    zero = conductance.dtype.type(0)
    for i in range(first, last):
        g, shut = conductance[i], where[i // times]
        if times == 1:
            for j in range(g.shape[0]):
                g[j] = zero if shut[j] else g[j]
        else:
            for j in range(g.shape[0]):
                g[j] = zero if shut[j // 2] else g[j]


@kernel
def zeroed(where, first, last, planes):
    """Set planes to 0 in the mask `where`, of a quarter of their size, in rows first ≤ r < last."""
    zero = planes.dtype.type(0)
    for c in range(planes.shape[0]):
        for i in range(first, last):
            plane, shut = planes[c, i], where[i // 4]
            for j in range(plane.shape[0]):
                plane[j] = zero if shut[j // 4] else plane[j]


@kernel
def halved(planes, first, last, out):
    """out = means over 2 × 2 pixels, an odd last row or column counted twice, in rows first ≤ r < last."""
    channels, height, width = planes.shape
    quarter = planes.dtype.type(0.25)
    whole = width // 2
    for c in range(channels):
        for i in range(first, last):
            a, b, target = planes[c, 2 * i], planes[c, min(2 * i + 1, height - 1)], out[c, i]
            for j in range(whole):
                target[j] = quarter * ((a[2 * j] + a[2 * j + 1]) + (b[2 * j] + b[2 * j + 1]))
            if whole < target.shape[0]:
                target[whole] = quarter * ((a[width - 1] + a[width - 1]) + (b[width - 1] + b[width - 1]))


@kernel
def doubled(plane, first, last, out):
    """out = the plane interpolated linearly to twice the size, in rows first ≤ r < last."""
    for i in range(first, last):
        _fill_row(plane, i, 2 * plane.shape[0], out[i])


@kernel
def warped(there, flow, a, first, last, out):
    """out = there(x + w), in rows first ≤ r < last."""
    channels, height, width = out.shape
    rows, columns = np.empty(width, out.dtype), np.empty(width, out.dtype)
    y, x = np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(first, last):
        _locate(flow, i, height, rows, columns, y, x)
        for c in range(channels):
            _sample(there[c], y, x, rows, columns, a, out[c, i])


@kernel
def warped_at(there, flow, a, mask, starts, first, last, out):
    """out = there(x + w) at the pixels of a mask, (C, n), row r from starts[r] on, in rows first ≤ r < last."""
    height, width = mask.shape
    rows, columns = np.empty(width, out.dtype), np.empty(width, out.dtype)
    y, x = np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(first, last):
        if starts[i] == starts[i + 1]:
            continue
        _locate(flow, i, height, rows, columns, y, x)
        n = 0
        for j in range(width):
            if mask[i, j]:
                rows[n], columns[n], y[n], x[n] = rows[j], columns[j], y[j], x[j]
                n += 1
        for c in range(out.shape[0]):
            _sample(there[c], y, x, rows, columns, a, out[c, starts[i] : starts[i + 1]])
