"""Changes of light from frame to frame: gain and offset along the rows, as flicker, rolling bands and fades have them.

Frames are compared and averaged in the light of the one that is denoised, which keeps its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from pde_video.estimate.scene import block_means
from pde_video.kernels.row_moments import MOMENTS, row_moments
from pde_video.motion.averaging import EXACT, GuidedFrame, padded, warped
from pde_video.motion.optical_flow import flow_between
from pde_video.protocols import Array

_LEVEL = 1  # Of the pyramids on which changes are fitted: a quarter of the size of the frames.
_FEWEST = 500  # Pixels on that level below which none is.
_FIRST, _ROUNDS = 2, 6  # Rounds of reweighting to suspect a change, and to fit it.
_SHARP, _FINEST = 1.5, 0.05  # Scale of the residuals: medians; at least, in units of the noise.
_WIDE = 2.0  # Times as much where rows differ: they must not lose the pixels in which light changes most.
_REACH = 1 / 36  # Of the rows: half the length of the mean that is taken twice.
_UNEVEN, _ALIKE = 0.1, 16.0  # Spread of gains that is expected; neighbouring pixels whose residuals are alike.
_GREATEST = 4.0  # Gain.
_STRIPE = 8  # Columns; every other stripe tests the fit of the others.
_SUSPECTED = 0.05  # Change of means of a sixteenth of the rows, in units of the noise, from which on one is sought.
_SIGNIFICANT = 0.08  # Share of the energy that a fit must remove in the stripes that it has not seen.
_SMOOTHNESS = 20.0  # Of the motion.


class Light(NamedTuple):
    """A change of light: y = gain · x + offset, with one number of each for every row, at any height."""

    gain: Array
    offset: Array

    def then(self, later: Light) -> Light:
        """Return both changes as one."""
        return Light(later.gain * self.gain, later.gain * self.offset + later.offset)

    def inverse(self) -> Light:
        """Return the change back."""
        return Light(1 / self.gain, -self.offset / self.gain)

    def rows(self, picture: Array) -> tuple[Array, Array]:
        """Return gain and offset for the rows of a picture (…, H, W), as columns."""
        n, height = len(self.gain), picture.shape[-2]
        places = (np.arange(height) + 0.5) * n / height - 0.5
        gain, offset = (np.interp(places, np.arange(n), one).astype(picture.dtype)[:, np.newaxis] for one in self)
        return gain, offset

    def of_levels(self, levels: Sequence[Array]) -> list[Array]:
        """Return a pyramid in the other light."""
        return [gain * one + offset for one in levels for gain, offset in [self.rows(one)]]

    def of_planes(self, planes: Array) -> Array:
        """Return planes (C, H, W) in the other light: the offset is the same in all colours."""
        gain, offset = self.rows(planes)
        out = gain * planes
        bright = out[:1] if len(out) in (1, 3) else out
        bright += offset / planes.dtype.type(math.sqrt(len(bright)))
        return out

    def of_guided(self, frame: GuidedFrame) -> GuidedFrame:
        """Return a frame in the other light."""
        return GuidedFrame(self.of_planes(frame.planes), self.of_planes(frame.guide))

    @property
    def even(self) -> bool:
        """Whether all rows have the same."""
        return all(bool((one == one[0]).all()) for one in self)

    def worth(self, conductance: Array) -> Array:
        """Return the conductance to a frame in the other light, less where the gain has raised its noise."""
        return conductance / np.square(np.maximum(self.rows(conductance)[0], 1))


def between(lights: Sequence[Light | None], here: int, there: int) -> Light | None:
    """Return the change from one frame to another, if each of them has that from the frame before it."""
    first, last = sorted((here, there))
    changes = [one for one in lights[first + 1 : last + 1] if one is not None]
    if not changes:
        return None
    total = reduce(Light.then, changes)
    return total if here < there else total.inverse()


def light_change(before: Sequence[Array], after: Sequence[Array], *, even: bool = False) -> Light | None:
    """Return the change of light between two pyramids of luma, in units of the noise; None if it is not significant.

    It is fitted along a coarse motion, since what moves also changes rows. If it must be `even`, it is the same for all
    rows.
    """
    level = min(_LEVEL, len(before) - 1)
    x, y = before[level], after[level]
    if x.size < _FEWEST or x.shape[1] < 2 * _STRIPE:
        return None
    bands = block_means(y - x)  # Motion changes the means of rows less than the pixels.
    if np.square(sum(bands.T) / bands.shape[1]).sum() < _SUSPECTED**2 * len(bands):
        return None
    reach = len(x) if even else max(1, round(_REACH * len(x)))
    light, _ = _lines(x, y, _none(x), _FIRST, reach)
    for rounds in (_FIRST, _ROUNDS, _ROUNDS):  # Each time with the light found so far.
        flow = flow_between(list(after[level:]), light.of_levels(before[level:]), _SMOOTHNESS)
        moved = warped(padded(x[np.newaxis]), flow, EXACT)[0]
        light, share = _fitted(moved, y, light, rounds, reach)
        if share < _SIGNIFICANT:
            return None
    same, evenly = _fitted(moved, y, _none(x), _ROUNDS, len(x))
    return same if evenly > share else light


def _none(picture: Array) -> Light:
    return Light(np.ones(len(picture)), np.zeros(len(picture)))


def _fitted(x: Array, y: Array, light: Light, rounds: int, reach: int) -> tuple[Light, float]:
    """Return the change that fits best, and the share of the energy that it removes where it was not fitted."""
    even = np.arange(x.shape[1]) // _STRIPE % 2 == 0
    halves = [(x[:, columns], y[:, columns]) for columns in (even, ~even)]
    fits = [_lines(*half, light, rounds, reach) for half in halves]
    shares = []
    for (a, b), (fit, scale) in zip(halves, fits[::-1], strict=True):
        none, left = (math.fsum(_moments(by, a, b, scale)[:, -1]) for by in (_none(a), fit))
        shares.append(1 - left / none if none else 0.0)
    (one, _), (other, _) = fits
    return Light((one.gain + other.gain) / 2, (one.offset + other.offset) / 2), min(shares)


def _lines(x: Array, y: Array, light: Light, rounds: int, reach: int) -> tuple[Light, float]:
    """Return the lines y = gain · x + offset that fit best around each row, and the scale of the residuals.

    Both x and y are noisy. Rounds remove what means over rows took away of the change in the round before.
    """
    rows = np.arange(len(x))
    for _ in range(rounds):
        scale = _scale(light, x, y)
        around = _moments(light, x, y, scale * (_WIDE if reach < len(x) else 1))
        prior = _ALIKE * (scale / _UNEVEN) ** 2
        whole = _gain(np.array([math.fsum(one) for one in around.T]), prior, 1.0)
        for _ in range(2):
            sums = np.concatenate([np.zeros((1, MOMENTS)), np.cumsum(around, axis=0)])
            around = sums[np.minimum(rows + reach + 1, len(rows))] - sums[np.maximum(rows - reach, 0)]
        gain = _gain(around.T / (2 * reach + 1), prior, whole)
        light = light.then(Light(gain, (around[:, 2] - gain * around[:, 1]) / np.maximum(around[:, 0], _FINEST)))
    return light, scale


def closer(x: Array, y: Array, light: Light) -> Light:
    """Return a change of offsets, each row on its own, that fits better than `light`."""
    moments = _moments(light, x, y, _scale(light, x, y))
    return Light(light.gain, light.offset + (moments[:, 2] - moments[:, 1]) / np.maximum(moments[:, 0], _FINEST))


def _scale(light: Light, x: Array, y: Array) -> float:
    return max(_SHARP * float(np.median(np.abs(y - light.of_levels([x])[0]))), _FINEST)


def _moments(light: Light, x: Array, y: Array, scale: float) -> Array:
    out = np.empty((len(x), MOMENTS))
    row_moments(light.of_levels([x])[0], y, 1 / scale, out)
    return out


def _gain(moments: Array, prior: float, expected: Array | float) -> Array:
    """Return the slopes of the lines with the least squares of the distances, near those expected without evidence."""
    n, x, y, xx, xy, yy, _ = moments
    n = np.maximum(n, _FINEST)
    xx, xy, yy = xx - x * x / n + prior, xy - x * y / n + prior * expected, yy - y * y / n + prior * expected**2
    steeper = yy - xx
    slope = (steeper + np.sqrt(steeper**2 + 4 * xy**2)) / (2 * np.maximum(xy, _FINEST))
    return np.asarray(np.clip(slope, 1 / _GREATEST, _GREATEST))
