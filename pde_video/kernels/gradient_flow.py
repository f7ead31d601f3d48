"""Optical flow of little noise, on one level: brightness and its gradient stay along the motion."""

import math

import numpy as np

from pde_video.kernels.flow import diffuse, gather_row, smooth_row
from pde_video.kernels.jit import kernel


@kernel
def inside(flow, share, out):
    """out = 1 where x − share · w and x + (1 − share) w lie in the frame, else 0."""
    _, height, width = flow.shape
    zero, one = flow.dtype.type(0), flow.dtype.type(1)
    bottom, right, rest = flow.dtype.type(height - 1), flow.dtype.type(width - 1), one - share
    for i in range(height):
        u, v, target = flow[0, i], flow[1, i], out[i]
        for k in range(width):
            y, x = flow.dtype.type(i) - share * u[k], flow.dtype.type(k) - share * v[k]
            z, w = flow.dtype.type(i) + rest * u[k], flow.dtype.type(k) + rest * v[k]
            rows = (y >= zero) & (y <= bottom) & (z >= zero) & (z <= bottom)
            target[k] = one if rows & (x >= zero) & (x <= right) & (w >= zero) & (w <= right) else zero


@kernel
def median_difference(first, second):
    """Return the median of |second − first|, to 1/256, and at most 8."""
    bins = first.dtype.type(256)
    counts = np.zeros(8 * 256 + 1, np.int64)
    last = first.dtype.type(counts.shape[0] - 1)
    for i in range(first.shape[0]):
        for k in range(first.shape[1]):
            counts[np.int64(min(abs(second[i, k] - first[i, k]) * bins, last))] += 1
    below, n = np.int64(0), 0
    while 2 * (below + counts[n]) < first.size:
        below, n = below + counts[n], n + 1
    return first.dtype.type(n) / bins


@kernel
def _gradients(first, second, g):
    """g (4, H, W) = gradient of the mean of two pictures, along rows and columns, and of their difference."""
    height, width = first.shape
    half = first.dtype.type(0.5)
    for i in range(height):
        p, q = max(i - 1, 0), min(i + 1, height - 1)
        for k in range(width):
            old, new = first[q, k] - first[p, k], second[q, k] - second[p, k]
            g[0, i, k], g[2, i, k] = half * half * (old + new), half * (new - old)
        for k in range(1, width - 1):
            old, new = first[i, k + 1] - first[i, k - 1], second[i, k + 1] - second[i, k - 1]
            g[1, i, k], g[3, i, k] = half * half * (old + new), half * (new - old)
        for k in (0, width - 1):
            left, right = max(k - 1, 0), min(k + 1, width - 1)
            old, new = first[i, right] - first[i, left], second[i, right] - second[i, left]
            g[1, i, k], g[3, i, k] = half * half * (old + new), half * (new - old)


@kernel
def _products(first, second, known, g, u, v, inverse_c, strength, inverse_d, i, seconds, j):
    """j (5, W) = row i of the tensor of both linearised constancies and its right side: 11, 12, 22, 13, 23.

    Brightness counts by 1/√(1 + r²/c²) with its residual r, its gradient by strength/√(1 + |∇r|²/d²).
    """
    _, height, width = g.shape
    half, one = first.dtype.type(0.5), first.dtype.type(1)
    p, q = max(i - 1, 0), min(i + 1, height - 1)
    gy, gx, ry, rx = g[0, i], g[1, i], g[2, i], g[3, i]
    yy, yx, xx = seconds[0], seconds[1], seconds[2]
    for k in range(width):
        yy[k] = half * (g[0, q, k] - g[0, p, k])
    for k in range(1, width - 1):
        yx[k], xx[k] = half * (gy[k + 1] - gy[k - 1]), half * (gx[k + 1] - gx[k - 1])
    for k in (0, width - 1):
        left, right = max(k - 1, 0), min(k + 1, width - 1)
        yx[k], xx[k] = half * (gy[right] - gy[left]), half * (gx[right] - gx[left])
    a, b, inner, ui, vi = first[i], second[i], known[i], u[i], v[i]
    j0, j1, j2, j3, j4 = j[0], j[1], j[2], j[3], j[4]
    for k in range(width):
        r = b[k] - a[k]
        w = inner[k] / math.sqrt(one + (r * inverse_c) * (r * inverse_c))
        s = strength * inner[k] / math.sqrt(one + (ry[k] * ry[k] + rx[k] * rx[k]) * (inverse_d * inverse_d))
        c = r - gy[k] * ui[k] - gx[k] * vi[k]
        d, e = ry[k] - yy[k] * ui[k] - yx[k] * vi[k], rx[k] - yx[k] * ui[k] - xx[k] * vi[k]
        j0[k] = w * gy[k] * gy[k] + s * (yy[k] * yy[k] + yx[k] * yx[k])
        j1[k] = w * gy[k] * gx[k] + s * (yy[k] * yx[k] + yx[k] * xx[k])
        j2[k] = w * gx[k] * gx[k] + s * (yx[k] * yx[k] + xx[k] * xx[k])
        j3[k] = w * gy[k] * c + s * (yy[k] * d + yx[k] * e)
        j4[k] = w * gx[k] * c + s * (yx[k] * d + xx[k] * e)


@kernel
def _diffusivity(u, v, g, alpha, inverse_lambda2, edge, squares, d):
    """d = ½ α / (√(1 + |∇w|²/λ²) (1 + edge · |∇f|)), with differences over two pixels; edges are replicated."""
    height, width = u.shape
    one, half = u.dtype.type(1), u.dtype.type(0.5)
    across = squares[0]
    for i in range(height):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        b, f, gy, gx, target = u[i], v[i], g[0, i], g[1, i], d[i]
        for k in range(1, width - 1):
            across[k] = (b[k + 1] - b[k - 1]) * (b[k + 1] - b[k - 1]) + (f[k + 1] - f[k - 1]) * (f[k + 1] - f[k - 1])
        for k in (0, width - 1):
            left, right = max(k - 1, 0), min(k + 1, width - 1)
            across[k] = (b[right] - b[left]) * (b[right] - b[left]) + (f[right] - f[left]) * (f[right] - f[left])
        a, c, e, h = u[up], u[down], v[up], v[down]
        for k in range(width):
            along = (c[k] - a[k]) * (c[k] - a[k]) + (h[k] - e[k]) * (h[k] - e[k])
            steep = math.sqrt(gy[k] * gy[k] + gx[k] * gx[k])
            target[k] = half * alpha / (math.sqrt(one + (along + across[k]) * inverse_lambda2) * (one + edge * steep))


@kernel
def refine(first, second, known, flow, sweeps, alpha, c, strength, d, floor, lambda_, edge, weights):
    """Improve a flow in place: linearise around it, then diffuse by `sweeps`; both pictures are warped by it already.

    α is the smoothness, divided by 1 + edge · |∇f|; c and d are the scales of the residual and of its gradient, which
    counts `strength` times; λ is that of |∇w|, and `floor` is added to the trace of the tensors.
    """
    height, width = first.shape
    one, n = first.dtype.type(1), weights.shape[0]
    reach = n // 2
    g, j = np.empty((4, height, width), first.dtype), np.empty((5, height, width), first.dtype)
    smooth, before = np.empty((height, width), first.dtype), flow.copy()
    lines, raw = np.empty((n, 5, width), first.dtype), np.empty((5, width), first.dtype)
    row, sums = np.empty(width + 2 * reach, first.dtype), np.empty((3, width), first.dtype)
    u, v = flow[0], flow[1]
    _gradients(first, second, g)
    for i in range(height + reach):
        if i < height:
            _products(first, second, known, g, u, v, one / c, strength, one / d, i, sums, raw)
            for m in range(5):
                smooth_row(raw[m], weights, row, lines[i % n, m])
        if i >= reach:
            gather_row(i - reach, weights, floor, lines, sums[0], j)
    _diffusivity(u, v, g, alpha, one / (lambda_ * lambda_), edge, sums, smooth)
    diffuse(j, smooth, flow, before, sweeps, sums)
    if sweeps % 2:
        flow[:] = before
