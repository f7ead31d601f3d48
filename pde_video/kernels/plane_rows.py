"""The arithmetic of tensor diffusion in a plane, row by row: from smoothed values to weights and rates.

Rows are addressed by unsigned offsets into flat arrays (see `rows`). No loop has a branch, so that all vectorise.
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel

_ONE, _TWO = np.uint64(1), np.uint64(2)
_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)  # Exact in both precisions, and widen no loop.


@kernel
def differences(v, a, b, c, down, across, three, ten, n):
    """down = below − above, across = 3 · above + 10 · here + 3 · below, for the rows at a, b and c."""
    for j in range(n):
        down[j] = v[c + j] - v[a + j]
        across[j] = three * (v[a + j] + v[c + j]) + ten * v[b + j]


@kernel
def _gradient(down, across, three, ten, j):
    """The derivatives along columns and rows at pixel j."""
    return three * (down[j] + down[j + _TWO]) + ten * down[j + _ONE], across[j + _TWO] - across[j]


@kernel
def products(down, across, tensor, o, three, ten, n, add):
    """Write g₁², g₁g₂ and g₂² of one channel, or add them, with g the derivatives along columns and rows."""
    o1, o2 = o + n, o + n + n
    for j in range(n):
        g0, g1 = _gradient(down, across, three, ten, j)
        if add:
            tensor[o + j] += g0 * g0
            tensor[o1 + j] += g0 * g1
            tensor[o2 + j] += g1 * g1
        else:
            tensor[o + j] = g0 * g0
            tensor[o1 + j] = g0 * g1
            tensor[o2 + j] = g1 * g1


@kernel
def _rational_tensor(down, across, h, steep, flat, three, ten, j):
    """The entries 11, 12 and 22, at pixel j, of the D of `rational_weights`."""
    g0, g1 = _gradient(down, across, three, ten, j)
    p, q, r = g0 * g0, g0 * g1, g1 * g1
    s2 = p + r
    over = s2 > steep
    f = (-flat if over else -h) / (s2 if over else h + s2)
    return h + f * p, f * q, h + f * r


@kernel
def rational_entries(down, across, a, b, c, h, steep, flat, three, ten, first, last):
    """The entries 11, 12 and 22 of the D of `rational_weights`, for the pixels first ≤ j < last."""
    for j in range(first, last):
        a[j], b[j], c[j] = _rational_tensor(down, across, h, steep, flat, three, ten, j)


@kernel
def rational_weights(down, across, w, o, pitch, excess, h, steep, flat, three, ten, n):
    """As `compact_weights` of D = h (I − ∇v ∇vᵀ / max(1 + s², s² / (1 − least))), s² = |∇v|², for one channel.

    The derivatives come multiplied by √h; `least` takes over at steep = h (1 − least) / least, and
    flat = (1 − least) h.
    """
    for j in range(n):
        a, b, c = _rational_tensor(down, across, h, steep, flat, three, ten, j)
        _put_weights(a, b, c, w, o, pitch, excess, j)


@kernel
def squared_contrast(t, g, coherence, per_unit, n):
    """g = t₁₁ + t₂₂ or, for the coherence, 1 / (μ₁ − μ₂)², kept finite, in the unit of the conductance."""
    tiny, n2 = t.dtype.type(1e-8), n + n
    if coherence:
        for j in range(n):
            p, q = t[j] - t[n2 + j], t[n + j] + t[n + j]
            g[j] = _1 / max(p * p + q * q, tiny) * per_unit
    else:
        for j in range(n):
            g[j] = (t[j] + t[n2 + j]) * per_unit


@kernel
def entries(t, g, a, b, c, h, coherence, least, n):
    """The entries 11, 12 and 22 of D, times h, for the conductances g.

    D = I + (max(g, least) − 1) n nᵀ or, for the coherence, least I + (1 − least) g (I − n nᵀ), with
    n nᵀ = ½ (I + [[p, q], [q, −p]] / √(p² + q²)), p = t₁₁ − t₂₂ and q = 2 t₁₂.
    """
    nothing, n2 = t.dtype.type(1e-18), n + n
    h00, h01, h11 = h
    for j in range(n):
        p, q = t[j] - t[n2 + j], t[n + j] + t[n + j]
        r = math.sqrt(p * p + q * q)
        isotropic = r < nothing  # Then n is the last axis, as for any other rule.
        f = _HALF * ((_1 - least) * g[j]) if coherence else _HALF * (max(g[j], least) - _1)
        signed = -f if coherence else f
        inverse = signed / (_1 if isotropic else r)
        p, q = -signed if isotropic else p * inverse, q * inverse
        rest = least if coherence else _1
        a[j] = h00 * (rest + (f + p))
        b[j] = h01 * q
        c[j] = h11 * (rest + (f - p))


@kernel
def _put_weights(a, b, c, w, o, pitch, excess, j):
    """The weights and the excess of `compact_weights` at pixel j, for D₁₁ = a, D₁₂ = b, D₂₂ = c."""
    size, positive = abs(b), max(b, _0)
    e = size - min(a, c)
    near, at = e <= _0, o + j
    excess[j] = e
    w[at] = a - size if near else _0
    w[at + pitch] = c - size if near else _0
    w[at + pitch + pitch] = positive if near else _0
    w[at + pitch + pitch + pitch] = positive - b if near else _0


@kernel
def compact_weights(a, b, c, w, o, pitch, excess, n):
    """Weights of (1, 0), (0, 1), (1, 1), (1, −1), all zero where these do not suffice: where the excess is positive."""
    for j in range(n):
        _put_weights(a[j], b[j], c[j], w, o, pitch, excess, j)


@kernel
def eight(y, values, w, weights, step, out, sums, s, n):
    """out = Σ over the eight neighbours of the pair's weight times the difference, sums = Σ of the weights.

    `values` and `weights` are the offsets of the rows above, here and below; `step` is that of the next weight.
    """
    up, o, down = np.uint64(values[0]), np.uint64(values[1]), np.uint64(values[2])
    wu, wh, wd = np.uint64(weights[0]), np.uint64(weights[1]), np.uint64(weights[2])
    step, s, n = np.uint64(step), np.uint64(s), np.uint64(n)
    u2, u3 = wu + step + step, wu + step + step + step
    h1, h2, h3 = wh + step, wh + step + step, wh + step + step + step
    d2, d3 = wd + step + step, wd + step + step + step
    for j in range(_ONE, n - _ONE):
        z = y[o + j]
        f0, f1 = w[wh + j] + w[wu + j], w[wh + j] + w[wd + j]
        f2, f3 = w[h1 + j] + w[h1 + j - _ONE], w[h1 + j] + w[h1 + j + _ONE]
        f4, f5 = w[h2 + j] + w[u2 + j - _ONE], w[h2 + j] + w[d2 + j + _ONE]
        f6, f7 = w[h3 + j] + w[u3 + j + _ONE], w[h3 + j] + w[d3 + j - _ONE]
        sums[s + j] = ((f0 + f1) + (f2 + f3)) + ((f4 + f5) + (f6 + f7))
        out[o + j] = (
            (f0 * (y[up + j] - z) + f1 * (y[down + j] - z)) + (f2 * (y[o + j - _ONE] - z) + f3 * (y[o + j + _ONE] - z))
        ) + (
            (f4 * (y[up + j - _ONE] - z) + f5 * (y[down + j + _ONE] - z))
            + (f6 * (y[up + j + _ONE] - z) + f7 * (y[down + j - _ONE] - z))
        )
