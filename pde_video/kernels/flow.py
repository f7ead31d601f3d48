"""Optical flow on one level of a pyramid: data terms smoothed over a window, diffusion of the flow."""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import copy


@kernel
def _warp(second, u, v, shares, out, known):
    """out = second at (i + u, j + v), interpolated linearly; known = 1 where that is inside the frame.

    Times the shares, if given, of what is known of the first frame at (i, j), and of the second there.
    """
    height, width = second.shape
    zero, one = second.dtype.type(0), second.dtype.type(1)
    bottom, right = second.dtype.type(height - 1), second.dtype.type(width - 1)
    down, across = np.uint64(min(height - 1, 1)), np.uint64(min(width - 1, 1))
    y_last, x_last = np.int32(max(height - 2, 0)), np.int32(max(width - 2, 0))
    for i in range(height):
        a, b, target, inside = u[i], v[i], out[i], known[i]
        for j in range(width):
            y, x = second.dtype.type(i) + a[j], second.dtype.type(j) + b[j]
            inside[j] = one if (y >= zero) & (y <= bottom) & (x >= zero) & (x <= right) else zero
            y, x = min(y if y > zero else zero, bottom), min(x if x > zero else zero, right)  # NaN becomes 0, no index.
            p, q = min(np.int32(y), y_last), min(np.int32(x), x_last)
            s, t = y - second.dtype.type(p), x - second.dtype.type(q)
            m, n = np.uint64(p), np.uint64(q)
            upper = second[m, n] + t * (second[m, n + across] - second[m, n])
            m += down
            lower = second[m, n] + t * (second[m, n + across] - second[m, n])
            target[j] = upper + s * (lower - upper)
            if shares is not None:
                m -= down
                before = shares[1, m, n] + t * (shares[1, m, n + across] - shares[1, m, n])
                m += down
                after = shares[1, m, n] + t * (shares[1, m, n + across] - shares[1, m, n])
                inside[j] *= shares[0, i, j] * (before + s * (after - before))


@kernel
def _products(first, warped, known, u, v, inverse_c, i, gx, j):
    """j (5, W) = row i of the tensor of the linearised brightness constancy and its right side: 11, 12, 22, 13, 23.

    Weighted by 1/√(1 + r²/c²) with the residual r: an L1 norm of the residual, smoothed at c.
    """
    height, width = first.shape
    half, one = first.dtype.type(0.5), first.dtype.type(1)
    p, q = max(i - 1, 0), min(i + 1, height - 1)
    a, b, left = first[i], warped[i], j[0]
    for k in range(width):
        left[k] = a[k] + b[k]
    for k in range(1, width - 1):
        gx[k] = half * half * (left[k + 1] - left[k - 1])
    gx[0] = half * half * (left[min(1, width - 1)] - left[0])
    gx[width - 1] = half * half * (left[width - 1] - left[max(width - 2, 0)])
    up1, up2, down1, down2 = first[p], warped[p], first[q], warped[q]
    j0, j1, j2, j3, j4 = j[0], j[1], j[2], j[3], j[4]
    inside, ui, vi = known[i], u[i], v[i]
    for k in range(width):
        gy = half * half * ((down1[k] + down2[k]) - (up1[k] + up2[k]))
        r = b[k] - a[k]
        w = inside[k] / math.sqrt(one + (r * inverse_c) * (r * inverse_c))
        c = r - gy * ui[k] - gx[k] * vi[k]
        j0[k] = w * gy * gy
        j1[k] = w * gy * gx[k]
        j2[k] = w * gx[k] * gx[k]
        j3[k] = w * gy * c
        j4[k] = w * gx[k] * c


@kernel
def smooth_row(source, weights, row, out):
    """out = a row smoothed, with replicated edges; `row` holds it with these."""
    width, reach = source.shape[0], weights.shape[0] // 2
    for k in range(width):
        row[reach + k] = source[k]
    for k in range(reach):
        row[k], row[reach + width + k] = source[0], source[width - 1]
    for k in range(width):
        out[k] = weights[0] * row[k]
    for m in range(1, 2 * reach + 1):
        part, w = row[m : m + width], weights[m]
        for k in range(width):
            out[k] += w * part[k]


@kernel
def gather_row(done, weights, floor, lines, share, j):
    """Row `done` of j (5, H, W) = rows of the ring buffer `lines` smoothed along columns, over trace + floor.

    So strong edges count no more than other clear structure.
    """
    _, height, width = j.shape
    n = weights.shape[0]
    reach = n // 2
    for m in range(5):
        target, part = j[m, done], lines[max(done - reach, 0) % n, m]
        for k in range(width):
            target[k] = weights[0] * part[k]
        for tap in range(1, n):
            part, w = lines[min(max(done + tap - reach, 0), height - 1) % n, m], weights[tap]
            for k in range(width):
                target[k] += w * part[k]
    for k in range(width):
        share[k] = j.dtype.type(1) / (j[0, done, k] + j[2, done, k] + floor)
    for m in range(5):
        target = j[m, done]
        for k in range(width):
            target[k] *= share[k]


@kernel
def _tensors(first, warped, known, u, v, inverse_c, weights, floor, lines, j):
    """j (5, H, W) = the products smoothed along rows and columns with replicated edges, over trace + floor."""
    height, width = first.shape
    n = weights.shape[0]
    reach = n // 2
    raw, row, share = np.empty((5, width), j.dtype), np.empty(width + 2 * reach, j.dtype), np.empty(width, j.dtype)
    for i in range(height + reach):
        if i < height:
            _products(first, warped, known, u, v, inverse_c, i, share, raw)
            for m in range(5):
                smooth_row(raw[m], weights, row, lines[i % n, m])
        if i >= reach:
            gather_row(i - reach, weights, floor, lines, share, j)


@kernel
def _diffusivity(u, v, alpha, inverse_lambda2, d):
    """d = ½ α / √(1 + |∇w|²/λ²): less diffusion at discontinuities of the flow; faces add the halves of both sides."""
    height, width = u.shape
    one, half = u.dtype.type(1), u.dtype.type(0.5)
    for i in range(height):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        a, b, c = u[up], u[i], u[down]
        e, f, g = v[up], v[i], v[down]
        target = d[i]
        for k in range(1, width - 1):
            s = (c[k] - a[k]) * (c[k] - a[k]) + (b[k + 1] - b[k - 1]) * (b[k + 1] - b[k - 1])
            t = (g[k] - e[k]) * (g[k] - e[k]) + (f[k + 1] - f[k - 1]) * (f[k + 1] - f[k - 1])
            target[k] = half * alpha / math.sqrt(one + (s + t) * inverse_lambda2)
        target[0], target[width - 1] = target[min(1, width - 1)], target[max(width - 2, 0)]
        if width < 3:
            for k in range(width):
                target[k] = half * alpha


@kernel
def _sweep_row(j, d, w, omega, i, sums, out):
    """Row i of out ← ω · Jacobi sweep of w + (1 − ω) out, towards (J − div d ∇) w = −b; no flux through the edges."""
    _, height, width = w.shape
    rest = w.dtype.type(1) - omega
    su, sv, sd = sums[0], sums[1], sums[2]
    up, down = max(i - 1, 0), min(i + 1, height - 1)
    a, b, c = w[0, up], w[0, i], w[0, down]
    e, f, g = w[1, up], w[1, i], w[1, down]
    x, y, z = d[up], d[i], d[down]
    for k in range(1, width - 1):
        north, south, west, east = x[k] + y[k], z[k] + y[k], y[k - 1] + y[k], y[k + 1] + y[k]
        sd[k] = (north + south) + (west + east)
        su[k] = (north * a[k] + south * c[k]) + (west * b[k - 1] + east * b[k + 1])
        sv[k] = (north * e[k] + south * g[k]) + (west * f[k - 1] + east * f[k + 1])
    for k in (0, width - 1):
        left, right = max(k - 1, 0), min(k + 1, width - 1)
        north, south, west, east = x[k] + y[k], z[k] + y[k], y[left] + y[k], y[right] + y[k]
        sd[k] = (north + south) + (west + east)
        su[k] = (north * a[k] + south * c[k]) + (west * b[left] + east * b[right])
        sv[k] = (north * e[k] + south * g[k]) + (west * f[left] + east * f[right])
    j0, j1, j2, j3, j4 = j[0, i], j[1, i], j[2, i], j[3, i], j[4, i]
    pu, qv = out[0, i], out[1, i]
    for k in range(width):
        m0, m2 = j0[k] + sd[k], j2[k] + sd[k]
        r, s = su[k] - j3[k], sv[k] - j4[k]
        t = omega / (m0 * m2 - j1[k] * j1[k])
        pu[k] = (m2 * r - j1[k] * s) * t + rest * pu[k]
        qv[k] = (m0 * s - j1[k] * r) * t + rest * qv[k]


@kernel
def diffuse(j, d, flow, before, sweeps, sums):
    """Diffuse the flow by sweeps, each one row behind the one before it: what it reads is still in the cache."""
    height = flow.shape[1]
    for row in range(height + sweeps - 1):
        for k in range(max(0, row - height + 1), min(sweeps, row + 1)):
            omega = flow.dtype.type((4 * k + 2) / (2 * k + 3))
            if k % 2 == 0:
                _sweep_row(j, d, flow, omega, row - k, sums, before)
            else:
                _sweep_row(j, d, before, omega, row - k, sums, flow)


@kernel
def _copy(source, target):
    for m in range(2):
        for i in range(target.shape[1]):
            copy(source[m, i], target[m, i])


@kernel
def refine(first, second, shares, flow, warps, sweeps, alpha, c, floor, lambda_, weights):
    """Improve the flow from `first` to `second` in place: linearise, then diffuse by `sweeps`, `warps` times.

    `shares` (2, H, W) of both frames are known, or all if None. α is the smoothness, c the scale of the residual, λ
    that of |∇w|, and `floor` is added to the trace of the tensors.
    """
    height, width = first.shape
    warped, known = np.empty((2, height, width), first.dtype)
    before = np.empty((2, height, width), first.dtype)
    j = np.empty((5, height, width), first.dtype)
    d = np.empty((height, width), first.dtype)
    lines = np.empty((weights.shape[0], 5, width), first.dtype)
    sums = np.empty((3, width), first.dtype)
    u, v = flow[0], flow[1]
    for _ in range(warps):
        _warp(second, u, v, shares, warped, known)
        _tensors(first, warped, known, u, v, first.dtype.type(1) / c, weights, floor, lines, j)
        _diffusivity(u, v, alpha, first.dtype.type(1) / (lambda_ * lambda_), d)
        _copy(flow, before)
        diffuse(j, d, flow, before, sweeps, sums)
        if sweeps % 2:
            _copy(before, flow)
