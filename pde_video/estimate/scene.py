"""Detection of scene cuts."""

import math

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array


def is_scene_cut(before: Array, after: Array, *, sigma: float = 0.0) -> bool:
    """Tell whether two consecutive frames (H, W) or (H, W, C), with white noise of `sigma`, are of different scenes.

    A cut is where corr(coarse(before), coarse(after)) < 0.5, for means over 16 × 16 blocks: motion and noise leave most
    of the coarse picture in place, a cut does not. If one frame is constant, a cut is where the levels differ by more
    than the standard deviation of the other frame. See Lienhart (1999), doi:10.1117/12.333848.
    """
    if before.shape != after.shape:
        raise InputError(f"shapes differ: {before.shape} and {after.shape}")
    a, b = (block_means(frame) for frame in (before, after))
    values = before.size / a.size  # Differences of means have a standard deviation of σ √(2 / values).
    if sigma and np.median(np.abs(a - b)) <= 2 * sigma * math.sqrt(2 / values):
        return False
    difference, rounding = a.mean() - b.mean(), 1e-14 * float(np.linalg.norm(a) + np.linalg.norm(b))
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(norms) <= max(1e-12 * max(norms), rounding):
        return bool(abs(difference) > max(a.std(), b.std(), rounding))
    return bool((a * b).sum() < 0.5 * norms[0] * norms[1])


def block_means(frame: Array) -> Array:
    """Return the means of a frame (H, W, ...) over at most 16 × 16 blocks."""
    total = frame.astype(np.float64)
    for axis in (0, 1):
        n = total.shape[axis]
        edges = np.unique(np.linspace(0, n, min(n, 16), endpoint=False).astype(int))
        lengths = np.diff([*edges, n]).reshape([-1 if a == axis else 1 for a in range(total.ndim)])
        total = np.add.reduceat(total, edges, axis) / lengths
    return total
