"""The arithmetic of tensor diffusion in a plane on rows, from smoothed values to weights and rates.

Rows are addressed by unsigned offsets into flat arrays (see `rows`), and every loop has no branch: they vectorise.
"""

from __future__ import annotations

import math

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def differences(v, a, b, c, down, across, three, ten, n):
    """down = below − above, across = 3 · above + 10 · here + 3 · below, for the rows at a, b and c."""
    for j in range(n):
        down[j] = v[c + j] - v[a + j]
        across[j] = three * (v[a + j] + v[c + j]) + ten * v[b + j]


@kernel
def products(down, across, tensor, o0, o1, o2, three, ten, n):
    """Write g₁², g₁g₂ and g₂² of one channel, with g the derivatives along columns and rows."""
    one, two = np.uint64(1), np.uint64(2)
    for j in range(n):
        g0 = three * (down[j] + down[j + two]) + ten * down[j + one]
        g1 = across[j + two] - across[j]
        tensor[o0 + j] = g0 * g0
        tensor[o1 + j] = g0 * g1
        tensor[o2 + j] = g1 * g1


@kernel
def add_products(down, across, tensor, o0, o1, o2, three, ten, n):
    """As `products`, added to those of other channels."""
    one, two = np.uint64(1), np.uint64(2)
    for j in range(n):
        g0 = three * (down[j] + down[j + two]) + ten * down[j + one]
        g1 = across[j + two] - across[j]
        tensor[o0 + j] += g0 * g0
        tensor[o1 + j] += g0 * g1
        tensor[o2 + j] += g1 * g1


@kernel
def rational_weights(down, across, w, o0, o1, o2, o3, excess, h, steep, flat, three, ten, zero, n):
    """As `compact_weights` of D = h (I − ∇v ∇vᵀ / max(1 + s², s² / (1 − least))), s² = |∇v|², for one channel.

    The derivatives come multiplied by √h; steep = h (1 − least) / least is where `least` takes over, and
    flat = (1 − least) h.
    """
    next_one, next_two = np.uint64(1), np.uint64(2)
    for j in range(n):
        g0 = three * (down[j] + down[j + next_two]) + ten * down[j + next_one]
        g1 = across[j + next_two] - across[j]
        p, q, r = g0 * g0, g0 * g1, g1 * g1
        s2 = p + r
        over = s2 > steep
        f = (flat if over else h) / (s2 if over else h + s2)
        a, b, c = h - f * p, f * q, h - f * r  # b is −D₁₂.
        size, positive = abs(b), max(b, zero)
        least_of, u, x = min(a, c), a - size, c - size
        y, z = positive - b, positive
        e = size - least_of
        near = e <= zero
        excess[j] = e
        w[o0 + j] = u if near else zero
        w[o1 + j] = x if near else zero
        w[o2 + j] = y if near else zero
        w[o3 + j] = z if near else zero


@kernel
def rational_entries(down, across, a, b, c, h, steep, flat, three, ten, begin, end):
    """The entries of the D of `rational_weights` from one pixel to another."""
    next_one, next_two = np.uint64(1), np.uint64(2)
    for j in range(begin, end):
        g0 = three * (down[j] + down[j + next_two]) + ten * down[j + next_one]
        g1 = across[j + next_two] - across[j]
        p, q, r = g0 * g0, g0 * g1, g1 * g1
        s2 = p + r
        over = s2 > steep
        f = (flat if over else h) / (s2 if over else h + s2)
        a[j], b[j], c[j] = h - f * p, -(f * q), h - f * r


@kernel
def trace(t, o0, o2, g, n):
    """g = t₁₁ + t₂₂."""
    for j in range(n):
        g[j] = t[o0 + j] + t[o2 + j]


@kernel
def across_edges(t, o0, o1, o2, g, a, b, c, h00, h01, h11, least, zero, one, half, nothing, n):
    """D = I + (max(g, least) − 1) n nᵀ, with n nᵀ = ½ (I + [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        r = math.sqrt(p * p + q * q)
        nowhere = r < nothing  # Then the last axis, as for any other rule.
        f = half * (max(g[j], least) - one)
        inverse = f / (one if nowhere else r)
        p, q = -f if nowhere else p * inverse, q * inverse
        a[j] = h00 * (one + (f + p))
        b[j] = h01 * q
        c[j] = h11 * (one + (f - p))


@kernel
def inverse_coherence(t, o0, o1, o2, z, one, tiny, n):
    """z = 1 / (μ₁ − μ₂)², which is ∞ nowhere."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        z[j] = one / max(p * p + q * q, tiny)


@kernel
def along_lines(t, o0, o1, o2, g, a, b, c, h00, h01, h11, alpha, zero, one, half, nothing, n):
    """D = α I + (1 − α) g w wᵀ, with w wᵀ = ½ (I − [[p, q], [q, −p]] / √(p² + q²))."""
    for j in range(n):
        p, q = t[o0 + j] - t[o2 + j], t[o1 + j] + t[o1 + j]
        r = math.sqrt(p * p + q * q)
        nowhere = r < nothing
        f = half * ((one - alpha) * g[j])
        inverse = f / (one if nowhere else r)
        p, q = -f if nowhere else p * inverse, q * inverse
        a[j] = h00 * (alpha + (f - p))
        b[j] = zero - h01 * q
        c[j] = h11 * (alpha + (f + p))


@kernel
def compact_weights(a, b, c, w, o0, o1, o2, o3, excess, zero, n):
    """Weights of (1, 0), (0, 1), (1, 1), (1, −1), all zero where these do not suffice: where the excess is positive."""
    for j in range(n):
        size, positive = abs(b[j]), max(b[j], zero)
        u, x, y, z = a[j] - size, c[j] - size, positive, positive - b[j]
        e = size - min(a[j], c[j])
        near = e <= zero
        excess[j] = e
        w[o0 + j] = u if near else zero
        w[o1 + j] = x if near else zero
        w[o2 + j] = y if near else zero
        w[o3 + j] = z if near else zero


@kernel
def eight(y, up, here, down, wu, wh, wd, step, w, out, sums, o, s, n):
    """out = Σ over the eight neighbours of the pair's weight times the difference, sums = Σ of the weights."""
    one = np.uint64(1)
    u2, u3 = wu + step + step, wu + step + step + step
    h1, h2, h3 = wh + step, wh + step + step, wh + step + step + step
    d2, d3 = wd + step + step, wd + step + step + step
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
