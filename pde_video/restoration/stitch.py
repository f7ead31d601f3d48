"""The filter `stitch`: two videos of cameras that see a part of the same, side by side, as one of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy import ndimage

from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.beside import beside, planes_of
from pde_video.restoration.exposure import Exposure, Shared, changed, exposure_of
from pde_video.restoration.fill import harmonic
from pde_video.restoration.homography import LEAST, Details, Homography
from pde_video.restoration.registration import AGREES, ALONG, CERTAIN, Fit, registered
from pde_video.restoration.rig import LARGEST, Laid, Pair, canvas_for, laid_on, rig_on
from pde_video.restoration.tracking import Place, followed, levels
from pde_video.threads import ordered

_SMALLEST = 8  # Pixels along each side.
_ROOM = 4096  # Pixels, at most.
_SHOWN = 4  # Frames in which the place and the light of the other video are seen.
_WALL = 1e3  # Cost of a seam where not both see, relative to the usual difference.
_INERTIA = 0.02  # Cost of a pixel by which a seam moves, relative to the usual difference.
_DEPTH = 32.0  # Pixels within which what is left at the seam fades.


@video_filter(extent=Extent(None, 0, 1, None), examples=("left.mp4 both.mkv --other right.mp4",))
def stitch(
    frames: Frames,
    other: Annotated[Any, Option(file=True)],
    *,
    room: Annotated[int, Option(unit="pixels", least=0, most=_ROOM)] = 0,
) -> Iterator[Array]:
    """Set two videos side by side as one, of cameras that see a part of the same, and stand still or turn.

    The place of the other video is a homography, by which details agree best; it is followed where the cameras move
    against each other. The other's light, a gain, an offset and vignetting, (g + h r²) u + o + k r², is undone; a seam
    goes where both differ least, and stays where it can. What is left there is bridged by e with ∇²e = e / 32² in the
    other video. See docs/blending.md.

    Parameters
    ----------
    other : array, video or path
        As many frames at the same times, or one picture for all, as (1, H, W, C) if in colour, with as many channels.
        Of the same size or not.
    room : int
        Pixels on every side, 0 to 4096, beyond those that the first frames need: for an other video that moves, of
        which the rest is cut off.
    report : dict, optional
        Receives ``agreement``, the correlation of details in the first frames where both see; ``overlap``, the share of
        the smaller picture which that is; ``row`` and ``column``, where the first video begins; ``moves``, whether the
        other moves against it; ``uncovered``, the share of the result that neither sees, which is 0 there;
        ``warnings``, where something is cut off, or nothing tells the place.

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
    fit = _fit(head, name)
    canvas = canvas_for(fit.homography, room)
    if canvas is None:
        raise InputError(
            f"{name} would be bent so much that both need more than {LARGEST} times their pixels; is it of this place?"
        )
    both = chain(head, ((to_planes(frame, -1), planes) for frame, planes in pairs))
    compared = ordered(_compared, both)
    tracked = _tracked(compared, Place.of(fit.homography), frames.report)
    frames.report |= {"agreement": fit.correlation, "overlap": fit.overlap}
    frames.report |= {"row": canvas.corner[0], "column": canvas.corner[1]}
    rigs = lru_cache(_SHOWN)(lambda homography: rig_on(homography, canvas))  # Cameras that stand still have one.
    first = list(islice(tracked, len(head)))
    tell = [one for one in first if one[2]] or first
    exposure = exposure_of([laid_on(pair, rigs(homography)).shared() for pair, homography, _ in tell])
    laid = ordered(lambda one: _shown(laid_on(one[0], rigs(one[1]), exposure), known=one[2]), chain(first, tracked))
    return ordered(_joined, _with_seams(_in_one_light(laid), frames.report, room))


def _fit(head: list[Pair], name: str) -> Fit:
    """Return where the other video is, by some frames of both."""
    for planes, what in zip(head[0], ("the video", name), strict=True):
        if min(planes.shape[1:]) < _SMALLEST:
            raise InputError(
                f"{what} has {planes.shape[1]} × {planes.shape[2]} pixels; each side needs at least {_SMALLEST}"
            )
    gray = [[planes.mean(axis=0, dtype=np.float64) for planes in pair] for pair in head]
    fit = registered(*(np.mean(some, axis=0) for some in zip(*gray, strict=True)))
    fit = fit if fit.no_chance else registered(*gray[0])  # Means are blurred where cameras turn.
    if not fit.no_chance:
        raise InputError(
            f"{name} is not seen to overlap the video: details have a correlation of {max(fit.correlation, 0):.3f} "
            f"({AGREES} is needed), their slopes {max(fit.weakest, 0):.3f} in the direction in which they are weakest "
            f"({ALONG}), on {fit.overlap:.1%} of the smaller one ({LEAST:.0%}); {max(fit.certainty, 0):.1f} "
            f"deviations of chance ({CERTAIN:.0f}); does it show the same place? If noise hides that, denoise both"
        )
    return fit


def _compared(pair: Pair) -> tuple[Pair, Array, Array, list[Details]]:
    one, two = (planes.mean(axis=0, dtype=np.float64) for planes in pair)
    return pair, one, two, levels(one, two)


def _tracked(
    compared: Iterable[tuple[Pair, Array, Array, list[Details]]], place: Place, report: dict[str, Any]
) -> Iterator[tuple[Pair, Homography, bool]]:
    """Yield the planes of both videos with where the other is, and whether details tell so."""
    missed, first, report["moves"] = 0, 0, False
    for number, (pair, one, two, details) in enumerate(compared):
        place = followed(place, one, two, details)
        report["moves"] |= place.homography is not place.first
        if place.missed:
            missed, first = missed + 1, first if missed else number
        yield pair, place.homography, not place.missed
    if missed:
        report.setdefault("warnings", []).append(
            f"details do not agree in {missed} frames, the first of them number {first}; in these the other "
            "video stays where it was"
        )


def _shown(laid: Laid, *, known: bool) -> tuple[Laid, Shared | None]:
    return laid, laid.shared() if known else None


def _in_one_light(pairs: Iterable[tuple[Laid, Shared | None]]) -> Iterator[Laid]:
    """Yield the planes of both in the light of the first, where that of the other changes from frame to frame, too."""
    change: Exposure | None = None
    for laid, shown in pairs:
        change = change or Exposure.same(len(laid.first))
        if shown is not None:  # Where details do not agree, nothing tells the light.
            change = changed(change, shown)
        there, second = laid.rig.sees[1], laid.second.copy()
        second[:, there] = change.undone(second[:, there], 0.0)
        yield laid._replace(second=second)


def _with_seams(pairs: Iterable[Laid], report: dict[str, Any], room: int) -> Iterator[tuple[Laid, Array]]:
    """Yield the planes of both with what of the canvas the first has, (H, W)."""
    seam: Array | None = None
    upright, uncovered, left_out = True, 0.0, 0
    for number, laid in enumerate(pairs):
        first, second, rig = laid
        both, only, some = rig.sees.all(axis=0), rig.sees[0] & ~rig.sees[1], rig.sees.any(axis=0)
        uncovered += float(1 - some.mean())
        report["uncovered"], left_out = uncovered / (number + 1), max(left_out, rig.left_out)
        difference = ndimage.uniform_filter(np.square((first - second).mean(axis=0, dtype=np.float64)), 5)
        usual = math.fsum(difference[both]) / max(difference[both].size, 1) or 1.0
        cost = np.where(both, difference / usual, _WALL * (some & ~both))
        seam = _seam(cost if rig.upright else cost.T, seam if rig.upright == upright else None)
        upright = rig.upright
        before = np.arange(cost.shape[upright]) < seam[:, np.newaxis]
        side = before if rig.first_before else ~before
        yield laid, only | (both & (side if upright else side.T))
    if left_out:
        keeps = f"room={room + left_out} keeps them" if room + left_out <= _ROOM else "that is more than room can be"
        report.setdefault("warnings", []).append(
            f"the other video leaves the picture by up to {left_out} pixels, as it moves against the first; {keeps}"
        )


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


def _joined(pair: tuple[Laid, Array]) -> Array:
    """Return a frame of both, with what is left at the seam bridged in the other."""
    (first, second, rig), firsts = pair
    seconds = rig.sees[1] & ~firsts
    if rig.sees.all(axis=0).any() and seconds.any():
        apart = (first - second)[:, rig.nearest[0], rig.nearest[1]]  # Where both see, or as close as that is.
        second = second + harmonic(np.where(seconds, 0, apart), seconds, pull=_DEPTH**-2)
    return np.moveaxis(np.where(firsts, first, np.where(seconds, second, 0)), 0, -1)
