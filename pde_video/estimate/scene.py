"""Detection of scene cuts."""

import math

import numpy as np

from pde_video.errors import InputError
from pde_video.motion.averaging import EXACT, inconsistent, padded, warped
from pde_video.motion.noisy_flow import flow_between
from pde_video.protocols import Array

_ALIKE = 0.5  # Correlation of coarse pictures from which on they are of one scene.
_SUSPECTED = 0.7  # The same where motion is followed, without it; and along it.
_FOLLOWED = 0.4  # Share of a picture whose motion must lead back.
_ENOUGH = 64  # Pixels along the shorter side of a level on which motion is told from chance.
_KNOWN = 0.5  # Share of a block of which both pictures must know, and
_FEWEST = 16  # such blocks below which nothing is told.
_SMOOTHNESS = 20.0  # Of the motion.


def is_scene_cut(before: Array, after: Array, *, sigma: float = 0.0) -> bool:
    """Tell whether two consecutive frames (H, W) or (H, W, C), with white noise of `sigma`, are of different scenes.

    A cut is where corr(coarse(before), coarse(after)) < 0.5, for means over 16 × 16 blocks: motion and noise leave most
    of the coarse picture in place, a cut does not. If one frame is constant, a cut is where the levels differ by more
    than the standard deviation of the other frame. See Lienhart (1999), doi:10.1117/12.333848.
    """
    return _likeness(before, after, sigma) < _ALIKE


def is_cut_not_motion(
    before: list[Array], after: list[Array], *, sigma: float, shares: list[Array] | None = None
) -> bool:
    """Tell whether two pyramids of consecutive pictures (H, W) are of different scenes, however fast the motion is.

    Where the coarse correlation is below 0.7, the motion is estimated, in large pictures on a coarser level: in one
    scene, the correlation along it is above 0.7; and if it is below 0.5 without, the motion leads back in 40 % of the
    picture. If of their pixels only `shares` (2, H, W) on each level are known, the others do not count.
    """
    known = None if shares is None else shares[0].prod(axis=0)
    alike = _likeness(before[0], after[0], sigma, known)
    if alike >= _SUSPECTED:
        return False
    level = int(len(before) > 1 and min(before[1].shape) >= _ENOUGH)
    first, second = before[level:], after[level:]
    there = shares and shares[level:]
    here = there and [np.ascontiguousarray(one[::-1]) for one in there]
    flow, back = flow_between(second, first, _SMOOTHNESS, here), flow_between(first, second, _SMOOTHNESS, there)
    moved = warped(padded(first[0][np.newaxis]), flow, EXACT)[0]
    astray = inconsistent(flow, back)
    if here is None:
        followed = 1 - np.count_nonzero(astray) / moved.size
    else:
        known = np.clip(warped(padded(here[0][1:]), flow, EXACT)[0], 0, 1) * here[0][0]
        followed = 1 - float(known[astray].sum()) / max(float(known.sum()), 1.0)
    lost = followed < _FOLLOWED and alike < _ALIKE
    return bool(lost or _likeness(moved, second[0], 0.0, known) < _SUSPECTED)


def _likeness(before: Array, after: Array, sigma: float, known: Array | None = None) -> float:
    """Return the correlation of two coarse pictures; 1 or 0 where noise or constant pictures leave none.

    If a share of their pixels is `known`, it is that of blocks of which much is, and 1 of few blocks.
    """
    if before.shape != after.shape:
        raise InputError(f"shapes differ: {before.shape} and {after.shape}")
    a, b = (block_means(frame if known is None else known * frame) for frame in (before, after))
    values = before.size / a.size  # Differences of means have a standard deviation of σ √(2 / values).
    if known is not None:
        share = block_means(known)
        much = share > _KNOWN
        if np.count_nonzero(much) < _FEWEST:
            return 1.0
        a, b = (one[much] / share[much] for one in (a, b))
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
