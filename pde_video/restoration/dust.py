"""Dust: what one frame shows and the frames around it, along the motion, do not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import numpy as np
from scipy import ndimage

from pde_video.estimate.light import Light
from pde_video.estimate.light import between as light_between
from pde_video.estimate.noise import estimate_sigma
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.averaging import EXACT, doubled, halved, padded, smoothed, warped, wide_means
from pde_video.motion.neighbours import windows
from pde_video.protocols import Array
from pde_video.restoration.in_scenes import Picture, flow, numbered, prepared, seen_from
from pde_video.restoration.masks import Marked, as_video
from pde_video.restoration.trajectories import inside
from pde_video.threads import ordered

Threshold = Annotated[float, Option(least=1)]
THRESHOLD = 4.0
_AROUND = 2  # Frames on each side that a pass looks at; the second one follows the motion without what it found first.
EXTENT = Extent(2 * _AROUND, 2 * _AROUND, 1, None)
_RIM = 1 / 4  # Threshold of what touches a spot, relative to that of spots.
_FAINT = 0.3  # Threshold of what is out of its surroundings in space as well, relative to that of other spots,
_STANDS = 5.0  # and how many times as far as others around.
_SIDE = 13  # Pixels of surroundings: spots are narrower.
_LONGEST, _SHARE = 24, 0.08  # Pixels that spots are long, at most, or share of the shorter side, if that is more.
_LEAST = 0.15  # The smallest error that is expected, in quarters of a frame's standard deviation.
_CLOSEST = 2.0  # Weight of the squared difference of the two that are closest, of three.
_MISSED, _EVIDENCE = 4.0, 1e-3  # Weight of what both miss around spots; least share of pixels that tell.
_FAR = 0.3  # Weight of errors in a wide neighbourhood, relative to those in a narrow one.
_WIDE = 3  # Halvings of what is halved already.
_BLOCK = np.ones((3, 3), bool)


@video_filter(extent=EXTENT, examples=("film.mp4 dust.mkv --codec ffv1", "film.mp4 dust.tif --threshold 8"))
def detect_dust(frames: Frames, *, threshold: Threshold = THRESHOLD) -> Iterator[Array]:
    """Mark dust and other spots that a single frame shows: a mask, to look at, to correct, and for `inpaint`.

    s = max(u − max m, min m − u, 0) > threshold · σ, where max and min are over 3 × 3 pixels of the frames before and
    after, in its light and moved along the motion; σ² is twice the mean square around of the difference of those two of
    the three that are closest, and four times that of what the nearer of both misses around the spot, beyond noise; or
    s > 0.3 threshold · σ, where u also stands out in space. What is longer than 24 pixels, and than 8 % of the shorter
    side, is no spot.

    Parameters
    ----------
    threshold : float
        How far spots are out of the range of the frames around, in units of the error that is expected there, ≥ 1.
        What touches them is marked from a quarter of it on, or where one of the frames around tells so.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %: then much of
        it is probably no dust, but moves too fast to be followed.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W): white (the largest value of an integer dtype, 1 of floats)
    where dust is, 0 elsewhere. At the ends of scenes, two frames on one side tell; scenes of fewer than three frames
    have none.

    References
    ----------
    Kokaram (1998), Motion Picture Restoration, doi:10.1007/978-1-4471-3485-5, for such detectors of spikes.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> film = np.stack([0.5 + 0.2 * np.sin((columns - t) / 5) * np.cos(rows / 7) for t in range(5)])
    >>> film[2, 20:24, 30:35] = 1.0
    >>> mask = pv.detect_dust(film)
    >>> bool(mask[2, 20:24, 30:35].mean() > 0.9), bool(mask.sum() < 25)
    (True, True)
    """
    return as_video(partial(dusty, threshold=threshold), frames)


def dusty(frames: Frames, threshold: float = THRESHOLD) -> Iterator[Marked]:
    """Yield the frames with their dust masked."""
    nothing = ((frame, np.zeros(frame.shape[:2], bool)) for frame in frames)
    step = 1 / frames.scale if frames.scale > 1 else 0.0  # Of rounding; floats have none.
    pictures = numbered(ordered(prepared, nothing), {}, cuts=False)  # Dust may look like them.
    without = numbered(_looked_at(pictures, threshold, step), {})
    return ((picture.frame, picture.mask) for picture in _looked_at(without, threshold, step))


def _looked_at(pictures: Iterator[Picture], threshold: float, step: float) -> Iterator[Picture]:
    return ordered(partial(_marked, threshold=threshold, step=step), windows(pictures, _AROUND, _AROUND))


def _marked(window: tuple[int, list[Picture]], threshold: float, step: float) -> Picture:
    """Return the picture with its dust as its mask, and filled as if nothing else were known of it."""
    at, pictures = window
    here, others = pictures[at], _nearest(pictures, at)
    tells = len(others) == _AROUND and here.unit > 0  # Constant frames have no spots.
    mask = _spots(here, others, threshold, step) if tells else np.zeros(here.mask.shape, bool)
    return prepared((here.frame, mask))._replace(number=here.number, scene=here.scene, original=here.original)


def _nearest(pictures: list[Picture], at: int) -> list[tuple[Picture, Light | None]]:
    """Return the picture before and the one after, in the light of this one; at the ends of scenes the nearest two.

    With each, its change of light.
    """
    first = min(max(at - 1, 0), max(len(pictures) - _AROUND - 1, 0))
    lights, limits = [one.light for one in pictures], (float(pictures[at].frame.min()), float(pictures[at].frame.max()))
    found = []
    for k in range(first, min(first + _AROUND + 1, len(pictures))):
        if k != at:
            one, light = seen_from(pictures, k, at), light_between(lights, k, at)
            if light is not None:  # Nothing is beyond the black and the white of this one.
                one = one._replace(levels=[np.clip(level, *limits) for level in one.levels])
            found.append((one, light))
    return found


def _spots(here: Picture, others: list[tuple[Picture, Light | None]], threshold: float, step: float) -> Array:
    """Return what is out of the range of both other pictures, by far in units of the error that is expected there."""
    frame = np.moveaxis(here.frame, 2, 0)
    flows = [flow(here, one) for one, _ in others]
    moved = np.stack([_along(here, *one, w) for one, w in zip(others, flows, strict=True)])
    height, width = here.mask.shape
    seen = np.logical_or(*map(inside, flows)).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    ranges = [extreme(moved, (1, 1, 3, 3)) for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)]
    apart = _beyond(frame, ranges[0].min(axis=0), ranges[1].max(axis=0))
    noise, least = (
        frame.dtype.type(one) for one in (estimate_sigma([here.frame]) ** 2, max(_LEAST * here.unit, step) ** 2)
    )
    # Of three, one may be a spot: the two that are closest tell how well the motion is known (half of that, by chance).
    nearest = np.square(np.abs(frame - moved).min(axis=0))
    closest = _around(np.minimum(nearest, np.square(moved[0] - moved[1])))
    expected = np.maximum(frame.dtype.type(_CLOSEST) * closest + least, np.finfo(frame.dtype).tiny)
    # Around dust the motion leads to the same in both; around what moves too fast to be followed it does not.
    around = ~ndimage.binary_dilation((apart > (_RIM * threshold) ** 2 * expected).any(axis=0), _BLOCK)
    missed = _around(nearest * around)
    missed /= np.maximum(_around(around[np.newaxis].astype(frame.dtype)), frame.dtype.type(_EVIDENCE))
    expected += frame.dtype.type(_MISSED) * np.maximum(missed - noise, 0)
    faint = (apart > (_FAINT * threshold) ** 2 * expected) & seen
    if faint.any():
        faint &= _outstanding(frame.mean(axis=0), around, least)
    strong, weak = ((apart > limit**2 * expected).any(axis=0) for limit in (threshold, _RIM * threshold))
    small = _small((strong & seen) | faint.any(axis=0))
    # Beside it, one of both may have a spot as well, or the motion may lead out of them.
    weak |= (_beyond(frame, *ranges).max(axis=0) > threshold**2 * expected).any(axis=0)
    whole = ndimage.binary_propagation(small, _BLOCK, weak)
    return _small(whole) | small  # Of what has grown too long, as beside what moves, the middle.


def _beyond(frame: Array, lowest: Array, highest: Array) -> Array:
    """Return by how much a frame is out of a range, squared."""
    return np.square(np.maximum(np.maximum(frame - highest, lowest - frame), 0))


def _outstanding(luma: Array, around: Array, least: Array) -> Array:
    """Tell what of a picture (H, W) is above its surroundings in space, or below, further than is usual around."""
    size = (_SIDE, _SIDE)
    apart = np.square(np.maximum(luma - ndimage.grey_opening(luma, size), ndimage.grey_closing(luma, size) - luma))
    usual = _around((apart * around)[np.newaxis])[0]
    usual /= np.maximum(_around(around[np.newaxis].astype(luma.dtype))[0], luma.dtype.type(_EVIDENCE))
    return np.asarray(apart > _STANDS**2 * (usual + least))


def _small(mask: Array) -> Array:
    """Return those connected parts of a mask (H, W) that are small enough for spots."""
    parts = ndimage.label(mask, _BLOCK)[0]
    longest = [max(side.stop - side.start for side in box) for box in ndimage.find_objects(parts)]
    small = np.array([False, *(n <= max(_LONGEST, _SHARE * min(mask.shape)) for n in longest)])
    return np.asarray(small[parts])


def _along(here: Picture, there: Picture, light: Light | None, w: Array) -> Array:
    """Return the planes of another picture along the motion: filled where they are masked.

    If light changes, black and white tell no more than that, nor does what is beyond that of this picture.
    """
    moved = warped(padded(there.planes), w.astype(there.planes.dtype, copy=False), EXACT)
    if light is None:
        return moved
    gain, offset = light.rows(moved)
    darkest, brightest = (gain * limit + offset for limit in (there.frame.min(), there.frame.max()))
    margin = moved.dtype.type(_LEAST * here.unit)
    moved = np.where(moved > brightest - margin, np.maximum(moved, here.planes), moved)
    moved = np.where(moved < darkest + margin, np.minimum(moved, here.planes), moved)
    return np.clip(moved, here.frame.min(), here.frame.max())


def _around(squares: Array) -> Array:
    """Return means of squares (C, H, W) close by, and some of those at a distance."""
    coarse = halved(squares)
    means = np.stack([smoothed(one) for one in coarse]) + coarse.dtype.type(_FAR) * wide_means(coarse, _WIDE)
    return np.stack([doubled(one, *squares.shape[1:]) for one in means])
