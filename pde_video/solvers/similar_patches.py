"""Wiener filters of groups of similar patches."""

import numpy as np

from pde_video.kernels import patch_groups as kernels
from pde_video.kernels.dct_shrinkage import CONSTANTS
from pde_video.protocols import Array
from pde_video.threads import each

_STEP = 4  # Distance in pixels of the patches to which similar ones are sought.
_STRIP = 16  # Rows of such patches that are summed at once: always the same, so that sums do not depend on threads.
_FAINT = 1e-3  # The least variance of a coefficient, of a mean of 1.


def refined(planes: Array, pilot: Array, variance: Array, *, times: int = 1, spectra: Array | None = None) -> Array:
    """Return the planes (C, H, W) after Wiener filters of similar patches, for noise of a given `variance` (H, W).

    A patch of 8 × 8 pixels every 4 pixels forms a group with the 31 most similar ones around it, by the pilot. With the
    patches of the pilot less their mean as columns of B, those of planes − pilot as columns of D, and λ = 32 · the
    variance, the Wiener filter of their covariance changes the pilot by B (Bᵀ B + λ)⁻¹ (Bᵀ D − λ). Changes of the same
    pixel are averaged. The result is the pilot of the next of so many `times`. `spectra`: see `shrink`. See Lebrun,
    Buades & Morel (2013), doi:10.1137/120874989, and, along time, Arias & Morel (2018), doi:10.1007/s10851-017-0742-4.
    """
    if not times:
        return pilot
    height, width = planes.shape[1:]
    lacking = [(0, max(0, kernels.AREA - n)) for n in (height, width)]
    planes, pilot = (np.pad(some, ((0, 0), *lacking), "symmetric") for some in (planes, pilot))
    variance = np.pad(variance, lacking, "symmetric")
    matrices = _whitening(planes, spectra)
    rows, columns = (_starts(n) for n in planes.shape[1:])
    strips = [rows[k : k + _STRIP] for k in range(0, len(rows), _STRIP)]
    for _ in range(times):
        pilot = pilot + _changes(planes, pilot, variance, matrices, strips, columns)
    return np.ascontiguousarray(pilot[:, :height, :width])


def _starts(length: int) -> Array:
    """Return where patches begin that cover so many pixels."""
    return np.array([*range(0, length - kernels.SIDE, _STEP), length - kernels.SIDE])


def _changes(
    planes: Array, pilot: Array, variance: Array, matrices: tuple[Array, Array], strips: list[Array], columns: Array
) -> Array:
    """Return the mean of the changes of all groups."""
    found: dict[int, tuple[int, Array, Array]] = {}
    most = planes.shape[1] - kernels.AREA

    def strip(k: int) -> None:
        first, last = (max(0, min(int(y) - kernels.SOUGHT // 2, most)) for y in strips[k][[0, -1]])
        total = np.zeros((len(planes), last + kernels.AREA - first, planes.shape[2]), planes.dtype)
        count = np.zeros_like(total[0])
        kernels.filter_groups(planes, pilot, variance, *matrices, strips[k], columns, first, total, count)
        found[k] = first, total, count

    each(strip, range(len(strips)))
    change, number = np.zeros_like(planes), np.zeros_like(planes[0])
    for k in range(len(strips)):
        first, total, count = found[k]
        change[:, first : first + len(count)] += total
        number[first : first + len(count)] += count
    return change / np.maximum(number, 1)


def _whitening(planes: Array, spectra: Array | None) -> tuple[Array, Array]:
    """Return, for each plane, the matrix that makes noise white in patches, and its inverse; empty if it is white."""
    if spectra is None:
        empty = np.empty((0, 1), planes.dtype)
        return empty, empty
    rows, columns = np.indices((8, 8))
    turn = (2 * columns + 1) * rows % 32  # Of 32 parts of a full turn.
    turn = np.minimum(turn, 32 - turn)
    cosines = np.where(turn > 8, -1.0, 1.0) * np.append(CONSTANTS, 0.0)[np.minimum(turn, 16 - turn)]
    cosines[0] = CONSTANTS[0]
    both = np.kron(cosines, cosines)
    deviations = np.sqrt(np.maximum(spectra.reshape(len(planes), 64, 1), _FAINT))
    whitening, colouring = both / deviations, np.swapaxes(both * deviations, 1, 2)
    flat = (len(planes), 64 * 64)
    return whitening.reshape(flat).astype(planes.dtype), colouring.reshape(flat).astype(planes.dtype)
