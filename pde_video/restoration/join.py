"""The filter `join`: two videos one after the other, with a passage along the motion between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.dtypes import scale_of
from pde_video.errors import InputError, ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.beside import planes_of
from pde_video.restoration.in_scenes import change_of_light, prepared, together, unlike
from pde_video.restoration.masks import warn_in
from pde_video.restoration.trajectories import between
from pde_video.terms.structure import unit_of
from pde_video.threads import ordered


@video_filter(
    extent=Extent(None, None, 1, None),
    examples=("one.mp4 both.mkv --following two.mp4 --over 12", "one.tif both.tif --following two.tif --over 0"),
)
def join(
    frames: Frames,
    following: Annotated[Any, Option(file=True)],
    *,
    over: Annotated[int, Option(unit="frames", least=0, most=1000)] = 8,
) -> Iterator[Array]:
    """Join a video to another that follows it: the last frames of one pass into the first of the other.

    u_k = (1 − s) a_{N−n+k}(x − s w) + s b_k(x + (1 − s) w), s = k/(n + 1), k = 1, ..., n, with the flow w between both.
    Where that fits no better than w = 0 does, and between different scenes, it is a fade. Light that differs, by a gain
    and an offset of the rows, passes from one to the other as well.

    Parameters
    ----------
    following : array, video or path
        (T, H, W), (T, H, W, C), or a file, of frames of the same size and channels.
    over : int
        n, 0 to 1000: frames in which the two overlap, so that the result has so many frames less than both; 0 sets them
        end to end.
    report : dict, optional
        Receives ``joined``, the number of the first frame that has something of the second video; ``along_motion``, the
        share of the overlap that follows the motion; ``warnings``.

    Returns
    -------
    Video of the same kind and dtype. Frames outside of the overlap are those of the two videos, white in one being
    white in the other. Of files, sound and rate are those of the first; times of the second that vary are lost.

    Raises
    ------
    InputError
        If sizes, channels or rates differ, or a video has fewer frames than the overlap.

    Examples
    --------
    >>> film = np.stack([np.full((8, 8), 0.1 * t) for t in range(10)])
    >>> bool(np.allclose(join(film[:7], film[3:], over=4), film))
    True
    """
    after = _following(following, frames)
    ahead = list(islice(after, max(1, over)))  # What does not fit is refused at once.
    if not ahead:
        raise InputError("the following video has no frame")
    if len(ahead) < over:
        raise InputError(f"the following video has {len(ahead)} frames, and the overlap {over}; give a smaller `over`")
    held: deque[Array] = deque()
    count = 0
    for count, frame in enumerate(frames, 1):
        held.append(frame)
        if len(held) > over:
            yield held.popleft()
    if len(held) < over:
        raise InputError(f"the video has {count} frames, and the overlap {over}; give a smaller `over`")
    frames.report["joined"] = count - over
    shares = (number / (over + 1) for number in range(1, over + 1))
    along = total = 0
    for passing, moved in ordered(_passing, zip(held, ahead[:over], shares, strict=True)):
        along, total = along + moved, total + 1
        frames.report["along_motion"] = along / total
        yield passing
    yield from chain(ahead[over:], after)


def _following(video: Any, frames: Frames) -> Iterator[Array]:
    """Yield the frames (H, W, C) of the video that follows others, with white as 1."""
    name, here, file, rate = "the following video", frames.peek(1)[0], None, None
    if isinstance(video, str | Path):
        from pde_video.video.files import read_besides  # Here, so that arrays need no codecs.

        file, rate = read_besides(video), frames.timing.rate
        name, video = f"{name} {video}", file
        if rate and file.rate and rate != file.rate:
            raise InputError(f"{name} has {file.rate} frames per second, the video {rate}; convert one of them before")
        if others := file.details.get("other_streams"):
            warn_in(frames.report, f"{', '.join(others)} of {name} left out; that of the first video is kept")
    if not isinstance(video, Iterable):
        raise ParameterError(f"{name} is {video!r}; it must be an array, frames, or the name of a file")
    for number, one in enumerate(video):
        one = np.asarray(one)
        found = np.moveaxis(planes_of(one, name), 0, -1)
        _must_fit(here, found)
        if not number and (white := scale_of(one.dtype)) != frames.scale:
            rounded = ", and rounded to whole numbers" if frames.scale > 1 and not 1 < white < frames.scale else ""
            said = f"white is {white:.0f} in {name} and {frames.scale:.0f} in the first: its values are converted"
            warn_in(frames.report, said + rounded)
        yield found
    if file and rate and (off := file.uneven(rate)):
        said = f"times of {name}, which differ from {rate} frames/s by up to {float(off):.3g} s, are not kept"
        warn_in(frames.report, said)


def _must_fit(here: Array, other: Array) -> None:
    if other.shape != here.shape:
        raise InputError(
            f"the video has frames of {_size(here)}, the following one of {_size(other)}; they must be equal: crop, "
            "resize or convert one of them"
        )


def _size(frame: Array) -> str:
    return f"{frame.shape[0]} × {frame.shape[1]} pixels and {frame.shape[2]} channels"


def _passing(pair: tuple[Array, Array, float]) -> tuple[Array, bool]:
    """Return a frame on the way from one to another, and whether it follows the motion."""
    old, new, share = pair
    new = new.astype(old.dtype)
    unit = old.dtype.type(unit_of(np.stack([old, new]), dtype=np.float32))
    first, second = (prepared((frame / unit, np.zeros(frame.shape[:2], bool))) for frame in (old, new))
    if unlike(first, second):
        return old + old.dtype.type(share) * (new - old), False
    light = change_of_light(first, second)
    return np.moveaxis(between(*together(first, second, light, share), share)[0], 0, -1) * unit, True
