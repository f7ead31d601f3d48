"""What the first frames leave in doubt about the noise, and the option that helps."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.estimate.noise import estimate_sigma
from pde_video.estimate.stabiliser import Stabiliser
from pde_video.motion.averaging import halved
from pde_video.protocols import Array

_SHARED = 1.3  # Ratio of the deviation at half the size to that of white noise from which on neighbours may share it.
_NOTABLE = 0.08  # Least deviation then, relative to that of the frames: details of clean frames look like faint noise.
_FEWEST = 2**12  # Pixels, of all frames together, below which chance may look so.
# Steps of rounding up to which light, and the variance of its noise, are lost by it. A tenth of the deviation s of the
# noise is left where nothing moves; rounding then shifts means by up to exp(−2π² (s/10)²) / π, at 9 by 0.6 %.
_COARSE = 9.0
_COUNTED = 2.0  # Ratio of variance to light, and its inverse, up to which noise that is even may be that of counts.


def doubt_of_scales(estimate: NoiseEstimate, model: Stabiliser, shown: Sequence[Array]) -> str | None:
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
    if estimate.photons is not None:
        light = estimate.photons * estimate.slope
        variance = light * estimate.slope
    elif not light / _COUNTED <= variance <= light * _COUNTED:
        return None
    if max(light, variance) > _COARSE:
        return None
    return (
        f"light is so faint (at the median {light:.2g} steps of rounding above black) that its means are lost where "
        "the result is rounded to integers: give the video as floats, in Python video.astype(numpy.float32)"
    )
