"""Temporal consistency along the motion of the clean clip."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from pde_video.filters.conversion import to_gray
from pde_video.motion import optical_flow
from pde_video.protocols import Array


class Motion:
    """The flow from each frame of a clean clip to the next, and which pixels stay visible.

    `using` has ``optical_flow``, ``warp`` and ``occluded`` like the module `pde_video.motion.optical_flow`.
    """

    def __init__(self, clean: Array, using: Any = optical_flow) -> None:
        luma = to_gray(clean)
        self._warp = using.warp
        self._steps = []
        for first, second in pairwise(luma):
            forward, backward = using.optical_flow(first, second), using.optical_flow(second, first)
            self._steps.append((forward, ~using.occluded(forward, backward)))

    def warped_error(self, video: Array) -> float:
        """Return the root mean square of frame k − (frame k + 1 warped to k) over visible pixels, of 255.

        Noise and flicker raise it. Far below the clean clip's own error, moving details are blurred.
        """
        squares = [
            np.square(np.subtract(first, self._warp(second, flow), dtype=np.float64))[seen].ravel()
            for first, second, (flow, seen) in zip(video[:-1], video[1:], self._steps, strict=True)
        ]
        every = np.concatenate(squares)
        return 255 * math.sqrt(every.mean()) if every.size else math.nan
