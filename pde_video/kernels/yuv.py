"""Luma and chroma to red, green and blue, and back.

A chroma sample belongs to a block of pixels, each of which gets it as it is; on the way back it is the mean of its
block. What comes back is therefore what was there, up to the rounding of red, green and blue: the scaler of FFmpeg
interpolates chroma and rounds luma on the way, and is off by up to 3 levels of 255, and by up to 11 of 4095.
"""

from __future__ import annotations

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def yuv_to_rgb(luma, blue, red, rgb, factors, low, middle, top, across, down, spread):
    """Fill `rgb` (H, W, 3); `factors` are of luma, and of red in R and G and blue in G and B.

    `across` and `down` are the pixels of a block, 1 or 2; `spread` (3, W + 1) is room for a row's chroma.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    scale, red_red, red_green, blue_green, blue_blue = factors[0], factors[1], factors[2], factors[3], factors[4]
    zero, half = np.float32(0.0), np.float32(0.5)
    for row in range(height):
        if row % down == 0:
            blues, reds = blue[row // down], red[row // down]
            for part in range((width + across - 1) // across):
                b, r = np.float32(blues[part]) - middle, np.float32(reds[part]) - middle
                for column in range(part * across, part * across + across):
                    spread[0, column] = r * red_red
                    spread[1, column] = r * red_green + b * blue_green
                    spread[2, column] = b * blue_blue
        lumas, pixels = luma[row], rgb[row]
        for_red, for_green, for_blue = spread[0], spread[1], spread[2]
        for column in range(width):
            y = (np.float32(lumas[column]) - low) * scale + half
            pixels[column, 0] = np.int32(min(max(y + for_red[column], zero), top))
            pixels[column, 1] = np.int32(min(max(y + for_green[column], zero), top))
            pixels[column, 2] = np.int32(min(max(y + for_blue[column], zero), top))


@kernel
def rgb_to_yuv(rgb, luma, blue, red, weights, low, middle, top, across, down, means):
    """Fill `luma`, `blue` and `red` from `rgb` (H, W, 3); `weights` (3, 3) are those of R, G and B in each of them.

    `means` (3, W) is room for the sums of a row's blocks. Blocks at the far edge repeat their pixels.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    zero, half = np.float32(0.0), np.float32(0.5)
    from_red, from_green, from_blue = weights[0, 0], weights[0, 1], weights[0, 2]
    sums_red, sums_green, sums_blue = means[0], means[1], means[2]
    for row in range(height):
        pixels, lumas = rgb[row], luma[row]
        for column in range(width):
            r, g, b = np.float32(pixels[column, 0]), np.float32(pixels[column, 1]), np.float32(pixels[column, 2])
            y = r * from_red + g * from_green + b * from_blue + (low + half)
            lumas[column] = np.int32(min(max(y, zero), top))
        if row % down == 0:
            other = rgb[min(row + down - 1, height - 1)]
            for column in range(width):
                sums_red[column] = np.float32(pixels[column, 0]) + np.float32(other[column, 0])
                sums_green[column] = np.float32(pixels[column, 1]) + np.float32(other[column, 1])
                sums_blue[column] = np.float32(pixels[column, 2]) + np.float32(other[column, 2])
            share = np.float32(0.5) / np.float32(across)
            blues, reds = blue[row // down], red[row // down]
            for part in range((width + across - 1) // across):
                first = part * across
                last = min(first + across - 1, width - 1)
                r, g, b = sums_red[first], sums_green[first], sums_blue[first]
                if across > 1:
                    r, g, b = r + sums_red[last], g + sums_green[last], b + sums_blue[last]
                r, g, b = r * share, g * share, b * share
                u = r * weights[1, 0] + g * weights[1, 1] + b * weights[1, 2] + (middle + half)
                v = r * weights[2, 0] + g * weights[2, 1] + b * weights[2, 2] + (middle + half)
                blues[part] = np.int32(min(max(u, zero), top))
                reds[part] = np.int32(min(max(v, zero), top))
