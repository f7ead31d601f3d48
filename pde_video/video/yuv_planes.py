"""Conversion between FFmpeg's planes of luma and chroma and arrays of red, green and blue.

Y = kr R + kg G + kb B,  Cb = (B − Y) / (2 − 2 kb),  Cr = (R − Y) / (2 − 2 kr), then scaled to the levels of the range.
"""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np

from pde_video.kernels.yuv import rgb_to_yuv, yuv_to_rgb
from pde_video.protocols import Array
from pde_video.video.colour_tags import FULL, LIMITED, tag_number

# FFmpeg's formats of packed pixels, by bytes per value and channels.
PACKED = {(1, 1): "gray", (1, 3): "rgb24", (1, 4): "rgba", (2, 1): "gray16le", (2, 3): "rgb48le", (2, 4): "rgba64le"}
_BT709, _BT601 = 1, 5
# Weights of red and blue in luma, by the numbers of matrices in ITU-T H.273.
_SHARES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_BLOCKS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}  # Pixels across and down that share a chroma sample.


def is_known(pixel: str) -> bool:
    """Tell whether frames of a pixel format can be converted here."""
    return _parts(pixel) is not None


def known_matrix(matrix: int, height: int) -> int:
    """Return the matrix, or the one that players assume for untagged files."""
    if matrix in _SHARES:
        return matrix
    return _BT709 if height >= 720 else _BT601


def to_rgb(frame: Any, matrix: int, full: bool) -> Array:
    """Return a frame as (H, W, 3), uint8, or uint16 scaled to its range where it has more than 8 bits."""
    across, down, bits = _parts(frame.format.name) or (1, 1, 8)
    dtype = np.uint8 if bits == 8 else np.uint16
    top = np.iinfo(dtype).max
    kr, kb = _SHARES[matrix]
    kg = 1 - kr - kb
    low, black_to_white, colours, middle = _levels(bits, full)
    red, blue = 2 * (1 - kr) * top / colours, 2 * (1 - kb) * top / colours
    factors = np.array([top / black_to_white, red, -red * kr / kg, -blue * kb / kg, blue], np.float32)
    rgb = np.empty((frame.height, frame.width, 3), dtype)
    spread, parts = np.empty((3, frame.width + 1), np.float32), np.empty((3, frame.width), dtype)
    rows = rgb.reshape(frame.height, -1)
    yuv_to_rgb(*_arrays(frame, dtype), rows, factors, low, middle, np.float32(top), across, down, spread, parts)
    return rgb


def from_rgb(rgb: Array, pixel: str, matrix: int, full: bool) -> Any:
    """Return an FFmpeg frame in one of the pixel formats that `is_known` accepts."""
    across, down, bits = _parts(pixel) or (1, 1, 8)
    top = np.iinfo(rgb.dtype).max
    kr, kb = _SHARES[matrix]
    kg = 1 - kr - kb
    low, black_to_white, colours, middle = _levels(bits, full)
    luma = np.array([kr, kg, kb])
    weights = np.array(
        [
            luma * black_to_white,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)) * colours,
            (np.array([1, 0, 0]) - luma) / (2 * (1 - kr)) * colours,
        ]
    )
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pixel)
    arrays = _arrays(frame, np.uint8 if bits == 8 else np.uint16)
    parts, sums = np.empty((2, 3, rgb.shape[1]), np.float32)
    highest, rows = np.float32(2**bits - 1), rgb.reshape(rgb.shape[0], -1)
    shares = (weights / top).astype(np.float32)
    rgb_to_yuv(rows, *arrays, shares, low, middle, highest, across, down, parts, sums)
    frame.color_range, frame.colorspace = tag_number("range", FULL if full else LIMITED), matrix
    return frame


def _parts(pixel: str) -> tuple[int, int, int] | None:
    """Return the columns and rows of a chroma block, and the bits."""
    found = re.fullmatch(r"yuvj?(420|422|444)p(?:(9|10|12|14|16)le)?", pixel)
    return (*_BLOCKS[found[1]], int(found[2] or 8)) if found else None


def _levels(bits: int, full: bool) -> tuple[np.float32, float, float, np.float32]:
    """Return the level of black, the levels from black to white, those of chroma, and the level of no colour."""
    unit = 2 ** (bits - 8)
    middle = np.float32(128 * unit)
    if full:
        return np.float32(0), float(2**bits - 1), float(2**bits - 1), middle
    return np.float32(16 * unit), 219.0 * unit, 224.0 * unit, middle


def _arrays(frame: Any, dtype: type) -> list[Array]:
    """Return the planes with the padding of their rows, so that they are contiguous."""
    return [np.frombuffer(plane, dtype).reshape(plane.height, -1) for plane in frame.planes]
