"""Causal denoising: a recursive average along the motion."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from pde_video.denoising.along_motion import Picture, finished, numbered, prepared, remaining, with_means
from pde_video.denoising.uniform_noise import Noise
from pde_video.filters import Frames
from pde_video.motion.averaging import GuidedFrame, blended, conductance, doubled, padded, warped
from pde_video.motion.noisy_flow import flow_between
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import diffuse
from pde_video.threads import ordered

_CONTRAST, _SMOOTHNESS = 0.75, 20.0  # Of the temporal flux, in units of the noise; of the motion.
_CONTRAST_OF_FEW = 0.5  # Of few photons, whose motion is less sure: what lags behind stays in the average for long.
_LEAST = 1 / 16  # Lowest remaining share of the noise: less would gain little, and each warp blurs.
# Distance in pixels of the windows of the diffusion in space; the finer one where over half of the noise's variance is
# left after averaging, where light changes, and where noise grows with light: more of it is left to the diffusion.
_STEP, _FINE_STEP, _MUCH = 4, 2, 0.5
_RISEN = 1.5  # Gain of light from which on averages with more noise than a frame begin anew: light is not exact.


def recursive(frames: Frames, noise: Noise, fixed: float = 0.0, *, causal: bool = False) -> Iterator[Array]:
    """Yield each frame, denoised with the frames before it.

    m ← u + a (m(x + w) − u), a = g / (1 + v(x + w)), with the noise v ← (1 − a)² + a² v(x + w): the mean weighted by
    variances where the flow w is right (g = 1), and nothing of the past where it is not (g = 0).
    """
    spread: Callable[..., Iterator[Any]] = map if causal else ordered
    pictures = numbered(spread(partial(prepared, noise=noise, step=_STEP), frames), frames.report, fixed, noise)
    averages = _averaged(spread(_with_flow, _pairs(pictures)), noise)
    return spread(partial(_finished, noise=noise, fixed=fixed), averages)


def _pairs(pictures: Iterator[Picture]) -> Iterator[tuple[Picture | None, Picture]]:
    before: Picture | None = None
    for picture in pictures:
        yield (before if before is not None and before.scene == picture.scene else None), picture
        before = picture


def _with_flow(pair: tuple[Picture | None, Picture]) -> tuple[Picture, Array | None]:
    """Return a picture with the flow to the one before it, if there is one."""
    before, here = pair
    if before is None:
        return here, None
    levels = before.levels if here.light is None else here.light.of_levels(before.levels)
    return here, flow_between(here.levels, levels, _SMOOTHNESS)


def _averaged(
    pictures: Iterator[tuple[Picture, Array | None]], noise: Noise
) -> Iterator[tuple[Picture, Array, Array, bool]]:
    """Yield each picture with the average so far, its noise at half the size, and whether light has changed in it.

    The picture is compared with the average itself: slow changes differ little from frame to frame, so that the average
    would lag behind.
    """
    mean, left, original, relit = np.empty(0), np.empty(0), -1, 0
    contrast = _CONTRAST_OF_FEW if noise.faint else _CONTRAST
    for picture, w in pictures:
        here, repeats = picture.guided, picture.original == original
        if w is not None and not repeats:
            relit = max(relit - 1, 0)
            if picture.light is not None:
                relit = round(1 / _LEAST)  # So many frames later, what was seen in another light counts no more.
                light = picture.light.before_motion()
                mean, left = light.of_planes(mean), left * np.square(light.rows(left)[0])
                if np.median(light.gain) > _RISEN and left.mean() > 1:
                    w = None
        if w is None:
            mean, left, relit = here.planes, np.ones_like(here.luma), 0
        elif not repeats:
            so_far = GuidedFrame(mean, *noise.guide(mean, left / 4, _STEP))
            past = np.clip(warped(padded(left[np.newaxis]), w)[0], _LEAST, max(1, left.max()))
            share = conductance(here, so_far, w, None, contrast) / (1 + past)
            left = (1 - share) ** 2 + share**2 * past
            changed = share**2 * (1 + past)
            mean = noise.unbiased(blended(here.planes, so_far.padded, w, share), here.planes, changed)
        original = picture.original
        yield picture, mean, left, relit > 0


def _finished(average: tuple[Picture, Array, Array, bool], noise: Noise, fixed: float) -> Array:
    picture, mean, left, relit = average
    variance = remaining(doubled(left, *mean.shape[1:]), fixed, noise.copied)
    fine = relit or noise.model.slope or float(left.mean()) > _MUCH
    step = _FINE_STEP if fine else _STEP
    planes = diffuse(mean, variance, step=step, spectra=noise.spectra)
    return finished(picture, with_means(planes, picture.guided.planes) if relit else planes, noise)
