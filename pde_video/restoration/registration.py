"""Where one camera sees what another does: the homography between two pictures that overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import fft, ndimage

from pde_video.motion.averaging import halved
from pde_video.protocols import Array
from pde_video.restoration.homography import (
    AFFINE,
    CORRELATED,
    DISPLACEMENT,
    LEAST,
    PROJECTIVE,
    SIMILARITY,
    Details,
    Homography,
    Refined,
    details,
    fisher_z,
)

AGREES = 0.8  # Correlation of details, at least.
ALONG = 0.65  # Correlation of derivatives along the direction in which they are weakest, at least.
CERTAIN = 4.0  # Deviations of chance, above which that correlation must be: small pictures agree by chance.
_COARSE = 160**2  # Pixels of pictures in which the place is searched for, at most.
_TURNS = range(-8, 9)  # Degrees by which one may be turned against the other, as they are tried.
_PLACES, _APART = 6, 4  # Places that are tried, and pixels between them, at least.
_KEPT = (3, 2, 1)  # Of these places, as many are kept at each size.
_WORSE = 0.7  # What places may lack in certainty, to be kept.
_FEW = 200  # Pixels, up to which a correlation says nothing against a place.
_HOPELESS = 0.3  # Correlation, below which finer sizes are not looked at.
_TRIED = 8  # Iterations by which a place is displaced alone, at most.
_FINEST = 3  # Sizes at which the homography is refined.
_ROUNDING = 1e-9  # Of means, relative to the largest value.
BENT = 0.15  # Share of the smaller picture that both must see for more than a similarity.
_STEP = 2.0**-28  # Of the entries of a matrix, in units of half a side.


class Fit(NamedTuple):
    """A homography, the correlation of details where both see, and the share of the smaller picture which that is."""

    homography: Homography
    correlation: float
    overlap: float
    certainty: float  # Of the correlation, in deviations of what chance gives.
    weakest: float  # Correlation of derivatives along the direction in which they are weakest, as along an edge.

    @property
    def no_chance(self) -> bool:
        """Whether pictures that do not overlap would hardly agree as well."""
        certain = self.certainty >= CERTAIN and self.weakest >= ALONG
        return certain and self.correlation >= AGREES and self.overlap >= LEAST


def registered(first: Array, second: Array) -> Fit:
    """Return where the pixels of a picture (H, W) are in another, which overlap.

    That is a similarity, unless details tell for certain that it is affine, or bent as pictures of a turned camera are:
    what is fitted to the overlap has to hold far beyond it.
    """
    levels = [(first.astype(np.float64), second.astype(np.float64))]
    while max(picture.size for picture in levels[-1]) > _COARSE:
        one, other = (halved(picture[np.newaxis])[0] for picture in levels[-1])
        levels.append((one, other))
    places = _placed(*map(details, levels[-1]))
    for most, pair in zip(_KEPT[-len(levels[:_FINEST]) :], levels[_FINEST - 1 :: -1], strict=True):
        compared = Details(*pair)
        fits = [_settled(compared, matrix, certain) for certain, matrix in places]
        fits = sorted(fits, key=lambda fit: fit.certain, reverse=True)[:most]
        places = [(fit.certain, fit.homography.matrix) for fit in fits if fit.certain >= fits[0].certain - _WORSE]
        if fits[0].used > _FEW and fits[0].correlation < _HOPELESS:
            break
    best = compared.refined(fits[0].homography.matrix, SIMILARITY)
    for model in (AFFINE, PROJECTIVE):
        freer = compared.refined(best.homography.matrix, model, scale=best.scale)
        n, more = best.used / CORRELATED, model.shape[1] - SIMILARITY.shape[1]
        better = 0 < freer.error < best.error and n * math.log(best.error / freer.error) > 2 * more * math.log(n)
        if better and best.overlap > BENT:
            best = freer
    certainty = best.correlation * math.sqrt(best.used / CORRELATED)
    kept = np.rint(best.homography.matrix / _STEP) * _STEP  # Rounding differs from machine to machine.
    return Fit(Homography(kept, first.shape, second.shape), best.correlation, best.overlap, certainty, best.weakest)


def _placed(first: Array, second: Array) -> list[tuple[float, Array]]:
    """Return places and turns of the other picture at which details agree best, by correlation over what both see.

    Each with the correlation that is certain, as Fisher's z.
    """
    shape = [fft.next_fast_len(a + b, real=True) for a, b in zip(first.shape, second.shape, strict=True)]

    def transform(picture: Array) -> Array:
        return np.asarray(fft.rfft2(picture, shape))

    one, ones, squares = transform(first), transform(np.ones(first.shape)), transform(first**2)
    best, turns = np.full(shape, -math.inf), np.zeros(shape, int)
    least = _ROUNDING * math.sqrt(float((first**2).sum() * (second**2).sum()))
    for turn in _TURNS:
        turned = ndimage.rotate(second, turn, reshape=False, order=1)
        mask = ndimage.rotate(np.ones(second.shape), turn, reshape=False, order=0)
        two, seen, square = (np.conj(transform(part)) for part in (turned * mask, mask, turned**2 * mask))
        products = ones * seen, one * seen, ones * two, one * two, squares * seen, ones * square
        n, a, b, ab, aa, bb = (fft.irfft2(part, shape) for part in products)
        enough, n = n > LEAST * min(first.size, second.size), np.maximum(n, 1)
        spread = np.sqrt(np.maximum((aa - a * a / n) * (bb - b * b / n), 0))
        enough &= spread > least
        score = np.where(enough, fisher_z((ab - a * b / n) / np.where(enough, spread, 1), n), -math.inf)
        turns[score > best] = turn
        best = np.maximum(best, score)
    peaks = np.flatnonzero(np.isfinite(best) & (best == ndimage.maximum_filter(best, 2 * _APART + 1, mode="wrap")))
    peaks = peaks[np.argsort(-best.flat[peaks], kind="stable")[:_PLACES]]
    places = [np.unravel_index(at, best.shape) for at in peaks]
    found = [(float(best[at]), _turned(int(turns[at]), at, shape, first, second)) for at in places]
    return found or [(-math.inf, np.eye(3))]


def _turned(turn: int, place: Sequence[Any], period: list[int], first: Array, second: Array) -> Array:
    """Return the matrix for a turn in degrees, after which the second picture begins at a place in the first."""
    unit, middle = max(first.shape) / 2, []
    for at, wraps, n, m in zip(place, period, first.shape, second.shape, strict=True):
        begins = int(at) - wraps if at > n else int(at)
        middle.append(((n - m) / 2 - begins) / unit)
    y, x = middle
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return np.array([[c, -s, c * x - s * y], [s, c, s * x + c * y], [0, 0, 1]])


def _settled(compared: Details, matrix: Array, certain: float) -> Refined:
    """Return the similarity at which details agree best, or the displacement or start where that goes astray."""
    moved = compared.refined(matrix, DISPLACEMENT, rounds=_TRIED)
    best = max(compared.refined(moved.homography.matrix, SIMILARITY), moved, key=lambda fit: fit.certain)
    start = Homography(matrix, moved.homography.size, moved.homography.other)
    return best if best.used > _FEW else best._replace(homography=start, certain=certain)
