"""The picture within black bars, or within the mask of an endoscope, where alone there is noise to measure."""

from collections.abc import Sequence

import numpy as np

from pde_video.protocols import Array

_SIDE = 16  # Pixels along the side of the squares of which constant borders are made up.
_TILE = 8  # Pixels to which the picture is cut.
_MOST = 0.4  # Share of what is no border that the picture has at least.


def within_borders(frames: Sequence[Array]) -> tuple[slice, slice]:
    """Return rows and columns of the largest rectangle of frames (H, W, C) without constant borders.

    A border has the value of a corner, in all frames, and is made up of squares of 16 × 16 pixels. If what is left is
    in many parts, or nothing, the whole picture is returned.
    """
    height, width = frames[0].shape[:2] if len(frames) else (0, 0)
    whole = slice(0, height), slice(0, width)
    if min(height, width) < _SIDE:
        return whole
    border = np.zeros((height, width), bool)
    for corner in {(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)}:
        value = frames[0][corner]
        if not all(np.array_equal(frame[corner], value) for frame in frames) or border[corner]:
            continue
        same = np.ones((height, width), bool)
        for frame in frames:
            same &= (frame == value).all(axis=2)
        border |= _opened(same)
    if not border.any():
        return whole
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    padded = np.pad(border, ((0, rows * _TILE - height), (0, columns * _TILE - width)))
    touched: Array = padded.reshape(rows, _TILE, columns, _TILE).max(axis=(1, 3))
    top, bottom, left, right = (_TILE * k for k in _largest(~touched))
    bottom, right = min(bottom, height), min(right, width)
    if (bottom - top) * (right - left) <= _MOST * np.count_nonzero(~border):
        return whole
    return slice(top, bottom), slice(left, right)


def _opened(mask: Array) -> Array:
    """Return the pixels of squares that lie within a mask."""
    height, width = mask.shape
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    count = sums[_SIDE:, _SIDE:] - sums[:-_SIDE, _SIDE:] - sums[_SIDE:, :-_SIDE] + sums[:-_SIDE, :-_SIDE]
    full = np.pad((count == _SIDE**2).astype(np.int64), _SIDE - 1)
    sums = np.pad(full.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    found = sums[_SIDE:, _SIDE:] - sums[:-_SIDE, _SIDE:] - sums[_SIDE:, :-_SIDE] + sums[:-_SIDE, :-_SIDE]
    opened: Array = found[:height, :width] > 0
    return opened


def _largest(free: Array) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the largest rectangle of a mask; the first of equal ones."""
    best, most = (0, 0, 0, 0), 0
    above = np.zeros(free.shape[1], int)
    for row, line in enumerate(free):
        above = np.where(line, above + 1, 0)
        starts: list[tuple[int, int]] = []  # Columns from which on rectangles of growing heights reach to here.
        for column, tall in enumerate([*above.tolist(), 0]):
            start = column
            while starts and starts[-1][1] >= tall:
                start, high = starts.pop()
                if high * (column - start) > most:
                    most = high * (column - start)
                    best = row + 1 - high, row + 1, start, column
            starts.append((start, tall))
    return best
