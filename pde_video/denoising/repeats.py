"""Frames that repeat the one before them but for what a codec changed, and others on which noise is not measured."""

from itertools import pairwise

import numpy as np

from pde_video.estimate.borders import within_borders
from pde_video.estimate.noise import estimate_sigma
from pde_video.filters import Frames
from pde_video.protocols import Array
from pde_video.threads import ordered

_LESS = 0.25  # Share of the variance of new noise below which a change is none.
HARDLY = 0.04  # The same for whole frames.
_FEW = 0.01  # Share of the pieces of a frame that changes, below which it is a repeat.
_ODD = 1.5  # Ratio of deviations from which on a frame has other noise than most.
_SOME, _MOST = 6, 0.7  # Rows from one pair to the next on which details are looked at; share of those that count.
_AHEAD = 20  # Frames to search for some that are no repeats.
_APART, _LONG = 8, 16  # Pixels from row to row of those that are compared, and length of a piece.


def is_repeat(before: Array, after: Array, varying: float = 1.0) -> bool:
    """Tell whether planes (C, H, W), of whose noise of variance 1 a share is new in each frame, repeat others.

    Of the pieces of rows that change at all, 99 % change by less than a quarter of what new noise would: in a picture
    of which only a small part changes, this part decides.
    """
    channels, _, width = after.shape
    long = min(_LONG, width)
    squares = np.square(after[:, ::_APART] - before[:, ::_APART])
    pieces = squares[..., : width - width % long].reshape(channels, -1, width // long, long)
    energy = sum(pieces[c, ..., k] for c in range(channels) for k in range(long))  # In order, on every machine.
    new = np.count_nonzero(energy >= _LESS * 2 * varying * channels * long)
    return bool(new <= _FEW * np.count_nonzero(energy))


def distinct(frames: Frames, n: int) -> list[Array]:
    """Return, as `Frames.lively` does, the first `n` frames that are neither constant nor repeats of others.

    Differences between a repeat and the frame before it have hardly any of the noise that there is within frames. If
    all differences are so, the noise is a fixed pattern, and no frame is a repeat.
    """
    ahead = n
    while True:
        shown = frames.lively(ahead)
        found = _originals(shown)
        if len(found) >= n or len(shown) < ahead or ahead >= _AHEAD:
            return (found if len(found) > 1 else shown)[:n]
        ahead = min(2 * ahead, _AHEAD)


def of_one_noise(shown: list[Array]) -> list[Array]:
    """Return the frames without those whose finest details are far weaker or stronger than those of most.

    The flattest blocks of all would be theirs.
    """
    found = [roughness(frame) for frame in shown]
    middle = float(np.median(found)) if found else 0.0
    alike = [one for one, sigma in zip(shown, found, strict=True) if middle / _ODD <= sigma <= middle * _ODD]
    return alike if middle and 2 * len(alike) > len(shown) else shown


def roughness(frame: Array) -> float:
    """Return the mean size of most of the finest diagonal details on some rows: it tells frames apart, and is fast."""
    above, below = frame[:-1:_SOME], frame[1::_SOME]
    details = np.abs(np.diff(above - below, axis=1)).ravel()
    most = int(_MOST * details.size)
    return float(np.partition(details, most)[:most].mean()) if most else 0.0


def _originals(shown: list[Array]) -> list[Array]:
    box = within_borders(shown)
    seen = [frame[box] for frame in shown]
    least = HARDLY * 2 * estimate_sigma(seen[:1]) ** 2 if seen else 0.0
    energy = ordered(lambda pair: estimate_sigma([pair[1] - pair[0]]) ** 2, pairwise(seen))
    return shown[:1] + [frame for frame, new in zip(shown[1:], energy, strict=True) if new > least]
