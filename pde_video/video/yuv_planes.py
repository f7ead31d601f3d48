"""Colour as video files code it: tags of ITU-T H.273, and planes of luma and chroma to and from RGB.

Y = kr R + kg G + kb B,  Cb = (B − Y) / (2 − 2 kb),  Cr = (R − Y) / (2 − 2 kr), then scaled to the levels of the range.
"""

import re
from typing import Any

import av
import numpy as np

from pde_video.kernels.pixels import rgb_to_yuv, yuv_to_rgb
from pde_video.protocols import Array

UNKNOWN = "unknown"
LIMITED, FULL = "limited", "full"
# FFmpeg's names of tags: a name's place is its number in H.273; numbers without a meaning stand for themselves.
_NAMES = {
    "range": f"{UNKNOWN} {LIMITED} {FULL}",
    "matrix": "gbr bt709 unknown 3 fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c smpte2085",
    "primaries": "0 bt709 unknown 3 bt470m bt470bg smpte170m smpte240m film bt2020 smpte428 smpte431 smpte432",
    "transfer": "0 bt709 unknown 3 bt470m bt470bg smpte170m smpte240m linear log100 log316 iec61966-2-4 bt1361e "
    "iec61966-2-1 bt2020-10 bt2020-12 smpte2084 smpte428 arib-std-b67",
}
# FFmpeg's formats of packed pixels, by bytes per value and channels.
PACKED = {(1, 1): "gray", (1, 3): "rgb24", (1, 4): "rgba", (2, 1): "gray16le", (2, 3): "rgb48le", (2, 4): "rgba64le"}
_BT709, _BT601 = 1, 5
# Weights of red and blue in luma, by the numbers of matrices.
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


def tag_name(kind: str, number: int) -> str:
    """Return the name of a range, matrix, primaries or transfer."""
    names = _NAMES[kind].split()
    return names[number] if 0 <= number < len(names) else str(number)


def tag_number(kind: str, name: str) -> int:
    """Return the number of a name that `tag_name` gave."""
    names = _NAMES[kind].split()
    return names.index(name) if name in names else int(name)


def known_matrix(matrix: int, height: int) -> int:
    """Return the matrix, or the one that players assume for untagged files."""
    if matrix in _SHARES:
        return matrix
    return _BT709 if height >= 720 else _BT601


def to_rgb(frame: Any, matrix: int, full: bool) -> Array:
    """Return a frame as (H, W, 3), uint8, or uint16 scaled to its range where it has more than 8 bits."""
    across, down, bits = subsampling(frame.format.name) or (1, 1, 8)
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
    planes = (lines(plane, dtype) for plane in frame.planes)
    yuv_to_rgb(*planes, rows, factors, low, middle, np.float32(top), across, down, spread, parts)
    return rgb


def from_rgb(rgb: Array, pixel: str, matrix: int, full: bool) -> Any:
    """Return an FFmpeg frame in one of the pixel formats with a known `subsampling`."""
    across, down, bits = subsampling(pixel) or (1, 1, 8)
    top = np.iinfo(rgb.dtype).max
    kr, kb = _SHARES[matrix]
    kg = 1 - kr - kb
    low, black_to_white, colours, middle = _levels(bits, full)
    luma = np.array([kr, kg, kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)) * colours
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - kr)) * colours
    shares = (np.array([luma * black_to_white, blue, red]) / top).astype(np.float32)
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pixel)
    planes = (lines(plane, np.uint8 if bits == 8 else np.uint16) for plane in frame.planes)
    parts, sums = np.empty((2, 3, rgb.shape[1]), np.float32)
    highest, rows = np.float32(2**bits - 1), rgb.reshape(rgb.shape[0], -1)
    rgb_to_yuv(rows, *planes, shares, low, middle, highest, across, down, parts, sums)
    frame.color_range, frame.colorspace = tag_number("range", FULL if full else LIMITED), matrix
    return frame


def subsampling(pixel: str) -> tuple[int, int, int] | None:
    """Return the columns and rows of a chroma block, and the bits; None for formats that are not converted here."""
    found = re.fullmatch(r"yuvj?(420|422|444)p(?:(9|10|12|14|16)le)?", pixel)
    return (*_BLOCKS[found[1]], int(found[2] or 8)) if found else None


def lines(plane: Any, dtype: Any = np.uint8) -> Array:
    """Return the rows of a plane with their padding, not copied."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).view(dtype)


def _levels(bits: int, full: bool) -> tuple[np.float32, float, float, np.float32]:
    """Return the level of black, the levels from black to white, those of chroma, and the level of no colour."""
    unit = 2 ** (bits - 8)
    middle = np.float32(128 * unit)
    if full:
        return np.float32(0), float(2**bits - 1), float(2**bits - 1), middle
    return np.float32(16 * unit), 219.0 * unit, 224.0 * unit, middle
