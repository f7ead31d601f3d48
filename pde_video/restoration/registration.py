"""Where one camera sees what another does: the homography between two pictures that overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import fft, ndimage

from pde_video.estimate.blocks import NORMAL
from pde_video.motion.averaging import halved
from pde_video.protocols import Array

_COARSE = 160**2  # Pixels of pictures in which the place is searched for, at most.
_TURNS = range(-8, 9)  # Degrees by which one may be turned against the other, as they are tried.
_LEAST = 0.05  # Share of the smaller picture that both must see.
_PLACES, _APART = 6, 4  # Places that are tried, and pixels between them, at least.
_KEPT = (3, 2, 1)  # Of these places, as many are kept at each size.
_WORSE = 0.7  # What places may lack in certainty, to be kept.
_FEW = 200  # Pixels, up to which a correlation says nothing against a place.
_HOPELESS = 0.3  # Correlation, below which finer sizes are not looked at.
_TRIED = 8  # Iterations by which a place is displaced alone, at most.
_CHANCE = 2.0  # Deviations of chance that are taken off correlations when places are compared.
_PERFECT = 0.999  # Correlation, above which places count as equal.
_SHARP, _SMOOTH = 0.7, 4.0  # Pixels of the means of which differences are compared: light does not count.
_FINEST = 3  # Sizes at which the homography is refined.
_ROUNDS, _SETTLED = 40, 1e-3  # Iterations at each, at most; pixels by which corners move at last.
_ROBUST = 3.0  # Deviations, above which errors count little.
_CORRELATED = 20  # Pixels of which errors are alike.
_MOST = 2**18  # Pixels that are compared, at most.
_ROUNDING = 1e-9  # Of means, relative to the largest value.
_RIM = 2  # Pixels at the border of pictures that do not count.
_BENT = 0.15  # Share of the smaller picture that both must see for more than a similarity.
_STEP = 2.0**-28  # Of the entries of a matrix, in units of half a side.


@dataclass(frozen=True, eq=False)
class Homography:
    """Where pixels of a picture are in another: (u, v, w) = matrix · (x, y, 1), relative to the middle of each."""

    matrix: Array  # (3, 3); x, y, u/w and v/w in units of half the longer side of the first picture.
    size: tuple[int, int]  # Of the first picture, (H, W),
    other: tuple[int, int]  # and of the other.

    @property
    def unit(self) -> float:
        """Half the longer side of the first picture, in pixels."""
        return max(self.size) / 2

    def __call__(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Return the rows and columns in the other picture of those in the first."""
        return self._mapped(self.matrix, self.size, self.other, rows, columns)

    def back(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Return the rows and columns in the first picture of those in the other."""
        return self._mapped(np.linalg.inv(self.matrix), self.other, self.size, rows, columns)

    def _mapped(
        self, matrix: Array, size: tuple[int, int], other: tuple[int, int], rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        x, y = (columns - (size[1] - 1) / 2) / self.unit, (rows - (size[0] - 1) / 2) / self.unit
        u, v, w = (one[0] * x + one[1] * y + one[2] for one in matrix)
        return v / w * self.unit + (other[0] - 1) / 2, u / w * self.unit + (other[1] - 1) / 2


# Which of the entries of a matrix change together: of similarities, affine maps, and homographies.
_SIMILAR = np.zeros((8, 4))
_SIMILAR[[0, 4], 0], _SIMILAR[1, 1], _SIMILAR[3, 1], _SIMILAR[2, 2], _SIMILAR[5, 3] = 1, -1, 1, 1, 1
_MODELS = (_SIMILAR, np.eye(8)[:, :6], np.eye(8))


class _Refined(NamedTuple):
    homography: Homography
    correlation: float
    overlap: float
    error: float  # Mean of ρ,
    used: int  # and of how many pixels.
    scale: float  # Of ρ.
    weakest: float  # Correlation of derivatives along the direction in which they are weakest.
    certain: float  # Of the mean of both correlations.


class Fit(NamedTuple):
    """A homography, the correlation of details where both see, and the share of the smaller picture which that is."""

    homography: Homography
    correlation: float
    overlap: float
    certainty: float  # Of the correlation, in deviations of what chance gives.
    weakest: float  # Correlation of derivatives along the direction in which they are weakest, as along an edge.


def registered(first: Array, second: Array) -> Fit:
    """Return where the pixels of a picture (H, W) are in another, which overlap.

    That is a similarity, unless details tell for certain that it is affine, or bent as pictures of a turned camera are:
    what is fitted to the overlap has to hold far beyond it.
    """
    levels = [(first.astype(np.float64), second.astype(np.float64))]
    while max(picture.size for picture in levels[-1]) > _COARSE:
        one, other = (halved(picture[np.newaxis])[0] for picture in levels[-1])
        levels.append((one, other))
    places = _placed(*map(_details, levels[-1]))
    for most, pair in zip(_KEPT[-len(levels[:_FINEST]) :], levels[_FINEST - 1 :: -1], strict=True):
        u, v = map(_details, pair)
        fits = [_settled(Homography(matrix, u.shape, v.shape), u, v, certain) for certain, matrix in places]
        fits = sorted(fits, key=lambda fit: fit.certain, reverse=True)[:most]
        places = [(fit.certain, fit.homography.matrix) for fit in fits if fit.certain >= fits[0].certain - _WORSE]
        if fits[0].used > _FEW and fits[0].correlation < _HOPELESS:
            break
    best = _refined(fits[0].homography, u, v, _MODELS[0])
    for model in _MODELS[1:]:
        freer, n = _refined(best.homography, u, v, model, scale=best.scale), best.used / _CORRELATED
        more = model.shape[1] - _MODELS[0].shape[1]
        better = 0 < freer.error < best.error and n * math.log(best.error / freer.error) > 2 * more * math.log(n)
        if better and best.overlap > _BENT:
            best = freer
    certainty = best.correlation * math.sqrt(best.used / _CORRELATED)
    kept = np.rint(best.homography.matrix / _STEP) * _STEP  # Rounding differs from machine to machine.
    return Fit(Homography(kept, first.shape, second.shape), best.correlation, best.overlap, certainty, best.weakest)


def _details(picture: Array) -> Array:
    details = ndimage.gaussian_filter(picture, _SHARP) - ndimage.gaussian_filter(picture, _SMOOTH)
    return np.where(np.abs(details) > _ROUNDING * np.abs(picture).max(), details, 0.0)


def _certain(correlation: Any, n: Any) -> Any:
    """Return Fisher's z of the correlation of n pixels, less what chance may add to it."""
    z = np.arctanh(np.clip(correlation, -_PERFECT, _PERFECT)) - _CHANCE * np.sqrt(_CORRELATED / np.maximum(n, 1))
    return np.round(z, 6)  # Rounding differs from machine to machine.


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
        enough, n = n > _LEAST * min(first.size, second.size), np.maximum(n, 1)
        spread = np.sqrt(np.maximum((aa - a * a / n) * (bb - b * b / n), 0))
        enough &= spread > least
        score = np.where(enough, _certain((ab - a * b / n) / np.where(enough, spread, 1), n), -math.inf)
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


def _settled(start: Homography, first: Array, second: Array, certain: float) -> _Refined:
    """Return the similarity at which details agree best, or the displacement or start where that goes astray."""
    moved = _refined(start, first, second, _SIMILAR[:, 2:], rounds=_TRIED)
    best = max(_refined(moved.homography, first, second, _SIMILAR), moved, key=lambda fit: fit.certain)
    return best if best.used > _FEW else best._replace(homography=start, certain=certain)


def _refined(
    start: Homography, first: Array, second: Array, model: Array, *, scale: float = 0.0, rounds: int = _ROUNDS
) -> _Refined:
    """Return the homography of a model at which details agree best, from another on, by Gauss and Newton's method.

    Σ ρ(a v(h(x)) − u(x)) for the pictures u and v, with Geman and McClure's ρ.
    """
    matrix, unit = start.matrix.copy(), start.unit
    rows, columns = np.mgrid[: first.shape[0], : first.shape[1]].astype(float)
    y, x = (rows - (first.shape[0] - 1) / 2) / unit, (columns - (first.shape[1] - 1) / 2) / unit
    splines = [ndimage.spline_filter(one, 3) for one in (second, *np.gradient(second))]
    corners = np.array([[i, j, 1] for i in (x.min(), x.max()) for j in (y.min(), y.max())]).T
    for _ in range(rounds):
        found = Homography(matrix, first.shape, second.shape)
        there = found(rows, columns)
        seen, inside = np.ones(first.shape, bool), np.zeros(first.shape, bool)
        inside[_RIM:-_RIM, _RIM:-_RIM] = True
        for place, n in zip(there, second.shape, strict=True):
            seen &= (place >= 0) & (place <= n - 1)
            inside &= (place >= _RIM) & (place <= n - 1 - _RIM)
        overlap = int(np.count_nonzero(seen)) / min(first.size, second.size)
        if overlap < _LEAST / 2 or np.count_nonzero(inside) <= len(model):
            return _Refined(found, 0.0, overlap, 1.0, 1, scale, 0.0, -math.inf)
        used = np.flatnonzero(inside)
        used = used[:: math.ceil(len(used) / _MOST)]
        places = [place.flat[used] for place in there]
        v, down, across = (ndimage.map_coordinates(one, places, order=3, prefilter=False) for one in splines)
        u, px, py = first.flat[used], x.flat[used], y.flat[used]
        norm = float(np.sqrt((u * u).sum() * (v * v).sum())) or 1.0
        correlation = float((u * v).sum()) / norm
        gain = float((u * v).sum() / max((v * v).sum(), 1e-300))
        error = gain * v - u
        scale = scale or _ROBUST * NORMAL * float(np.median(np.abs(error))) or 1.0
        weight = 1 / np.square(1 + np.square(error / scale))
        w = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2]
        p, q = (row[0] * px + row[1] * py + row[2] for row in matrix[:2])
        gx, gy = gain * across * unit / w, gain * down * unit / w
        bent = -(gx * p + gy * q) / w
        entries = np.stack([gx * px, gx * py, gx, gy * px, gy * py, gy, bent * px, bent * py], axis=1)
        jacobian = np.column_stack([entries @ model, v])
        normal = jacobian.T @ (weight[:, np.newaxis] * jacobian)
        step = np.linalg.lstsq(normal, -jacobian.T @ (weight * error), rcond=1e-12)[0]
        before = matrix @ corners
        matrix = matrix + np.append(model @ step[:-1], 0).reshape(3, 3)
        after = matrix @ corners
        if np.abs(after[:2] / after[2] - before[:2] / before[2]).max() * unit < _SETTLED:
            break
    lost = float((np.square(error) / (1 + np.square(error / scale))).mean())
    slopes = [one.flat[used] for one in np.gradient(first)], [gain * down, gain * across]
    weakest = np.linalg.eigh(sum(np.array([[(a * b).sum() for a in one] for b in one]) for one in slopes))[1][:, 0]
    u, v = (weakest[0] * one[0] + weakest[1] * one[1] for one in slopes)
    alike = float((u * v).sum()) / (float(np.sqrt((u * u).sum() * (v * v).sum())) or 1.0)
    found = Homography(matrix, first.shape, second.shape)
    certain = float(_certain((correlation + alike) / 2, error.size))
    return _Refined(found, correlation, overlap, lost, error.size, scale, alike, certain)
