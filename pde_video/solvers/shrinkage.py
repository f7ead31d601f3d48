"""Diffusion by the cosine filters of an 8 × 8 window."""

from __future__ import annotations

import numpy as np

from pde_video.kernels import dct_shrinkage as kernels
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_THRESHOLD = 2.7  # Deviations of the noise up to which a coefficient is taken for noise.
_WINDOW = np.kaiser(8, 2.0)  # What the pixels of a window weigh: those at its rim are known less well.
_ROWS = 32  # The least that is worth a thread: a band computes the strips across its upper border once more.


def shrink(planes: Array, variance: Array, pilot: Array | None = None, *, step: int = 2) -> Array:
    """Return the planes (C, H, W) after one step of diffusion, with noise of `variance` (H, W) known.

    u − Σ K_kᵀ (1 − g_k) K_k u, for the 63 cosine filters K_k that are not constant: g is 1 or 0 as a coefficient is
    above the noise or not; with a pilot, p² / (p² + variance).
    """
    out = np.empty_like(planes)
    constants, window = kernels.CONSTANTS.astype(planes.dtype), _WINDOW.astype(planes.dtype)
    threshold = planes.dtype.type(_THRESHOLD)

    def band(rows: tuple[int, int]) -> None:
        for c, plane in enumerate(planes):
            kernels.shrink(
                plane,
                plane if pilot is None else pilot[c],
                pilot is not None,
                variance,
                threshold,
                step,
                window,
                constants,
                *rows,
                out[c],
            )

    each(band, pieces(planes.shape[1], _ROWS))
    return out


def diffuse(planes: Array, variance: Array, *, step: int = 2) -> Array:
    """Shrink twice: the first result is the pilot of the second."""
    return shrink(planes, variance, shrink(planes, variance, step=step), step=step)
