"""Samples at scattered places of a plane: what the plane lacks there, its slopes, and their mean at its pixels.

Places are (2, h, w), rows and columns in pixels of the plane; those outside count as on its edge.
"""

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.motion_averages import EDGE, _between


@kernel
def _inside(place, last):
    """Return a place clipped to pixels up to the last, and the pixel before it, which is not the last."""
    place = min(place if place > 0 else last - last, last)  # NaN becomes 0, no index.
    return place, max(min(int(place), int(last) - 1), 0)


@kernel
def differences(values, planes, places, a, first, last, out):
    """out = values (C, h, w) − the planes at their places, in rows first ≤ r < last.

    Between pixels by cubic convolution; the planes are given with their padding.
    """
    channels, _, width = values.shape
    stride, real = planes.shape[2], values.dtype.type
    bottom, right = real(planes.shape[1] - 2 * EDGE - 1), real(stride - 2 * EDGE - 1)
    for c in range(channels):
        flat = planes[c].ravel()
        for i in range(first, last):
            for j in range(width):
                row, y = _inside(places[0, i, j], bottom)
                column, x = _inside(places[1, i, j], right)
                at = np.uint64((y + EDGE - 1) * stride + x + EDGE - 1)
                shown = _between(flat, at, np.uint64(stride), row - real(y), column - real(x), a)
                out[c, i, j] = values[c, i, j] - shown


@kernel
def slopes(missed, g, planes, places, first, last, out):
    """out = g · Σ_channel (p², p q, q², p r, q r), with the slopes p and q of the planes at the places of the missed r.

    By central differences, bilinear between pixels, in rows first ≤ i < last; planes are given with their padding.
    """
    channels, _, width = missed.shape
    real = missed.dtype.type
    half, one = real(0.5), real(1)
    bottom, right = real(planes.shape[1] - 2 * EDGE - 1), real(planes.shape[2] - 2 * EDGE - 1)
    for i in range(first, last):
        for j in range(width):
            row, y = _inside(places[0, i, j], bottom)
            column, x = _inside(places[1, i, j], right)
            s, t = row - real(y), column - real(x)
            y, x, weight = y + EDGE, x + EDGE, g[i, j]
            for m in range(5):
                out[m, i, j] = 0
            for c in range(channels):
                z, r = planes[c], missed[c, i, j]
                above = (one - t) * (z[y + 1, x] - z[y - 1, x]) + t * (z[y + 1, x + 1] - z[y - 1, x + 1])
                below = (one - t) * (z[y + 2, x] - z[y, x]) + t * (z[y + 2, x + 1] - z[y, x + 1])
                left = (one - s) * (z[y, x + 1] - z[y, x - 1]) + s * (z[y + 1, x + 1] - z[y + 1, x - 1])
                beside = (one - s) * (z[y, x + 2] - z[y, x]) + s * (z[y + 1, x + 2] - z[y + 1, x])
                p = half * ((one - s) * above + s * below)
                q = half * ((one - t) * left + t * beside)
                out[0, i, j] += weight * p * p
                out[1, i, j] += weight * p * q
                out[2, i, j] += weight * q * q
                out[3, i, j] += weight * p * r
                out[4, i, j] += weight * q * r


@kernel
def spread(values, g, places, total, weights):
    """total += g · values (C, h, w) and weights += g, at the four pixels around each place, bilinearly."""
    channels, h, w = values.shape
    _, height, width = total.shape
    real = g.dtype.type
    one, bottom, right = real(1), real(height - 1), real(width - 1)
    for i in range(h):
        for j in range(w):
            row, y = _inside(places[0, i, j], bottom)
            column, x = _inside(places[1, i, j], right)
            s, t, weight = row - real(y), column - real(x), g[i, j]
            below, beside = min(y + 1, height - 1), min(x + 1, width - 1)
            a, b = weight * (one - s) * (one - t), weight * (one - s) * t
            c, d = weight * s * (one - t), weight * s * t
            weights[y, x] += a
            weights[y, beside] += b
            weights[below, x] += c
            weights[below, beside] += d
            for k in range(channels):
                value = values[k, i, j]
                total[k, y, x] += a * value
                total[k, y, beside] += b * value
                total[k, below, x] += c * value
                total[k, below, beside] += d * value
