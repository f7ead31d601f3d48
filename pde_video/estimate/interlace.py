"""Detection of interlaced video: frames whose even and odd rows, the two fields, show different times."""

from collections.abc import Sequence

import numpy as np

from pde_video.protocols import Array

_ROWS, _COLUMNS = 4, 16  # Of a block, in pixels of a field.
_SHARE = 0.5  # Of what motion changes; 1 if the fields are half a frame apart, 0 if they show the same time.
_CERTAIN = 5.0  # Standard deviations of its mean over blocks.
_FEWEST = 30  # Blocks below which their standard deviation is not known well enough.


def is_interlaced(frames: Sequence[Array]) -> bool:
    """Tell whether the two fields of consecutive frames (H, W, C) show different times.

    D(s) is the mean squared difference between a field and the other one of the frame s later, interpolated between its
    rows. Texture, noise and stripes are in all D alike. If the fields of a frame show the same time, D(1) and D(−1) are
    equal up to changes of speed, which are the same for both fields. If they are half a frame apart, one of the two is
    larger, for the other field the other, by as much as motion adds: |D(1) − D(−1)| = D(1) + D(−1) − 2 D(0). Frames of
    fewer than 30 blocks of 8 × 16 pixels do not tell.
    """
    luma = [frame.mean(axis=-1, dtype=np.float64) for frame in frames]
    if len(luma) < 3 or luma[0].shape[0] < 2 * _ROWS + 4 or luma[0].shape[1] < _COLUMNS:
        return False
    order, motion = [], []
    size = luma[0].shape[0] // 2 * 2  # So that both fields have as many rows.
    luma = [one[:size] for one in luma]
    for before, here, after in zip(luma, luma[1:], luma[2:], strict=False):
        for parity, sign in ((0, 1), (1, -1)):
            past, now, later = (_apart(here, other, parity) for other in (before, here, after))
            order.append(sign * (past - later))
            motion.append(past + later - 2 * now)
    each = np.mean(order, axis=0)  # Blocks at the same place do not count as independent.
    if each.size < _FEWEST:
        return False
    certain = abs(each.mean()) > _CERTAIN * each.std() / np.sqrt(each.size)
    return bool(certain and abs(each.mean()) > _SHARE * np.mean(motion) > 0)


def _apart(here: Array, other: Array, parity: int) -> Array:
    """Return the mean squared differences in blocks between a field of one frame and the other field of another."""
    n = len(here) // 2 - 2
    first, last = other[parity::2][:n], other[parity + 2 :: 2][:n]
    squares = np.square(here[parity + 1 :: 2][:n] - (first + last) / 2)
    rows, columns = squares.shape[0] // _ROWS, squares.shape[1] // _COLUMNS
    blocks = squares[: rows * _ROWS, : columns * _COLUMNS].reshape(rows, _ROWS, columns, _COLUMNS)
    means: Array = blocks.mean(axis=(1, 3))
    return means
