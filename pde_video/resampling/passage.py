"""What lies between two frames, along the motion between them, and beyond."""

import numpy as np

from pde_video.motion.optical_flow import occluded, optical_flow, warp
from pde_video.protocols import Array

_ROUNDS = 3  # Of the composition of a flow with itself.


class Passage:
    """What lies between two frames (H, W, C) of one scene.

    u_s(x) = Σ g u(x + w) / Σ g over both frames, with the motion w to each, and g the nearness of the frame where it
    shows what the other shows too.
    """

    def __init__(self, first: Array, second: Array) -> None:
        self._frames = first, second
        self._flows = optical_flow(first, second), optical_flow(second, first)
        hidden = occluded(*self._flows), occluded(*self._flows[::-1])
        self._seen = [(~one).astype(np.float32) for one in hidden]
        self.reliable = 1 - sum(int(np.count_nonzero(one)) for one in hidden) / (2 * hidden[0].size)

    def at(self, share: float) -> Array:
        """Return the frame a share, between 0 and 1, of the way from the first to the second."""
        one, weight = self._moved(0, share)
        other, its_weight = self._moved(1, 1 - share)
        total = weight + its_weight
        lost = total <= 0  # What neither shows in the other is a fade.
        weight, its_weight = np.where(lost, 1 - share, weight), np.where(lost, share, its_weight)
        return ((weight * one + its_weight * other) / (weight + its_weight)).astype(one.dtype, copy=False)

    def beyond(self, share: float) -> Array:
        """Return the frame that continues the motion by a share, above 0, after the second."""
        return self._moved(1, -share)[0]

    def _moved(self, which: int, share: float) -> tuple[Array, Array]:
        """Return a frame moved a share of the way to the other, and its weights (H, W, 1)."""
        flow = self._flows[which]
        w = np.zeros_like(flow)
        for _ in range(_ROUNDS):  # w(x) = −share · flow(x + w(x))
            w = np.float32(-share) * np.stack([warp(plane, w) for plane in flow])
        frame = self._frames[which]
        seen = np.float32(1 - share) * np.clip(warp(self._seen[which], w), 0, 1)
        return warp(frame, w), seen[..., np.newaxis].astype(frame.dtype)
