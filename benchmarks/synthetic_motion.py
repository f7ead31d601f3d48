"""Scenes whose motion is known, and other optical flows, shared by the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pde_video.protocols import Array

Flow = Callable[[Array, Array], Array]
_WAVES = 60


def texture(rows: Array, columns: Array, seed: int) -> Array:
    """Return a sum of waves of 6 to 50 pixels at any place, around ½, with a standard deviation of about 0.1."""
    rng, total = np.random.default_rng(seed), np.zeros(np.broadcast(rows, columns).shape)
    for _ in range(_WAVES):
        length, angle, phase = 6 * (50 / 6) ** rng.random(), math.pi * rng.random(), 2 * math.pi * rng.random()
        along = math.cos(angle) * rows + math.sin(angle) * columns
        total += math.sqrt(length / 50) * np.sin(2 * math.pi / length * along + phase)
    return 0.5 + 0.03 * total


def places(height: int, width: int) -> Array:
    """Return the places of pixels, (2, H, W), seen from the middle."""
    return np.mgrid[:height, :width] - np.reshape([(height - 1) / 2, (width - 1) / 2], (2, 1, 1))


def affine(matrix: Array, shift: tuple[float, float], size: tuple[int, int], seed: int) -> tuple[Array, Array, Array]:
    """Return two frames, and the motion w(x) = matrix x + shift from the first to the second."""
    at, far = places(*size), np.reshape(shift, (2, 1, 1))
    back = np.tensordot(np.linalg.inv(np.eye(2) + matrix), at - far, 1)
    return texture(*at, seed), texture(*back, seed), np.tensordot(matrix, at, 1) + far


def disc(time: float, shift: tuple[float, float], radius: float, size: tuple[int, int], seed: int) -> Array:
    """Return a textured disc `time` · shift from the middle, before another texture that stands still."""
    rows, columns = places(*size)
    y, x = (time * s for s in shift)
    share = np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1)
    return texture(rows, columns, seed) * (1 - share) + share * texture(rows - y, columns - x, seed + 1)


def dis(first: Array, second: Array) -> Array:
    """Return OpenCV's DIS (preset medium) between frames in [0, 1], which it gets in 8 bits."""
    import cv2

    cv2.setNumThreads(1)
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _rows_first(found.calc(_rounded(first), _rounded(second), None))


def farneback(first: Array, second: Array) -> Array:
    """Return OpenCV's flow of Farnebäck, five levels, windows of 15 pixels, polynomials over 7."""
    import cv2

    cv2.setNumThreads(1)
    settings = 0.5, 5, 15, 5, 7, 1.5, 0
    return _rows_first(cv2.calcOpticalFlowFarneback(_rounded(first), _rounded(second), None, *settings))


def _rounded(frame: Array) -> Array:
    return np.clip(np.rint(255 * frame), 0, 255).astype(np.uint8)


def _rows_first(flow: Array) -> Array:
    """Return a flow of OpenCV, which has columns first, and them last, as ours."""
    return np.ascontiguousarray(np.moveaxis(flow[..., ::-1], -1, 0), np.float32)
