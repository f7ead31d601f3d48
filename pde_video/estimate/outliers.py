"""Outliers: single pixels far from all their neighbours, as impulses are, and hot and dead pixels of sensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.kernels import outstanding as kernels
from pde_video.protocols import Array
from pde_video.threads import by_rows

_NOISE = 2.0  # Range of neighbours, in standard deviations of the noise, that is no structure.
_DETAIL = 0.01  # Share of the contrast of a frame up to which details count as noise: clean films are full of them.
_FEWEST, _FEWEST_HOT = 1e-3, 1e-4  # Shares of the pixels below which they may be details.
_BESIDE = [(-1, 0), (1, 0), (0, -1), (0, 1)]
AROUND = (_BESIDE, [(-1, -1), (-1, 1), (1, -1), (1, 1)])  # Lines may go on in one of the corners.
_RING = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if max(abs(y), abs(x)) == 2]


@dataclass(frozen=True)
class Rule:
    """How far outliers are from their neighbours: a threshold, in units of the noise, and a share of their range."""

    threshold: float
    share: float


LIKELY, SURE, USUAL = Rule(4.0, 1.0), Rule(8.0, 4.0), Rule(3.0, 0.0)
_DECIDING = Rule(5.0, 1.0)
_SAME = 0.9  # Share of sure outliers that have one of two values, above which other values are details.
_SINGULAR = 1e-6  # Where neighbours above and beside tell the same, both count alike.
SPREAD = 0.1  # Of the height of outliers, up to which most have neighbours as high as the ring around them.


def without_outliers(frame: Array, uniform: Array, rule: Rule) -> tuple[Array, Array]:
    """Return a frame (H, W, C) with its outliers replaced, and where they were, (H, W).

    They are found in the frame with its noise made uniform, of variance 1, and replaced by what the pixels around them
    that are none predict. If nearly all that surely are outliers have one of two values, as black and white impulses
    do, other values must be as far out as these, and those two stand out from the threshold of `USUAL` on, with those
    left out of their neighbours that are no part of a line or an area.
    """
    planes, found = to_planes(uniform, -1), to_planes(frame, -1)
    sure = standing_out(planes, planes, SURE) != 0
    usual = _usual(planes, sure)
    if usual is None:
        bad = standing_out(planes, planes, rule) != 0
        bad = standing_out(planes, _filled(planes, bad), rule) != 0  # Outliers beside others.
    else:
        likely = _each(kernels.lone, planes, usual) | usual & (standing_out(planes, planes, USUAL) != 0)
        bad = sure | usual & (standing_out(planes, _filled(planes, sure | likely), USUAL) != 0)
    mended = [_predicted(plane, np.asarray(where)) for plane, where in zip(_filled(found, bad), bad, strict=True)]
    return np.moveaxis(np.stack(mended), 0, -1), np.asarray(bad.any(axis=0))


def filled(frame: Array, bad: Array) -> Array:
    """Return a frame (H, W, C) with the values at which `bad` is true replaced by those of their neighbours."""
    return np.moveaxis(_filled(to_planes(frame, -1), to_planes(bad, -1)), 0, -1)


def shares(frames: Sequence[Array]) -> tuple[float, float]:
    """Return the shares of pixels that are impulses, new in every frame, and that are hot or dead in all of them.

    Both are 0 where there are so few that they may be details, and where most go on in their neighbours, as spots,
    stars, flakes and letters do. Frames (H, W, C) have noise of variance 1.
    """
    shown = [to_planes(frame, -1) for frame in frames]
    out = [standing_out(planes, planes, _DECIDING if len(shown) > 1 else SURE) for planes in shown]
    new = []
    for k, found in enumerate(out):
        fresh = found != 0
        for other in {max(k - 1, 0), min(k + 1, len(shown) - 1)} - {k}:
            fresh &= (out[other] != found) & (standing_out(shown[k], shown[other], _DECIDING, again=True) == found)
        new.append(found * fresh)
    sure = [standing_out(planes, planes, SURE) for planes in shown]
    always = np.logical_and.reduce([(one == sure[0]) & (one != 0) for one in sure])
    impulses = float(np.median([np.count_nonzero(one) / one.size for one in new]))
    hot = float(always.mean()) if len(shown) > 1 else 0.0
    if impulses <= _FEWEST or _spread(shown, new, _BESIDE) > SPREAD:
        impulses = 0.0
    if hot <= _FEWEST_HOT or max(_spread(shown, [sure[0] * always] * len(shown), places) for places in AROUND) > SPREAD:
        hot = 0.0
    return impulses, hot


def _spread(shown: Sequence[Array], found: Sequence[Array], places: Sequence[tuple[int, int]]) -> float:
    """Return how far most outliers go on at some places around them: the median of the share of their height.

    Both are relative to the median of the ring of 16 pixels around the eight neighbours. Of single pixels it is 0
    within chance, of a Gaussian spot of a standard deviation of half a pixel a seventh and more.
    """
    parts = [going_on(planes, signs != 0, places) for planes, signs in zip(shown, found, strict=True)]
    return float(np.median(np.concatenate(parts)))


def going_on(planes: Array, found: Array, places: Sequence[tuple[int, int]]) -> Array:
    """Return the share of their height by which outliers of planes (C, H, W) go on at some places around, (n,)."""
    c, i, j = np.nonzero(found)
    padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)), "reflect")

    def at(offsets: Sequence[tuple[int, int]]) -> Array:
        return np.stack([padded[c, i + 2 + y, j + 2 + x] for y, x in offsets])

    ring = np.median(at(_RING), axis=0)
    height = planes[c, i, j] - ring  # 0 if the ring consists of outliers too.
    return np.divide(at(places).mean(axis=0) - ring, height, out=np.ones_like(height), where=height != 0)


def _usual(planes: Array, sure: Array) -> Array | None:
    """Tell which pixels are at the limits or one of two values that nearly all sure outliers have, if they do."""
    values, counts = np.unique(planes[sure], return_counts=True)
    two = np.argsort(counts, kind="stable")[-2:]
    if not counts[two].sum() > _SAME * counts.sum():
        return None
    low, high = planes.min(axis=(1, 2), keepdims=True), planes.max(axis=(1, 2), keepdims=True)
    return np.isin(planes, values[two]) | (planes == low) | (planes == high)


def standing_out(planes: Array, around: Array, rule: Rule, *, again: bool = False) -> Array:
    """Return 1 and −1 where planes (C, H, W) stand out from the pixels `around`, and from that at their place `again`.

    What is at the lowest or highest value of a plane, as most impulses are, needs the threshold alone.
    """
    out: Array = np.empty(planes.shape, np.int8)
    real = planes.dtype.type
    for plane, others, found in zip(planes, around, out, strict=True):
        seen = np.sort(plane[::4, ::4], axis=None)
        contrast = float(seen[len(seen) * 49 // 50] - seen[len(seen) // 50])
        unit = max(1.0, _DETAIL * contrast)
        numbers = real(rule.threshold * unit), real(rule.share), real(_NOISE * unit)
        limits = real(plane.min()), real(plane.max())
        by_rows(kernels.stand_out, found, plane, others, again, *numbers, *limits)
    return out


def _filled(planes: Array, bad: Array) -> Array:
    return _each(kernels.mend, planes, bad, planes.dtype)


def _each(kernel: Any, planes: Array, marked: Array, dtype: Any = np.bool_) -> Array:
    """Return what a kernel makes of each of the planes (C, H, W), in which some pixels are marked."""
    out = np.empty(planes.shape, dtype)
    for plane, where, found in zip(planes, marked, out, strict=True):
        by_rows(kernel, found, plane, where)
    return out


def _predicted(plane: Array, bad: Array) -> Array:
    """Return a plane with new values where it is `bad`: means of opposite neighbours, weighted as predicts others best.

    d + a (v − d) + b (h − d), for the means v, h and d of the neighbours above and below, left and right, and diagonal;
    a and b have the least squares of errors at the pixels that are not bad.
    """
    if not bad.any():
        return plane
    p = np.pad(plane.astype(np.float64), 1, "symmetric")
    v, h = (p[:-2, 1:-1] + p[2:, 1:-1]) / 2, (p[1:-1, :-2] + p[1:-1, 2:]) / 2
    d = (p[:-2, :-2] + p[:-2, 2:] + p[2:, :-2] + p[2:, 2:]) / 4
    v, h, u = v - d, h - d, np.where(bad, 0, p[1:-1, 1:-1] - d)
    vv, vh, hh, uv, uh = (float((x * y * ~bad).sum()) for x, y in ((v, v), (v, h), (h, h), (u, v), (u, h)))
    determinant = vv * hh - vh * vh
    a, b = 0.5, 0.5
    if determinant > _SINGULAR * vv * hh:
        a, b = (uv * hh - uh * vh) / determinant, (uh * vv - uv * vh) / determinant
    return np.where(bad, d + a * v + b * h, plane).astype(plane.dtype)
