"""Detection of scene cuts."""

import math

import numpy as np

from pde_video.errors import InputError
from pde_video.motion.averaging import EXACT, inconsistent, padded, warped
from pde_video.motion.optical_flow import flow_between
from pde_video.protocols import Array

_ALIKE = 0.5  # Correlation of coarse pictures from which on they are of one scene.
_SUSPECTED = 0.7  # The same where motion is followed, without it; and along it.
_FOLLOWED = 0.4  # Share of a picture whose motion must lead back.
_ENOUGH = 64  # Pixels along the shorter side of a level on which motion is told from chance.
_SMOOTHNESS = 20.0  # Of the motion.


def is_scene_cut(before: Array, after: Array, *, sigma: float = 0.0) -> bool:
    """Tell whether two consecutive frames (H, W) or (H, W, C), with white noise of `sigma`, are of different scenes.

    A cut is where corr(coarse(before), coarse(after)) < 0.5, for means over 16 × 16 blocks: motion and noise leave most
    of the coarse picture in place, a cut does not. If one frame is constant, a cut is where the levels differ by more
    than the standard deviation of the other frame. See Lienhart (1999), doi:10.1117/12.333848.
    """
    return _likeness(before, after, sigma) < _ALIKE


def is_cut_not_motion(before: list[Array], after: list[Array], *, sigma: float) -> bool:
    """Tell whether two pyramids of consecutive pictures (H, W) are of different scenes, however fast the motion is.

    Where the coarse correlation is below 0.7, the motion is estimated, in large pictures on a coarser level: in one
    scene, the correlation along it is above 0.7; and if it is below 0.5 without, the motion leads back in 40 % of the
    picture.
    """
    alike = _likeness(before[0], after[0], sigma)
    if alike >= _SUSPECTED:
        return False
    level = int(len(before) > 1 and min(before[1].shape) >= _ENOUGH)
    first, second = before[level:], after[level:]
    flow, back = flow_between(second, first, _SMOOTHNESS), flow_between(first, second, _SMOOTHNESS)
    moved = warped(padded(first[0][np.newaxis]), flow, EXACT)[0]
    followed = 1 - np.count_nonzero(inconsistent(flow, back)) / moved.size
    lost = followed < _FOLLOWED and alike < _ALIKE
    return bool(lost or _likeness(moved, second[0], 0.0) < _SUSPECTED)


def _likeness(before: Array, after: Array, sigma: float) -> float:
    """Return the correlation of two coarse pictures; 1 or 0 where noise or constant pictures leave none."""
    if before.shape != after.shape:
        raise InputError(f"shapes differ: {before.shape} and {after.shape}")
    a, b = (block_means(frame) for frame in (before, after))
    values = before.size / a.size  # Differences of means have a standard deviation of σ √(2 / values).
    if sigma and np.median(np.abs(a - b)) <= 2 * sigma * math.sqrt(2 / values):
        return 1.0
    difference, rounding = a.mean() - b.mean(), 1e-14 * float(np.linalg.norm(a) + np.linalg.norm(b))
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(norms) <= max(1e-12 * max(norms), rounding):
        return float(abs(difference) <= max(a.std(), b.std(), rounding))
    return float((a * b).sum()) / norms[0] / norms[1]


def block_means(frame: Array) -> Array:
    """Return the means of a frame (H, W, ...) over at most 16 × 16 blocks."""
    total = frame.astype(np.float64)
    for axis in (0, 1):
        n = total.shape[axis]
        edges = np.unique(np.linspace(0, n, min(n, 16), endpoint=False).astype(int))
        lengths = np.diff([*edges, n]).reshape([-1 if a == axis else 1 for a in range(total.ndim)])
        total = np.add.reduceat(total, edges, axis) / lengths
    return total
