"""The vectors of preconditioned conjugate gradients, in as few passes over memory as there are waits for a sum."""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel

_LANES = np.uint64(16)  # Sums side by side: a single one would wait for every addition.
_ZERO = np.uint64(0)


@kernel
def _whole(lanes, n):
    return n - n % lanes


@kernel
def product(a, b):
    """Σ a·b, for flat arrays."""
    lanes, n = np.zeros(_LANES), np.uint64(a.shape[0])
    whole = _whole(_LANES, n)
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
    whole = _whole(_LANES, n)
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
