"""Symmetric banded systems by elimination without pivots: rows[i, d] is the coefficient i, i − d."""

from pde_video.kernels.jit import kernel


@kernel
def factorise(rows):
    """Replace a matrix by L and D of A = L D Lᵀ, in place; every leading part of it must have an inverse."""
    n, width = rows.shape
    for i in range(n):
        first = max(0, i - width + 1)
        for j in range(first, i):
            for k in range(first, j):
                rows[i, i - j] -= rows[i, i - k] * rows[j, j - k]
        for k in range(first, i):
            scaled = rows[i, i - k]
            rows[i, i - k] = scaled / rows[k, 0]
            rows[i, 0] -= scaled * rows[i, i - k]


@kernel
def substitute(rows, z):
    """Replace the columns of z by those of the solutions, in place, with L and D of `factorise`."""
    n, width = rows.shape
    for i in range(n):
        for k in range(max(0, i - width + 1), i):
            factor = rows[i, i - k]
            for j in range(z.shape[1]):
                z[i, j] -= factor * z[k, j]
    for i in range(n - 1, -1, -1):
        for j in range(z.shape[1]):
            z[i, j] /= rows[i, 0]
        for k in range(i + 1, min(n, i + width)):
            factor = rows[k, k - i]
            for j in range(z.shape[1]):
                z[i, j] -= factor * z[k, j]
