"""Damaged frames: those that are unlike both frames beside them, which are alike."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Annotated, TypeVar

import numpy as np

from pde_video.estimate.scene import block_means
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.averaging import EXACT, padded, warped
from pde_video.protocols import Array
from pde_video.restoration.in_scenes import Picture, change_of_light, flow, in_light, prepared
from pde_video.restoration.masks import Marked, as_video
from pde_video.threads import ordered

THRESHOLD = 3.0
EXTENT = Extent(2, 2, 1, None)
_SUSPECT = 0.6  # Threshold without a look at the motion; of even motion the ratio is a half.
_SHARE = 0.2  # Of the blocks, from which on a frame is damaged.
_RELIT = 0.4  # Share of what two frames differ by, which a change of light must explain.
_DIMMEST = 0.6  # Gain from the frame before, below which a frame is no darker one, but has lost what that shows.
_LEAST = 0.08  # The smallest difference that counts, in quarters of the standard deviation of a frame.

Item = TypeVar("Item")


@video_filter(extent=EXTENT, examples=("film.mp4 lost.tif", "tape.mkv lost.tif --threshold 5"))
def detect_damaged_frames(
    frames: Frames, *, threshold: Annotated[float, Option(least=1)] = THRESHOLD
) -> Iterator[Array]:
    """Mark frames that are unlike both frames beside them, which are alike: a mask for `inpaint`.

    min(d(t, t − 1), d(t, t + 1)) > threshold · d(t − 1, t + 1) in a fifth of 16 × 16 parts of the frame, for the root
    mean squares d of differences along the motion, at half of the size, in the light of the frame before; the last is
    at least 2 % of the contrast.

    Parameters
    ----------
    threshold : float
        How much less alike a damaged frame is than the frames beside it are to each other, ≥ 1.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W), white as a whole (the largest value of an integer dtype, 1 of
    floats) where they are damaged, else 0. Of frames in a row that all seem damaged, none is: they flicker. Nor is the
    first frame, or the last, or a flash by up to some 60 %, unless much of it is clipped at white.

    Examples
    --------
    >>> rows, columns = np.mgrid[:32, :48]
    >>> film = np.stack([0.5 + 0.2 * np.sin((columns - t) / 5) * np.cos(rows / 7) for t in range(5)])
    >>> film[2] = np.random.default_rng(0).random((32, 48))
    >>> pv.detect_damaged_frames(film).any(axis=(1, 2)).tolist()
    [False, False, True, False, False]
    """
    return as_video(partial(damaged, threshold=threshold), frames)


def damaged(frames: Frames, threshold: float = THRESHOLD) -> Iterator[Marked]:
    """Yield the frames, masked as a whole where they are damaged."""
    pictures = ordered(prepared, ((frame, np.zeros(frame.shape[:2], bool)) for frame in frames))
    suspected = ordered(partial(_suspected, threshold=threshold), _threes(pictures))
    for before, (here, alone), after in _threes(suspected):
        lost = alone and not any(one is not None and one[1] for one in (before, after))
        yield here.frame, np.full(here.mask.shape, lost)


def _threes(items: Iterator[Item]) -> Iterator[tuple[Item | None, Item, Item | None]]:
    """Yield each item with those beside it; None at the ends."""
    before, here = None, next(items, None)
    for after in chain(items, [None]):
        if here is not None:
            yield before, here, after
        before, here = here, after


def _suspected(three: tuple[Picture | None, Picture, Picture | None], threshold: float) -> tuple[Picture, bool]:
    """Return the second of three pictures, and whether it is unlike the others, which are alike."""
    before, here, after = three
    if before is None or after is None:
        return here, False
    pairs = (here, before), (here, after), (before, after)
    if not _is_unlike([there.levels[0] - one.levels[0] for one, there in pairs], _SUSPECT, here.unit):
        return here, False  # As most frames, without a look at the motion.
    lit, after = (_in_light_of(before, one) for one in (here, after))
    pairs = (lit, before), (lit, after), (before, after)
    return here, _is_unlike([_along(*pair) - pair[0].levels[0] for pair in pairs], threshold, before.unit)


def _in_light_of(other: Picture, here: Picture) -> Picture:
    """Return a picture in the light of another, unless it has lost much of its contrast."""
    light = change_of_light(other, here, even=True, significant=_RELIT)
    if light is None or light.gain.min() < _DIMMEST:
        return here
    return in_light(here, light.inverse(), coarsely=True)._replace(unit=other.unit)


def _along(here: Picture, there: Picture) -> Array:
    """Return the luma of another picture, moved to where this one shows it."""
    return warped(padded(there.levels[0][np.newaxis]), flow(here, there), EXACT)[0]


def _is_unlike(differences: list[Array], threshold: float, unit: float) -> bool:
    """Tell whether in much of a picture its differences to two others are far larger than theirs to each other."""
    to_before, to_after, between = (block_means(np.square(one)) for one in differences)
    unlike = np.minimum(to_before, to_after) > threshold**2 * np.maximum(between, (_LEAST * unit) ** 2)
    return bool(np.count_nonzero(unlike) > _SHARE * unlike.size)
