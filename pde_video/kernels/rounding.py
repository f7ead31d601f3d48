"""Integers to floating-point planes and back, each in one pass over a frame.

Pixels are one row of interleaved channels, planes one row for each channel. Three channels are converted in one loop,
written out because the compiler turns it into wide loads and shuffles.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def to_planes(pixels, planes, scale):
    """planes[c, j] = pixels[j, c] / scale, in float32."""
    channels, n = planes.shape
    if channels == 3:
        first, second, third = planes[0], planes[1], planes[2]
        for j in range(n):
            first[j] = np.float32(pixels[3 * j]) / scale
            second[j] = np.float32(pixels[3 * j + 1]) / scale
            third[j] = np.float32(pixels[3 * j + 2]) / scale
    else:
        for c in range(channels):
            plane = planes[c]
            for j in range(n):
                plane[j] = np.float32(pixels[channels * j + c]) / scale


@kernel
def _rounded(value, scale, low, high):
    exact = np.rint(value * scale)
    held = low if exact < low else exact
    held = high if held > high else held
    return held, np.int64(exact != held), np.int64(exact - exact != 0)


@kernel
def round_values(values, out, scale, low, high):
    """out = values · scale, rounded to even and saturated; return how many were saturated, and how many not finite."""
    saturated, infinite = 0, 0
    for j in range(out.shape[0]):
        out[j], beyond, bad = _rounded(values[j], scale, low, high)
        saturated += beyond
        infinite += bad
    return saturated, infinite


@kernel
def round_planes(planes, out, scale, low, high):
    """As `round_values`, with planes[c, j] as the values and interleaved pixels as `out`."""
    channels, n = planes.shape
    saturated, infinite = 0, 0
    if channels == 3:
        first, second, third = planes[0], planes[1], planes[2]
        for j in range(n):
            out[3 * j], beyond, bad = _rounded(first[j], scale, low, high)
            saturated += beyond
            infinite += bad
            out[3 * j + 1], beyond, bad = _rounded(second[j], scale, low, high)
            saturated += beyond
            infinite += bad
            out[3 * j + 2], beyond, bad = _rounded(third[j], scale, low, high)
            saturated += beyond
            infinite += bad
    else:
        for c in range(channels):
            plane = planes[c]
            for j in range(n):
                out[channels * j + c], beyond, bad = _rounded(plane[j], scale, low, high)
                saturated += beyond
                infinite += bad
    return saturated, infinite
