"""Weighted moments of the values of two pictures, row by row."""

import numpy as np

from pde_video.kernels.jit import kernel

MOMENTS = 7


@kernel
def row_moments(first, second, known, gain, offset, scale, out):
    """Add up w (1, x, y, x², xy, y²) and the energy in each row: out (rows, 7).

    Of values x of the first picture, in the light of the second by a gain and an offset of each row, and y of the
    second, with r = (y − x) / scale, and shares k that are `known`: w = k² / (1 + r²)² and energy k r² / (1 + r²), of
    which Geman and McClure's estimator minimises the sum.
    """
    height, width = first.shape
    one = np.float64(1)
    inverse = one / scale
    lit, apart, share = np.empty(width), np.empty(width), np.empty(width)
    for i in range(height):
        a, b, k, target = first[i], second[i], known[i], out[i]
        for j in range(width):  # Apart from the sums, which do not vectorise.
            lit[j] = gain[i] * np.float64(a[j]) + offset[i]
            r = (np.float64(b[j]) - lit[j]) * inverse
            apart[j] = r * r
            share[j] = np.float64(k[j]) / (one + apart[j])
        n = sx = sy = sxx = sxy = syy = energy = np.float64(0)
        for j in range(width):
            x, y, w = lit[j], np.float64(b[j]), share[j] * share[j]
            n += w
            sx += w * x
            sy += w * y
            sxx += w * x * x
            sxy += w * x * y
            syy += w * y * y
            energy += apart[j] * share[j]
        target[0], target[1], target[2] = n, sx, sy
        target[3], target[4], target[5] = sxx, sxy, syy
        target[6] = energy
