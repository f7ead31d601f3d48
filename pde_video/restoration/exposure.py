"""The light of one video relative to another: exposure, black level and vignetting, and how these change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pde_video.protocols import Array

_ROUNDS = 4  # Of reweighting.
_WIDE = 0.2  # Range of r² in the overlap, below which vignetting is not told from a gain.
_STEP = 2.0**-24  # Of the light: rounding differs from machine to machine.
_FEWEST, _SOME = 200, 2**13  # Pixels that tell a change of light, at least, and at most.
_BETTER = 0.8  # Error with another light, relative to that with the one before, from which on it has changed.


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
    """Return the light of the other video, by what both see in some frames."""
    r = np.concatenate([one.squares for one in shown])
    flat, found = np.ptp(r) < _WIDE, []
    for u, v in zip(*(np.concatenate(some, axis=1) for some in list(zip(*shown, strict=True))[:2]), strict=True):
        columns = [u, np.ones_like(u)] + ([] if flat else [r * u, r])
        fitted = _fitted(np.stack(columns, axis=1), v)
        fitted = fitted if fitted[0] > _STEP else np.array([1.0, 0.0, 0.0, 0.0])  # Nothing in it tells its light.
        found.append(np.append(fitted, np.zeros(4 - len(fitted))))
    gain, offset, vignetting, fog = np.array(found).T[..., np.newaxis]
    return Exposure(gain, vignetting, offset, fog)


def changed(exposure: Exposure, shown: Shared) -> Exposure:
    """Return a gain and an offset, others than before in channels where these fit much better."""
    gain, offset = exposure.gain.copy(), exposure.offset.copy()
    some = slice(None, None, -(-shown.squares.size // _SOME) or 1)
    for channel, (u, v) in enumerate(zip(shown.first[:, some], shown.second[:, some], strict=True)):
        if len(u) < _FEWEST:
            continue
        terms = np.stack([u, np.ones_like(u)], axis=1)
        before = terms @ (gain[channel, 0], offset[channel, 0])
        fitted = _fitted(terms, v)
        if fitted[0] > _STEP and _error(terms @ fitted, v) < _BETTER * _error(before, v):
            gain[channel], offset[channel] = fitted
    return exposure._replace(gain=gain, offset=offset)


def _error(expected: Array, values: Array) -> float:
    return float(np.median(np.abs(expected - values)))


def _fitted(terms: Array, values: Array) -> Array:
    """Return factors of terms (n, k) by robust least squares."""
    weight = np.ones_like(values)
    for _ in range(_ROUNDS):
        fitted = np.linalg.lstsq(terms * weight[:, np.newaxis], values * weight, rcond=None)[0]
        error = np.abs(terms @ fitted - values)
        weight = 1 / (1 + np.square(error / max(3 * float(np.median(error)), 1e-12)))
    return np.asarray(np.rint(fitted / _STEP) * _STEP)
