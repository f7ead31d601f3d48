"""The spectrum of noise: its variance in each cosine coefficient of 8 × 8 pixels, from differences along time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pde_video.protocols import Array

SIDE = 8
_APART = 9  # Pixels from block to block: one more than a block, so that blocks lie in every way to those of a codec.
_MOST = 2**12  # Blocks of a difference that are used at most.
_FEWEST = 64  # Blocks below which nothing is told.
_ROUNDS = 8  # Fixed-point iterations.
_CALMEST = 0.1  # Share of the blocks that is used at least.
# Noise changes nearly all blocks, and most of them by about as much. If it is not white, nearly all must change so, or
# their energies must spread little more than those of white noise: clean films have changes by motion and by codecs.
_CHANGED, _CALM, _SPREAD, _ALL_CALM, _MOST_SPREAD = 0.9, 0.5, 2.0, 0.8, 4.0
_LITTLE_CALM, _LITTLE_SPREAD = 0.3, 1.25  # What suffices where much moves, and what is calm is as noise would be.
_UNEVEN = 0.4  # Standard deviation of the logarithm of the variances up to which noise counts as white.
_MEDIAN = 0.454936  # Of the square of a standard normal variable.
_STEEPEST = 2.0  # Ratio of the variance of means to that of their neighbours, at most: they also change with the light.
_FAINTEST = 1e-4  # Lowest variance of a coefficient, relative to their mean.
_LEAST = 1e-30  # Lowest variance, where hardly anything changes.
_COSINES = np.array(
    [
        [math.sqrt((2 if k else 1) / SIDE) * math.cos((2 * j + 1) * k * math.pi / (2 * SIDE)) for j in range(SIDE)]
        for k in range(SIDE)
    ]
)


@dataclass(frozen=True)
class Changes:
    """Squares of the cosine coefficients of differences over √2 between blocks of consecutive frames, (C, n, 64)."""

    still: Array  # With what is at the same place.
    moved: Array | None = None  # With what is at the place to which the block has moved.


def changes(before: Array, after: Array, flow: Array | None = None) -> Changes:
    """Return the changes between two frames (C, H, W); the flow from the first one has half their size, if given.

    Blocks are moved by whole pixels, as interpolation would change the noise.
    """
    height, width = before.shape[1:]
    if min(height, width) < SIDE:
        return Changes(np.empty((len(before), 0, SIDE**2)))
    apart = _APART * max(1, round(math.sqrt(height * width / (_APART**2 * _MOST))))
    y, x = np.mgrid[0 : height - SIDE + 1 : apart, 0 : width - SIDE + 1 : apart].reshape(2, -1)
    first, second = (sliding_window_view(planes, (SIDE, SIDE), axis=(1, 2)) for planes in (before, after))
    here = first[:, y, x]
    still = _squares(here - second[:, y, x])
    if flow is None:
        return Changes(still)
    middle = SIDE // 2
    down, across = np.rint(2 * flow[:, (y + middle) // 2, (x + middle) // 2]).astype(int)
    there = np.clip(y + down, 0, height - SIDE), np.clip(x + across, 0, width - SIDE)
    return Changes(still, _squares(here - second[:, there[0], there[1]]))


@dataclass(frozen=True)
class Spectra:
    """Variances of the noise in cosine coefficients (C, 8, 8), and how far the changes are noise."""

    variances: Array
    changed: float  # Share of the blocks that change.
    calm: float  # Share of these that change no more than by noise.
    spread: float  # Standard deviation of the energies of calm blocks, relative to that of white noise.

    @property
    def certain(self) -> bool:
        """Whether the changes are noise."""
        white = is_white(self.variances[0])
        like_noise = self.spread < _SPREAD or (self.calm > _ALL_CALM and self.spread < _MOST_SPREAD) or white
        calm = self.calm > _CALM or (self.calm > _LITTLE_CALM and self.spread < _LITTLE_SPREAD and not white)
        return self.changed > _CHANGED and calm and like_noise


def spectra(pairs: Sequence[Changes]) -> Spectra | None:
    """Return the variances of the noise; None if there are too few blocks to tell.

    Blocks are calm if their energy, in units of the noise, is not far above the most frequent one. The first of three
    planes, or else the mean of all, tells which are calm: half of its coefficients for the other half, so that the
    choice does not bias them.
    """
    ways = [[one.still for one in pairs], [one.moved for one in pairs if one.moved is not None]]
    either = np.stack([np.concatenate(way, axis=1) for way in ways if way]).astype(np.float64)
    luma = either[:, 0] if either.shape[1] in (1, 3) else either.mean(axis=1)
    changed = luma.any(axis=(0, 2))
    if np.count_nonzero(changed) < _FEWEST:
        return None
    either, luma = either[:, :, changed], luma[:, changed]
    noise = _of_calm_blocks(luma)
    energies = (luma[..., 1:] / noise[1:]).mean(axis=-1)
    energy = energies.min(axis=0)
    calm = _calm(energy, SIDE**2 - 1)
    spread = float(energy[calm].std() / max(energy[calm].mean(), _LEAST)) / math.sqrt(2 / (SIDE**2 - 1))
    chosen = either[energies.argmin(axis=0)[calm], :, np.flatnonzero(calm)]
    if len(either[0]) in (1, 3):
        found = chosen.mean(axis=0)
        found[0, 1:] = noise[1:]
    else:  # Channels, in which things move; colour differences show little of that.
        found = np.median(chosen, axis=0) / _MEDIAN
    found[:, 0] = np.minimum(found[:, 0], _STEEPEST * (found[:, 1] + found[:, SIDE]) / 2)
    found = np.maximum(found, _FAINTEST * found.mean(axis=1, keepdims=True) + _LEAST).reshape(-1, SIDE, SIDE)
    return Spectra(found, float(changed.mean()), float(calm.mean()), spread)


def is_white(variances: Array) -> bool:
    """Tell whether variances (8, 8) in cosine coefficients hardly differ, but for that of means."""
    return bool(np.log(variances.ravel()[1:]).std() <= _UNEVEN)


def _of_calm_blocks(either: Array) -> Array:
    """Return the median variance of each coefficient in calm blocks, still or moved, whichever change less."""
    even = (np.add.outer(range(SIDE), range(SIDE)) % 2 == 0).ravel()
    halves = even & (np.arange(SIDE**2) > 0), ~even
    noise, places = np.ones(SIDE**2), np.arange(either.shape[1])
    for _ in range(_ROUNDS):
        before = noise.copy()
        for measured, deciding in (halves, halves[::-1]):
            energies = (either[..., deciding] / before[deciding]).mean(axis=-1)
            calm = _calm(energies.min(axis=0), int(deciding.sum()))
            chosen = either[energies.argmin(axis=0)[calm], places[calm]]
            noise[measured] = np.median(chosen[:, measured], axis=0) / _MEDIAN
        noise = np.maximum(noise, _FAINTEST * noise[1:].mean() + _LEAST)
    return noise


def _calm(energy: Array, count: int) -> Array:
    """Return which blocks have no more energy, a mean of `count` squares, than most have by chance."""
    limit = math.exp(_mode(np.log(np.maximum(energy, _LEAST)))) * (1 + 2 * math.sqrt(2 / count))
    return energy <= max(limit, float(np.quantile(energy, _CALMEST)))


def _mode(values: Array) -> float:
    """Return the half-sample mode: half of the values, as close together as possible, and half of these again."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        first = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[first : first + half]
    return float(values.mean())


def _squares(change: Array) -> Array:
    """Return the squares of the cosine coefficients of blocks (C, n, 8, 8) over √2, (C, n, 64)."""
    cosines = (_COSINES / math.sqrt(math.sqrt(2))).astype(change.dtype)

    def transformed(blocks: Array) -> Array:  # Sums, not products of matrices, which round differently on each machine.
        return np.stack([sum(cosines[k, j] * blocks[..., j] for j in range(SIDE)) for k in range(SIDE)], axis=-1)

    across = transformed(change).swapaxes(2, 3)
    return np.square(transformed(across).swapaxes(2, 3)).reshape(*change.shape[:2], SIDE**2)


def at_half_size(variances: Array) -> Array:
    """Return the variances in cosine coefficients (…, 8, 8) of noise after means over 2 × 2 pixels."""
    for _ in range(2):
        variances = _halved(variances).swapaxes(-1, -2)
    return variances


def _halved(variances: Array) -> Array:
    """Return what means of two leave along the last axis: of what was at k/2, and at 8 − k/2, which folds onto it."""
    places = np.arange(SIDE) / 2
    kept = np.square(np.cos(places * math.pi / (2 * SIDE)))

    def at(where: Array) -> Array:
        low = np.minimum(where.astype(int), SIDE - 2)
        share = np.minimum(where - low, 1.0)
        return (1 - share) * variances[..., low] + share * variances[..., low + 1]

    return (kept * at(places) + (1 - kept) * at(SIDE - places)) / 2
