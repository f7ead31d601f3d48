"""The inner loops of implicit solves: by transforms, by conjugate gradients, by elimination in double precision."""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel

_LANES = np.uint64(16)  # Sums side by side: a single one would wait for every addition.
_ZERO = np.uint64(0)


@kernel
def divide_by_sums(x, rows, columns):
    """Divide x[c, i, j] by rows[i] + columns[j], in place."""
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            row, outer = x[c, i], rows[i]
            for j in range(row.shape[0]):
                row[j] /= outer + columns[j]


@kernel
def product(a, b):
    """Σ a·b, for flat arrays."""
    lanes, n = np.zeros(_LANES), np.uint64(a.shape[0])
    whole = n - n % _LANES
    for start in range(_ZERO, whole, _LANES):
        for j in range(_LANES):
            lanes[j] += a[start + j] * b[start + j]
    for j in range(whole, n):
        lanes[_ZERO] += a[j] * b[j]
    return lanes.sum()


@kernel
def advance(z, r, p, q, alpha, inverse):
    """z += α p, r −= α q; return Σ r² and Σ r²·inverse."""
    norm, weighted, n = np.zeros(_LANES), np.zeros(_LANES), np.uint64(z.shape[0])
    for j in range(n):
        z[j] += alpha * p[j]
        r[j] -= alpha * q[j]
    whole = n - n % _LANES
    for start in range(_ZERO, whole, _LANES):
        for j in range(_LANES):
            square = r[start + j] * r[start + j]
            norm[j] += square
            weighted[j] += square * inverse[start + j]
    for j in range(whole, n):
        norm[_ZERO] += r[j] * r[j]
        weighted[_ZERO] += r[j] * r[j] * inverse[j]
    return norm.sum(), weighted.sum()


@kernel
def redirect(p, r, inverse, beta):
    """p = r·inverse + β p."""
    for j in range(p.shape[0]):
        p[j] = r[j] * inverse[j] + beta * p[j]


@kernel
def thomas(first, coupling, last, z):
    """Solve z_i − g_{i+1} (z_{i+1} − z_i) + g_i (z_i − z_{i-1}) = rhs_i for every column; rhs is passed in `z`.

    Thomas's algorithm on many systems at once; `lines` is faster, but not for periodic or very long systems. g is
    `first`, the rows of `coupling`, `last`; values outside are zero. The pivot is carried as
    1 + g_i q_{i-1}/p_{i-1}, a sum of positive numbers, so nothing cancels however large g is.
    """
    n, m = z.shape
    inverse = np.empty((n, m), z.dtype)
    q = 1.0 + first
    for i in range(n):
        for j in range(m):
            if i > 0:
                g = coupling[i - 1, j]
                z[i, j] += g * z[i - 1, j]
                q[j] = 1.0 + g * q[j] * inverse[i - 1, j]
            after = coupling[i, j] if i < n - 1 else last[j]
            inverse[i, j] = 1.0 / (q[j] + after)
            z[i, j] *= inverse[i, j]
    for i in range(n - 2, -1, -1):
        for j in range(m):
            z[i, j] += coupling[i, j] * inverse[i, j] * z[i + 1, j]
    return z
