"""Dead pixels: what does not follow the scene, in the same places of all frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial, reduce
from typing import Annotated

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.estimate.noise import estimate_noise
from pde_video.estimate.outliers import AROUND, SPREAD, SURE, Rule, going_on, standing_out
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.masks import Marked, as_video

THRESHOLD = SURE.threshold
_FIRST = 40  # Frames that tell.
_EVERY = 4  # Frames of which one is looked at by itself,
_MOSTLY = 0.75  # and share of these in which a pixel is out: what is stuck may fit in some.
_HALF = 0.5  # Share of the pixels of a line.
_RANGES = 2  # How many times the range of lines around counts; that of pixels twice as many times.
_LINES = 8  # Lines, and pixels of each, of frames in which whole lines are not looked for, at most.
_MEASURED = 5  # Frames on which noise is measured.
_NEAR = np.concatenate(AROUND)  # The eight neighbours,
_BESIDE = np.arange(8)[:, np.newaxis] < 4  # of which four are no corners,
_TOUCH = np.abs(_NEAR[:, np.newaxis] - _NEAR).max(axis=2) == 1  # and which of them touch.
_FEW, _RARE = 4, 0.25  # Pixels that touch another one, at most, or relative to single ones: dots of letters are more.
_QUIET = 1e-3  # Deviation of noise that is expected at least, relative to the contrast.
EXTENT = Extent(0, 0, 1, None, _FIRST)


@video_filter(extent=EXTENT, examples=("stack.tif dead.tif", "stack.tif dead.tif --threshold 12"))
def detect_dead_pixels(frames: Frames, *, threshold: Annotated[float, Option(least=1)] = THRESHOLD) -> Iterator[Array]:
    """Mark the hot, dead and stuck pixels of a sensor, and its dead rows and columns: a mask for `inpaint`.

    max(u − high, low − u) > threshold · σ + 4 (high − low) in the mean of the first 40 frames, and a quarter as far in
    both halves of them, or in three quarters of every fourth frame, for low and high, the second lowest and highest of
    the eight neighbours, or the fourth of 24, and σ of the noise. Lines are dead of which half of the pixels have
    max(u − high, low − u) > threshold · σ + 2 (high − low), for the middle two of the four lines around.

    Parameters
    ----------
    threshold : float
        How far such pixels are out of the range of what is around, in units of the noise, ≥ 1.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W): white (the largest value of an integer dtype, 1 of floats)
    where a pixel of any channel is dead, 0 elsewhere, the same for all frames.

    Examples
    --------
    >>> rows, columns = np.mgrid[:32, :48]
    >>> stack = np.stack([0.5 + 0.2 * np.sin((columns - t) / 5) * np.cos(rows / 7) for t in range(5)])
    >>> stack[:, 10, 20] = 1.0; stack[:, :, 31] = 0.0
    >>> mask = pv.detect_dead_pixels(stack)
    >>> bool(mask[0, 10, 20]), int(mask[0, :, 31].sum()), int(mask[0].sum())
    (True, 32, 33)
    """
    return as_video(partial(dead, threshold=threshold), frames)


def dead(frames: Frames, threshold: float = THRESHOLD) -> Iterator[Marked]:
    """Yield the frames with what is dead of all of them."""
    shown = frames.peek(_FIRST)
    mask = _dead(shown, threshold) if shown else None
    for frame in frames:
        assert mask is not None
        yield frame, mask


def _dead(shown: list[Array], threshold: float) -> Array:
    """Return what is dead in some frames (H, W, C), as (H, W)."""
    spread = max(float(np.ptp(frame)) for frame in shown)
    if not spread:
        return np.zeros(shown[0].shape[:2], bool)
    slope, offset = estimate_noise(shown[:_MEASURED])
    model = VarianceStabilizer(slope, offset if slope else max(offset, (_QUIET * spread) ** 2))

    def uniform(frame: Array) -> Array:
        return to_planes(model.forward(frame), -1)

    def mean(some: list[Array]) -> Array:
        return reduce(np.add, map(uniform, some)) / some[0].dtype.type(math.sqrt(len(some)))  # With noise as strong.

    halves = shown[: (len(shown) + 1) // 2], shown[len(shown) // 2 :]
    fixed = reduce(
        np.logical_and, (_out(mean(half), threshold / 4, 0) for half in halves), _out(mean(shown), threshold)
    )
    single = [_out(uniform(frame), threshold) for frame in shown[::_EVERY]]
    return np.asarray((fixed | (np.sum(single, axis=0) >= _MOSTLY * len(single))).any(axis=0))


def _out(planes: Array, threshold: float, ranges: int = _RANGES) -> Array:
    """Tell which pixels of planes (C, H, W) with noise of variance 1 are out of the range of those around, or lines."""
    signs = standing_out(planes, planes, Rule(threshold, 2.0 * ranges))
    found = _alone(planes, signs) if ranges else signs != 0
    for axis in (1, 2):
        if min(planes.shape[1:]) > _LINES:
            found |= _lines(planes.swapaxes(axis, 1), threshold, ranges).swapaxes(axis, 1)
    return found


def _alone(planes: Array, signs: Array) -> Array:
    """Tell which pixels that stand out are of a sensor: what goes on around, as stars do, is not."""
    found = signs != 0
    for places in AROUND:
        found[found] = going_on(planes, found, places) < SPREAD
    pairs = _pairs(planes, signs)
    return found | pairs if np.count_nonzero(pairs) <= max(_FEW, _RARE * np.count_nonzero(found)) else found


def _pairs(planes: Array, signs: Array) -> Array:
    """Tell which pixels stand out as one of their neighbours does, and go on in no other, nor in those of both."""
    c, i, j = np.nonzero(signs)
    found = np.zeros(signs.shape, bool)

    def near(values: Array) -> Array:
        return np.asarray(np.pad(values, ((0, 0), (1, 1), (1, 1)))[c, i + 1 + _NEAR[:, :1], j + 1 + _NEAR[:, 1:]])

    other = near(signs) == signs[c, i, j]  # (8, n)
    found[c, i, j] = other.sum(axis=0) == 1
    found[c, i, j] &= (other & near(found)).any(axis=0)
    if not found.any():
        return found
    other = other[:, found[c, i, j]]
    shares = np.stack([going_on(planes, found, [place]) for place in _NEAR])
    # Neighbours that touch the other one, those at the sides, and those at the corners: a pair goes on in none of them.
    sets = (_TOUCH @ other, _BESIDE & ~other, ~_BESIDE & ~other)
    found[found] = np.all([shares.mean(axis=0, where=places) < SPREAD for places in sets], axis=0)
    return found


def _lines(planes: Array, threshold: float, ranges: int) -> Array:
    """Tell which rows of planes (C, H, W) are out of the range of those around, with two on each side, (C, H, 1)."""
    a, b, here, c, d = (planes[:, k : planes.shape[1] - 4 + k] for k in range(5))
    least, most = np.maximum(np.minimum(a, b), np.minimum(c, d)), np.minimum(np.maximum(a, b), np.maximum(c, d))
    low, high = np.minimum(least, most), np.maximum(least, most)  # The middle two of four.
    out = np.maximum(here - high, low - here) - ranges * (high - low) > threshold
    found = np.zeros((*planes.shape[:2], 1), bool)
    found[:, 2:-2, 0] = np.count_nonzero(out, axis=2) > _HALF * planes.shape[2]
    return found
