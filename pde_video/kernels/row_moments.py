"""Weighted moments of the values of two pictures, row by row."""

import numpy as np

from pde_video.kernels.jit import kernel

MOMENTS = 7


@kernel
def row_moments(first, second, scale, out):
    """Add up w (1, x, y, x², xy, y²) and the energy in each row: out (rows, 7).

    Of values x, y of both pictures, with r = (y − x) `scale`: w = 1 / (1 + r²)² and energy r² / (1 + r²), which Geman
    and McClure's estimator minimises.
    """
    height, width = first.shape
    one = np.float64(1)
    for i in range(height):
        a, b, target = first[i], second[i], out[i]
        for m in range(MOMENTS):
            target[m] = np.float64(0)
        for j in range(width):
            x, y = np.float64(a[j]), np.float64(b[j])
            r = (y - x) * scale
            share = one / (one + r * r)
            w = share * share
            target[0] += w
            target[1] += w * x
            target[2] += w * y
            target[3] += w * x * x
            target[4] += w * x * y
            target[5] += w * y * y
            target[6] += r * r * share
