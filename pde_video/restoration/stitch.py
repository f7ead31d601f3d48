"""The filter `stitch`: two videos of cameras that stand still, side by side, as one of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.beside import beside, planes_of
from pde_video.restoration.fill import harmonic
from pde_video.restoration.registration import Fit, registered
from pde_video.threads import ordered

_SHOWN = 4  # Frames in which the place and the light of the other video are seen.
_AGREES, _LEAST = 0.8, 0.05  # Correlation of details, and share of the smaller picture in both, at least.
_ALONG = 0.65  # Correlation of derivatives along the direction in which they are weakest, at least.
_CERTAIN = 4.0  # Deviations of chance, above which that correlation must be: small pictures agree by chance.
_LARGEST = 4  # Pixels of the result, relative to those of both videos, at most.
_SMOOTH, _ROUNDS = 1.5, 4  # Pixels of the means whose light is compared; rounds of reweighting.
_WIDE = 0.2  # Range of r² in the overlap, below which vignetting is not told from a gain.
_WALL = 1e3  # Cost of a seam where not both see, relative to the usual difference.
_INERTIA = 0.02  # Cost of a pixel by which a seam moves, relative to the usual difference.
_DEPTH = 32.0  # Pixels within which what is left at the seam fades.
_SLACK = 0.25  # Pixels by which places may be wrong.
_STEP = 2.0**-24  # Of the light: rounding differs from machine to machine.

Pair = tuple[Array, Array]  # Planes (C, H, W) of both videos.


class _Light(NamedTuple):
    """other = (gain + vignetting · r²) · video + offset + fog · r², for each channel, (C, 1)."""

    gain: Array
    vignetting: Array
    offset: Array
    fog: Array


class _Rig(NamedTuple):
    """Where on the canvas the pixels of both videos are."""

    shape: tuple[int, int]  # Of the canvas,
    corner: tuple[int, int]  # on which the first video begins here.
    sees: Array  # (2, H, W): whether the first, and the other, see a pixel.
    places: Array  # (2, n): rows and columns in the other video of what that sees.
    squares: Array  # (n,): r² there, of a distance r from its middle, in units of half its diagonal.
    nearest: Array  # (2, H, W): of what both see.
    light: _Light | None
    upright: bool  # Whether the seam goes from top to bottom.
    first_before: bool  # Whether the first video is left of the other, or above it.


@video_filter(extent=Extent(None, 0, 1, None), examples=("left.mp4 both.mkv --other right.mp4",))
def stitch(frames: Frames, other: Annotated[Any, Option(file=True)]) -> Iterator[Array]:
    """Set two videos side by side as one, of cameras that stand still and see a part of the same.

    The place of the other video is a homography, by which details agree best; its light, a gain, an offset and
    vignetting, (g + h r²) u + o + k r², is undone; a seam goes where both differ least, and stays where it can. What is
    left there is bridged by e with ∇²e = e / 32² in the other video. See docs/blending.md.

    Parameters
    ----------
    other : array, video or path
        As many frames at the same times, or one picture for all, with as many channels. Of the same size or not.
    report : dict, optional
        Receives ``agreement``, the correlation of details in the first frames where both see; ``overlap``, the share of
        the smaller picture which that is; ``row`` and ``column``, where the first video begins; ``uncovered``, the
        share of the result that neither sees, which is 0 there.

    Returns
    -------
    Video of the same kind and dtype, large enough for both. What is shown of the first video is as it was, bit for bit.

    Raises
    ------
    InputError
        If the numbers of frames or channels differ, or the videos do not overlap: in at least 5 % of the smaller one,
        details must have a correlation of at least 0.8, and their slopes one of 0.65 in the direction in which they are
        weakest.

    References
    ----------
    Lucas & Kanade (1981), for the registration. Padfield (2012), doi:10.1109/TIP.2011.2181402, for its beginning.
    Davis (1998), doi:10.1109/CVPR.1998.698630, for such seams.

    Examples
    --------
    >>> scene = pv.heat(np.random.default_rng(0).random((1, 60, 160)), time=3.0)
    >>> wide = pv.stitch(scene[..., :100], 0.8 * scene[..., 70:])
    >>> wide.shape, bool(abs(wide - scene).max() < 0.02)
    ((1, 60, 160), True)
    """
    name = f"the other video {other}" if isinstance(other, str | Path) else "the other video"
    pairs = beside(frames, other, "other video", planes_of)
    head = [(to_planes(frame, -1), planes) for frame, planes in islice(pairs, _SHOWN)]
    if head and len(head[0][0]) != len(head[0][1]):
        raise InputError(f"the video has {len(head[0][0])} channels, {name} {len(head[0][1])}; convert one of them")
    rig, fit = _rig(head, name)
    frames.report |= {
        "agreement": fit.correlation,
        "overlap": fit.overlap,
        "row": rig.corner[0],
        "column": rig.corner[1],
        "uncovered": float(1 - rig.sees.any(axis=0).mean()),
    }
    both = chain(head, ((to_planes(frame, -1), planes) for frame, planes in pairs))
    laid = ordered(lambda pair: _laid(pair, rig), both)
    return ordered(lambda one: _joined(*one, rig), _with_seams(laid, rig))


def _rig(head: list[Pair], name: str) -> tuple[_Rig, Fit]:
    """Return how the videos lie, by some frames of both."""
    one, two = (np.mean([pair[k].mean(axis=0, dtype=np.float64) for pair in head], axis=0) for k in (0, 1))
    fit = registered(one, two)
    certain = fit.certainty >= _CERTAIN and fit.weakest >= _ALONG
    if not (certain and fit.correlation >= _AGREES and fit.overlap >= _LEAST):
        raise InputError(
            f"{name} is not seen to overlap the video: details have a correlation of {max(fit.correlation, 0):.3f} "
            f"({_AGREES} is needed), their slopes {max(fit.weakest, 0):.3f} in the direction in which they are weakest "
            f"({_ALONG}), on {fit.overlap:.1%} of the smaller one ({_LEAST:.0%}); {max(fit.certainty, 0):.1f} "
            f"deviations of chance ({_CERTAIN:.0f})"
        )
    edges = np.array([(i, j) for i in (0, two.shape[0] - 1) for j in (0, two.shape[1] - 1)], float).T
    corners = np.array(fit.homography.back(*edges))
    low = np.minimum(np.floor(corners.min(axis=1) + _SLACK), 0).astype(int)
    high = np.maximum(np.ceil(corners.max(axis=1) - _SLACK), np.array(one.shape) - 1).astype(int)
    height, width = (int(n) for n in high - low + 1)
    if height * width > _LARGEST * (one.size + two.size):
        raise InputError(f"{name} would be bent so much that both have {height} × {width} pixels; is it of this place?")
    rows, columns = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].astype(float)
    there = np.stack(fit.homography(rows, columns))
    sees = np.stack([_inside((rows, columns), one.shape, 0.0), _inside(there, two.shape, _SLACK)])
    places, middle = there[:, sees[1]], (np.array(two.shape) - 1) / 2
    squares = np.square(places - middle[:, np.newaxis]).sum(axis=0) / np.square(middle).sum()
    nearest = ndimage.distance_transform_edt(~sees.all(axis=0), return_distances=False, return_indices=True)
    apart = [float(at[sees[1]].mean() - at[sees[0]].mean()) for at in (rows, columns)]
    upright = abs(apart[1]) * one.shape[0] >= abs(apart[0]) * one.shape[1]
    rig = _Rig(
        (height, width),
        (-int(low[0]), -int(low[1])),
        sees,
        places,
        squares,
        nearest,
        None,
        upright,
        apart[int(upright)] >= 0,
    )
    return rig._replace(light=_light(head, rig)), fit


def _inside(places: Sequence[Array] | Array, size: tuple[int, ...], slack: float) -> Array:
    down, across = ((at >= -slack) & (at <= n - 1 + slack) for at, n in zip(places, size, strict=True))
    return np.asarray(down & across)


def _light(head: list[Pair], rig: _Rig) -> _Light:
    """Return the light of the other video relative to the first, by robust least squares where both see."""
    both = rig.sees.all(axis=0)
    inner: Array = ndimage.binary_erosion(both, iterations=2)
    inner = inner if inner.any() else np.asarray(both)
    where = inner[rig.sees[1]]
    squares = rig.squares[where]
    flat = np.ptp(squares) < _WIDE
    laid, found = [_laid(pair, rig) for pair in head], []
    for channel in range(len(head[0][0])):
        smooth = [[ndimage.gaussian_filter(one[channel], _SMOOTH)[inner] for one in pair] for pair in laid]
        u, v = (np.concatenate([pair[k] for pair in smooth]).astype(np.float64) for k in (0, 1))
        r = np.tile(squares, len(head))
        columns = [u, np.ones_like(u)] + ([] if flat else [r * u, r])
        terms, weight = np.stack(columns, axis=1), np.ones_like(u)
        for _ in range(_ROUNDS):
            fitted = np.linalg.lstsq(terms * weight[:, np.newaxis], v * weight, rcond=None)[0]
            error = np.abs(terms @ fitted - v)
            weight = 1 / (1 + np.square(error / max(3 * float(np.median(error)), 1e-12)))
        fitted = fitted if fitted[0] > _STEP else np.array([1.0, 0.0, 0.0, 0.0])  # Nothing in it tells its light.
        found.append(np.append(fitted, np.zeros(4 - len(fitted))))
    gain, offset, vignetting, fog = np.rint(np.array(found).T[..., np.newaxis] / _STEP) * _STEP
    return _Light(gain, vignetting, offset, fog)


def _laid(pair: Pair, rig: _Rig) -> Pair:
    """Return the planes of both videos on the canvas, the other in the light of the first."""
    one, two = pair
    first, second = np.zeros((2, len(one), *rig.shape), one.dtype)
    first[:, rig.sees[0]] = one.reshape(len(one), -1)
    values = np.stack([ndimage.map_coordinates(p.astype(np.float64), rig.places, order=3, mode="nearest") for p in two])
    if (light := rig.light) is not None:
        values = (values - light.offset - light.fog * rig.squares) / (light.gain + light.vignetting * rig.squares)
    second[:, rig.sees[1]] = values
    return first, second


def _with_seams(pairs: Iterable[Pair], rig: _Rig) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the planes of both with what of the canvas the first has, (H, W)."""
    seam: Array | None = None
    both, only = rig.sees.all(axis=0), rig.sees[0] & ~rig.sees[1]
    outside = _WALL * (rig.sees.any(axis=0) & ~both)
    for first, second in pairs:
        difference = ndimage.uniform_filter(np.square((first - second).mean(axis=0, dtype=np.float64)), 5)
        cost = np.where(both, difference / (math.fsum(difference[both]) / difference[both].size or 1.0), outside)
        seam = _seam(cost if rig.upright else cost.T, seam)
        before = np.arange(cost.shape[rig.upright]) < seam[:, np.newaxis]
        side = before if rig.first_before else ~before
        yield first, second, only | (both & (side if rig.upright else side.T))


def _seam(cost: Array, before: Array | None) -> Array:
    """Return the column in each row at which a seam costs least, by dynamic programming."""
    columns = np.arange(cost.shape[1])
    if before is not None:
        cost = cost + _INERTIA * np.abs(columns - before[:, np.newaxis])
    total, came = cost[0], np.zeros(cost.shape, np.int8)
    for k in range(1, len(cost)):
        ways = np.stack([np.append(np.inf, total[:-1]), total, np.append(total[1:], np.inf)])
        came[k] = ways.argmin(axis=0) - 1
        total = cost[k] + ways.min(axis=0)
    seam = np.empty(len(cost), int)
    seam[-1] = total.argmin()
    for k in range(len(cost) - 1, 0, -1):
        seam[k - 1] = seam[k] + came[k, seam[k]]
    return seam


def _joined(first: Array, second: Array, firsts: Array, rig: _Rig) -> Array:
    """Return a frame of both, with what is left at the seam bridged in the other."""
    seconds = rig.sees[1] & ~firsts
    apart = (first - second)[:, rig.nearest[0], rig.nearest[1]]  # Where both see, or as close as that is.
    left = harmonic(np.where(seconds, 0, apart), seconds, pull=_DEPTH**-2) if seconds.any() else apart
    return np.moveaxis(np.where(firsts, first, np.where(seconds, second + left, 0)), 0, -1)
