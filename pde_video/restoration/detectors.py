"""What detectors mark, by their names: of `inpaint`, and as a mask on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from itertools import tee
from typing import Annotated, Any

import numpy as np

from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration import damaged_frames, dead_pixels, dust, logo, scratches
from pde_video.restoration.masks import Marked, as_video

_FINDERS: dict[str, tuple[Callable[[Frames], Iterator[Marked]], Extent]] = {
    "dust": (dust.dusty, dust.EXTENT),
    "scratches": (scratches.scratched, scratches.EXTENT),
    "dead-pixels": (dead_pixels.dead, dead_pixels.EXTENT),
    "damaged-frames": (damaged_frames.damaged, damaged_frames.EXTENT),
    "logo": (logo.logos, logo.EXTENT),
}
DETECTORS = tuple(_FINDERS)


def looked(detect: Any) -> Extent:
    """Return how far detectors look whose names are given, separated by commas; any of them if no names are."""
    names = detect.split(",") if isinstance(detect, str) else DETECTORS
    every = [_FINDERS[name][1] for name in names if name in _FINDERS]  # What is none is refused later.
    return reduce(_farther, every, Extent(0, 0, 1, None))


def _farther(one: Extent, other: Extent) -> Extent:
    before, after = max(one.before or 0, other.before or 0), max(one.after or 0, other.after or 0)
    return Extent(before, after, 1, None, max(one.first, other.first))


def detected(frames: Frames, detect: str) -> Iterator[Marked]:
    """Yield the frames with what any of the detectors marks."""
    finders = [_FINDERS[name][0] for name in detect.split(",")]
    copies = tee(frames, len(finders))
    every = [finder(Frames(copy, frames.scale, frames.report)) for finder, copy in zip(finders, copies, strict=True)]
    for found in zip(*every, strict=True):
        yield found[0][0], reduce(np.logical_or, (mask for _, mask in found))


@video_filter(
    extent=looked,
    examples=("film.mp4 mask.mkv --detect dust,scratches --codec ffv1", "stack.tif mask.tif --detect dead-pixels"),
)
def mask(frames: Frames, *, detect: Annotated[str, Option(choices=DETECTORS, several=True)]) -> Iterator[Array]:
    """Mark what detectors find: a mask, to look at, to correct, and for `inpaint`.

    Parameters
    ----------
    detect : str
        Names of detectors, separated by commas: "dust", "scratches", "dead-pixels", "damaged-frames", "logo". What any
        of them marks, with its threshold as it is by default, is marked.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W): white (the largest value of an integer dtype, 1 of floats)
    where something was found, 0 elsewhere.

    See Also
    --------
    detect_dust, detect_scratches, detect_dead_pixels, detect_damaged_frames, detect_logo : one each, with a threshold.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> film = np.stack([0.5 + 0.2 * np.sin((columns - t) / 5) * np.cos(rows / 7) for t in range(5)])
    >>> film[2, 20:24, 30:35] = 1.0; film[:, 8, 9] = 0.0
    >>> found = pv.mask(film, detect="dust,dead-pixels")
    >>> bool(found[2, 20:24, 30:35].mean() > 0.9), found[:, 8, 9].tolist()
    (True, [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    return as_video(partial(detected, detect=detect), frames)
