"""The filter `blend`: a part of another video, set into a video without a seam."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError
from pde_video.estimate.scene import is_scene_cut
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.beside import beside, planes_of
from pde_video.restoration.fill import harmonic, written
from pde_video.restoration.masks import binary, warn_in
from pde_video.threads import ordered

MODES = ("difference", "ratio")
_TOLERANCE = 1e-5
_LEVEL = 1 / 255  # Added where values are 0 or below, of which there is no ratio.


@dataclass(frozen=True, eq=False)
class _Insert:
    """A frame, the other picture in its place, (C, H, W), and the membrane between them where the mask is true."""

    frame: Array
    other: Array
    mask: Array
    membrane: Array
    lift: float  # Added for a ratio.


@video_filter(
    extent=Extent(None, 0, 1, None),
    examples=(
        "scene.mp4 out.mkv --foreground insert.mp4 --mask insert_mask.png",
        "scene.mp4 out.mkv --foreground sign.png --mask sign_mask.png --mode ratio",
    ),
)
def blend(
    frames: Frames,
    foreground: Annotated[Any, Option(file=True)],
    mask: Annotated[Any, Option(file=True)],
    *,
    mode: Annotated[str, Option(choices=MODES)] = "difference",
    memory: Annotated[int, Option(unit="frames", least=1, most=1000)] = 16,
) -> Iterator[Array]:
    """Set a part of another video into a video, with its details but the light of the place.

    u = foreground + m with ∇²m = 0 in the mask, m = video − foreground on its rim; or
    u = foreground · w with div(foreground ∇w) = 0, w = video / foreground on its rim (osmosis).

    The membrane m, or w, is averaged along time, so that what flickers around does not flicker in the insert.

    Parameters
    ----------
    foreground : array, video or path
        (H, W), (T, H, W), (T, H, W, C), or a file, of the size of the video: one picture for all frames, or one for
        each. In grey, it serves for all channels.
    mask : array, video or path
        As for `inpaint`: true or white where the foreground is to be seen. At the border of the picture nothing fixes
        the membrane (its normal derivative is 0).
    mode : {"difference", "ratio"}
        "ratio" is for light that differs by a factor, as with other exposure or vignetting. It needs values above 0; if
        there are others, 1/255 of white is added to all for it.
    memory : int
        Frames over which the membrane is averaged, 1 for none; cuts end it.
    report : dict, optional
        Receives ``cuts``, where the average of the membrane began anew; ``warnings``, if the mask looks wrong.

    Raises
    ------
    InputError
        If sizes, channels or numbers of frames do not fit.

    References
    ----------
    Pérez, Gangnet & Blake (2003), doi:10.1145/882262.882269. Farbman et al. (2009), doi:10.1145/1531326.1531373, for
    the membrane. Weickert, Hagenburg, Breuß & Vogel (2013), doi:10.1007/978-3-642-40395-8_3, for osmosis.

    Examples
    --------
    >>> scene = np.linspace(0.2, 0.8, 40) * np.ones((3, 30, 40))
    >>> inside = np.zeros((30, 40), bool); inside[8:20, 10:25] = True
    >>> bool(abs(blend(scene, 0.5 * scene, inside, mode="ratio") - scene).max() < 1e-6)
    True
    """
    warn = partial(warn_in, frames.report)
    cuts: list[int] = []
    frames.report["cuts"] = cuts
    pairs = beside(frames, foreground, "foreground", planes_of)
    found = beside(pairs, mask, "mask", partial(binary, warnings=iter([warn])))
    inserts = ordered(lambda pair: _insert(*pair[0], pair[1], mode == "ratio"), found)
    for insert, m in _steadied(inserts, cuts, memory):
        seen = (insert.other + insert.lift) * m - insert.lift if mode == "ratio" else insert.other + m
        yield written(insert.frame, insert.mask, seen)


def _insert(frame: Array, other: Array, mask: Array, ratio: bool) -> _Insert:
    planes = to_planes(frame, -1)
    if other.shape[1:] != planes.shape[1:] or mask.shape != planes.shape[1:] or len(other) not in (1, len(planes)):
        raise InputError(
            f"the video has frames of {_size(planes)}, the foreground of {_size(other)}, the mask of {mask.shape[0]} × "
            f"{mask.shape[1]} pixels; sizes and channels must be equal, but for a grey foreground: crop, resize or pad"
        )
    other = np.broadcast_to(other, planes.shape).astype(planes.dtype)
    lift = planes.dtype.type(0)
    if not ratio:
        apart = planes - other
        m = np.zeros_like(apart) if mask.all() else harmonic(apart, mask, tolerance=_TOLERANCE)
    else:
        least = min(float(planes.min()), float(other.min()))
        lift = planes.dtype.type(0 if least > 0 else _LEVEL)
        if least + lift <= 0:
            raise InputError(f"a value is {least:g} of white; mode ratio needs values of at least 0: use difference")
        light = other + lift
        m = np.ones_like(light) if mask.all() else harmonic((planes + lift) / light, mask, light, _TOLERANCE)
    return _Insert(frame, other, mask, m, lift)


def _size(planes: Array) -> str:
    return f"{planes.shape[1]} × {planes.shape[2]} pixels in {len(planes)} channels"


def _steadied(inserts: Iterator[_Insert], cuts: list[int], memory: int) -> Iterator[tuple[_Insert, Array]]:
    """Yield each insert with the mean of its membrane and those before, in which older ones fade."""
    before, mean, count = None, *np.zeros((2, 1))
    for number, insert in enumerate(inserts):
        if before is None or is_scene_cut(before, insert.frame):
            mean, count = np.zeros_like(insert.membrane), np.zeros(insert.mask.shape, insert.membrane.dtype)
            cuts += [number] * (before is not None)
        count = np.minimum(count + 1, memory) * insert.mask  # Where the mask is new, the mean begins.
        mean = mean + (insert.membrane - mean) / np.maximum(count, 1)
        before = insert.frame
        yield insert, mean
