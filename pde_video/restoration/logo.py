"""Logos: what stays the same in a place that the scene moves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.estimate.noise import estimate_sigma
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.masks import Marked, as_video, warn_in

THRESHOLD = 5.0
FIRST = 40  # Frames that tell.
EXTENT = Extent(0, 0, 1, None, FIRST)
_WEAK = 0.6  # Of the threshold: what belongs to an edge that is sure somewhere.
_MEASURED, _LEAST = 5, 1e-3  # Frames on which noise is measured; the least of it, relative to the contrast.
_MOVES, _BLOCK = 0.5, 9  # Deviation along time, relative to that in a square of so many pixels.
_JOINED = 7  # Pixels of the square by which edges are dilated: letters are one logo.
_RING = 13  # The same of what is looked at around that.
_AROUND, _BESIDE, _NEAR = 0.7, 0.4, 25  # Share of it that must move; beside a logo, in a square of so many pixels.
_MANY = 30  # Frames, below which what stands still for a while is seldom told from a logo.
_EDGES, _SURE, _FEW = 30, 0.2, 5  # Pixels of edges of a logo; share of sure ones; pixels of these in other parts of it.
_ROUNDEST = 0.1  # Strength of edges along the direction in which there are fewest, relative to that across it.
_LARGEST = 0.05  # Share of the picture.
_HOLE = 0.01  # The same of a hole that is filled.
_STILL = 0.2  # Share of the picture that must move for a logo to be told from the scene.


def _extent(first: int, **others: Any) -> Extent:
    return Extent(0, 0, 1, None, first)


@video_filter(extent=_extent, examples=("film.mp4 logo.png", "film.mp4 logo.mkv --first 250 --codec ffv1"))
def detect_logo(
    frames: Frames,
    *,
    threshold: Annotated[float, Option(least=1)] = THRESHOLD,
    first: Annotated[int, Option(unit="frames", least=8, most=100_000)] = FIRST,
) -> Iterator[Array]:
    """Mark logos and titles, which stay the same where the scene moves behind them: a mask for `inpaint`.

    |E ∇u|² > threshold² var ∇u at edges that stay, for the mean E over the first frames and the variance without that
    of noise; and in 70 % of what is around them, u varies along time half as much as it does in space.

    Parameters
    ----------
    threshold : float
        How much stronger the mean gradient at an edge is than what changes in it, ≥ 1.
    first : int
        Frames at the beginning that are looked at, and kept in memory, 8 to 100,000. The longer, the more of the scene
        has moved.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %, or if so
        little moves that no logo can be told from the scene.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W): white (the largest value of an integer dtype, 1 of floats)
    where a logo is, 0 elsewhere, the same for all frames. Logos over a still scene, or over a flat one, are not found.

    References
    ----------
    Dekel, Rubinstein, Liu & Freeman (2017), doi:10.1109/CVPR.2017.726, for gradients that stay.

    Examples
    --------
    >>> film = pv.heat(np.random.default_rng(0).random((1, 96, 340)), time=2.0, dt=0.1)
    >>> film = np.concatenate([film[..., 5 * t : 5 * t + 128] for t in range(40)])
    >>> film[:, 20:24, 40:60] = film[:, 20:44, 40:44] = 0.9
    >>> found = pv.detect_logo(film)[0]
    >>> bool(found[20:24, 40:60].all() and found[20:44, 40:44].all()), bool(found.mean() < 0.15)
    (True, True)
    """
    return as_video(partial(logos, threshold=threshold, first=first), frames)


def logos(frames: Frames, threshold: float = THRESHOLD, first: int = FIRST) -> Iterator[Marked]:
    """Yield the frames with logos masked."""
    shown = frames.peek(first)
    mask, moves = _found([frame.mean(axis=2) for frame in shown], threshold) if shown else (None, 1.0)
    if moves < _STILL:
        warn_in(
            frames.report,
            f"in the first {len(shown)} frames {moves:.0%} of the picture moves: a logo cannot be told from what stands"
            " still; give more frames (first), or a mask",
        )
    elif len(shown) < _MANY:
        warn_in(frames.report, f"{len(shown)} frames are few for a logo: {_MANY} and more tell it from what is still")
    for frame in frames:
        assert mask is not None
        yield frame, mask


class _Seen(NamedTuple):
    """What some pictures (H, W) show together."""

    steady: Array  # Edges that stay,
    sure: Array  # and those of them that do for certain.
    down: Array  # The mean gradient.
    across: Array
    moving: Array  # Whether something moves.


def _found(lumas: list[Array], threshold: float) -> tuple[Array, float]:
    """Return what is a logo in all of some pictures (H, W), and the share of them that moves."""
    contrast = max(float(np.ptp(luma)) for luma in lumas)
    if not contrast:
        return np.zeros(lumas[0].shape, bool), 0.0
    seen = _seen(lumas, contrast, threshold)
    parts, count = ndimage.label(ndimage.binary_dilation(seen.steady, np.ones((_JOINED, _JOINED))))
    around = np.where(parts == 0, ndimage.grey_dilation(parts, size=(_RING, _RING)), 0)

    def sums(values: Array, places: Array = parts) -> Array:
        return np.bincount(places.ravel(), values.ravel(), count + 1)

    every = np.ones(parts.shape)
    area, edges, certain = sums(every), sums(seen.steady), sums(seen.sure)
    moves = sums(seen.moving, around) / np.maximum(sums(every, around), 1)
    pairs = seen.across**2, seen.across * seen.down, seen.down**2
    xx, xy, yy = (sums(seen.steady * pair) for pair in pairs)
    weak = (xx + yy) / 2 - np.sqrt(np.square((xx - yy) / 2) + np.square(xy))
    logo = (area <= _LARGEST * parts.size) & (moves >= _AROUND) & (edges >= _EDGES) & (certain >= _SURE * edges)
    logo &= weak >= _ROUNDEST * (xx + yy - weak)
    logo[0] = False  # What is in no part.
    near = ndimage.binary_dilation(logo[parts], np.ones((_NEAR, _NEAR)))
    beside = (area <= area[logo].max(initial=0.0)) & (moves >= _BESIDE) & (certain >= _FEW) & (sums(near) > 0)
    found = (logo | beside)[parts]
    holes = ndimage.label(ndimage.binary_fill_holes(found) & ~found)[0]
    inside = np.bincount(holes.ravel()) <= _HOLE * parts.size
    inside[0] = False
    return ndimage.binary_erosion(found | inside[holes], np.ones((3, 3)), border_value=1), float(seen.moving.mean())


def _seen(lumas: list[Array], contrast: float, threshold: float) -> _Seen:
    """Return which edges of pictures (H, W) stay, and what moves."""

    def scaled(luma: Array) -> Array:
        return luma.astype(np.float64) / contrast

    sigma = max(estimate_sigma([scaled(luma)[..., np.newaxis] for luma in lumas[:_MEASURED]]), _LEAST)
    _, along_time = _moments(lumas, scaled)
    down, down_varies = _moments(lumas, lambda luma: np.diff(scaled(luma), axis=0, append=scaled(luma[-1:])))
    across, across_varies = _moments(lumas, lambda luma: np.diff(scaled(luma), axis=1, append=scaled(luma[:, -1:])))
    noise = (2 * sigma) ** 2  # Of a gradient; most of it is not in the mean.
    changes = np.maximum(down_varies + across_varies - noise, 0) + noise / math.sqrt(len(lumas))
    strength = (down**2 + across**2) / changes
    in_space, _ = _moments(lumas, lambda luma: _in_space(scaled(luma)))
    moving = along_time > np.maximum(_MOVES**2 * in_space, (3 * sigma) ** 2)
    return _Seen(strength > (_WEAK * threshold) ** 2, strength > threshold**2, down, across, moving)


def _in_space(picture: Array) -> Array:
    """Return the variance of a picture (H, W) in a square around each pixel."""
    return np.asarray(ndimage.uniform_filter(picture**2, _BLOCK) - ndimage.uniform_filter(picture, _BLOCK) ** 2)


def _moments(pictures: list[Array], of: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return the mean of something of pictures, and its variance; one picture at a time, to save memory."""
    mean = reduce(np.add, map(of, pictures)) / len(pictures)
    return mean, reduce(np.add, (np.square(of(one) - mean) for one in pictures)) / len(pictures)
