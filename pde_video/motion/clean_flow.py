"""Optical flow between frames of little noise, at any share of the way between them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pde_video.kernels import gradient_flow as kernels
from pde_video.kernels import matching
from pde_video.motion.averaging import EXACT, doubled, padded, warped
from pde_video.motion.noisy_flow import pyramid
from pde_video.protocols import Array

_WARPS, _LAST, _SWEEPS = 4, 1, 15  # Linearisations on a level, on the finest one, and steps of diffusion after each.
_RELAXED = 0.7  # Factor of the smoothness per level.
_C, _C_GRADIENT = 0.1, 1.0  # Residual of brightness and of its gradient, in units, above which they count linearly.
_GRADIENT = 16.0  # Weight of the gradient, whose squares are smaller.
_FLOOR = 0.5  # Squared gradient, in units, below which there is no structure.
_LAMBDA = 0.06  # Difference of the flow across two pixels, in pixels, above which it counts as a discontinuity.
_EDGE = 0.6  # Inverse gradient, in units per pixel, above which edges of the picture let less smoothness through.
_NOISY, _SCALE = 5.0, 2.0  # Smoothness added per squared noise, and scale of the residual per noise, in units.
_GROWS = 2.0  # Of the noise from level to level: means over 2 × 2 pixels halve it.
_SEARCHED, _SEARCHES = 32, 2  # Shorter side of the level, at least, in which what is lost is searched for; how often.
_LOST, _GAIN, _CLEARLY, _SPREAD, _ROUNDS = 0.25, 0.3, 0.5, 0.7, 2
_WINDOW = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Weights, along rows and columns, that smooth the data terms.


def flow_at(first: Array, second: Array, share: float, smoothness: float, noise: float | None = None) -> Array:
    """Return w (2, H, W) with first(x − share · w) ≈ second(x + (1 − share) w), for pictures (H, W) in units.

    The noise is what their difference is expected to have at the median without any error of the motion.
    """
    pictures = list(zip(pyramid(first), pyramid(second), strict=True))
    flow = np.zeros((2, *pictures[-1][0].shape), np.float32)
    known = np.inf
    for level, pair in reversed(list(enumerate(pictures))):
        shape = pair[0].shape
        if flow.shape[1:] != shape:
            flow = np.stack([doubled(plane, *shape) for plane in flow]) * np.float32(2)
        known = known * _GROWS if noise is None else noise / _GROWS**level
        alpha = smoothness * _RELAXED**level
        for _ in range(_WARPS if level else _LAST):
            known = _improve(flow, pair, share, alpha, known)
        searches = _SEARCHES if level and _SEARCHED <= min(shape) < 2 * _SEARCHED else 0
        while searches and _searched(flow, pair, share):
            searches -= 1
            for _ in range(_WARPS):
                known = _improve(flow, pair, share, alpha, known)
    return flow


def _improve(flow: Array, pair: tuple[Array, Array], share: float, smoothness: float, noise: float) -> float:
    """Linearise around the flow and diffuse it, in place; return the noise, at most what was known of it."""
    both = _warped(flow, pair, share)
    noise = min(noise, float(kernels.median_difference(*both)))
    known = np.empty(both[0].shape, np.float32)
    kernels.inside(flow, np.float32(share), known)
    alpha, c = smoothness * (1 + _NOISY * noise**2), max(_C, _SCALE * noise)
    numbers = np.array([alpha, c, _GRADIENT, _C_GRADIENT, _FLOOR, _LAMBDA, _EDGE], np.float32)
    kernels.refine(*both, known, flow, _SWEEPS, *numbers, _WINDOW)
    return noise


def _warped(flow: Array, pair: tuple[Array, Array], share: float) -> tuple[Array, Array]:
    """Return both pictures as they are at a share of the way."""
    first, second = pair
    old = first if share == 0 else warped(padded(first[np.newaxis]), np.float32(-share) * flow, EXACT)[0]
    new = second if share == 1 else warped(padded(second[np.newaxis]), np.float32(1 - share) * flow, EXACT)[0]
    return old, new


def _searched(flow: Array, pair: tuple[Array, Array], share: float) -> bool:
    """Put into the flow the motion of what it has lost, where that is found; tell whether anything is."""
    old, new = _warped(flow, pair, share)
    here = np.empty(old.shape, np.float32)
    kernels.inside(flow, np.float32(share), here)
    wrong = here * ndimage.uniform_filter(np.square(new - old), 2 * matching.REACH + 1, mode="nearest")
    if wrong.max() <= _LOST:
        return False
    seen = [warped(padded(wrong[np.newaxis]), np.float32(way) * flow, EXACT)[0] for way in (share, share - 1)]
    found = np.zeros(old.shape, np.uint8)
    limits, part = np.array([_LOST, _GAIN, _CLEARLY], np.float32), np.float32(share)
    ranges = [-(-side // 4) for side in old.shape]
    matching.match(*pair, *seen, *limits, part, *ranges, flow, found)
    if not found.any():
        return False
    matching.spread(*pair, found, np.float32(_LOST), np.float32(_SPREAD), part, _ROUNDS, flow)
    return True
