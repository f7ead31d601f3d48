"""How coarse pixels come from fine ones, y = K u: a blur, then means; and the smoothest fine picture that fits them."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.kernels import banded
from pde_video.protocols import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_REACH = 4.0  # Of the Gaussian, in standard deviations.
_DECIMAL = Context(prec=28)  # For exponentials that are the same on every machine.
_AT_ONCE = 256  # Columns of the spline that are solved for together.


class Axis(NamedTuple):
    """Along an axis: K; the spline U, with K U y = y and the least second differences; and K centred elsewhere."""

    down: csr_matrix
    up: csr_matrix
    anywhere: csr_matrix  # On fine pixels, or, where coarse ones have an even number of them, between these.


class PixelModel(NamedTuple):
    """K, U and others of planes: along their rows and along their columns."""

    rows: Axis
    columns: Axis

    def down(self, planes: Array) -> Array:
        """Return K u of fine planes (C, H, W)."""
        return np.stack([_across(self.columns.down, self.rows.down @ one) for one in planes])

    def up(self, planes: Array) -> Array:
        """Return U y of coarse planes (C, h, w)."""
        return np.stack([self.rows.up @ _across(self.columns.up, one) for one in planes])

    def unseen(self, planes: Array) -> Array:
        """Return what K does not see of fine planes."""
        return planes - self.up(self.down(planes))

    def fitted(self, planes: Array, data: Array) -> Array:
        """Return fine planes with K u = y: changed by the smoothest difference."""
        return planes + self.up(data - self.down(planes))

    def anywhere(self, planes: Array) -> Array:
        """Return what coarse pixels would show with their centres on the fine pixels, or between them."""
        return np.stack([_across(self.columns.anywhere, self.rows.anywhere @ one) for one in planes])

    def widened(self, planes: Array) -> Array:
        """Return what is spread over two fine pixels spread over the width of a coarse one; 0 is beyond the edges."""
        for axis, step in enumerate(self.steps, 1):
            reach = math.ceil(step / 2 - 1)
            box = np.clip(step / 2 - abs(np.arange(-reach, reach + 1)), 0, 1)
            planes = ndimage.correlate1d(planes, box / math.fsum(box), axis, mode="constant") if reach > 0 else planes
        return planes

    @property
    def steps(self) -> Array:
        """Fine pixels along the sides of a coarse one."""
        return np.array([axis.up.shape[0] / axis.up.shape[1] for axis in self])

    @property
    def before(self) -> Array:
        """Pixels of the planes of `anywhere` before the first fine one, (2, 1, 1)."""
        return np.array([[[(axis.anywhere.shape[0] - axis.up.shape[0]) / 2]] for axis in self], self.rows.up.dtype)

    def places(self, flow: Array) -> Array:
        """Return where coarse pixels are in the planes of `anywhere` that a flow (2, h, w) has moved."""
        steps = self.steps.astype(flow.dtype)[:, np.newaxis, np.newaxis]
        half = flow.dtype.type(0.5)
        return (np.indices(flow.shape[1:], flow.dtype) + flow + half) * steps - half + self.before


def pixel_model(coarse: tuple[int, int], fine: tuple[int, int], blur: float, dtype: np.dtype) -> PixelModel:
    """Return the model for planes of a coarse and a fine size; the blur is in coarse pixels."""
    return PixelModel(*(_axis(n, m, blur, dtype) for n, m in zip(coarse, fine, strict=True)))


def _across(matrix: csr_matrix, plane: Array) -> Array:
    """Return a plane with a matrix applied along its rows."""
    return np.ascontiguousarray((matrix @ np.ascontiguousarray(plane.T)).T)


@lru_cache(maxsize=8)
def _axis(coarse: int, fine: int, blur: float, dtype: np.dtype) -> Axis:
    gaussian = _filtered(fine, _gaussian(blur * fine / coarse))
    down = _means(coarse, fine) @ gaussian
    up = _spline(down, float(np.finfo(dtype).eps) / 8)
    return Axis(*(matrix.astype(dtype) for matrix in (down, up, _filtered(fine, _box(fine / coarse)) @ gaussian)))


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


def _gaussian(width: float) -> Array:
    """Return a sampled Gaussian."""
    reach = int(_REACH * width + 0.5)
    places = [k / width for k in range(-reach, reach + 1)] if reach else [0.0]
    return np.array([float(Decimal(-0.5 * x * x).exp(_DECIMAL)) for x in places])


def _box(width: float) -> Array:
    """Return the shares of pixels in a box of some width, which is centred on one or between two."""
    n = round(width)
    n += 2 * (width > n)
    box = np.ones(n)
    box[0] = box[-1] = 0.5 * (width - n) + 1 if n > 1 else 1
    return box


def _filtered(n: int, weights: Array) -> csr_matrix:
    """Return the correlation with weights, scaled to a sum of 1; of an even number, between pixels and at both ends.

    The picture is mirrored at its edges.
    """
    from scipy.sparse import csr_matrix

    count, results = len(weights), n + 1 - len(weights) % 2
    places = np.add.outer(np.arange(results), np.arange(count) - count // 2) % (2 * n)
    places = np.minimum(places, 2 * n - 1 - places)
    rows = np.repeat(np.arange(results), count)
    return csr_matrix((np.tile(weights / math.fsum(weights), results), (rows, places.ravel())), (results, n))


def _spline(down: csr_matrix, least: float) -> csr_matrix:
    """Return U without what is below `least`: U y has the least Σ (second differences)² where K u = y.

    With multipliers p, (DᵀD + KᵀK) u + Kᵀ p = 0 and K u = y. Each multiplier comes after the last pixel of its row of
    K: the matrix is banded, and its leading parts have inverses, so that no pivots are needed.
    """
    from scipy.sparse import bmat, csr_matrix, eye, hstack

    coarse, fine = down.shape
    differences = eye(fine, format="csr")
    for _ in range(min(2, coarse)):  # One value tells no slope.
        differences = differences[1:] - differences[:-1]
    seen = down.tocoo()
    ends = np.zeros(coarse, int)
    np.maximum.at(ends, seen.row, seen.col)
    order = np.argsort(np.concatenate([2 * np.arange(fine), 2 * ends + 1]), kind="stable")
    energy = differences.T @ differences + down.T @ down
    system = bmat([[energy, down.T], [down, None]], "csr")[order][:, order].tocoo()
    apart = system.row - system.col
    rows = np.zeros((fine + coarse, apart.max() + 1))
    rows[system.row[apart >= 0], apart[apart >= 0]] = system.data[apart >= 0]
    banded.factorise(rows)
    given, pixels = np.flatnonzero(order >= fine), np.flatnonzero(order < fine)
    parts = []
    for begin in range(0, coarse, _AT_ONCE):
        n = min(_AT_ONCE, coarse - begin)
        found = np.zeros((fine + coarse, n))
        found[given[begin : begin + n], np.arange(n)] = 1
        banded.substitute(rows, found)
        parts.append(csr_matrix(np.where(np.abs(found[pixels]) >= least, found[pixels], 0)))
    return hstack(parts).tocsr()
