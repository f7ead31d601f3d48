"""Diffusion by the cosine filters of an 8 × 8 window."""

import numpy as np

from pde_video.kernels import dct_shrinkage as kernels
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_THRESHOLD = 2.7  # Standard deviations up to which a coefficient counts as noise.
_WINDOW = np.kaiser(8, 2.0)  # Weights of the pixels of a window: those at its rim are estimated less well.
_ROWS = 32  # The fewest rows worth a thread, as a band recomputes the strips across its upper border.


def shrink(
    planes: Array,
    variance: Array,
    pilot: Array | None = None,
    *,
    step: int = 2,
    spectra: Array | None = None,
    left: Array | None = None,
) -> Array:
    """Return the planes (C, H, W) after one step of diffusion, for noise of a given `variance` (H, W).

    u − Σ K_kᵀ (1 − g_k) K_k u, for the 63 cosine filters K_k that are not constant: g is 1 for coefficients above the
    noise and 0 below; with a pilot, p² / (p² + variance). Noise that is not white has the variance in each coefficient
    that `spectra` (C, 8, 8) give in units of `variance`. The variance of the noise that remains is written to `left`
    (C, H, W), if it is given.
    """
    out = np.empty_like(planes)
    constants, window = kernels.CONSTANTS.astype(planes.dtype), _WINDOW.astype(planes.dtype)
    threshold = planes.dtype.type(_THRESHOLD)
    shares = np.ones((len(planes), 64)) if spectra is None else spectra.reshape(len(planes), 64)
    shares = shares.astype(planes.dtype)
    unwanted = np.empty((0, 0), planes.dtype)

    def band(rows: tuple[int, int]) -> None:
        for c, plane in enumerate(planes):
            guide = plane if pilot is None else pilot[c]
            numbers, noise = (threshold, step, window, constants), unwanted if left is None else left[c]
            kernels.shrink(plane, guide, pilot is not None, variance, shares[c], *numbers, *rows, out[c], noise)

    each(band, pieces(planes.shape[1], _ROWS))
    return out


def diffuse(
    planes: Array, variance: Array, *, step: int = 2, spectra: Array | None = None, left: Array | None = None
) -> Array:
    """Shrink twice: the first result is the pilot of the second."""
    pilot = shrink(planes, variance, step=step, spectra=spectra)
    return shrink(planes, variance, pilot, step=step, spectra=spectra, left=left)
