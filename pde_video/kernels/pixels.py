"""Pixels of files to floating-point planes, or to red, green and blue, and back, each in one pass over a frame.

Integers are one row of interleaved channels, planes one row for each channel. Three channels are converted in one loop,
which the compiler turns into wide loads and shuffles.

All pixels of a block of luma and chroma get its chroma sample; in the other direction, the sample is the mean over the
block. So levels return exactly, up to the rounding of red, green and blue. FFmpeg's scaler interpolates chroma and
rounds luma, and is off by up to 3 levels of 255, or 11 of 4095.
"""

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import copy


@kernel
def to_planes(pixels, planes, scale):
    """planes[c, j] = pixels[j, c] / scale, in float32."""
    channels, n = planes.shape
    if channels == 3:
        for j in range(n):
            for c in range(3):
                planes[c, j] = np.float32(pixels[3 * j + c]) / scale
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
        for j in range(n):
            for c in range(3):
                out[3 * j + c], beyond, bad = _rounded(planes[c, j], scale, low, high)
                saturated += beyond
                infinite += bad
    else:
        for c in range(channels):
            beyond, bad = round_values(planes[c], out[c::channels], scale, low, high)
            saturated += beyond
            infinite += bad
    return saturated, infinite


@kernel
def yuv_to_rgb(luma, blue, red, rgb, factors, low, middle, top, across, down, spread, parts):
    """Fill `rgb` (H, 3 W); `factors` are those of luma, of red chroma in R and G, and of blue chroma in G and B.

    A block has `across` × `down` pixels, each 1 or 2. The buffers are `spread` (3, W + 1) for what a row's chroma adds
    to each colour, and `parts` (3, W) for its colours as planes, since simple loops vectorise.
    """
    height, width = rgb.shape[0], rgb.shape[1] // 3
    scale, half, zero = factors[0], np.float32(0.5), np.float32(0.0)
    for row in range(height):
        if row % down == 0:
            length = (width + across - 1) // across
            _spread(blue[row // down], red[row // down], spread, factors, middle, length, across)
        lumas, pixels = luma[row], rgb[row]
        for column in range(width):
            y = (np.float32(lumas[column]) - low) * scale + half
            for c in range(3):
                parts[c, column] = np.int32(min(max(y + spread[c, column], zero), top))
        for column in range(width):
            for c in range(3):
                pixels[3 * column + c] = parts[c, column]


@kernel
def _spread(blues, reds, spread, factors, middle, length, across):
    red_red, red_green, blue_green, blue_blue = factors[1], factors[2], factors[3], factors[4]
    to_red, to_green, to_blue = spread[0], spread[1], spread[2]
    if across == 1:
        for part in range(length):
            b, r = np.float32(blues[part]) - middle, np.float32(reds[part]) - middle
            to_red[part], to_green[part], to_blue[part] = r * red_red, r * red_green + b * blue_green, b * blue_blue
    else:
        for part in range(length):
            b, r = np.float32(blues[part]) - middle, np.float32(reds[part]) - middle
            for column in (2 * part, 2 * part + 1):
                to_red[column], to_blue[column] = r * red_red, b * blue_blue
                to_green[column] = r * red_green + b * blue_green


@kernel
def rgb_to_yuv(rgb, luma, blue, red, weights, low, middle, top, across, down, parts, sums):
    """Fill `luma`, `blue` and `red` from `rgb` (H, 3 W); `weights` (3, 3) are those of R, G and B in each of them.

    `parts` and `sums` (3, W) are buffers for a row's colours, and for their sums over the rows of a block. Incomplete
    blocks repeat their pixels.
    """
    height, width = rgb.shape[0], rgb.shape[1] // 3
    zero, start = np.float32(0.0), low + np.float32(0.5)
    of_red, of_green, of_blue = weights[0, 0], weights[0, 1], weights[0, 2]
    reds, greens, blues = parts[0], parts[1], parts[2]
    for row in range(height):
        pixels, lumas = rgb[row], luma[row]
        for column in range(width):
            for c in range(3):
                parts[c, column] = pixels[3 * column + c]
        for column in range(width):
            y = reds[column] * of_red + greens[column] * of_green + blues[column] * of_blue + start
            lumas[column] = np.int32(min(max(y, zero), top))
        if row % down == 0:
            for c in range(3):
                copy(parts[c], sums[c])
        if row % down == down - 1 or row == height - 1:
            if down == 2:
                for c in range(3):
                    _add(parts[c], sums[c])
            if across == 2:
                _add_neighbours(sums, parts)
            of_block, length = parts if across == 2 else sums, (width + across - 1) // across
            share = np.float32(1.0) / np.float32(across * down)
            _chroma(of_block, blue[row // down], weights[1], share, middle, top, length)
            _chroma(of_block, red[row // down], weights[2], share, middle, top, length)


@kernel
def _add(row, total):
    for column in range(row.shape[0]):
        total[column] += row[column]


@kernel
def _add_neighbours(sums, pairs):
    width = sums.shape[1]
    for c in range(3):
        row, target = sums[c], pairs[c]
        for part in range(width // 2):
            target[part] = row[2 * part] + row[2 * part + 1]
        if width % 2:
            target[width // 2] = row[width - 1] + row[width - 1]


@kernel
def _chroma(sums, target, weights, share, middle, top, length):
    zero, start = np.float32(0.0), middle + np.float32(0.5)
    of_red, of_green, of_blue = weights[0] * share, weights[1] * share, weights[2] * share
    reds, greens, blues = sums[0], sums[1], sums[2]
    for part in range(length):
        chroma = reds[part] * of_red + greens[part] * of_green + blues[part] * of_blue + start
        target[part] = np.int32(min(max(chroma, zero), top))
