"""What is in doubt about the noise, by the first frames or by later ones, and the option that helps."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.estimate.noise import estimate_sigma
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.motion.averaging import halved
from pde_video.protocols import Array

_SHARED = 1.3  # Ratio of the deviation at half the size to that of white noise from which on neighbours may share it.
_NOTABLE = 0.08  # Least deviation then, relative to that of the frames: details of clean frames look like faint noise.
_FEWEST = 2**12  # Pixels, of all frames together, below which chance may look so.
# Steps of rounding up to which light, and the variance of its noise, are lost by it. A tenth of the deviation s of the
# noise is left where nothing moves; rounding then shifts means by up to exp(−2π² (s/10)²) / π, at 9 by 0.6 %.
_COARSE = 9.0
_SINGLE, _NEARLY = 0.3, 0.1  # Photons where most pixels have none; difference of their variance, relative to them.
_COUNTED = 2.0  # Ratio of variance to light, and its inverse, up to which noise that is even may be that of counts.
_FIRST, _EVERY = 5, 16  # Frames by which later ones are judged, and of how many one is.
_CHANGED = 1.5  # Ratio of deviations, within frames and along time, from which on noise has changed.
_CLIPPED = 0.05  # Share of the pixels with the lowest or highest value, above which clipping has taken their noise.


def doubt_of_scales(estimate: NoiseEstimate, model: VarianceStabilizer, shown: Sequence[Array]) -> str | None:
    """Return what to say if frames of half the size have more noise than white noise leaves in them; otherwise None.

    Where differences along time do not tell, since there are none or all of it moves, noise that neighbouring pixels
    share looks like texture: most of it is in means over 2 × 2 pixels, of which white noise has a quarter.
    """
    if sum(frame[..., 0].size for frame in shown) < _FEWEST:
        return None
    luma = [model.forward(frame).mean(axis=2)[np.newaxis] for frame in shown]
    fine = estimate_sigma([one[0] for one in luma])
    coarse = [halved(one)[0] for one in luma]
    strength = 2 * estimate_sigma(coarse)
    if len(coarse) > 1:  # What does not change is no noise.
        strength = min(strength, math.sqrt(2) * estimate_sigma([b - a for a, b in pairwise(coarse)]))
    ratio = strength / fine if fine else 0.0
    if ratio < _SHARED or strength < _NOTABLE * float(np.std(luma)):
        return None
    if estimate.slope:
        stronger = f"noise=({ratio**2 * estimate.slope:.3g}, {ratio**2 * estimate.offset:.3g})"
    else:
        stronger = f"sigma={ratio * estimate.sigma:.3g}"
    return (
        f"the noise may be stronger than measured: frames of half the size have {ratio:.1f} times what white noise "
        "would leave, as texture has, or noise that neighbouring pixels share, as after enlargement, and changes "
        f"between frames do not tell which: if much noise is left, give {stronger}"
    )


def doubt_of_rounding(estimate: NoiseEstimate, first: Array) -> str | None:
    """Return what to say if the means of few photons are lost, since the result is rounded to integers; or else None.

    Noise would keep the means, but too little of it is left.
    """
    if estimate.unit == 1:  # Floats are not rounded.
        return None
    light, variance = float(np.median(first)) * estimate.unit, estimate.offset
    if light == 0:  # In most pixels there is no photon; the frame tells whether there are single ones in others.
        mean, spread = float(first.mean()) * estimate.unit, float(first.var()) * estimate.unit**2
        light, variance = (mean, spread) if mean < _SINGLE and abs(spread - mean) < _NEARLY * mean else (0.0, 0.0)
    if estimate.photons is not None and estimate.photons > 0:
        light = estimate.photons * estimate.slope
        variance = light * estimate.slope
    elif light == 0 or not light / _COUNTED <= variance <= light * _COUNTED:
        return None
    if max(light, variance) > _COARSE:
        return None
    return (
        f"light is so faint ({light:.2g} steps of rounding above black) that its means are lost where "
        "the result is rounded to integers: give the video as floats, in Python video.astype(numpy.float32)"
    )


class Watch:
    """Judges the noise of later frames by that of the first, and says once in `report` if it has changed.

    Both the finest details of a frame and its change since the one before, along the motion, must have changed alike:
    textures of other scenes do not do that. The noise has been made uniform.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        self._report, self._said = report, False
        self._seen = [-1, -1]  # The number of the last original, and of the last repeat.
        self._first: list[Array] = []

    def look(self, luma: Array, before: Callable[[], Array] | None, repeats: bool) -> None:
        """Look at a frame (H, W) and the one `before` it, moved to it, if that is of the same scene.

        What `repeats` the one before tells nothing of the first frames, but later ones may seem to where noise fades.
        """
        self._seen[repeats] += 1
        number = self._seen[repeats]
        first = not repeats and (number < _FIRST or not self._first)
        if before is None or self._said or (not self._first and repeats) or not (first or number % _EVERY == 0):
            return
        if np.mean((luma == luma.min()) | (luma == luma.max())) > _CLIPPED:
            return
        found = np.array([estimate_sigma([luma]), estimate_sigma([luma - before()])])
        if first:
            self._first += [found] if found.all() else []
            return
        weaker, stronger = sorted(found / np.median(self._first, axis=0))
        ratio = weaker if weaker > 1 else min(stronger, 1.0)
        if max(1.0, ratio) > _NOTABLE * luma.std() and not 1 / _CHANGED < ratio < _CHANGED:
            self._said = True
            how = "is stronger" if ratio > 1 else "is weaker, or neighbouring pixels share more of it,"
            self._report.setdefault("warnings", []).append(
                f"the noise changes: later it {how} than in the first frames, by which all are denoised: cut the video "
                "where it changes, or give sigma or noise as it is in most of it (measure_noise)"
            )
