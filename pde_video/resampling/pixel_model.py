"""How coarse pixels come from fine ones, y = K u: a blur, then means; and the smoothest fine picture that fits them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pde_video.protocols import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_REACH = 4.0  # Of the Gaussian, in standard deviations.
_AT_ONCE = 256  # Columns of the spline that are solved for together.


class PixelModel(NamedTuple):
    """K along rows and columns, and the spline U: K U y = y, with the least second differences.

    Both are products of one matrix for the rows and one for the columns.
    """

    down_rows: csr_matrix
    down_columns: csr_matrix
    up_rows: csr_matrix
    up_columns: csr_matrix

    @property
    def share(self) -> float:
        """How many fine pixels a coarse one has."""
        return math.prod(one.shape[0] / one.shape[1] for one in (self.up_rows, self.up_columns))

    def down(self, planes: Array) -> Array:
        """Return K u of fine planes (C, H, W)."""
        return np.stack([_across(self.down_columns, self.down_rows @ one) for one in planes])

    def up(self, planes: Array) -> Array:
        """Return U y of coarse planes (C, h, w)."""
        return np.stack([self.up_rows @ _across(self.up_columns, one) for one in planes])

    def unseen(self, planes: Array) -> Array:
        """Return what K does not see of fine planes."""
        return planes - self.up(self.down(planes))

    def fitted(self, planes: Array, data: Array) -> Array:
        """Return fine planes with K u = y: changed by the smoothest difference."""
        return planes + self.up(data - self.down(planes))


def pixel_model(coarse: tuple[int, int], fine: tuple[int, int], blur: float, dtype: np.dtype) -> PixelModel:
    """Return the model for planes of a coarse and a fine size; the blur is in coarse pixels."""
    rows, columns = (_axis(n, m, blur, dtype) for n, m in zip(coarse, fine, strict=True))
    return PixelModel(rows[0], columns[0], rows[1], columns[1])


def _across(matrix: csr_matrix, plane: Array) -> Array:
    """Return a plane with a matrix applied along its rows."""
    return np.ascontiguousarray((matrix @ np.ascontiguousarray(plane.T)).T)


@lru_cache(maxsize=8)
def _axis(coarse: int, fine: int, blur: float, dtype: np.dtype) -> tuple[csr_matrix, csr_matrix]:
    """Return K and U along an axis."""
    down = _means(coarse, fine) @ _gaussian(fine, blur * fine / coarse)
    return down.astype(dtype), _spline(down, float(np.finfo(dtype).eps) / 8).astype(dtype)


def _means(coarse: int, fine: int) -> csr_matrix:
    """Return means over cells, weighted by area; weights of cells that cut pixels are shifted to the cell's centre."""
    from scipy.sparse import csr_matrix

    # In units of 1/coarse of a fine pixel, all edges are whole numbers.
    left = np.arange(coarse)[:, np.newaxis] * fine
    pixels = left // coarse + np.arange(-(-fine // coarse) + 1)
    covered = np.minimum(left + fine, (pixels + 1) * coarse) - np.maximum(left, pixels * coarse)
    weights = np.maximum(covered, 0) / fine
    off = ((pixels + 0.5) * weights).sum(axis=1) - (left[:, 0] + fine / 2) / coarse
    cells, last = np.arange(coarse), np.maximum(np.count_nonzero(weights, axis=1) - 1, 1)
    weights[:, 0] += off / last  # So that means of a linear picture are linear.
    weights[cells, last] -= off / last
    rows = np.repeat(cells, pixels.shape[1])
    return csr_matrix((weights.ravel(), (rows, np.minimum(pixels, fine - 1).ravel())), (coarse, fine))


def _gaussian(n: int, width: float) -> csr_matrix:
    """Return the blur by a sampled Gaussian; the picture is mirrored at its edges."""
    from scipy.sparse import csr_matrix

    reach = int(_REACH * width + 0.5)
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(x / width)) if reach else np.ones(1)
    places = np.add.outer(np.arange(n), x) % (2 * n)
    places = np.minimum(places, 2 * n - 1 - places)
    rows = np.repeat(np.arange(n), len(x))
    return csr_matrix((np.tile(weights / math.fsum(weights), n), (rows, places.ravel())), (n, n))


def _spline(down: csr_matrix, least: float) -> csr_matrix:
    """Return U without what is below `least`: U y minimises Σ (second differences of u)² where K u = y."""
    from scipy.sparse import csr_matrix, eye, hstack, vstack
    from scipy.sparse.linalg import splu

    coarse, fine = down.shape
    differences = eye(fine, format="csr")
    for _ in range(min(2, coarse)):  # One value tells no slope.
        differences = differences[1:] - differences[:-1]
    energy = differences.T @ differences
    system = splu(vstack([hstack([energy, down.T]), hstack([down, csr_matrix((coarse, coarse))])]).tocsc())
    parts = []
    for begin in range(0, coarse, _AT_ONCE):
        n = min(_AT_ONCE, coarse - begin)
        ones = np.zeros((fine + coarse, n))
        ones[fine + begin + np.arange(n), np.arange(n)] = 1
        found = system.solve(ones)[:fine]
        parts.append(csr_matrix(np.where(np.abs(found) >= least, found, 0)))
    return hstack(parts).tocsr()
