"""Pages and drawings without noise, whose letters and lines would look like it."""

import numpy as np

from pde_video.protocols import Array

_SIDE = 16  # Pixels along the side of a tile; letters are smaller.
_PAPER = 0.1  # Share of squares of one value in a tile: on pages with letters of 7 to 40 pixels at least 0.15,
_NEARLY_ALL = 0.9  # in so many tiles; there 0 in the clean clips.
_INK = 0.03  # Share of what is brightest in all that is not paper: of smoothed letters of 7 to 40 pixels 0.06 to 0.68.
_TOGETHER = 0.3  # Share of the paper in such squares beyond chance: of pages and drawings 0.6 to 0.8, of photons 0.04.


def is_drawn(frame: Array) -> bool:
    """Tell whether a frame (H, W, C) has paper of exactly one value nearly everywhere, which no noise would leave.

    Squares of 2 × 2 pixels of the most frequent value are counted in tiles that are not constant. Faint light has many
    pixels of no photons, too, but independent ones. Paper that is darkest needs ink that is brightest: where a black
    level was subtracted, what is above it may have noise.
    """
    plane = frame[..., 0] if frame.shape[2] == 1 else frame.astype(np.float64).mean(axis=2)
    height, width = (n // _SIDE * _SIDE for n in plane.shape)
    if not height or not width:
        return False
    alike = (plane[:-1, :-1] == plane[1:, 1:]) & (plane[:-1, 1:] == plane[1:, :-1])
    if alike.mean() < _PAPER * _NEARLY_ALL:  # Values are counted only where it is worth the time.
        return False
    values, counts = np.unique(plane, return_counts=True)
    paper = values[counts.argmax()]
    if paper == values[0] and counts[-1] < _INK * (plane.size - counts[0]):
        return False
    same = np.pad(plane, ((0, 1), (0, 1)), "edge") == paper
    squares = same[:-1, :-1] & same[1:, :-1] & same[:-1, 1:] & same[1:, 1:]
    shape = height // _SIDE, _SIDE, width // _SIDE, _SIDE
    tiles, alone = (one[:height, :width].reshape(shape).mean(axis=(1, 3)) for one in (squares, same[:-1, :-1]))
    varying = alone < 1
    if not varying.any():
        return False
    tiles, alone = tiles[varying], alone[varying]
    chance = alone**4
    everywhere = np.quantile(tiles, 1 - _NEARLY_ALL) > _PAPER
    return bool(everywhere and (tiles - chance).mean() > _TOGETHER * (alone - chance).mean())
