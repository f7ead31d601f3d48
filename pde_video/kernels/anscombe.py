"""The generalised Anscombe transform, which makes the deviation of photon noise constant, and its inverse."""

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def stabilise(values, black, slope, ground, lowest, out):
    """Write 2 u / (√(slope · u + ground²) + ground), u = value − black, cut off at `lowest` = −ground² / slope."""
    square, zero = ground * ground, ground - ground
    for i in range(values.size):
        u = values[i] - black
        root = slope * u + square
        root = zero if u <= lowest or root < zero else root
        u = lowest if u < lowest else u
        out[i] = (u + u) / (np.sqrt(root) + ground)


@kernel
def unstabilise(values, black, slope, ground, readout, table, first, density, top, out):
    """Write the mean intensity whose stabilised mean is each value.

    Below `top` it is interpolated in `table`, whose entries stand for values from `first` on, 1/density apart, or
    extrapolated through the first two; above, it is the series black + u + slope³ readout² / (8 variance²), where
    u = slope v²/4 + ground v + slope/4 is Anscombe's asymptotic inverse.
    """
    quarter, least = slope / 4, readout * readout
    correction = slope * slope * slope * least / 8
    for i in range(values.size):
        value = values[i]
        if value < top:
            place = (value - first) * density
            k = min(int(place), table.size - 2) if place > 0 else 0
            out[i] = table[k] + (place - k) * (table[k + 1] - table[k])
        else:
            u = (quarter * value + ground) * value + quarter
            variance = slope * u + least
            variance = least if variance < least else variance
            out[i] = black + (u + correction / (variance * variance) if correction > 0 else u)
