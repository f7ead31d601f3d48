"""What lies between two frames, along the motion between them, and beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from pde_video.kernels import gradient_flow, visibility
from pde_video.motion.averaging import EXACT, doubled, halved, padded, smoothed, warped
from pde_video.motion.optical_flow import in_units, optical_flow
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_ROUNDS = 4  # Of the composition of the motion in the middle with itself.
_WINDOW = 5  # Side of the squares over which the difference of both frames is averaged.
_DIFFERS, _NOISE = 14.0, 4.0  # Mean squared difference, in units and in variances of its noise, that is no noise.
_MEDIAN = 0.6745  # Of the absolute value of a Gaussian variable, in standard deviations.
_STEADY = 0.1  # Largest change of the motion from pixel to pixel within an object.
_REACH = 16  # Pixels within which the motion of surroundings is tried.
_APART = 1.0  # Difference of motions, in pixels, from which on one object hides another.
_SOFT = 1.2  # Standard deviation, in pixels, of the passage from what one frame shows to what the other shows.
_LEAST = 1e-3  # Weight of a frame that does not show a pixel.
_UNSEEN = 0.04  # Difference, in standard deviations of both frames, that is not seen.
_PREFERRED = 0.5  # Weight of the mismatch along the motion, relative to that without.


class Passage:
    """What lies between two frames (H, W, C) of one scene.

    u_s(x) = (1 − f) (Σ g_k u_k(x + w_k) / Σ g_k) + f ((1 − s) u_0 + s u_1), with the motion w_k to each frame, g_k its
    nearness where it shows x, and f ≈ 1 where what the motion brings together fits worse than both frames as they are.
    Values stay within those of both frames. `missed` (H, W) is the mean squared difference around of what is averaged,
    and `reliable` the share of pixels that both frames show.
    """

    def __init__(self, first: Array, second: Array) -> None:
        self._planes = [np.ascontiguousarray(np.moveaxis(frame, -1, 0)) for frame in (first, second)]
        self._padded = [padded(planes) for planes in self._planes]
        both = np.stack(self._planes)
        self._range = both.min(axis=(0, 2, 3))[:, None, None], both.max(axis=(0, 2, 3))[:, None, None]
        flow = optical_flow(first, second, at=0.5)
        first, second, _ = in_units(*(planes.mean(axis=0) for planes in self._planes))
        self._flow, shown, self.reliable = _resolved(flow, first, second)
        fits, self.missed = _fits(self._planes, [self._moved(k, 0.5, self._flow) for k in range(2)], shown)
        self._weights = padded(np.concatenate([shown, fits[np.newaxis]]))

    def at(self, share: float) -> Array:
        """Return the frame a share, between 0 and 1, of the way from the first to the second."""
        flow = self._transported(share)
        real = self._planes[0].dtype.type
        shown = warped(self._weights, np.float32(0.5 - share) * flow, EXACT).clip(0, 1).astype(real)
        old, new = real(1 - share) * (shown[0] + real(_LEAST)), real(share) * (shown[1] + real(_LEAST))
        along = (old * self._moved(0, share, flow) + new * self._moved(1, share, flow)) / (old + new)
        first, second = self._planes
        faded = first + real(share) * (second - first)
        return self._frame(faded + shown[2] * (along - faded))

    def beyond(self, share: float) -> Array:
        """Return the frame that continues the motion by a share, above 0, after the second."""
        return self._frame(self._moved(1, 1 + share, self._transported(1 + share)))

    def _frame(self, planes: Array) -> Array:
        """Return planes as a frame, without what the interpolation overshoots."""
        return np.moveaxis(np.clip(planes, *self._range), 0, -1)

    def _transported(self, share: float) -> Array:
        """Return the motion of what is at each pixel a share of the way: w_s(x) = w(x + (½ − s) w_s(x))."""
        flow, there = self._flow, padded(self._flow)
        for _ in range(_ROUNDS if share != 0.5 else 0):
            flow = warped(there, np.float32(0.5 - share) * flow, EXACT)
        return flow

    def _moved(self, which: int, share: float, flow: Array) -> Array:
        """Return the planes of a frame as they are a share of the way."""
        there = self._padded[which]
        return warped(there, (np.float32(which - share) * flow).astype(there.dtype), EXACT)


def _resolved(flow: Array, first: Array, second: Array) -> tuple[Array, Array, float]:
    """Return the motion in the middle, with that of surroundings where it fits better, and what each frame shows.

    With it the share of pixels that both show.
    """
    half = np.float32(0.5)
    there = [warped(padded(one[np.newaxis]), way * flow, EXACT)[0] for one, way in ((first, -half), (second, half))]
    inside = np.empty(first.shape, np.float32)
    gradient_flow.inside(flow, half, inside)
    noise = float(gradient_flow.median_difference(*there)) / _MEDIAN
    missed = ndimage.uniform_filter(np.square(there[1] - there[0]), _WINDOW, mode="nearest")
    good = (missed < _DIFFERS + _NOISE * noise**2) & (inside > 0)
    change = [np.abs(np.diff(flow, axis=axis, append=flow.take([-1], axis))).max(axis=0) for axis in (1, 2)]
    steady = good & (np.maximum(*change) < _STEADY)
    owners, least = np.empty((2, *first.shape), np.int64), np.empty(first.shape, np.float32)
    for owner, share in zip(owners, (-half, half), strict=True):
        visibility.claims(flow, missed, good, share, owner, least)
    out, seen = np.empty_like(flow), np.empty(first.shape, np.uint8)
    doubtful = ~good & (inside > 0)
    settings: tuple[Any, ...] = half, _REACH, np.float32(_APART), np.float32(_DIFFERS + _NOISE * noise**2)
    given = first, second, flow, doubtful, steady, owners, *settings
    each(lambda rows: visibility.resolve(*given, *rows, out, seen), pieces(len(seen), _REACH))
    ways = ((-half, visibility.SECOND), (half, visibility.FIRST))
    shown = np.stack([_inside(way * out) * (seen != other) for way, other in ways])
    both = float(np.mean((seen == visibility.BOTH) & (inside > 0)))
    return out, ndimage.gaussian_filter(shown, (0, _SOFT, _SOFT), mode="nearest"), both


def _inside(flow: Array) -> Array:
    """Return 1 where x + w lies in the frame, falling to 0 within a pixel outside of it."""
    bounds = np.reshape([side - 1 for side in flow.shape[1:]], (2, 1, 1))
    places = np.indices(flow.shape[1:], np.float32) + flow
    outside = np.maximum(-places, places - bounds).max(axis=0)
    return np.clip(1 - outside, 0, 1).astype(np.float32)


def _fits(frames: list[Array], moved: list[Array], shown: Array) -> tuple[Array, Array]:
    """Return near 1 where the frames agree along the motion as well as they do without, near 0 where far less.

    With it their mean squared difference around, along the motion or without, whichever is less.
    """
    both = shown[0] * shown[1]
    unit = float(np.stack(frames).std(dtype=np.float64)) or 1.0
    differences = [((second - first) / unit).astype(np.float32) for first, second in (moved, frames)]
    squares = [np.square(one).mean(axis=0) for one in differences]
    small = halved(halved(np.stack([both, *(both * one for one in squares)])))
    weight, along, without = (smoothed(one) for one in small)
    least = np.float32(_UNSEEN**2) * weight + np.finfo(np.float32).tiny
    fits = 1 / (1 + np.square(_PREFERRED * (along + least) / (without + least)))
    missed = np.minimum(along, without) / np.maximum(weight, _LEAST)
    height, width = both.shape
    fits, missed = (doubled(doubled(one, -(-height // 2), -(-width // 2)), height, width) for one in (fits, missed))
    return fits, missed.astype(np.float64) * unit**2
