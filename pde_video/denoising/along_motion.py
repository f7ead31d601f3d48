"""Denoising along motion: frames are averaged with their neighbours along the optical flow, then diffused in space."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.denoising.doubts import Watch
from pde_video.denoising.repair import Mended
from pde_video.denoising.repeats import is_repeat
from pde_video.denoising.row_offsets import Link, Rows, common, linked, rows_of, shifted
from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.light import Light, between, light_change
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.filters import Frames
from pde_video.motion.averaging import (
    EXACT,
    GuidedFrame,
    Planes,
    averaged,
    conductance,
    inconsistent,
    luma_of,
    padded,
    warped,
    wide_means,
    zero_where_static,
)
from pde_video.motion.neighbours import windows
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import diffuse
from pde_video.solvers.similar_patches import refined
from pde_video.threads import ordered

_REGION, _SMALL_REGION = 6, 5  # Regions of 2^6 pixels on each side keep their mean intensity, averages that of smaller.
_COPIED = 3  # Power of the share of noise that is new, by which more averaged frames count.
_SMOOTHNESS = 20.0  # Of the motion by which noise is watched.
_OUTLYING = 8.0  # Standard deviations of the noise, beyond which a pixel does not count for that mean.


@dataclass(frozen=True)
class Pass:
    """One pass over the neighbours of each frame. Contrast is in units of the noise."""

    radius: int  # Frames on each side.
    contrast: float  # Of the temporal flux, where the guides have no noise.
    smoothness: float  # Of the motion.
    step: int  # Distance in pixels of the windows of the diffusion in space.
    refinements: int = 0  # How often similar patches are filtered after it.


# Guides are smoothed frames of half the size in a first pass, in a second one the results of the first.
PASSES: dict[str, tuple[Pass, ...]] = {
    "balanced": (Pass(6, 0.5, 20.0, 2),),
    "best": (Pass(4, 0.6, 20.0, 2), Pass(8, 0.25, 10.0, 1, 3)),
}

# Of few photons, a first result is no better guide than the photons of 4 × 4 pixels together, and their noise is not
# normal: groups of similar patches would keep it.
_OF_FEW_PHOTONS = {"best": (Pass(6, 0.5, 20.0, 1),)}


def passes_of(preset: str, radius: int | None = None, *, faint: bool = False) -> tuple[Pass, ...]:
    """Return the passes of a preset, each with `radius` frames on each side if it is given."""
    passes = (_OF_FEW_PHOTONS if faint and preset in _OF_FEW_PHOTONS else PASSES)[preset]
    return passes if radius is None else tuple(replace(one, radius=radius) for one in passes)


class Picture(NamedTuple):
    """A frame in the chain: as read, (H, W, C), and what its neighbours need of it, with noise of variance 1."""

    frame: Array
    guided: GuidedFrame
    levels: list[Array]  # The pyramid on which motion is seen.
    number: int = 0
    scene: int = 0
    original: int = 0  # The number of the first of repeated frames: their noise is the same, and counts once.
    replaced: Array | None = None  # Where pixels were outliers, (H, W).
    light: Light | None = None  # Its change since the original before this one.
    rows: Rows | None = None  # Where offsets were subtracted from them.
    links: Mapping[int, tuple[Link, Link]] = {}  # To frames before it, by their originals, and back.
    intensity: Planes | None = None  # The frame in units of the video, where noise grows with light,
    average: Array | None = None  # and its average in time.


def along_motion(
    frames: Frames, passes: tuple[Pass, ...], noise: Noise, fixed: float = 0.0, *, causal: bool = False
) -> Iterator[Array]:
    """Yield the frames denoised; `fixed` is the share of the noise's variance that all frames have in common."""
    spread: Callable[..., Iterator[Any]] = map if causal else ordered  # `ordered` would read ahead.
    first = spread(partial(prepared, noise=noise, intensity=True), frames)
    pictures = numbered(first, frames.report, fixed, noise)
    results: Iterator[tuple[Picture, Array, Array]] | None = None
    for look in passes:
        if results is not None:
            pictures = spread(partial(_guided, noise=noise), results)
        linked = spread(partial(_linked, smoothness=look.smoothness), windows(pictures, look.radius, 0))
        around = windows(linked, look.radius, 0 if causal else look.radius)
        results = spread(partial(_denoised, look=look, last=look is passes[-1], fixed=fixed, noise=noise), around)
    assert results is not None
    return (finished(picture, planes, noise) for picture, planes, _ in results)


def prepared(frame: Array, noise: Noise, step: int = 2, *, intensity: bool = False) -> Picture:
    """Return a frame, mended, with noise of variance 1, uncorrelated colours, and a guide of half the size.

    If noise grows with light, it may hold its `intensity`, the frame in units of the video, too.
    """
    frame, replaced, rows = Mended(frame) if noise.repair is None else noise.repair(frame)
    planes = noise.planes(frame)
    quarter = np.full([-(-n // 2) for n in planes.shape[1:]], 0.25, planes.dtype)
    guide, _ = noise.counted(frame) if noise.faint else noise.guide(planes, quarter, step)
    found = None if rows is None else rows_of(planes, noise.offsets(frame, rows))
    seen = Planes(to_planes(frame, -1)) if intensity and noise.model.slope else None
    return _pictured(frame, GuidedFrame(planes, guide))._replace(replaced=replaced, rows=found, intensity=seen)


def _pictured(frame: Array, guided: GuidedFrame) -> Picture:
    return Picture(frame, guided, pyramid(guided.luma))


def finished(picture: Picture, planes: Array, noise: Noise) -> Array:
    """Return the denoised planes as a frame, by adding the change to the original, so that nothing else changes."""
    model = noise.model
    if model.slope:  # The unbiased inverse is for means: values that were not averaged stay as they were.
        same = (planes == picture.guided.planes).all(axis=0)[..., np.newaxis]
        intensity = noise.intensity(planes)
        # Blur of a concave function of intensity darkens: what the means of large regions lost is added again.
        noisy = np.abs(planes - picture.guided.planes).max(axis=0) < _OUTLYING
        lost = noisy * to_planes(picture.frame - intensity, -1)
        if picture.average is None:
            lost = wide_means(lost, _REGION)
        else:  # It has less noise, and tells smaller regions.
            less = noisy * (picture.average - to_planes(intensity, -1))
            lost = wide_means(lost - less, _REGION) + wide_means(less, _SMALL_REGION)
        return np.where(same, picture.frame, intensity + np.moveaxis(lost, 0, -1))
    deviation = picture.frame.dtype.type(model.readout)
    return picture.frame + deviation * noise.frame(planes - picture.guided.planes)


def numbered(pictures: Iterable[Picture], report: dict[str, Any], fixed: float, noise: Noise) -> Iterator[Picture]:
    """Yield the pictures with the numbers of their scenes and originals, and the changes of light.

    Where light is faint, only exact copies are repeats: the transform does not make the variance 1 there.
    """
    alike = np.array_equal if noise.faint else partial(is_repeat, varying=1 - fixed)
    cuts: list[int] = []
    report["cuts"] = cuts
    seen = {"repeated": 0, "relit": 0}
    previous: Picture | None = None
    watch = Watch(report)
    for number, picture in enumerate(pictures):
        original, light = number, None
        if previous is not None and is_cut_not_motion(previous.levels, picture.levels, sigma=0.5):
            cuts.append(number)
        elif previous is not None:
            light = light_change(previous.levels, picture.levels, even=picture.rows is not None)
            seen["relit"] += light is not None
            if light is None and alike(previous.guided.planes, picture.guided.planes):
                original, light = previous.original, previous.light
                seen["repeated"] += 1
        if noise.measured and not noise.faint:
            same = previous if previous is not None and previous.scene == len(cuts) else None
            watch.look(luma_of(picture.guided.planes), same and partial(_moved, same, picture), original != number)
        report.update(seen)
        previous = picture._replace(number=number, scene=len(cuts), original=original, light=light)
        yield previous


def _moved(there: Picture, here: Picture) -> Array:
    """Return the luma of one picture moved to another."""
    return warped(padded(luma_of(there.guided.planes)[np.newaxis]), flow(here, there, _SMOOTHNESS), EXACT)[0]


def _linked(window: tuple[int, list[Picture]], smoothness: float) -> Picture:
    """Return the last picture of the window with the flows between it and the others."""
    *others, last = pictures = window[1]
    links = {}
    for k, one in reversed(list(enumerate(others))):
        light = between([picture.light for picture in pictures], k, len(others))
        if light is not None:
            one = one._replace(levels=light.of_levels(one.levels), rows=one.rows and one.rows.lit(light))
        links[one.original] = _link(last, one, smoothness), _link(one, last, smoothness)
    return last._replace(links=links)


def _link(here: Picture, there: Picture, smoothness: float) -> Link:
    if here.rows is None or there.rows is None:
        return Link(flow(here, there, smoothness))
    return linked(here.levels, here.rows, there.levels, there.rows, smoothness)


def flow(here: Picture, there: Picture, smoothness: float) -> Array:
    """Return the flow from one picture to another, 0 where there is no evidence for motion."""
    found = flow_between(here.levels, there.levels, smoothness)
    return zero_where_static(found, here.levels[0], there.levels[0])


def _denoised(
    window: tuple[int, list[Picture]], look: Pass, last: bool, fixed: float, noise: Noise
) -> tuple[Picture, Array, Array]:
    """Return the picture, its planes, averaged in time, then diffused in space, and the variance of the noise left.

    In the last pass the picture gets its average in units of the video, where noise grows with light.
    """
    at, pictures = window
    here, lights = pictures[at], [picture.light for picture in pictures]
    rows: list[Rows] = []
    links: list[Link] = []
    relit = any(between(lights, k, at) is not None for k in range(len(lights)))
    same: list[tuple[Planes, Array, Array]] = []

    def along() -> Iterator[tuple[GuidedFrame, Array, Array, Array]]:
        for k, there in enumerate(pictures):
            if k != at:
                link, back = here.links[there.original] if k < at else reversed(there.links[here.original])
                own, light, w = here.guided, between(lights, k, at), link.flow
                if link.rows is not None and there.rows is not None:
                    own = shifted(link.rows).of_guided(own)
                    links.append(link)
                    rows.append(there.rows)
                seen, excluded = there.guided, inconsistent(w, back.flow)
                if light is not None:
                    seen = light.on(seen)
                g = conductance(own, seen, w, excluded, look.contrast)
                if there.intensity is not None:
                    same.append((there.intensity, w, g))
                yield seen, w, g if light is None else light.worth(g), own.planes

    mean, share, changed = averaged(here.guided, along(), here.replaced)
    if here.intensity is not None and same and last and not relit and here.rows is None:
        here = here._replace(average=averaged(here.intensity, same, here.replaced)[0])
    if here.rows is not None:
        light = common([here.rows, *rows], links)
        mean, here = light.of_planes(mean), _levelled(here, light, noise)
    guided = here.guided
    seen = (guided.guide, share) if guided.guide.shape == mean.shape else None
    mean = noise.unbiased(mean, guided.planes, changed, here.replaced, seen)
    variance, left = remaining(share, fixed, noise.copied), np.zeros_like(mean)
    planes = diffuse(mean, variance, step=look.step, spectra=noise.spectra, left=left)
    planes = refined(mean, planes, variance, times=look.refinements, spectra=noise.spectra)
    return here, with_means(planes, guided.planes) if relit else planes, left


def with_means(planes: Array, noisy: Array) -> Array:
    """Return planes with the means of large regions that they had when noisy: light is not followed exactly."""
    lost = noisy - planes
    lost[np.abs(lost) >= _OUTLYING] = 0
    return planes + wide_means(lost, _REGION)


def _levelled(picture: Picture, light: Light, noise: Noise) -> Picture:
    """Return a picture with its rows as high as those of its neighbours."""
    planes = light.of_planes(picture.guided.planes)
    higher = noise.intensity(planes) - noise.intensity(picture.guided.planes)
    guided = GuidedFrame(planes, picture.guided.guide)  # Of which no more use is made.
    return picture._replace(frame=picture.frame + higher, guided=guided, rows=None)


def remaining(left: Array, fixed: float, copied: float = 0.0) -> Array:
    """Return the variance of the noise if a share `left` of its varying part remains, or would if none were copied.

    Averages of n frames then count as those of 1 + (n − 1) (1 − copied)³: what was copied is copied on.
    """
    if copied:
        left = left / (left + left.dtype.type((1 - copied) ** _COPIED) * (1 - left))
    if not fixed:
        return left
    share = left.dtype.type(fixed)
    return share + (1 - share) * left


def _guided(result: tuple[Picture, Array, Array], noise: Noise) -> Picture:
    """Return a picture whose guide is its own result."""
    picture, planes, left = result
    seen = _pictured(picture.frame, GuidedFrame(picture.guided.planes, *noise.held(planes, left)))
    return picture._replace(guided=seen.guided, levels=seen.levels, links={})
