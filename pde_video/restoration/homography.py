"""Homographies between two pictures, and the one at which their details agree best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.estimate.blocks import NORMAL
from pde_video.protocols import Array

LEAST = 0.05  # Share of the smaller picture that both must see.
_CHANCE = 2.0  # Deviations of chance that are taken off correlations when places are compared.
_PERFECT = 0.999  # Correlation, above which places count as equal.
_SHARP, _SMOOTH = 0.7, 4.0  # Pixels of the means of which differences are compared: light does not count.
_ROUNDS, _SETTLED = 40, 1e-3  # Iterations, at most; pixels by which corners move at last.
_ROBUST = 3.0  # Deviations, above which errors count little.
CORRELATED = 20  # Pixels of which errors are alike.
_MOST = 2**18  # Pixels that are compared, at most.
_ROUNDING = 1e-9  # Of means, relative to the largest value.
_PART, _VOTE = 24, 2.0  # Pixels along the sides of parts; what each of them counts at most, in logarithms of odds.
_RIM = 2  # Pixels at the border of pictures that do not count.


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
        w = np.where(w > 0, w, np.nan)  # What is behind a camera is nowhere.
        return v / w * self.unit + (other[0] - 1) / 2, u / w * self.unit + (other[1] - 1) / 2


# Which of the entries of a matrix change together: of displacements, similarities, affine maps, and homographies.
SIMILARITY = np.zeros((8, 4))
SIMILARITY[[0, 4], 0], SIMILARITY[1, 1], SIMILARITY[3, 1], SIMILARITY[2, 2], SIMILARITY[5, 3] = 1, -1, 1, 1, 1
DISPLACEMENT, AFFINE, PROJECTIVE = SIMILARITY[:, 2:], np.eye(8)[:, :6], np.eye(8)


class Refined(NamedTuple):
    """A homography at which details agree, and how well they do."""

    homography: Homography
    correlation: float
    overlap: float
    error: float  # Mean of ρ,
    used: int  # and of how many pixels.
    scale: float  # Of ρ.
    weakest: float  # Correlation of derivatives along the direction in which they are weakest.
    certain: float  # Of the mean of both correlations.

    @property
    def agreement(self) -> float:
        """The mean of both correlations."""
        return (self.correlation + self.weakest) / 2


def details(picture: Array) -> Array:
    """Return the differences of two means around each pixel."""
    found = ndimage.gaussian_filter(picture, _SHARP) - ndimage.gaussian_filter(picture, _SMOOTH)
    return np.where(np.abs(found) > _ROUNDING * np.abs(picture).max(), found, 0.0)


def fisher_z(correlation: Any, n: Any) -> Any:
    """Return Fisher's z of the correlation of n pixels, less what chance may add to it."""
    z = np.arctanh(np.clip(correlation, -_PERFECT, _PERFECT)) - _CHANCE * np.sqrt(CORRELATED / np.maximum(n, 1))
    return np.round(z, 6)  # Rounding differs from machine to machine.


class _Sample(NamedTuple):
    """Pixels that both pictures show."""

    where: Array  # (n,): their indices in the first.
    overlap: float
    first: Array  # The details of both,
    second: Array
    gain: float  # how many times as strong they are in the first,
    correlation: float
    slopes: tuple[Array, Array]  # and the derivatives of the second, times the gain, along rows and columns.


class Whole(NamedTuple):
    """The sizes of two pictures, of which means over step × step pixels are compared."""

    first: tuple[int, int]
    second: tuple[int, int]
    step: int = 1


class Details:
    """The details u and v of two pictures, which are compared."""

    def __init__(self, first: Array, second: Array, *, most: int = _MOST, whole: Whole | None = None) -> None:
        self._first, self._second, self._most = details(first), details(second), most
        self._splines = [ndimage.spline_filter(one, 3) for one in (self._second, *np.gradient(self._second))]
        self._whole = whole or Whole(first.shape, second.shape)
        self._step, self._unit = self._whole.step, self._at(np.eye(3)).unit
        self._places = np.indices(first.shape) * self._step + (self._step - 1) / 2
        middle = [(n - 1) / 2 for n in self._whole.first]
        self._y, self._x = ((at - half) / self._unit for at, half in zip(self._places, middle, strict=True))

    def _at(self, matrix: Array) -> Homography:
        return Homography(matrix, self._whole.first, self._whole.second)

    def _sample(self, matrix: Array) -> _Sample | float:
        """Return the pixels that both show, or the overlap where these are too few."""
        first, second = self._first, self._second
        there = [(at - (self._step - 1) / 2) / self._step for at in self._at(matrix)(*self._places)]
        seen, inside = np.ones(first.shape, bool), np.zeros(first.shape, bool)
        inside[_RIM:-_RIM, _RIM:-_RIM] = True
        for place, n in zip(there, second.shape, strict=True):
            seen &= (place >= 0) & (place <= n - 1)
            inside &= (place >= _RIM) & (place <= n - 1 - _RIM)
        overlap = int(np.count_nonzero(seen)) / min(first.size, second.size)
        if overlap < LEAST / 2 or np.count_nonzero(inside) <= len(PROJECTIVE):
            return overlap
        used = np.flatnonzero(inside)
        used = used[:: math.ceil(len(used) / self._most)]
        places = [place.flat[used] for place in there]
        v, *slopes = (ndimage.map_coordinates(one, places, order=3, prefilter=False) for one in self._splines)
        u = first.flat[used]
        norm = float(np.sqrt((u * u).sum() * (v * v).sum())) or 1.0
        gain = float((u * v).sum() / max((v * v).sum(), 1e-300))
        return _Sample(used, overlap, u, v, gain, float((u * v).sum()) / norm, (gain * slopes[0], gain * slopes[1]))

    def _entries(self, matrix: Array, sample: _Sample) -> Array:
        """Return the derivatives of the details by the first eight entries of a matrix, (n, 8)."""
        unit, px, py = self._unit / self._step, self._x.flat[sample.where], self._y.flat[sample.where]
        w = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2]
        p, q = (row[0] * px + row[1] * py + row[2] for row in matrix[:2])
        gx, gy = sample.slopes[1] * unit / w, sample.slopes[0] * unit / w
        bent = -(gx * p + gy * q) / w
        return np.stack([gx * px, gx * py, gx, gy * px, gy * py, gy, bent * px, bent * py], axis=1)

    def refined(self, matrix: Array, model: Array, *, scale: float = 0.0, rounds: int = _ROUNDS) -> Refined:
        """Return the homography of a model at which details agree best, from a matrix on, by Gauss and Newton's method.

        Σ ρ(a v(h(x)) − u(x)) with Geman and McClure's ρ, in units of its scale.
        """
        corners = np.array([[i, j, 1] for i in (self._x.min(), self._x.max()) for j in (self._y.min(), self._y.max())])
        for _ in range(rounds):
            sample = self._sample(matrix)
            if isinstance(sample, float):
                return self._nothing(matrix, sample, scale)
            error = sample.gain * sample.second - sample.first
            scale = scale or _ROBUST * NORMAL * float(np.median(np.abs(error))) or 1.0
            weight = 1 / np.square(1 + np.square(error / scale))
            jacobian = np.column_stack([self._entries(matrix, sample) @ model, sample.second])
            normal = jacobian.T @ (weight[:, np.newaxis] * jacobian)
            step = np.linalg.lstsq(normal, -jacobian.T @ (weight * error), rcond=1e-12)[0]
            before = matrix @ corners.T
            matrix = matrix + np.append(model @ step[:-1], 0).reshape(3, 3)
            after = matrix @ corners.T
            moved = np.abs(after[:2] / after[2] - before[:2] / before[2]).max() * self._unit / self._step
            if moved < _SETTLED:
                break
        return self.at(matrix, scale)

    def at(self, matrix: Array, scale: float = 0.0) -> Refined:
        """Return how well details agree at a matrix."""
        sample = self._sample(matrix)
        if isinstance(sample, float):
            return self._nothing(matrix, sample, scale)
        error = sample.gain * sample.second - sample.first
        scale = scale or _ROBUST * NORMAL * float(np.median(np.abs(error))) or 1.0
        lost = float((np.square(error) / (1 + np.square(error / scale))).mean())
        alike, n = self._along_edges(matrix, sample), error.size
        certain = float(fisher_z((sample.correlation + alike) / 2, n))
        return Refined(self._at(matrix), sample.correlation, sample.overlap, lost, n, scale, alike, certain)

    def _nothing(self, matrix: Array, overlap: float, scale: float) -> Refined:
        return Refined(self._at(matrix), 0.0, overlap, 1.0, 1, scale, 0.0, -math.inf)

    def favours(self, matrix: Array, than: Array) -> float:
        """Return by how much the parts of the pictures favour a matrix over another, from −1 to 1, all of them wholly.

        So what is near, and elsewhere in the other picture, does not outvote what is far, however strong its details.
        """
        (new, n), (old, _) = self._errors(matrix), self._errors(than)
        told = n / (2 * CORRELATED) * np.log(np.maximum(old, _ROUNDING) / np.maximum(new, _ROUNDING))
        votes = np.clip(told / _VOTE, -1, 1)[np.isfinite(told)]
        return math.fsum(votes) / votes.size if votes.size else 1.0

    def _errors(self, matrix: Array) -> tuple[Array, Array]:
        """Return what of the details of each part is not explained by the other, and how many pixels tell.

        That is 1 − r² with the correlation r in the part of the first picture; NaN where nothing is shown.
        """
        sample, rows, columns = self._sample(matrix), *(-(-n // _PART) for n in self._first.shape)
        errors, n = np.full(rows * columns, np.nan), np.zeros(rows * columns)
        if not isinstance(sample, float):
            row, column = (at // _PART for at in np.unravel_index(sample.where, self._first.shape))
            u, v, ones = sample.first, sample.second, np.ones_like(sample.first)
            sums = (np.bincount(row * columns + column, one, len(errors)) for one in (u * u, v * v, u * v, ones))
            uu, vv, uv, n = sums
            np.divide(np.square(np.maximum(uv, 0)), uu * vv, out=errors, where=uu * vv > 0)
        return 1 - errors, n

    def _along_edges(self, matrix: Array, sample: _Sample) -> float:
        """Return the correlation of derivatives along the direction in which they are weakest."""
        down, across = sample.slopes
        (a, b), (c, d) = matrix[:2, :2] / matrix[2, 2]  # They are those of the second; turned as it is in the first,
        turned = d * down + b * across, c * down + a * across  # along its rows and columns.
        slopes = [one.flat[sample.where] for one in np.gradient(self._first)], turned
        weakest = np.linalg.eigh(sum(np.array([[(a * b).sum() for a in one] for b in one]) for one in slopes))[1][:, 0]
        u, v = (weakest[0] * one[0] + weakest[1] * one[1] for one in slopes)
        return float((u * v).sum()) / (float(np.sqrt((u * u).sum() * (v * v).sum())) or 1.0)
