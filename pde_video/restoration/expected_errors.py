"""How wrong what is filled is expected to be: in space, and along the motion."""

import numpy as np

from pde_video.motion.averaging import doubled, halved, smoothed, wide_means
from pde_video.protocols import Array

LEAST = 1e-6  # The smallest mismatch that counts, in units: quarters of a frame's standard deviation.
EVIDENCE = 1e-3  # Share of what is around, of which both show at least so much.
TINY = float(np.finfo(np.float32).tiny)
_SPATIAL = 0.0025  # The smallest error that is expected in space, in standard deviations of a frame.
_GAP, _ENDLESS = 2, 1000  # Pixels of gaps up to which more is missed in wider ones; of those that reach the border.
_HOLE = 24  # Pixels from which on little is known of what is masked, and nothing from three times as many on.
_FAR = 0.1  # Weight of mismatches in a wide neighbourhood, relative to those in a narrow one.


def around(squares: Array, known: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return means of squares over what is known, close by and at a distance, and how much that is.

    Both are given at half the size of `shape`.
    """
    sums = np.stack([squares, known])
    total = np.stack([smoothed(one) for one in sums]) + sums.dtype.type(_FAR) * wide_means(sums, 3)
    return doubled(total[0] / np.maximum(total[1], 1e-6), *shape), doubled(total[1], *shape)


def missed_at_rim(missed: Array, seen: Array, surest: Array, mask: Array, wide: Array, unit: float) -> Array:
    """Return the expected squared error of the mean along the motion at masked pixels: what it misses at the rim.

    That is more where frames fit worse than they do there; where there is no rim nearby, it is that of the best frame.
    At the pixels of `wide`, the mask with its rim, are given what was `missed`, in squares, where something was `seen`,
    and the inverse of the expected squared error of the best frame.
    """
    inner, expected = mask[wide], 1 / np.maximum(surest, TINY)
    sums = np.zeros((3, *mask.shape))
    sums[:, wide] = (seen & ~inner) * np.stack([missed, expected, np.ones_like(missed)])
    *rim, known = halved(sums)
    (missed, evidence), (there, _) = ([part[mask] for part in around(one, known, mask.shape)] for one in rim)
    expected, least = expected[inner], np.square(LEAST * unit) + TINY
    missed *= np.sqrt(expected / np.maximum(there, least))
    return np.maximum((evidence * missed + EVIDENCE * expected) / (evidence + EVIDENCE), least)


def missed_in_space(planes: Array, mask: Array, deviation: float) -> Array:
    """Return the expected squared error of what is filled in space, (H, W): what the mean of two neighbours misses.

    Four times that in gaps of two pixels and more. Along rows and along columns, with the inverse square of how much is
    masked along each as weight. In holes it is the variance of the frame.
    """
    total, count = np.zeros((2, *mask.shape))
    runs = [_run(mask, axis) for axis in (0, 1)]
    for axis, run in enumerate(runs):
        before, here, after = ((slice(None),) * axis + (slice(k, k - 2 or None),) for k in range(3))
        missed, both = np.zeros((2, *mask.shape), planes.dtype)
        if mask.shape[axis] > 2:
            both[here] = ~(mask[before] | mask[here] | mask[after])
            apart = 0.5 * (planes[:, *before] + planes[:, *after]) - planes[:, *here]
            missed[here] = both[here] * np.square(apart).mean(axis=0)
        squares, known = halved(np.stack([missed, both]))
        mean, some = around(squares, known, mask.shape)
        weight = some / np.square(run)
        total, count = total + weight * np.square(np.minimum(run, _GAP)) * mean, count + weight
    unknown = np.where(count > 0, np.clip((np.minimum(*runs) - _HOLE) / (2 * _HOLE), 0, 1), 1)
    mean = total / np.maximum(count, TINY) + unknown * deviation**2
    return np.maximum(mean, (_SPATIAL * deviation) ** 2 + TINY)


def _run(mask: Array, axis: int) -> Array:
    """Return how many pixels are masked one after the other along an axis, at each: 1 where none is, (H, W).

    Many, if they reach the border.
    """
    n = mask.shape[axis]
    places = np.arange(n, dtype=np.int32).reshape((-1, 1) if axis == 0 else (1, -1))
    before = np.maximum.accumulate(np.where(mask, np.int32(-1), places), axis=axis)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(mask, np.int32(n), places), axis), axis=axis), axis)
    return np.where((before >= 0) & (after < n), np.maximum(after - before - 1, 1), _ENDLESS)
