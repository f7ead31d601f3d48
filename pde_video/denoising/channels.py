"""The noise of each channel, and of each plane of brightness and colour, relative to that of the whole video."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pde_video.arrays.colours import opponent
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.estimate.noise import estimate_sigma
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.motion.averaging import halved
from pde_video.protocols import Array

Measure = Callable[[Sequence[Array]], NoiseEstimate]

_UNEVEN = 0.2  # Deviations may differ by this much by chance, and by texture that looks like noise at half the size.
_FAINT = 0.1  # Lowest noise of a plane relative to that of the others.
_STRONGER = 1.5  # Noise of a channel relative to that of all from which on outliers are judged by its own.
_NOTABLE = 0.01  # Of the contrast: details of clean frames, which differ between channels, look like fainter noise.


def with_channels(estimate: NoiseEstimate, shown: Sequence[Array], measured: Measure) -> NoiseEstimate:
    """Return the noise with that of each channel of some frames, if one has much more than all have together.

    If most of the noise is in one of three channels, most blocks of all have hardly any, and a line fitted to all would
    follow that channel's brightness. It is then `measured` on that channel alone; if its noise does not grow with
    brightness, noise has the mean variance of the channels.
    """
    count = shown[0].shape[2]
    if count == 1:
        return estimate
    model = estimate.stabiliser()
    uniform = [frame if model is None else model.forward(frame) for frame in shown]
    found = _of_channels(uniform)
    contrast = max(float(np.ptp(frame)) for frame in uniform)
    if max(found) <= max(0.0 if model is None else _STRONGER, _NOTABLE * contrast):
        return estimate
    strongest = int(np.argmax(found))
    line = measured([frame[..., strongest : strongest + 1] for frame in shown])
    model = line.stabiliser() if line.slope else None
    found = _of_channels([frame if model is None else model.forward(frame) for frame in shown])
    whole = math.sqrt(sum(one**2 for one in found) / count) if model is None else 1.0
    if model is None:
        line = replace(line, slope=0.0, offset=(whole * estimate.unit) ** 2)
    return replace(line, channels=tuple(max(one / whole, _FAINT) for one in found))


def _of_channels(frames: Sequence[Array]) -> list[float]:
    return [estimate_sigma([frame[..., c] for frame in frames]) for c in range(frames[0].shape[2])]


def deviations(shown: Sequence[Array], model: VarianceStabilizer, still: bool) -> tuple[float, ...] | None:
    """Return the strength of the noise in each plane, if they differ: brightness and colour, or the channels.

    Cameras and codecs process luma, and colour at half the size. After them, most of the noise is the same in red,
    green and blue, and the rest, in colour, is correlated between neighbours. A picture of half the size has half the
    noise if neighbours are uncorrelated.
    """
    planes = [opponent(model.forward(frame)) for frame in shown]
    found = [estimate_sigma([one[c] for one in planes], still=still) for c in range(len(planes[0]))]
    if len(found) == 3:
        small = [halved(three) for three in planes]
        found[1:] = (max(found[c], 2 * estimate_sigma([one[c] for one in small], still=still)) for c in (1, 2))
    even = [1.0 if abs(one - 1) < _UNEVEN else max(one, _FAINT) for one in found]
    return None if set(even) == {1.0} or len(even) == 1 else tuple(even)


def as_a_whole(estimate: NoiseEstimate) -> NoiseEstimate:
    """Return Gaussian noise with the mean variance of its planes as its own, so that `sigma` is its strength."""
    if estimate.slope or estimate.colours is None:
        return estimate
    whole = math.sqrt(sum(one**2 for one in estimate.colours) / len(estimate.colours))
    return replace(stronger(estimate, whole**2), colours=tuple(one / whole for one in estimate.colours))


def stronger(estimate: NoiseEstimate, factor: float) -> NoiseEstimate:
    """Return noise of so many times the variance, but for that of single channels."""
    of_channels = estimate.channels and tuple(one / math.sqrt(factor) for one in estimate.channels)
    return replace(estimate, slope=estimate.slope * factor, offset=estimate.offset * factor, channels=of_channels)
