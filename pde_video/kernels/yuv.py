"""Luma and chroma to red, green and blue, and back.

All pixels of a block get its chroma sample; in the other direction, the sample is the mean over the block. So levels
return exactly, up to the rounding of red, green and blue. FFmpeg's scaler interpolates chroma and rounds luma, and is
off by up to 3 levels of 255, or 11 of 4095.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def yuv_to_rgb(luma, blue, red, rgb, factors, low, middle, top, across, down, spread, parts):
    """Fill `rgb` (H, 3 W); `factors` are those of luma, of red chroma in R and G, and of blue chroma in G and B.

    A block has `across` × `down` pixels, each 1 or 2. The buffers are `spread` (3, W + 1) for what a row's chroma adds
    to each colour, and `parts` (3, W) for its colours as planes, since simple loops vectorise.
    """
    height, width = rgb.shape[0], rgb.shape[1] // 3
    scale, half, zero = factors[0], np.float32(0.5), np.float32(0.0)
    reds, greens, blues = parts[0], parts[1], parts[2]
    for row in range(height):
        if row % down == 0:
            _spread(
                blue[row // down], red[row // down], spread, factors, middle, (width + across - 1) // across, across
            )
        lumas, pixels = luma[row], rgb[row]
        to_red, to_green, to_blue = spread[0], spread[1], spread[2]
        for column in range(width):
            y = (np.float32(lumas[column]) - low) * scale + half
            reds[column] = np.int32(min(max(y + to_red[column], zero), top))
            greens[column] = np.int32(min(max(y + to_green[column], zero), top))
            blues[column] = np.int32(min(max(y + to_blue[column], zero), top))
        for column in range(width):
            pixels[3 * column] = reds[column]
            pixels[3 * column + 1] = greens[column]
            pixels[3 * column + 2] = blues[column]


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
            reds[column] = pixels[3 * column]
            greens[column] = pixels[3 * column + 1]
            blues[column] = pixels[3 * column + 2]
        for column in range(width):
            y = reds[column] * of_red + greens[column] * of_green + blues[column] * of_blue + start
            lumas[column] = np.int32(min(max(y, zero), top))
        if row % down == 0:
            sums[:, :] = parts
        if row % down == down - 1 or row == height - 1:
            if down == 2:
                sums += parts
            _chroma(sums, blue[row // down], weights[1], middle, top, across, down, width)
            _chroma(sums, red[row // down], weights[2], middle, top, across, down, width)


@kernel
def _chroma(sums, target, weights, middle, top, across, down, width):
    zero, start = np.float32(0.0), middle + np.float32(0.5)
    share = np.float32(1.0) / np.float32(across * down)
    of_red, of_green, of_blue = weights[0] * share, weights[1] * share, weights[2] * share
    reds, greens, blues = sums[0], sums[1], sums[2]
    if across == 1:
        for part in range(width):
            chroma = reds[part] * of_red + greens[part] * of_green + blues[part] * of_blue + start
            target[part] = np.int32(min(max(chroma, zero), top))
    else:
        for part in range(width // 2):
            r = reds[2 * part] + reds[2 * part + 1]
            g = greens[2 * part] + greens[2 * part + 1]
            b = blues[2 * part] + blues[2 * part + 1]
            target[part] = np.int32(min(max(r * of_red + g * of_green + b * of_blue + start, zero), top))
        if width % 2:
            r, g, b = reds[width - 1], greens[width - 1], blues[width - 1]
            chroma = np.float32(2.0) * (r * of_red + g * of_green + b * of_blue) + start
            target[width // 2] = np.int32(min(max(chroma, zero), top))
