"""The arithmetic of tensor diffusion in a plane, row by row: from smoothed values to weights and rates.

Rows are addressed by unsigned offsets into flat arrays (see `rows`). No loop has a branch, so that all vectorise.
"""

from __future__ import annotations

import math

import numpy as np

from pde_video.kernels.jit import kernel

_ONE, _TWO = np.uint64(1), np.uint64(2)


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
def products(down, across, tensor, o0, o1, o2, three, ten, n, add):
    """Write g₁², g₁g₂ and g₂² of one channel, or add them, with g the derivatives along columns and rows."""
    for j in range(n):
        g0, g1 = _gradient(down, across, three, ten, j)
        if add:
            tensor[o0 + j] += g0 * g0
            tensor[o1 + j] += g0 * g1
            tensor[o2 + j] += g1 * g1
        else:
            tensor[o0 + j] = g0 * g0
            tensor[o1 + j] = g0 * g1
            tensor[o2 + j] = g1 * g1


@kernel
def _rational_tensor(down, across, h, steep, flat, three, ten, j):
    """D₁₁, −D₁₂ and D₂₂ at pixel j of the D of `rational_weights`."""
    g0, g1 = _gradient(down, across, three, ten, j)
    p, q, r = g0 * g0, g0 * g1, g1 * g1
    s2 = p + r
    over = s2 > steep
    f = (flat if over else h) / (s2 if over else h + s2)
    return h - f * p, f * q, h - f * r


@kernel
def rational_entries(down, across, a, b, c, h, steep, flat, three, ten, begin, end):
    """The entries 11, 12 and 22 of the D of `rational_weights`, for the pixels begin ≤ j < end."""
    for j in range(begin, end):
        d11, minus_d12, d22 = _rational_tensor(down, across, h, steep, flat, three, ten, j)
        a[j], b[j], c[j] = d11, -minus_d12, d22


@kernel
def rational_weights(down, across, w, o0, o1, o2, o3, excess, h, steep, flat, three, ten, zero, n):
    """As `compact_weights` of D = h (I − ∇v ∇vᵀ / max(1 + s², s² / (1 − least))), s² = |∇v|², for one channel.

    The derivatives come multiplied by √h; `least` takes over at steep = h (1 − least) / least, and
    flat = (1 − least) h.
    """
    for j in range(n):
        a, b, c = _rational_tensor(down, across, h, steep, flat, three, ten, j)
        _put_weights(a, b, c, w, o0, o1, o3, o2, excess, zero, j)  # b is −D₁₂: the diagonals change places.


@kernel
def trace(t, o0, o2, g, n):
    """g = t₁₁ + t₂₂."""
    for j in range(n):
        g[j] = t[o0 + j] + t[o2 + j]


@kernel
def _traceless(t, o0, o1, o2, f, one, nothing, j):
    """The entries 11 and 12 of f [[p, q], [q, −p]] / √(p² + q²), p = t₁₁ − t₂₂, q = 2 t₁₂, at pixel j."""
    p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
    r = math.sqrt(p * p + q * q)
    isotropic = r < nothing  # Then the last axis, as for any other rule.
    inverse = f / (one if isotropic else r)
    return -f if isotropic else p * inverse, q * inverse


@kernel
def across_edges(t, o0, o1, o2, g, a, b, c, h00, h01, h11, least, zero, one, half, nothing, n):
    """D = I + (max(g, least) − 1) n nᵀ, with n nᵀ = ½ (I + [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        f = half * (max(g[j], least) - one)
        p, q = _traceless(t, o0, o1, o2, f, one, nothing, j)
        a[j] = h00 * (one + (f + p))
        b[j] = h01 * q
        c[j] = h11 * (one + (f - p))


@kernel
def inverse_coherence(t, o0, o1, o2, z, one, tiny, n):
    """z = 1 / (μ₁ − μ₂)², kept finite by `tiny`."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        z[j] = one / max(p * p + q * q, tiny)


@kernel
def along_lines(t, o0, o1, o2, g, a, b, c, h00, h01, h11, alpha, zero, one, half, nothing, n):
    """D = α I + (1 − α) g w wᵀ, with w wᵀ = ½ (I − [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        f = half * ((one - alpha) * g[j])
        p, q = _traceless(t, o0, o1, o2, f, one, nothing, j)
        a[j] = h00 * (alpha + (f - p))
        b[j] = zero - h01 * q
        c[j] = h11 * (alpha + (f + p))


@kernel
def _put_weights(a, b, c, w, o0, o1, o2, o3, excess, zero, j):
    """The weights and the excess of `compact_weights` at pixel j, for D₁₁ = a, D₁₂ = b, D₂₂ = c."""
    size, positive = abs(b), max(b, zero)
    u, x, y, z = a - size, c - size, positive, positive - b
    e = size - min(a, c)
    near = e <= zero
    excess[j] = e
    w[o0 + j] = u if near else zero
    w[o1 + j] = x if near else zero
    w[o2 + j] = y if near else zero
    w[o3 + j] = z if near else zero


@kernel
def compact_weights(a, b, c, w, o0, o1, o2, o3, excess, zero, n):
    """Weights of (1, 0), (0, 1), (1, 1), (1, −1), all zero where these do not suffice: where the excess is positive."""
    for j in range(n):
        _put_weights(a[j], b[j], c[j], w, o0, o1, o2, o3, excess, zero, j)


@kernel
def eight(y, up, here, down, wu, wh, wd, step, w, out, sums, o, s, n):
    """out = Σ over the eight neighbours of the pair's weight times the difference, sums = Σ of the weights."""
    u2, u3 = wu + step + step, wu + step + step + step
    h1, h2, h3 = wh + step, wh + step + step, wh + step + step + step
    d2, d3 = wd + step + step, wd + step + step + step
    for j in range(_ONE, n - _ONE):
        z = y[here + j]
        f0, f1 = w[wh + j] + w[wu + j], w[wh + j] + w[wd + j]
        f2, f3 = w[h1 + j] + w[h1 + j - _ONE], w[h1 + j] + w[h1 + j + _ONE]
        f4, f5 = w[h2 + j] + w[u2 + j - _ONE], w[h2 + j] + w[d2 + j + _ONE]
        f6, f7 = w[h3 + j] + w[u3 + j + _ONE], w[h3 + j] + w[d3 + j - _ONE]
        sums[s + j] = ((f0 + f1) + (f2 + f3)) + ((f4 + f5) + (f6 + f7))
        out[o + j] = (
            (f0 * (y[up + j] - z) + f1 * (y[down + j] - z))
            + (f2 * (y[here + j - _ONE] - z) + f3 * (y[here + j + _ONE] - z))
        ) + (
            (f4 * (y[up + j - _ONE] - z) + f5 * (y[down + j + _ONE] - z))
            + (f6 * (y[up + j + _ONE] - z) + f7 * (y[down + j - _ONE] - z))
        )
