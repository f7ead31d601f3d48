"""Denoising along motion: frames are averaged with their neighbours along the optical flow, then diffused in space."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np

from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.scene import is_scene_cut
from pde_video.filters import Frames
from pde_video.motion.averaging import (
    GuidedFrame,
    averaged,
    conductance,
    inconsistent,
    wide_means,
    zero_where_static,
)
from pde_video.motion.optical_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import diffuse
from pde_video.threads import ordered

_REGION = 6  # Regions of 2^6 pixels on each side keep their mean intensity.
_OUTLYING = 8.0  # Standard deviations of the noise, beyond which a pixel does not count for that mean.


@dataclass(frozen=True)
class Pass:
    """One pass over the neighbours of each frame. Contrast is in units of the noise."""

    radius: int  # Frames on each side.
    contrast: float  # Of the temporal flux.
    smoothness: float  # Of the motion.
    step: int  # Distance in pixels of the windows of the diffusion in space.


# Guides are smoothed frames of half the size in a first pass, in a second one the results of the first.
PASSES: dict[str, tuple[Pass, ...]] = {
    "balanced": (Pass(6, 0.5, 20.0, 2),),
    "best": (Pass(4, 0.6, 20.0, 2), Pass(8, 0.35, 10.0, 1)),
}


def passes_of(preset: str, radius: int | None = None) -> tuple[Pass, ...]:
    """Return the passes of a preset, each with `radius` frames on each side if it is given."""
    passes = PASSES[preset]
    return passes if radius is None else tuple(replace(one, radius=radius) for one in passes)


class Picture(NamedTuple):
    """A frame in the chain: as read, (H, W, C), and what its neighbours need of it, with noise of variance 1."""

    frame: Array
    guided: GuidedFrame
    levels: list[Array]  # The pyramid on which motion is seen.
    scene: int = 0
    original: int = 0  # The number of the first of repeated frames: their noise is the same, and counts once.
    replaced: Array | None = None  # Where pixels were outliers, (H, W).
    links: tuple[tuple[Array, Array], ...] = ()  # Flows to the frames before it, nearest first, and from them.


def along_motion(
    frames: Frames, passes: tuple[Pass, ...], noise: Noise, fixed: float = 0.0, *, causal: bool = False
) -> Iterator[Array]:
    """Yield the frames denoised; `fixed` is the share of the noise's variance that all frames have in common."""
    spread: Callable[..., Iterator[Any]] = map if causal else ordered  # `ordered` would read ahead.
    pictures = numbered(spread(partial(prepared, noise=noise), frames), frames.report)
    results: Iterator[tuple[Picture, Array]] | None = None
    for look in passes:
        if results is not None:
            pictures = spread(partial(_guided, noise=noise), results)
        linked = spread(partial(_linked, smoothness=look.smoothness), _windows(pictures, look.radius, 0))
        around = _windows(linked, look.radius, 0 if causal else look.radius)
        results = spread(partial(_denoised, look=look, fixed=fixed, noise=noise), around)
    assert results is not None
    return (finished(picture, planes, noise) for picture, planes in results)


def prepared(frame: Array, noise: Noise, step: int = 2) -> Picture:
    """Return a frame, mended, with noise of variance 1, uncorrelated colours, and a guide of half the size."""
    frame, replaced = (frame, None) if noise.repair is None else noise.repair(frame)
    planes = noise.planes(frame)
    if noise.faint:
        return _pictured(frame, planes, noise.counted(frame))
    quarter = np.full([-(-n // 2) for n in planes.shape[1:]], 0.25, planes.dtype)
    return _pictured(frame, planes, noise.guide(planes, quarter, step))._replace(replaced=replaced)


def _pictured(frame: Array, planes: Array, guide: Array) -> Picture:
    here = GuidedFrame(planes, guide)
    return Picture(frame, here, pyramid(here.luma))


def finished(picture: Picture, planes: Array, noise: Noise) -> Array:
    """Return the denoised planes as a frame, by adding the change to the original, so that nothing else changes."""
    model = noise.model
    if model.slope:  # The unbiased inverse is for means: values that were not averaged stay as they were.
        same = (planes == picture.guided.planes).all(axis=0)[..., np.newaxis]
        intensity = model.inverse(noise.frame(planes))
        # Blur of a concave function of intensity darkens: what the means of large regions lost is added again.
        noisy = np.abs(planes - picture.guided.planes).max(axis=0) < _OUTLYING
        lost = noisy * np.ascontiguousarray(np.moveaxis(picture.frame - intensity, -1, 0))
        return np.where(same, picture.frame, intensity + np.moveaxis(wide_means(lost, _REGION), 0, -1))
    deviation = picture.frame.dtype.type(model.readout)
    return picture.frame + deviation * noise.frame(planes - picture.guided.planes)


def numbered(pictures: Iterable[Picture], report: dict[str, Any]) -> Iterator[Picture]:
    """Yield the pictures with the numbers of their scenes and originals."""
    cuts: list[int] = []
    report["cuts"] = cuts
    previous: Picture | None = None
    for index, picture in enumerate(pictures):
        if previous is not None and is_scene_cut(previous.guided.luma, picture.guided.luma, sigma=0.5):
            cuts.append(index)
        again = previous is not None and np.array_equal(previous.frame, picture.frame)
        previous = picture._replace(scene=len(cuts), original=previous.original if again and previous else index)
        yield previous


def _windows(pictures: Iterable[Picture], before: int, after: int) -> Iterator[tuple[int, list[Picture]]]:
    """Yield, for each picture, its index in the window of its scene, and that window."""
    held: list[Picture] = []
    at = 0
    for picture in chain(pictures, repeat(None, after)):
        held += [picture] if picture is not None else []
        if (len(held) - at > after or picture is None) and at < len(held):
            scene = held[at].scene
            first = next(k for k, other in enumerate(held) if other.scene == scene)
            yield at - first, [other for other in held if other.scene == scene]
            held[at] = held[at]._replace(links=())  # Later pictures have their own links, and these are large.
            at += 1
        if at > before:
            del held[0]
            at -= 1


def _linked(window: tuple[int, list[Picture]], smoothness: float) -> Picture:
    """Return the last picture of the window with the flows between it and the others."""
    *others, last = window[1]
    return last._replace(
        links=tuple((flow(last, other, smoothness), flow(other, last, smoothness)) for other in reversed(others))
    )


def flow(here: Picture, there: Picture, smoothness: float) -> Array:
    """Return the flow from one picture to another, 0 where there is no evidence for motion."""
    found = flow_between(here.levels, there.levels, smoothness)
    return zero_where_static(found, here.levels[0], there.levels[0])


def _denoised(window: tuple[int, list[Picture]], look: Pass, fixed: float, noise: Noise) -> tuple[Picture, Array]:
    """Return the picture and its planes, averaged in time, then diffused in space according to the remaining noise."""
    at, pictures = window
    here = pictures[at]

    def along() -> Iterator[tuple[GuidedFrame, Array, Array]]:
        known = {here.original}
        for k, there in enumerate(pictures):
            if there.original not in known:
                known.add(there.original)
                w, back = here.links[at - k - 1] if k < at else reversed(there.links[k - at - 1])
                yield there.guided, w, conductance(here.guided, there.guided, w, inconsistent(w, back), look.contrast)

    mean, left = averaged(here.guided, along(), here.replaced)
    mean = noise.unbiased(mean, here.guided.planes, left)
    return here, diffuse(mean, remaining(left, fixed), step=look.step, spectra=noise.spectra)


def remaining(left: Array, fixed: float) -> Array:
    """Return the variance of the noise if a share `left` of its varying part remains."""
    if not fixed:
        return left
    share = left.dtype.type(fixed)
    return share + (1 - share) * left


def _guided(result: tuple[Picture, Array], noise: Noise) -> Picture:
    """Return a picture whose guide is its own result."""
    picture, planes = result
    guide = noise.together(noise.model.inverse(noise.frame(planes))) if noise.faint else noise.held(planes)
    return _pictured(picture.frame, picture.guided.planes, guide)._replace(
        scene=picture.scene, original=picture.original, replaced=picture.replaced
    )
