"""Stripes: offsets that whole rows, or whole columns, of a frame share, as sensors with one amplifier for each make."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pde_video.estimate.blocks import NORMAL
from pde_video.kernels.linear_systems import thomas
from pde_video.protocols import Array
from pde_video.threads import ordered

_SEGMENTS = 8  # Parts of a line, which see the same offset but different structure.
_TOGETHER = 8  # Pixels of a line whose mean is taken.
_SHARP, _ROUNDS = 1.5, 4  # Scale of the middle of differences, in their standard deviations, and of reweighting.
_FEWEST = 64  # Lines, and pixels of a line, that are needed.
_CLEAR = 0.25  # Variance that segments have in common, relative to what they have apart, of stripes.
# Differences of independent offsets are correlated by −1/2 with the next ones, and with nothing else: within these
# limits, or within what is chance among so few lines, in standard deviations of one correlation and the worst of 25.
_NEXT, _WHITE, _LAGS, _SHIFTS = 0.15, 0.25, 4, 12
_BY_CHANCE, _BY_CHANCE_OF_MANY = 3.0, 4.3
_WINSORISED = 4.0  # Standard deviations to which differences are clipped: edges across a whole frame.
_EDGE = 5.0  # The same from which on a difference is taken for an edge.
HIGHEST = 3.0  # Deviation of a sensor's columns, relative to that of the noise; bar codes have more.
ROUGHEST = 0.06  # Lowest variance of the steps of the scene, relative to that of the offsets.


def amplitude(frames: Sequence[Array], axis: int) -> float:
    """Return the standard deviation of the offsets of rows (axis 0) or columns (1) in frames (H, W); 0 if not certain.

    Segments of a line share its offset and differ in structure. Offsets are independent from line to line; structure
    is not, nor where it has moved to in the next frame. Those of rows are new in every frame, as a sensor reads rows
    one after the other: layers of a scene, which are not, look alike in all else.
    """
    if min(frames[0].shape) < _FEWEST:
        return 0.0
    steps = list(ordered(lambda frame: _winsorised(_steps(frame, axis)), frames))
    lags = [float(np.mean([_shared(one, one, lag) for one in steps])) for lag in range(_LAGS + 1)]
    apart = float(np.mean([one.var(axis=0, ddof=1).mean() for one in steps]))
    pairs = list(pairwise(steps))
    if lags[0] <= _CLEAR * apart or lags[0] <= 0 or (axis == 0 and not pairs):
        return 0.0
    next_one, *others = (lag / lags[0] for lag in lags[1:])
    for shift in range(-_SHIFTS, _SHIFTS + 1) if pairs else ():
        one = float(np.mean([_shared(*pair, shift) for pair in pairs])) / lags[0]
        if axis == 1 and abs(shift) < 2:  # Fixed columns have 1 and −1/2 here, what moves by a pixel has 1 at ±1.
            one = max(one, 0.0) if shift else 0.0
        others.append(one)
    chance = 1 / math.sqrt(steps[0].shape[1])
    near = abs(next_one + 0.5) < max(_NEXT, _BY_CHANCE * chance)
    certain = near and max(map(abs, others)) < max(_WHITE, _BY_CHANCE_OF_MANY * chance)
    return float(np.sqrt(-lags[1])) if certain else 0.0


def offsets(frame: Array, axis: int, deviation: float) -> Array:
    """Return the offset of each row (axis 0) or column (1) of a frame (H, W), for offsets of a given deviation.

    r minimises Σ w (∂r − d)² + λ Σ r², with the middle d of the differences of neighbouring lines, of which λ is the
    variance due to structure and noise relative to that of r, and w = 0 across edges: one implicit step of diffusion,
    r − div(w ∂r)/λ = −div(w d)/λ.
    """
    lines = _thinned(np.ascontiguousarray(frame if axis == 0 else frame.T))
    steps = _middles(np.diff(lines, axis=0).astype(np.float64))
    error = float(np.median(_steps(lines, 0).astype(np.float64).var(axis=0, ddof=1))) / _SEGMENTS
    variance = deviation * deviation
    prior = max(error / variance, ROUGHEST)
    weights = (np.abs(steps) < _EDGE * np.sqrt(2 * variance + error)) / prior
    flow = np.concatenate([[0.0], weights * steps, [0.0]])
    none = np.zeros(1)
    found = thomas(none, weights[:, np.newaxis].copy(), none, -np.diff(flow)[:, np.newaxis].copy())
    return np.asarray(found[:, 0]).astype(frame.dtype)


def _middles(steps: Array) -> Array:
    """Return the middle of each line of steps by Geman and McClure's estimator, from the median on."""
    middle = np.median(steps, axis=1, keepdims=True)
    scale = _SHARP * NORMAL * float(np.median(np.abs(steps - middle)))
    for _ in range(_ROUNDS if scale else 0):
        weights = np.square(1 / (1 + np.square((steps - middle) / scale)))
        middle = (weights * steps).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    return np.asarray(middle[:, 0])


def _thinned(lines: Array) -> Array:
    """Return means over 8 pixels of each line: noise would hide from medians what is structure."""
    count = lines.shape[1] // _TOGETHER
    whole = lines[:, : count * _TOGETHER]
    return np.asarray(whole.reshape(len(lines), count, _TOGETHER).mean(axis=2))


def _steps(frame: Array, axis: int, segments: int = _SEGMENTS) -> Array:
    """Return the median differences of neighbouring lines, (segments, lines − 1)."""
    steps = np.diff(frame if axis == 0 else frame.T, axis=0)
    length = steps.shape[1]
    edges = [length * k // segments for k in range(segments + 1)]
    return np.stack([np.median(steps[:, a:b], axis=1) for a, b in pairwise(edges)])


def _winsorised(steps: Array) -> Array:
    steps = steps - np.median(steps, axis=1, keepdims=True)
    most = _WINSORISED * NORMAL * np.median(np.abs(steps), axis=1, keepdims=True)
    return np.clip(steps, -most, most)


def _shared(first: Array, second: Array, lag: int) -> float:
    """Return the mean covariance of the steps of different segments, `second` later by a lag."""
    if lag < 0:
        return _shared(second, first, -lag)
    count = first.shape[1] - lag
    a, b = first[:, :count], second[:, lag:]
    every = a.sum(axis=0) * b.sum(axis=0) - (a * b).sum(axis=0)
    return float(every.mean()) / (_SEGMENTS * (_SEGMENTS - 1))
