"""The filter `blend`: a part of another video, set into a video without a seam."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError
from pde_video.estimate.scene import is_scene_cut
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.neighbours import windows
from pde_video.protocols import Array
from pde_video.restoration.beside import beside, planes_of
from pde_video.restoration.fill import harmonic, written
from pde_video.restoration.masks import must_fit, watched, with_masks
from pde_video.threads import ordered

MODES = ("difference", "ratio")
_TOLERANCE = 1e-5
_DARKEST = 1 / 255  # What is darker counts as this in ratios.
_NEAR = 1  # Frames on each side over which what is left at the rim is averaged,
_DEPTH = 4.0  # and pixels within which it fades.
_FLICKER = 5.0  # Difference of what is alike, in units of the usual change from frame to frame.


class _Insert(NamedTuple):
    """A frame (H, W, C), the foreground (C, H, W), what tells one from the other, and where the foreground is shown."""

    frame: Array
    other: Array
    light: Array | None  # The foreground as what ratios are relative to.
    gap: Array  # Their difference, or their ratio, (C, H, W).
    mask: Array
    number: int = 0
    scene: int = 0
    original: int = 0
    links: Mapping[int, Any] = {}


@video_filter(
    extent=lambda radius, causal, **others: Extent(None, 0 if causal else radius, 1, None),
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
    radius: Annotated[int, Option(unit="frames", least=0, most=1000)] = 8,
    causal: bool = False,
) -> Iterator[Array]:
    """Set a part of another video into a video, with its details but the light of its surroundings.

    u = foreground + m + e, with ∇²m = 0 in the mask, and on its rim m = video − foreground, steadied along time; or
    u = foreground · w + e, with div(foreground ∇w) = 0, and w = video / foreground on the rim (osmosis).

    What is left at the rim fades within a few pixels: ∇²e = e / 16. So what flickers around does not flicker in the
    insert, and the rim fits in every frame.

    Parameters
    ----------
    foreground : array, video or path
        (H, W), (T, H, W), (T, H, W, C), or a file, of the size of the video: one picture for all frames, or one for
        each; a single picture in colour is (1, H, W, C). In grey, it serves for all channels.
    mask : array, video or path
        As for `inpaint`: true or white where to show the foreground. At the border of the picture nothing fixes m (its
        normal derivative is 0).
    mode : {"difference", "ratio"}
        "ratio" is for light that differs by a factor, as with other exposure or vignetting. Values of the foreground
        below 1/255 of white count as this in w.
    radius : int
        Frames on each side, 0 to 1000, to which a straight line is fitted at the rim; scenes of either video end it.
    causal : bool
        Use no look-ahead.
    report : dict, optional
        Receives ``cuts``, where scenes of either video begin; ``masked``, the share of all pixels; ``warnings``, if the
        mask looks wrong.

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
    cuts: list[int] = []
    frames.report["cuts"] = cuts
    pairs = with_masks(beside(frames, foreground, "foreground", planes_of), mask, frames.report)
    inserts = ordered(partial(_insert, ratio=mode == "ratio"), watched(pairs, frames.report, "replaced"))
    return ordered(_blended, windows(_in_scenes(inserts, cuts), radius, 0 if causal else radius))


def _insert(pair: tuple[tuple[Array, Array], Array], ratio: bool) -> _Insert:
    (frame, other), mask = pair
    planes = to_planes(frame, -1)
    must_fit(frame, mask)
    if other.shape[1:] != planes.shape[1:] or len(other) not in (1, len(planes)):
        hint = "; a single picture in colour is an array (1, H, W, C)" if other.shape[2] in (3, 4) else ""
        raise InputError(
            f"the video has frames of {_size(planes)}, the foreground of {_size(other)}; sizes and channels must be "
            f"equal, but for a grey foreground: crop, resize or pad{hint}"
        )
    other = np.broadcast_to(other, planes.shape).astype(planes.dtype)
    light = np.maximum(other, planes.dtype.type(_DARKEST)) if ratio else None
    return _Insert(frame, other, light, planes - other if light is None else planes / light, mask)


def _size(planes: Array) -> str:
    channels = f" in {len(planes)} channels" if len(planes) > 1 else ""
    return f"{planes.shape[1]} × {planes.shape[2]} pixels{channels}"


def _in_scenes(inserts: Iterable[_Insert], cuts: list[int]) -> Iterator[_Insert]:
    """Yield the inserts with the numbers of their scenes, which end where that of either video does."""
    before: _Insert | None = None
    for number, insert in enumerate(inserts):
        if before is not None:
            others = (np.moveaxis(one.other, 0, -1) for one in (before, insert))
            if is_scene_cut(before.frame, insert.frame) or is_scene_cut(*others):
                cuts.append(number)
        before = insert._replace(number=number, original=number, scene=len(cuts))
        yield before


def _blended(window: tuple[int, list[_Insert]]) -> Array:
    """Return the frame of an insert, with the foreground in the mask."""
    at, inserts = window
    here = inserts[at]
    mask, other, light = here.mask, here.other, here.light
    if not mask.any() or mask.all():  # Without a rim there is nothing to fit.
        return written(here.frame, mask, other)
    rim = ndimage.binary_dilation(mask) & ~mask

    def held(values: Array) -> Array:  # Also where nothing depends on it, so that constants have no rounding errors.
        out = np.empty_like(other)
        out[...] = values[:, :1, np.newaxis]
        out[:, rim] = values
        return out

    steady, near = _fitted(here, inserts, rim)
    m = harmonic(held(steady), mask, light, _TOLERANCE)
    seen, wanted = (other + m, other[:, rim] + near) if light is None else (other * m, light[:, rim] * near)
    left = harmonic(held(wanted - seen[:, rim]), mask, tolerance=_TOLERANCE, pull=_DEPTH**-2)
    return written(here.frame, mask, seen + left)


def _fitted(here: _Insert, inserts: list[_Insert], rim: Array) -> tuple[Array, Array]:
    """Return the gap at a rim, (C, n), as straight lines fit that of several frames, and that of those beside.

    Frames do not count where they differ by more than what flickers: there something else has come, or gone.
    """
    gaps = np.stack([one.gap[:, rim] for one in inserts]).astype(np.float64)  # (T, C, n)
    x = np.array([float(one.number - here.number) for one in inserts])[:, np.newaxis]
    counts = np.ones((len(gaps), gaps.shape[2]))
    if len(gaps) > 2 * _NEAR + 1:
        usual = np.median(np.sqrt(np.square(np.diff(gaps, axis=0)).mean(axis=1)), axis=0)
        counts[np.sqrt(np.square(gaps - here.gap[:, rim]).mean(axis=1)) > _FLICKER * usual] = 0
    real = here.gap.dtype
    return _line(x, gaps, counts).astype(real), _line(x, gaps, counts * (np.abs(x) <= _NEAR)).astype(real)


def _line(x: Array, values: Array, counts: Array) -> Array:
    """Return the value at x = 0 of the straight lines that fit values (T, C, n) which count, (T, n)."""
    n, first, second = ((x**power * counts).sum(axis=0) for power in range(3))
    total, moment = ((x**power * counts)[:, np.newaxis] * values for power in range(2))
    determinant = n * second - first * first
    line = second * total.sum(axis=0) - first * moment.sum(axis=0)
    return np.where(determinant > 0, line / np.where(determinant > 0, determinant, 1), total.sum(axis=0) / n)
