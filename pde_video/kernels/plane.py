"""Diffusion of a plane by the tensor that it makes itself, in one walk down the rows.

Everything between the picture and its rate stays in rings of a few rows: smoothed rows v, rows of the structure tensor
J, rows of weights. Where |D₁₂| ≤ min(D₁₁, D₂₂), Selling's offsets are (1, 0), (0, 1) and (1, ±1), and the rate is a sum
over the eight neighbours; the other pixels are listed and exchange along their own offsets once the rows they reach
have been written.

A band of rows is computed from the rows around it as if the others were not there: the result does not depend on
how a picture is cut into bands.
"""

from __future__ import annotations

import math

import numpy as np

from pde_video.kernels.diffusion import DIRICHLET, PERIODIC, RATIONAL, conduct
from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import fill_rim, inside, weighted
from pde_video.kernels.selling import PACK, collect, exchange, reduce_row

RIM = 16  # Unused values before each row of a ring that has rims: more than a rim of one, and rows stay aligned.
_FAR = 1 << 40


@kernel
def _differences(v, a, b, c, down, across, three, ten, n):
    """down = below − above, across = 3 · above + 10 · here + 3 · below, for the rows at a, b and c."""
    for j in range(n):
        down[j] = v[c + j] - v[a + j]
        across[j] = three * (v[a + j] + v[c + j]) + ten * v[b + j]


@kernel
def _products(down, across, tensor, o0, o1, o2, s0, s1, three, ten, n):
    """Write g₁², g₁g₂ and g₂² of one channel, with g the derivatives along columns and rows."""
    one, two = np.uint64(1), np.uint64(2)
    for j in range(n):
        g0 = s0 * (three * (down[j] + down[j + two]) + ten * down[j + one])
        g1 = s1 * (across[j + two] - across[j])
        tensor[o0 + j] = g0 * g0
        tensor[o1 + j] = g0 * g1
        tensor[o2 + j] = g1 * g1


@kernel
def _add_products(down, across, tensor, o0, o1, o2, s0, s1, three, ten, n):
    one, two = np.uint64(1), np.uint64(2)
    for j in range(n):
        g0 = s0 * (three * (down[j] + down[j + two]) + ten * down[j + one])
        g1 = s1 * (across[j + two] - across[j])
        tensor[o0 + j] += g0 * g0
        tensor[o1 + j] += g0 * g1
        tensor[o2 + j] += g1 * g1


@kernel
def _rational_along_gradient(t, o0, o1, o2, a, b, c, h00, h01, h11, least, zero, one, n):
    """D = I + (g − 1) J / s² with s² = tr J and g = max(1 / (1 + s²), least): both in one division."""
    rest = one - least
    for j in range(n):
        s2 = t[o0 + j] + t[o2 + j]
        steep = s2 * least > rest
        f = (rest if steep else one) / (s2 if steep else one + s2)
        a[j] = h00 - h00 * (f * t[o0 + j])
        b[j] = zero - h01 * (f * t[o1 + j])
        c[j] = h11 - h11 * (f * t[o2 + j])


@kernel
def _trace(t, o0, o2, g, n):
    for j in range(n):
        g[j] = t[o0 + j] + t[o2 + j]


@kernel
def _across_edges(t, o0, o1, o2, g, a, b, c, h00, h01, h11, least, zero, one, half, tiny, n):
    """D = I + (max(g, least) − 1) n nᵀ, with n nᵀ = ½ (I + [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        r = math.sqrt(p * p + q * q)
        nowhere = r < tiny  # Then the last axis, as for any other rule.
        f = half * (max(g[j], least) - one)
        inverse = f / (one if nowhere else r)
        p, q = -f if nowhere else p * inverse, q * inverse
        a[j] = h00 * (one + (f + p))
        b[j] = h01 * q
        c[j] = h11 * (one + (f - p))


@kernel
def _inverse_coherence(t, o0, o1, o2, z, one, tiny, n):
    """z = 1 / (μ₁ − μ₂)², which is ∞ nowhere."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        z[j] = one / max(p * p + q * q, tiny)


@kernel
def _along_lines(t, o0, o1, o2, g, a, b, c, h00, h01, h11, alpha, zero, one, half, tiny, n):
    """D = α I + (1 − α) g w wᵀ, with w wᵀ = ½ (I − [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        r = math.sqrt(p * p + q * q)
        nowhere = r < tiny
        f = half * ((one - alpha) * g[j])
        inverse = f / (one if nowhere else r)
        p, q = -f if nowhere else p * inverse, q * inverse
        a[j] = h00 * (alpha + (f - p))
        b[j] = zero - h01 * q
        c[j] = h11 * (alpha + (f + p))


@kernel
def _compact_weights(a, b, c, w, o0, o1, o2, o3, excess, zero, n):
    """Weights of (1, 0), (0, 1), (1, 1), (1, −1), all zero where these do not suffice: where the excess is positive."""
    for j in range(n):
        size = abs(b[j])
        x = size - min(a[j], c[j])
        near = x <= zero
        excess[j] = x
        w[o0 + j] = a[j] - size if near else zero
        w[o1 + j] = c[j] - size if near else zero
        w[o2 + j] = max(b[j], zero) if near else zero
        w[o3 + j] = max(zero - b[j], zero) if near else zero


@kernel
def _eight(y, up, here, down, wu, wh, wd, step, w, out, sums, o, s, n):
    """out = Σ over the eight neighbours of the pair's weight times the difference, sums = Σ of the weights."""
    one = np.uint64(1)
    u1, u2, u3 = wu + step, wu + step + step, wu + step + step + step
    h1, h2, h3 = wh + step, wh + step + step, wh + step + step + step
    d1, d2, d3 = wd + step, wd + step + step, wd + step + step + step
    for j in range(one, n - one):
        z = y[here + j]
        f0, f1 = w[wh + j] + w[wu + j], w[wh + j] + w[wd + j]
        f2, f3 = w[h1 + j] + w[h1 + j - one], w[h1 + j] + w[h1 + j + one]
        f4, f5 = w[h2 + j] + w[u2 + j - one], w[h2 + j] + w[d2 + j + one]
        f6, f7 = w[h3 + j] + w[u3 + j + one], w[h3 + j] + w[d3 + j - one]
        sums[s + j] = ((f0 + f1) + (f2 + f3)) + ((f4 + f5) + (f6 + f7))
        out[o + j] = (
            (f0 * (y[up + j] - z) + f1 * (y[down + j] - z))
            + (f2 * (y[here + j - one] - z) + f3 * (y[here + j + one] - z))
        ) + (
            (f4 * (y[up + j - one] - z) + f5 * (y[down + j + one] - z))
            + (f6 * (y[up + j + one] - z) + f7 * (y[down + j - one] - z))
        )


@kernel
def _one_pixel(y, w, out, sums, i, j, boundary):
    """As `_eight` for one pixel anywhere. `w` is the ring (row, offset, column)."""
    channels, n1, n2 = y.shape
    slots, row = w.shape[0], i % n1
    total = w[0, 0, 0] * 0
    for c in range(channels):
        out[c, row, j] = 0
    for m in range(4):
        di, dj = (1 if m != 1 else 0), (0 if m == 0 else (-1 if m == 3 else 1))
        own = w[i % slots, m, j]
        for sign in (-1, 1):
            k, l = i + sign * di, j + sign * dj
            if boundary == PERIODIC:
                l %= n2
            elif not (0 <= k < n1 and 0 <= l < n2):
                if boundary == DIRICHLET:
                    total += own + own
                    for c in range(channels):
                        out[c, row, j] -= (own + own) * y[c, row, j]
                continue
            f = own + w[k % slots, m, l]
            total += f
            for c in range(channels):
                out[c, row, j] += f * (y[c, k % n1, l] - y[c, row, j])
    sums[i % sums.shape[0], j] = total


@kernel
def _smooth_row(source, taps, v, c, r, strip, places, boundary):
    """Write row `r` of channel `c`, smoothed both ways, and its rim of one, into the ring v (channel, row, column)."""
    n1, n2 = source.shape[1:]
    m, slots, pitch = taps.shape[0] - 1, v.shape[1] - 1, v.shape[2]
    at = (c * (slots + 1) + r % slots) * pitch + RIM
    flat, ring = source.reshape(-1), v.reshape(-1)
    for k in range(-m, m + 1):
        i = inside(r + k, n1, boundary)
        places[k + m] = (c * n1 + i) * n2 if i >= 0 else -1
    if m == 0:
        weighted(flat, places, taps, ring, at, n2)
    else:
        weighted(flat, places, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, np.arange(2 * m + 1), taps, ring, at, n2)
    fill_rim(ring, at, n2, 1, boundary)


@kernel
def _structure_row(v, r, n1, scale, down, across, tensor, boundary, constants):
    """Write row `r` of Σ_channel ∇v ∇vᵀ into the ring tensor (row, entry, column)."""
    channels, slots, pitch = v.shape[0], v.shape[1] - 1, v.shape[2]
    three, ten = constants[4], constants[5]
    n = np.uint64(tensor.shape[2])
    ring, flat = v.reshape(-1), tensor.reshape(-1)
    o0 = np.uint64((r % tensor.shape[0]) * 3 * tensor.shape[2])
    o1, o2 = o0 + n, o0 + n + n
    above, below = r - 1, r + 1
    if boundary != PERIODIC:
        above, below = inside(above, n1, boundary), inside(below, n1, boundary)
    for c in range(channels):
        base = c * (slots + 1) * pitch + RIM - 1
        a = base + (above % slots if above >= 0 or boundary == PERIODIC else slots) * pitch
        b = base + (r % slots) * pitch
        d = base + (below % slots if below >= 0 or boundary == PERIODIC else slots) * pitch
        _differences(ring, np.uint64(a), np.uint64(b), np.uint64(d), down, across, three, ten, n + np.uint64(2))
        if c == 0:
            _products(down, across, flat, o0, o1, o2, scale[0], scale[1], three, ten, n)
        else:
            _add_products(down, across, flat, o0, o1, o2, scale[0], scale[1], three, ten, n)


@kernel
def _integrated_row(tensor, r, n1, taps, strip, places, out, boundary):
    """Write row `r` of the tensor smoothed both ways into out (entry, column)."""
    slots, n2 = tensor.shape[0], tensor.shape[2]
    m, flat, result = taps.shape[0] - 1, tensor.reshape(-1), out.reshape(-1)
    for entry in range(3):
        for k in range(-m, m + 1):
            i = r + k if boundary == PERIODIC else inside(r + k, n1, boundary)
            places[k + m] = ((i % slots) * 3 + entry) * n2 if i >= 0 or boundary == PERIODIC else -1
        weighted(flat, places, taps, strip, m, n2)
        fill_rim(strip, m, n2, m, boundary)
        weighted(strip, np.arange(2 * m + 1), taps, result, entry * n2, n2)


@kernel
def plane_rate(y, source, out, first, last, taps, rim_taps, scale, h, kind, inverse_kappa, least, reach, cap, boundary, constants):  # noqa: E501 # fmt: skip
    """Write rows `first` to `last` of div(D ∇y) and return how many sums of weights are above `cap`.

    D belongs to `source` (as y (C, N1, N2)) smoothed by `taps`, its structure tensor smoothed by `rim_taps` (each half
    a symmetric kernel, from its centre on) and `scale` times the derivatives, over 32. `kind` is a conductance (D is
    edge-enhancing) or -1 (coherence-enhancing), `least` the smallest eigenvalue, h = ½ / (h_a h_b) for the entries
    11, 12, 22. No offset is longer than `reach`.
    """
    channels, n1, n2 = y.shape
    wrapped = boundary == PERIODIC
    zero, one, half, tiny = constants[0], constants[1], constants[6], constants[3]
    h00, h01, h11 = h
    rho, m = rim_taps.shape[0] - 1, taps.shape[0] - 1
    widest = max(m, rho)
    v = np.zeros((channels, 5, n2 + 2 * RIM), y.dtype)
    strip, places = np.empty(n2 + 2 * widest + 2, y.dtype), np.empty(2 * widest + 1, np.int64)
    down, across = np.empty(n2 + 2, y.dtype), np.empty(n2 + 2, y.dtype)
    tensor = np.empty((2 * rho + 2, 3, n2), y.dtype)
    mean = np.empty((3, n2), y.dtype)
    g, a, b, c, excess = (
        np.empty(n2, y.dtype), np.empty(n2, y.dtype), np.empty(n2, y.dtype), np.empty(n2, y.dtype),
        np.empty(n2, y.dtype),
    )  # fmt: skip
    pitch = n2 + RIM
    w = np.zeros((4, 4, pitch), y.dtype)
    sums = np.empty((2 * reach + 2, n2), y.dtype)
    slots = reach + 2
    columns, listed = np.empty(slots * n2, np.int32), np.zeros(slots, np.int64)
    p, e = np.empty((3, slots * n2), y.dtype), np.empty((3, slots * n2), np.int32)
    flat_y, flat_out, flat_sums, flat_w = y.reshape(-1), out.reshape(-1), sums.reshape(-1), w.reshape(-1)
    flat_mean, flat_tensor = mean.reshape(-1), tensor.reshape(-1)
    n = np.uint64(n2)

    low, high = (-_FAR, _FAR) if wrapped else (0, n1)
    begin, end = max(first - reach, low), min(last + reach, high)
    next_j = max(begin - rho, low)
    next_v = max(next_j - 1, low)
    above_cap = 0
    for s in range(begin, last + 2 * reach + 1):
        if s < end:
            while next_j < min(s + rho + 1, high):
                while next_v < min(next_j + 2, high):
                    for channel in range(channels):
                        _smooth_row(source, taps, v, channel, next_v, strip, places, boundary)
                    next_v += 1
                _structure_row(v, next_j, n1, scale, down, across, tensor, boundary, constants)
                next_j += 1
            if rho > 0:
                _integrated_row(tensor, s, n1, rim_taps, strip, places, mean, boundary)
                t, o0 = flat_mean, np.uint64(0)
            else:
                t, o0 = flat_tensor, np.uint64((s % 2) * 3 * n2)
            o1, o2 = o0 + n, o0 + n + n
            if kind < 0:
                _inverse_coherence(t, o0, o1, o2, g, one, tiny, n)
                conduct(g, 0, inverse_kappa, (zero, one, constants[2], tiny))
                _along_lines(t, o0, o1, o2, g, a, b, c, h00, h01, h11, least, zero, one, half, tiny, n)
            elif kind == RATIONAL and rho == 0 and channels == 1:
                _rational_along_gradient(t, o0, o1, o2, a, b, c, h00, h01, h11, least, zero, one, n)
            else:
                _trace(t, o0, o2, g, n)
                conduct(g, kind, inverse_kappa, (zero, one, constants[2], tiny))
                _across_edges(t, o0, o1, o2, g, a, b, c, h00, h01, h11, least, zero, one, half, tiny, n)
            q = np.uint64((s % 4) * 4 * pitch)
            step = np.uint64(pitch)
            _compact_weights(a, b, c, flat_w, q, q + step, q + step + step, q + step + step + step, excess, zero, n)
            start = (s % slots) * n2
            listed[s % slots] = collect(excess, a, b, c, n2, columns, p, e, start)
            if listed[s % slots] > 0:
                reduce_row(p, e, start, listed[s % slots], 4 * reach + 8, zero)
        f = s - 1
        if first <= f < last:
            row = f % n1
            if (wrapped or 0 < f < n1 - 1) and n2 > 2:
                for j in (0, n2 - 1):
                    _one_pixel(y, w, out, sums, f, j, boundary)
                for channel in range(channels):
                    o = (channel * n1 + row) * n2
                    up, below = (channel * n1 + (f - 1) % n1) * n2, (channel * n1 + (f + 1) % n1) * n2
                    _eight(
                        flat_y, np.uint64(up), np.uint64(o), np.uint64(below),
                        np.uint64(((f - 1) % 4) * 4 * pitch), np.uint64((f % 4) * 4 * pitch),
                        np.uint64(((f + 1) % 4) * 4 * pitch), np.uint64(pitch), flat_w, flat_out, flat_sums,
                        np.uint64(o), np.uint64((f % sums.shape[0]) * n2), n,
                    )  # fmt: skip
            else:
                for j in range(n2):
                    _one_pixel(y, w, out, sums, f, j, boundary)
        f -= reach
        if begin <= f < end and listed[f % slots] > 0:
            start = (f % slots) * n2
            exchange(y, out, sums, f, columns, p, e, start, listed[f % slots], first, last, reach, boundary)
        f -= reach
        if first <= f < last:
            row = (f % sums.shape[0]) * n2
            for j in range(np.uint64(row), np.uint64(row + n2)):
                above_cap += flat_sums[j] > cap
    return above_cap
