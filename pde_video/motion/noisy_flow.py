"""Optical flow between noisy pictures, quick, and where of some pixels nothing is known."""

import numpy as np

from pde_video.kernels import flow as kernels
from pde_video.motion.averaging import doubled, halved
from pde_video.protocols import Array

_COARSEST = 8  # The shortest side of the coarsest level, at least, in pixels.
_WARPS, _SWEEPS = 2, 10  # On every level: linearisations, and steps of diffusion after each.
_RELAXED = 0.7  # Factor of the smoothness per level: the motion of large structures is far above the noise.
_LAMBDA = 0.02  # Difference of the flow across two pixels, in pixels, above which it counts as a discontinuity.
_C = 0.4  # Residual, in units of the noise, above which it is penalised linearly.
_FLOOR = 0.1  # Squared gradient, in the same units, below which there is no structure.
_WINDOW = np.array([1, 4, 6, 4, 1]) / 16  # Weights, along rows and columns, that smooth the data terms.


def flow_between(
    first: list[Array], second: list[Array], smoothness: float, shares: list[Array] | None = None
) -> Array:
    """Return the flow between two pyramids, finest level first, of pictures (H, W) in units of the noise.

    If of their pixels only `shares` (2, H, W) on each level are known, it is smooth where the others are.
    """
    flow = np.zeros((2, *first[-1].shape), np.float32)
    for level in reversed(range(len(first))):
        shape = first[level].shape
        if flow.shape[1:] != shape:
            flow = np.stack([doubled(plane, *shape) for plane in flow]) * np.float32(2)
        numbers = np.array([smoothness * _RELAXED**level, _C, _FLOOR, _LAMBDA], np.float32)
        known = None if shares is None else shares[level]
        kernels.refine(first[level], second[level], known, flow, _WARPS, _SWEEPS, *numbers, _WINDOW.astype(np.float32))
    return flow


def pyramid(picture: Array) -> list[Array]:
    """Return a picture (H, W) and versions of it, each of half the size of the one before."""
    levels = [np.ascontiguousarray(picture, np.float32)]
    while min(levels[-1].shape) >= 2 * _COARSEST:
        levels.append(halved(levels[-1][np.newaxis])[0])
    return levels
