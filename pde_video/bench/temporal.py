"""How steady a result is along the motion of the clean clip."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from pde_video.filters.conversion import to_gray
from pde_video.motion import optical_flow
from pde_video.protocols import Array


class Motion:
    """Where each pixel of frame k goes in frame k + 1 of a clean clip, and which stay in sight.

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
        """Return the root of the mean of (frame k − frame k + 1 warped to k)² over what stays in sight, of 255.

        Noise and flicker raise it; the clip's own, from changes of light and the error of the flow, is the mark:
        far below it, details that move have been blurred away.
        """
        squares = [
            np.square(np.subtract(first, self._warp(second, flow), dtype=np.float64))[seen].ravel()
            for first, second, (flow, seen) in zip(video[:-1], video[1:], self._steps, strict=True)
        ]
        every = np.concatenate(squares)
        return 255 * math.sqrt(every.mean()) if every.size else math.nan
