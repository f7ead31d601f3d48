"""Estimates of the contrast κ that separates edges from noise."""

import math
from typing import Any

import numpy as np

from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.estimate.blocks import NORMAL, as_frames
from pde_video.estimate.noise import estimate_sigma
from pde_video.protocols import Array

KAPPA_METHODS = ("mad", "quantile", "noise")


def estimate_kappa(video: Any, *, method: str = "mad", multiple: float = 0.2) -> float:
    """Contrast κ that separates edges from noise, for `PeronaMalik`.

    ========  ===========================================  ==========================================
    method    κ                                            after
    ========  ===========================================  ==========================================
    mad       1.4826 · median of | |∇u| − median |∇u| |    Black et al.: edges are outliers
    quantile  90 % quantile of |∇u|                        Perona & Malik: a tenth of the pixels is edge
    noise     multiple · σ √C                              the noise of a picture of C channels
    ========  ===========================================  ==========================================

    ∇u are the differences to the next pixel along rows and columns; |∇u|² sums their squares, also over channels.

    Parameters
    ----------
    video : array (T, H, W) or (T, H, W, C), or sequence of frames
        Of integers or floats.
    method : {"mad", "quantile", "noise"}
        A name from the table.
    multiple : float
        > 0, for the method "noise". The default suits the rational conductance on a picture smoothed by 0.7 pixels.

    Returns
    -------
    float
        In units of the input per pixel, finite, ≥ 0; 0 for a constant video. `PeronaMalik` needs κ > 0.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError, TypeError
        As for `estimate_sigma`.

    References
    ----------
    Black, Sapiro, Marimont & Heeger (1998), doi:10.1109/83.661192. Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    >>> slopes = np.array([[[0.0, 1.0, 3.0, 6.0, 6.0]]])
    >>> round(estimate_kappa(slopes), 4), round(estimate_kappa(slopes, method="quantile"), 1)
    (1.4826, 2.7)
    """
    if method not in KAPPA_METHODS:
        raise ParameterError(f"method is {method!r}; it must be one of {', '.join(KAPPA_METHODS)}")
    check_positive(multiple=multiple)
    frames = as_frames(video)
    if method == "noise":
        return multiple * estimate_sigma(frames) * math.sqrt(frames[0].shape[2])
    contrasts = np.concatenate([_contrast(frame) for frame in frames])
    if method == "quantile":
        return float(np.quantile(contrasts, 0.9))
    return NORMAL * float(np.median(np.abs(contrasts - np.median(contrasts))))


def _contrast(frame: Array) -> Array:
    """Return |∇u| at every pixel that has a next one along each axis longer than one."""
    core = tuple(slice(max(1, n - 1)) for n in frame.shape[:2])
    squares = sum((np.diff(frame, axis=a) ** 2)[core] for a in (0, 1) if frame.shape[a] > 1)
    return np.sqrt(np.sum(squares, axis=-1)).ravel() if np.ndim(squares) else np.zeros(1)
