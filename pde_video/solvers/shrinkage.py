"""Diffusion by the cosine filters of an 8 × 8 window."""

import numpy as np

from pde_video.kernels import dct_shrinkage as kernels
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_THRESHOLD = 2.7  # Standard deviations up to which a coefficient counts as noise.
FOUND, _SHARE = 3.0, 0.12  # The same for what is above the noise; share of the variance against which it is kept.
_RIM = 3  # Pixels at the edges at which windows across them hold half of their pixels twice, about.
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
    return _shrunk(planes, variance, pilot, step, spectra, _THRESHOLD, left=left)


def diffuse(
    planes: Array, variance: Array, *, step: int = 2, spectra: Array | None = None, left: Array | None = None
) -> Array:
    """Shrink twice: the first result is the pilot of the second."""
    pilot = shrink(planes, variance, step=step, spectra=spectra)
    return shrink(planes, variance, pilot, step=step, spectra=spectra, left=left)


def excess(planes: Array, variance: Array, *, spectra: Array | None = None, known: Array | None = None) -> Array:
    """Return what in planes (C, H, W) that should be noise is more than that, of low frequencies.

    Σ K_kᵀ g_k K_k u for all 64 cosine filters K_k, with g = p² / (p² + 0.12 variance) and the pilot `above_noise`, to
    which is added what is `known` to be there.
    """
    pilot = above_noise(planes, variance, spectra=spectra)
    pilot = pilot if known is None else pilot + known
    if not pilot.any():
        return pilot
    return planes - _shrunk(planes, _with_rims(variance), pilot, 2, spectra, _SHARE, excess=True)


def above_noise(planes: Array, variance: Array, *, spectra: Array | None = None, deviations: float = FOUND) -> Array:
    """Return what of planes (C, H, W) is far above noise: Σ K_kᵀ g_k K_k u, where g is 1 for some coefficients, else 0.

    These are the low ones of more than some standard `deviations` of the noise, or of the high ones of their window if
    these are more than noise.
    """
    return planes - _shrunk(planes, _with_rims(variance), None, 2, spectra, deviations, excess=True)


def _with_rims(variance: Array) -> Array:
    """Return twice the variance at the edges: windows across them hold pixels twice, so that coefficients vary more."""
    variance = variance.copy()
    for rim in (variance[:_RIM], variance[-_RIM:], variance[:, :_RIM], variance[:, -_RIM:]):
        rim *= 2
    return variance


def _shrunk(
    planes: Array,
    variance: Array,
    pilot: Array | None,
    step: int,
    spectra: Array | None,
    threshold: float,
    *,
    excess: bool = False,
    left: Array | None = None,
) -> Array:
    out = np.empty_like(planes)
    constants, window = kernels.CONSTANTS.astype(planes.dtype), _WINDOW.astype(planes.dtype)
    shares = np.ones((len(planes), 64)) if spectra is None else spectra.reshape(len(planes), 64)
    shares = np.ascontiguousarray(shares, planes.dtype)  # Another layout would be another kernel.
    unwanted = np.empty((0, 0), planes.dtype)

    def band(rows: tuple[int, int]) -> None:
        for c, plane in enumerate(planes):
            guide = plane if pilot is None else pilot[c]
            told = pilot is not None, excess, variance, shares[c], planes.dtype.type(threshold), step, window, constants
            kernels.shrink(plane, guide, *told, *rows, out[c], unwanted if left is None else left[c])

    each(band, pieces(planes.shape[1], _ROWS))
    return out
