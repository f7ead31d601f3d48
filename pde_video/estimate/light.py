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
from pde_video.motion.averaging import EXACT, GuidedFrame, halved, padded, warped
from pde_video.motion.noisy_flow import flow_between
from pde_video.protocols import Array

_LEVEL = 1  # Of the pyramids on which changes are fitted: a quarter of the size of the frames.
_FEWEST = 500  # Pixels on that level below which none is.
_FIRST, _ROUNDS = 2, (2, 2, 6)  # Rounds of reweighting without motion, then along it.
_SHARP, _FINEST = 1.5, 0.05  # Scale of the residuals: medians; at least, in units of the noise.
_WIDE = 2.0  # Times as much where rows differ: they must not lose the pixels in which light changes most.
_REACH = 1 / 36  # Of the rows: half the length of the mean that is taken twice.
_UNEVEN, _ALIKE = 0.1, 16.0  # Spread of gains that is expected; neighbouring pixels whose residuals are alike.
_GREATEST = 4.0  # Gain.
_STRIPE = 8  # Columns; every other stripe tests the fit of the others.
_SUSPECTED = 0.05  # Change of means of a sixteenth of the rows, in units of the noise, from which on one is sought.
_SMOOTHNESS = 20.0  # Of the motion.
_WORSE = 0.01  # Energy of a pixel by which a channel may be further apart: that of noise and rounding.


class Light(NamedTuple):
    """A change of light: y = gain · x + offset, with one number of each for every row, at any height.

    What a row shows was so many rows further `down` before, if anything has moved across the rows.
    """

    gain: Array
    offset: Array
    down: Array | None = None

    def then(self, later: Light) -> Light:
        """Return both changes as one."""
        first = self if later.down is None else self._at(_rows(later.down) + later.down)
        down = later.down if first.down is None else first.down + (0 if later.down is None else later.down)
        return Light(later.gain * first.gain, later.gain * first.offset + later.offset, down)

    def inverse(self) -> Light:
        """Return the change back."""
        light = self.before_motion()
        down = None if self.down is None else self._came_to() - _rows(self.gain)
        return Light(1 / light.gain, -light.offset / light.gain, down)

    def before_motion(self) -> Light:
        """Return the light by the rows of what has not moved yet."""
        return self if self.down is None else self._at(self._came_to())._replace(down=None)

    def _came_to(self) -> Array:
        """Return where what a row showed has moved."""
        assert self.down is not None
        rows = _rows(self.down)
        return np.interp(rows, np.maximum.accumulate(rows + self.down), rows)

    def _at(self, places: Array) -> Light:
        """Return the light at other places, in rows."""
        return Light(*(np.interp(places, _rows(one), one) for one in self if one is not None))

    def rows(self, picture: Array) -> tuple[Array, Array]:
        """Return gain and offset for the rows of a picture (…, H, W), as columns."""
        n, height = len(self.gain), picture.shape[-2]
        places = (np.arange(height) + 0.5) * n / height - 0.5
        found = self._at(places)
        return found.gain.astype(picture.dtype)[:, np.newaxis], found.offset.astype(picture.dtype)[:, np.newaxis]

    def of_levels(self, levels: Sequence[Array]) -> list[Array]:
        """Return a pyramid in the other light."""
        light = self.before_motion()
        return [gain * one + offset for one in levels for gain, offset in [light.rows(one)]]

    def of_planes(self, planes: Array) -> Array:
        """Return planes (C, H, W) in the other light: the offset is the same in all colours."""
        gain, *offsets = self.before_motion().by_plane(planes)
        return gain[:, np.newaxis] * planes + np.stack(offsets)[:, :, np.newaxis]

    def by_plane(self, planes: Array) -> Array:
        """Return the gain and the offset of each of the planes (C, H, W), for their rows: (1 + C, H)."""
        gain, offset = self.rows(planes)
        light = np.zeros((1 + len(planes), len(gain)), planes.dtype)
        light[0] = gain[:, 0]
        bright = light[1:2] if len(planes) in (1, 3) else light[1:]
        bright[:] = offset[:, 0] / planes.dtype.type(math.sqrt(len(bright)))
        return light

    def of_pixels(self, values: Array, mask: Array) -> Array:
        """Return values (..., n) at the pixels of a mask (H, W) in the other light, that of these pixels' rows."""
        rows = np.nonzero(mask)[0]
        gain, offset = (column[rows, 0] for column in self.rows(np.empty(mask.shape, values.dtype)))
        return np.asarray(gain * values + offset)

    def partly(self, share: float) -> Light:
        """Return a share of the change."""
        down = None if self.down is None else share * self.down
        return Light(1 + share * (self.gain - 1), share * self.offset, down)

    def of_guided(self, frame: GuidedFrame) -> GuidedFrame:
        """Return a frame in the other light."""
        return GuidedFrame(self.of_planes(frame.planes), self.of_planes(frame.guide))

    def on(self, frame: GuidedFrame) -> GuidedFrame:
        """Return a frame that others see in the other light, that of the rows to which it is moved."""
        return frame.seen_in(self.by_plane(frame.planes), self.by_plane(frame.guide))

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


def light_change(
    before: Sequence[Array],
    after: Sequence[Array],
    *,
    even: bool = False,
    shares: list[Array] | None = None,
    significant: float = 0.08,
) -> Light | None:
    """Return the change of light between two pyramids of luma, in units of the noise; None if it is not significant.

    It is fitted along a coarse motion, since what moves also changes rows, and must remove a `significant` share of the
    energy in stripes that it has not seen. If it must be `even`, it is the same for all rows. If of their pixels only
    `shares` (2, H, W) on each level are known, the others do not count.
    """
    level = min(_LEVEL, len(before) - 1)
    x, y = before[level], after[level]
    shares = shares and [np.ascontiguousarray(one[::-1]) for one in shares[level:]]  # After, before.
    known = np.ones_like(x) if shares is None else shares[0].prod(axis=0)
    if np.count_nonzero(known) < _FEWEST or x.shape[1] < 2 * _STRIPE or not _suspected(x, y, known):
        return None
    reach = len(x) if even else max(1, round(_REACH * len(x)))
    first, _ = _lines([x], [y], [known], _times(_none(x), 1), _FIRST, reach)
    light = Light(*(one[0] for one in first[:2]))
    for rounds in _ROUNDS:  # Each time with the light found so far.
        flow = flow_between(list(after[level:]), light.of_levels(before[level:]), _SMOOTHNESS, shares)
        moved = warped(padded(x[np.newaxis]), flow, EXACT)[0]
        if shares is not None:
            known = np.clip(warped(padded(shares[0][1:]), flow, EXACT)[0], 0, 1) * shares[0][0]
        light, share = _fitted(moved, y, known, light, rounds, reach)
        light = light._replace(down=np.median(flow[0], axis=1).astype(np.float64))
        if share < significant:
            return None
    same, evenly = _fitted(moved, y, known, _none(x), _ROUNDS[-1], len(x))
    return same._replace(down=light.down) if evenly > share else light


def suits_all(
    light: Light, before: Sequence[Array], after: Sequence[Array], colours: tuple[Array, Array], shares: list[Array]
) -> bool:
    """Tell whether a change of the luma brings none of the channels further apart, along the same coarse motion.

    Of both pictures, `colours` are the channels (C, H, W) at the size of the first level.
    """
    level = min(_LEVEL, len(before) - 1)
    flow = flow_between(list(after[level:]), light.of_levels(before[level:]), _SMOOTHNESS, shares[level:])
    x, y = colours if not level else map(halved, colours)
    seen = warped(padded(np.concatenate([x, shares[level][1:].astype(x.dtype)])), flow, EXACT)
    known = np.clip(seen[-1], 0, 1) * shares[level][0]
    for pair in zip(seen[:-1], y, strict=True):
        one, other = ([plane] for plane in pair)
        same, lit = _times(_none(known), 1), _times(light, 1)
        scale = _scales(same, one, other, [known])
        noisier = np.sqrt((1 + np.square(light.gain).mean()) / 2)  # Both are noisy.
        energies = [
            math.fsum(_moments(by, one, other, [known], by_scale)[0, :, -1])
            for by, by_scale in ((same, scale), (lit, noisier * scale))
        ]
        if energies[1] > energies[0] + _WORSE * math.fsum(known.sum(axis=1, dtype=np.float64)):
            return False
    return True


def _suspected(x: Array, y: Array, known: Array) -> bool:
    """Tell whether means over blocks of what is known change in rows: by the median, weighted by their brightness.

    What moves changes some blocks of a row, light all those that are bright.
    """
    share = block_means(known)
    x, y = (block_means(known * one) / np.maximum(share, _FINEST) for one in (x, y))
    apart, bright = y - x, x + y
    weights = share * np.maximum(bright - bright[share > _FINEST].min(initial=bright.max()), 0)
    order = np.argsort(apart, axis=1)
    apart, weights = (np.take_along_axis(one, order, axis=1) for one in (apart, weights))
    sums = np.cumsum(weights, axis=1)
    middle = np.argmax(sums >= sums[:, -1:] / 2, axis=1)
    changes = apart[np.arange(len(apart)), middle]
    return float(np.square(changes).mean()) >= _SUSPECTED**2


def _rows(column: Array) -> Array:
    return np.arange(len(column))


def _none(picture: Array) -> Light:
    return Light(np.ones(len(picture)), np.zeros(len(picture)))


def _times(light: Light, count: int) -> Light:
    """Return the same light for some pictures."""
    return Light(*(np.stack([one] * count) for one in light[:2]))


def _fitted(x: Array, y: Array, known: Array, light: Light, rounds: int, reach: int) -> tuple[Light, float]:
    """Return the change that fits best, and the share of the energy that it removes where it was not fitted.

    Every other stripe of columns is fitted on its own.
    """
    halves = _halves(x), _halves(y), _halves(known)
    fits, scales = _lines(*halves, _times(light, 2), rounds, reach)
    others, none = Light(*(one[::-1] for one in fits[:2])), _times(_none(x), 2)
    left, energy = ([math.fsum(one) for one in _moments(by, *halves, scales[::-1])[..., -1]] for by in (others, none))
    share = min(1 - a / b if b else 0.0 for a, b in zip(left, energy, strict=True))
    return Light(*(one.mean(axis=0) for one in fits[:2])), share


def _halves(picture: Array) -> list[Array]:
    """Return the two halves of a picture: every other stripe of columns."""
    even = np.arange(picture.shape[1]) // _STRIPE % 2 == 0
    return [np.ascontiguousarray(picture[:, columns]) for columns in (even, ~even)]


def _lines(
    x: Sequence[Array], y: Sequence[Array], known: Sequence[Array], light: Light, rounds: int, reach: int
) -> tuple[Light, Array]:
    """Return the lines y = gain · x + offset that fit best around each row, and the scales of the residuals.

    Each of several pictures is fitted on its own, with a light (N, H). Both x and y are noisy. Rounds remove what means
    over rows took away of the change in the round before.
    """
    rows = np.arange(len(x[0]))
    above, below = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, len(rows))
    for _ in range(rounds):
        scales = _scales(light, x, y, known)
        around = _moments(light, x, y, known, scales * (_WIDE if reach < len(rows) else 1))
        prior = _ALIKE * (scales[:, np.newaxis] / _UNEVEN) ** 2
        sums = _sums(around)
        whole = _gain(sums[:, -1:].T, prior.T, 1.0).T
        for _ in range(2):
            around = sums[:, below] - sums[:, above]
            sums = _sums(around)
        gain = _gain(np.moveaxis(around, -1, 0) / (2 * reach + 1), prior, whole)
        offset = (around[..., 2] - gain * around[..., 1]) / np.maximum(around[..., 0], _FINEST)
        light = light.then(Light(gain, offset))
    return light, scales


def _sums(moments: Array) -> Array:
    """Return the sums of moments (N, rows, 7) of all rows before each, and of all."""
    sums = np.zeros((len(moments), moments.shape[1] + 1, MOMENTS))
    np.cumsum(moments, axis=1, out=sums[:, 1:])
    return sums


def closer(x: Array, y: Array, light: Light) -> Light:
    """Return a change of offsets, each row on its own, that fits better than `light`."""
    first = _times(light, 1)
    pair = [x], [y], [np.ones_like(x)]
    moments = _moments(first, *pair, _scales(first, *pair))[0]
    return Light(light.gain, light.offset + (moments[:, 2] - moments[:, 1]) / np.maximum(moments[:, 0], _FINEST))


def _scales(light: Light, x: Sequence[Array], y: Sequence[Array], known: Sequence[Array]) -> Array:
    """Return the scale of the residuals of each of some pictures, by their median where most is known."""
    scales = np.full(len(x), _FINEST)
    for k, (a, b, share, gain, offset) in enumerate(zip(x, y, known, *light[:2], strict=True)):
        lit = gain.astype(a.dtype)[:, np.newaxis] * a + offset.astype(a.dtype)[:, np.newaxis]
        apart = np.abs(b - lit)[share > 0.5 * share.max()]
        if middle := apart.size // 2:
            scales[k] = max(_SHARP * float(np.partition(apart, middle)[middle]), _FINEST)
    return scales


def _moments(light: Light, x: Sequence[Array], y: Sequence[Array], known: Sequence[Array], scales: Array) -> Array:
    out = np.empty((*light.gain.shape, MOMENTS))
    for one in zip(x, y, known, *light[:2], scales, out, strict=True):
        row_moments(*one)
    return out


def _gain(moments: Array, prior: Array | float, expected: Array | float) -> Array:
    """Return the slopes of the lines with the least squares of the distances, near those expected without evidence."""
    n, x, y, xx, xy, yy, _ = moments
    n = np.maximum(n, _FINEST)
    xx, xy, yy = xx - x * x / n + prior, xy - x * y / n + prior * expected, yy - y * y / n + prior * expected**2
    steeper = yy - xx
    slope = (steeper + np.sqrt(steeper**2 + 4 * xy**2)) / (2 * np.maximum(xy, _FINEST))
    return np.asarray(np.clip(slope, 1 / _GREATEST, _GREATEST))
