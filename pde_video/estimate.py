"""Parameters that nobody should have to guess."""

from __future__ import annotations

from typing import Any

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array


def estimate_sigma(video: Any) -> float:
    """Standard deviation of additive Gaussian noise.

    σ = median |d| / 0.6745, with d = (a − b − c + e) / 2 the diagonal Haar detail of every 2 × 2 block (a b; c e):
    white noise keeps its deviation there, and edges that run along rows or columns cancel.

    Parameters
    ----------
    video : array (T, H, W) or (T, H, W, C), or sequence of frames
        A frame of a single row or column is compared along its length; a single pixel has no noise.

    Returns
    -------
    float
        In units of the input.

    Raises
    ------
    InputError
        If there are no frames, or an array is not a frame.

    References
    ----------
    Donoho & Johnstone (1994), doi:10.1093/biomet/81.3.425.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(100, 5, (4, 64, 64))
    >>> abs(estimate_sigma(noise) - 5) < 0.2
    True
    """
    details = [np.abs(_diagonal_detail(np.asarray(frame))).ravel() for frame in video]
    if not details:
        raise InputError("the video is empty: it has no frame")
    return float(np.median(np.concatenate(details)) / 0.6744897501960817)


def _diagonal_detail(frame: Array) -> Array:
    if frame.ndim not in (2, 3) or frame.size == 0:
        raise InputError(f"a frame has shape {frame.shape}; noise is estimated on (H, W) or (H, W, C), none of them 0")
    if frame.shape[:2] == (1, 1):
        return np.zeros(1)
    detail = frame.astype(np.float64)
    for axis in (0, 1):
        n = detail.shape[axis] // 2 * 2
        if n:  # Along a side of one pixel there is nothing to compare.
            even, odd = (np.take(detail, range(start, n, 2), axis) for start in (0, 1))
            detail = (even - odd) / np.sqrt(2.0)
    return detail
