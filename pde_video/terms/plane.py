"""The rate of tensor diffusion in a plane by one fused pass over the picture, in bands of rows on all threads."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.arrays.grid import BOUNDARIES, inverse_squares
from pde_video.protocols import Array
from pde_video.terms.structure import smoothed
from pde_video.threads import each, pieces

EDGES, COHERENCE, _GRADIENT = 0, -1, -2  # Codes of kernels.tensor_plane.
_FARTHEST = 256  # Rows; with longer offsets a fused pass does not pay.
_SHORTEST_BAND = 64
_SLACK = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12}  # Rounding of a sum of weights, relative.


@dataclass(frozen=True)
class Recipe:
    """How a tensor is made: derivatives times `gradient`, a rule of a `kind`, eigenvalues from `least` to `largest`."""

    kind: int
    conductance: str
    gradient: float
    inverse_kappa: float
    least: float
    largest: float


def half_gaussian(width: float) -> Array:
    """Return a sampled Gaussian of sum 1, from its centre to four standard deviations; [1] for width 0."""
    x = np.arange(int(4 * width + 0.5) + 1)
    half = np.exp(-0.5 * (x / width) ** 2) if width > 0 else np.ones(1)
    return half / (2 * half.sum() - half[0])


def rate_in_plane(y: Array, term: Any, recipe: Recipe, cap: float) -> Array | None:
    """Return the rate of `term` for the state `y` (C, N1, N2); None for very long offsets or a narrowly smoothed J."""
    from pde_video.kernels.conductance import named, unit
    from pde_video.kernels.tensor_plane import plane_rate

    scale = inverse_squares(term.spacing, 2)
    condition = max(1.0 / recipe.least, recipe.largest)
    reach = math.ceil(math.sqrt(2 * condition * max(scale) / min(scale))) + 1
    if y.dtype not in _SLACK or 0 < term.integration < 1 or reach > _FARTHEST:
        return None
    y = np.require(y, requirements=["C", "W"])

    def numbers(*values: float) -> tuple[np.floating, ...]:
        return tuple(y.dtype.type(v) for v in values)

    wide = term.smoothing >= 1
    source = y if wide else np.ascontiguousarray(smoothed(y, term.smoothing, term.boundary))
    taps = half_gaussian(term.smoothing if wide else 0.0).astype(y.dtype)
    mean_taps = half_gaussian(term.integration).astype(y.dtype)

    root = [math.sqrt(s) for s in scale]
    h = [root[0] * root[0] / 2, root[0] * root[1] / 2, root[1] * root[1] / 2]
    kind, factor = recipe.kind, recipe.gradient / 32
    one_gradient = term.integration == 0 and len(y) == 1  # J = ∇u ∇uᵀ, so that no eigenvector is needed.
    if kind == EDGES and recipe.conductance == "rational" and one_gradient and scale[0] == scale[1]:
        kind, factor = _GRADIENT, factor * math.sqrt(h[0])
    stencil = numbers(*(w * factor * r for r in root for w in (3, 10)))
    rest = 1 - recipe.least
    halves, rule = numbers(*h), numbers(h[0], h[0] * rest / recipe.least, h[0] * rest)
    least, most, per_unit = numbers(recipe.least, cap * (1 + _SLACK[y.dtype]), 1 / unit(recipe.conductance) ** 2)
    conducts = named(recipe.conductance, (recipe.inverse_kappa,) * 3, y.dtype)

    n = y.shape[1]
    out, nothing, exceeding = np.empty_like(y), np.empty((0, 0), y.dtype), np.zeros(n, np.bool_)
    in_kernel = (taps, mean_taps, stencil, halves, kind, conducts, rule, (least, most, reach, per_unit))

    def walk(rows: list[tuple[int, int]], totals: Array, sums: Array | None = None) -> None:
        def band(part: tuple[int, int]) -> None:
            ring = np.empty((2 * reach + 2, y.shape[2]), y.dtype) if sums is None else sums
            plane_rate(y, source, out, ring, totals, exceeding, *part, in_kernel, BOUNDARIES.index(term.boundary))

        each(band, rows)

    walk(pieces(n, max(_SHORTEST_BAND, 3 * reach)), nothing)
    if exceeding.any():
        # Two more passes limit weights that add up to more than `cap`. Limited weights lie within reach of these rows,
        # and the values that change within reach of those.
        runs = [(0, n)] if term.boundary == "periodic" else _runs(exceeding, apart=4 * reach)
        totals = np.zeros(y.shape[1:], y.dtype)
        walk(runs, nothing, totals)
        walk([(max(0, a - 2 * reach), min(n, b + 2 * reach)) for a, b in runs], totals)
    return out


def _runs(rows: Array, apart: int) -> list[tuple[int, int]]:
    """Return (first, last + 1) of runs of rows that are set, with more than `apart` rows between runs."""
    found = np.flatnonzero(rows)
    breaks = np.flatnonzero(np.diff(found) > apart)
    firsts, lasts = np.r_[found[:1], found[breaks + 1]], np.r_[found[breaks], found[-1:]]
    return [(int(a), int(b) + 1) for a, b in zip(firsts, lasts, strict=True)]
