"""Thomas's algorithm on many systems at once: the loops along a row have no recursion, so they vectorise."""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def thomas(first, coupling, last, z):
    """Solve z_i − g_{i+1} (z_{i+1} − z_i) + g_i (z_i − z_{i-1}) = rhs_i for every column; rhs comes in `z`.

    g is `first`, the rows of `coupling`, `last`; values outside are zero. The pivot is carried as
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
