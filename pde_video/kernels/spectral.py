"""What happens between a transform and its inverse."""

from __future__ import annotations

from pde_video.kernels.jit import kernel


@kernel
def divide_by_sums(x, rows, columns):
    """Divide x[c, i, j] by rows[i] + columns[j], in place."""
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            row, outer = x[c, i], rows[i]
            for j in range(row.shape[0]):
                row[j] /= outer + columns[j]
