"""What two frames have to do with each other: whether both are of one scene, and whether one repeats the other."""

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.denoising.repeats import is_repeat
from pde_video.estimate.noise import estimate_sigma
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.motion.averaging import halved
from pde_video.motion.optical_flow import pyramid
from pde_video.protocols import Array

_UNIT = 0.25  # Of differences, in standard deviations of a frame.
_LEVEL = 0.5  # Of integers: the least noise that is assumed.
_FAINTEST = 2.0**-8  # The same, in standard deviations of a frame.


def of_two_scenes(first: Array, second: Array) -> bool:
    """Tell whether two consecutive frames (H, W, C) are of different scenes."""
    unit = _UNIT * float(first.std(dtype=np.float64) or second.std(dtype=np.float64)) or 1.0
    before, after = (halved(frame.mean(axis=2, dtype=frame.dtype)[np.newaxis])[0] for frame in (first, second))
    return is_cut_not_motion(
        *([level * level.dtype.type(1 / unit) for level in pyramid(one)] for one in (before, after)), sigma=0.0
    )


def is_repeat_of(before: Array, after: Array, scale: float) -> bool:
    """Tell whether a frame (H, W, C) repeats the one before it but for what a codec changed."""
    if np.array_equal(before, after):
        return True
    least = _LEVEL / scale if scale > 1 else _FAINTEST * float(after.std(dtype=np.float64))
    sigma = max(estimate_sigma(after[np.newaxis]), least)
    if not sigma:
        return False
    here, there = (to_planes(one / one.dtype.type(sigma), -1) for one in (after, before))
    return is_repeat(there, here)
