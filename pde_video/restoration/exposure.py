"""The light of one video relative to another: exposure, black level and vignetting, and how these change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pde_video.protocols import Array

_ROUNDS = 4  # Of reweighting.
_WIDE = 0.2  # Range of r² in the overlap, below which vignetting is not told from a gain.
_TELLS = 2.0  # Contrast, relative to what a fit leaves, below which it does not tell a gain.
_STEP = 2.0**-24  # Of the light: rounding differs from machine to machine.
_FEWEST, _SOME = 200, 2**13  # Pixels that tell a change of light, at least, and at most.
_BETTER = 0.8  # Error with another light, relative to that with the one before, from which on it has changed.
_GREATEST = 4.0  # Change of the gain.


class Shared(NamedTuple):
    """What both videos see at n pixels."""

    first: Array  # (C, n)
    second: Array
    squares: Array  # (n,): r², see `Exposure`.


class Exposure(NamedTuple):
    """other = (gain + vignetting · r²) · video + offset + fog · r², for each channel, (C, 1)."""

    gain: Array
    vignetting: Array
    offset: Array
    fog: Array

    @classmethod
    def same(cls, channels: int) -> Exposure:
        """Return the light of a video with so many channels that is as it is."""
        nothing = np.zeros((channels, 1))
        return cls(nothing + 1, nothing, nothing, nothing)

    def undone(self, values: Array, squares: Array | float) -> Array:
        """Return values (C, n) of the other video in the light of the first."""
        return (values - self.offset - self.fog * squares) / (self.gain + self.vignetting * squares)


def exposure_of(shown: Sequence[Shared]) -> Exposure:
    """Return the light of the other video, by what both see in some frames.

    A channel without contrast has the gain of the mean of all, or 1.
    """
    r = np.concatenate([one.squares for one in shown])
    first, second = (np.concatenate(some, axis=1) for some in list(zip(*shown, strict=True))[:2])
    shapes = [np.ones_like(r)] if np.ptp(r) < _WIDE else [np.ones_like(r), r]
    gain = _fitted(first.mean(axis=0), second.mean(axis=0), shapes, 1.0)[0]
    found = [_fitted(u, v, shapes, gain) for u, v in zip(first, second, strict=True)]
    return Exposure(*(np.array(one)[:, np.newaxis] for one in zip(*found, strict=True)))


def changed(exposure: Exposure, shown: Shared) -> Exposure:
    """Return the exposure with gain and offset refitted in channels where that lowers the median error by a fifth."""
    gain, offset = exposure.gain.copy(), exposure.offset.copy()
    some = slice(None, None, -(-shown.squares.size // _SOME) or 1)
    for channel, (u, v) in enumerate(zip(shown.first[:, some], shown.second[:, some], strict=True)):
        if len(u) < _FEWEST:
            continue
        g, _, o, _ = _fitted(u, v, [np.ones_like(u)], float(gain[channel, 0]))
        before, after = (float(np.median(np.abs(a * u + b - v))) for a, b in ((gain[channel], offset[channel]), (g, o)))
        if after < _BETTER * before and 1 / _GREATEST <= g <= _GREATEST:
            gain[channel], offset[channel] = g, o
    return exposure._replace(gain=gain, offset=offset)


def _fitted(u: Array, v: Array, shapes: list[Array], gain: float) -> tuple[float, float, float, float]:
    """Return gain, vignetting, offset and fog by robust least squares, with another gain where u does not tell it."""
    one, other = _unit(u), _unit(v)
    u, v, known = u / one, v / other, len(shapes)
    terms, weight = np.stack([*(shape * u for shape in shapes), *shapes], axis=1), np.ones_like(u)
    for _ in range(_ROUNDS):
        fitted = np.linalg.lstsq(terms * weight[:, np.newaxis], v * weight, rcond=None)[0]
        error = np.abs(terms @ fitted - v)
        weight = 1 / (1 + np.square(error / max(3 * float(np.median(error)), _STEP)))
    left = math.sqrt(float((weight * np.square(error)).mean()))
    if fitted[0] * float(u.std()) <= max(_TELLS * left, _STEP):
        fitted = np.zeros(2 * known)
        fitted[0] = gain * one / other
        fitted[known] = np.median(v - fitted[0] * u)
    found = np.zeros((2, 2))
    found[:, :known] = np.rint(fitted.reshape(2, known) / _STEP) * _STEP * other
    (gain, vignetting), (offset, fog) = found.tolist()
    return gain / one, vignetting / one, offset, fog


def _unit(values: Array) -> float:
    """Return a power of two above all values."""
    return math.ldexp(1.0, math.frexp(float(np.abs(values).max(initial=0)))[1])
