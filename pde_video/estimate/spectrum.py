"""The spectrum of noise: its variance in each cosine coefficient of 8 × 8 pixels, from differences along time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pde_video.protocols import Array

SIDE = 8
_APART = 9  # Pixels from block to block: one more than a block, so that blocks lie in every way to those of a codec.
_MOST = 2**10  # Blocks of a difference that are used at most, but for rounding.
_GOLDEN = (math.sqrt(5) - 1) / 2
_FEWEST = 64  # Blocks below which nothing is told.
_ROUNDS, _SETTLED = 8, 0.02  # Fixed-point iterations, until all variances change by less than this share.
_CALMEST = 0.1  # Share of the blocks that is used at least.
# Noise changes nearly all blocks, and most of them by about as much. If it is not white, nearly all must change so, or
# their energies must spread little more than those of white noise: clean films have changes by motion and by codecs.
_CHANGED, _CALM, _SPREAD, _MOST_CALM, _MOST_SPREAD = 0.9, 0.5, 2.0, 0.6, 4.0
# What suffices where much moves, and what is calm is as noise would be, but clearly not white.
_LITTLE_CALM, _LITTLE_SPREAD, _VERY_UNEVEN = 0.3, 1.25, 0.3
_UNEVEN = 0.12  # Deviation of the logarithms of variances up to which noise is white, but for what chance adds.
_MEDIAN = 0.454936  # Of the square of a standard normal variable.
_EXCESS = 1.01  # Ratio of variances.
_BY_CHANCE = 5.4  # Variance of the logarithm of a median of such squares, times their number.
_NOISY = 1.5  # Mean square of the coefficients of a block, in units of the median, up to which they are noise.
_SHARED, _LESS = (0.2, 0.64), 0.6  # What changes to two frames have in common, less after codecs; of low ones.
_STEEPEST = 2.0  # Ratio of the variance of means to that of their neighbours, at most: they also change with the light.
_FAINTEST = 1e-4  # Lowest variance of a coefficient, relative to their mean.
_FINEST = 4  # Cosine coefficients along each axis from which on details are the finest.
_LEAST = 1e-30  # Lowest variance, where hardly anything changes.
_ORDER = np.add.outer(range(SIDE), range(SIDE)).ravel()
_EVEN, _LOWEST, _HIGHER = _ORDER % 2 == 0, (_ORDER > 0) & (_ORDER < 4), _ORDER >= 4  # Of coefficients.
_COSINES = np.array(
    [
        [math.sqrt((2 if k else 1) / SIDE) * math.cos((2 * j + 1) * k * math.pi / (2 * SIDE)) for j in range(SIDE)]
        for k in range(SIDE)
    ]
)


def changes(before: Array, after: Array, flow: Array | None = None) -> Array:
    """Return the cosine coefficients of differences over √2 between blocks of two frames, (C, 64, n).

    Blocks of the first frame (C, H, W) are followed along its flow, of half its size, or else do not move. They are
    moved by whole pixels, as interpolation would change the noise.
    """
    height, width = before.shape[1:]
    if min(height, width) < SIDE:
        return np.empty((len(before), SIDE**2, 0))
    places = np.mgrid[0 : height - SIDE + 1 : _APART, 0 : width - SIDE + 1 : _APART].reshape(2, -1)
    count = places.shape[1]
    y, x = places[:, np.arange(count) * _GOLDEN % 1 * count < _MOST]  # Spread over all rows and columns.
    first, second = (sliding_window_view(planes, (SIDE, SIDE), axis=(1, 2)) for planes in (before, after))
    there = y, x
    if flow is not None:
        middle = SIDE // 2
        down, across = np.rint(2 * flow[:, (y + middle) // 2, (x + middle) // 2]).astype(int)
        there = np.clip(y + down, 0, height - SIDE), np.clip(x + across, 0, width - SIDE)
    return _coefficients(first[:, y, x] - second[:, there[0], there[1]])


@dataclass(frozen=True)
class Spectra:
    """Variances of the noise in cosine coefficients (C, 8, 8), and how far the changes are noise."""

    variances: Array
    changed: float  # Share of the blocks that change.
    calm: float  # Share of these that change no more than by noise.
    spread: float  # Standard deviation of the energies of calm blocks, relative to that of white noise.
    blocks: int  # Number of calm blocks.
    copied: float = 0.0  # Share of the noise that one frame has in common with the next, where that is known.

    @property
    def certain(self) -> bool:
        """Whether the changes are noise."""
        white, very_uneven = self.white(0), not self.white(0, _VERY_UNEVEN)
        like_noise = self.spread < _SPREAD or (self.calm > _MOST_CALM and self.spread < _MOST_SPREAD) or white
        calm = self.calm > _CALM or (self.calm > _LITTLE_CALM and self.spread < _LITTLE_SPREAD and very_uneven)
        return self.changed > _CHANGED and calm and like_noise

    def white(self, plane: int, uneven: float = _UNEVEN) -> bool:
        """Tell whether the variances of a plane, but the lowest, to which motion adds, differ little or by chance."""
        spread = np.log(self.variances[plane].ravel()[_HIGHER]).std()
        return bool(spread <= math.sqrt(uneven**2 + 2 * _BY_CHANCE / self.blocks))

    def exceed(self, others: "Spectra") -> bool:
        """Tell whether three quarters of the variances of the first plane are above those of others; see `white`."""
        ratios = (self.variances[0] / others.variances[0]).ravel()[_HIGHER]
        return bool(np.quantile(ratios, 1 / 4) > _EXCESS)

    def finest(self) -> Array:
        """Return the mean variance of the finest details of each plane; motion that is left hardly adds to it."""
        return self.variances[:, _FINEST:, _FINEST:].mean(axis=(1, 2))

    def shared_with_next(self, apart: "Spectra") -> float:
        """Return the share of the noise that one frame has in common with the next, by changes to frames far apart."""
        return max(0.0, 1 - float(self.finest()[0] / apart.finest()[0])) if apart.calm > _CALM else 0.0

    def strength(self, plane: int) -> float:
        """Return the mean variance of a plane; of white noise, without the lowest."""
        variances = self.variances[plane].ravel()
        return float(variances[_HIGHER].mean() if self.white(plane) else variances.mean())


def spectra(pairs: Sequence[Array]) -> Spectra | None:
    """Return the variances of the noise by the `changes` of pairs of frames; None if there are too few blocks to tell.

    Blocks are calm if their energy, in units of the noise, is not far above the most frequent one, that of their lowest
    coefficients neither: motion of what is smooth changes these most. The first of three planes, or else the mean of
    all, tells which are calm: half of its coefficients for the other half, so that the choice does not bias them.
    """
    blocks = np.square(np.concatenate(list(pairs), axis=2).astype(np.float64))
    luma = blocks[0] if len(blocks) in (1, 3) else blocks.mean(axis=0)
    changed = luma.any(axis=0)
    if np.count_nonzero(changed) < _FEWEST:
        return None
    blocks, luma = blocks[..., changed], luma[:, changed]
    noise = _of_calm_blocks(luma)
    calm = _calm(luma / noise[:, np.newaxis], _LOWEST | _HIGHER)
    energy = (luma[1:, calm] / noise[1:, np.newaxis]).mean(axis=0)
    spread = float(energy.std() / max(energy.mean(), _LEAST)) / math.sqrt(2 / (SIDE**2 - 1))
    if len(blocks) in (1, 3):
        found = blocks[..., calm].mean(axis=2)
        if spread < _SPREAD:  # Otherwise blocks have more or less of it, as codecs leave them.
            found[0] = noise
    else:  # Channels, in which things move; colour differences show little of that.
        found = np.median(blocks[..., calm], axis=2) / _MEDIAN
    found[:, 0] = np.minimum(found[:, 0], _STEEPEST * (found[:, 1] + found[:, SIDE]) / 2)
    found = np.maximum(found, _FAINTEST * found.mean(axis=1, keepdims=True) + _LEAST).reshape(-1, SIDE, SIDE)
    return Spectra(found, float(changed.mean()), float(calm.mean()), spread, int(calm.sum()))


def are_independent(pairs: Sequence[tuple[Array, Array]]) -> bool:
    """Tell whether changes from the same blocks to two other frames have half of their variance in common.

    Independent noise has, that of the blocks; after codecs, less. Motion of what is smooth has all of it. What is
    followed astray has any part of it in common, and its low coefficients less than the high ones, which are noise.
    """
    if not pairs:
        return True
    found = []
    for both in pairs:
        a, b = (one[0] if len(one) in (1, 3) else one.mean(axis=0) for one in both)
        unit = [np.sqrt(np.median(np.square(one), axis=1, keepdims=True) / _MEDIAN + _LEAST) for one in (a, b)]
        a, b = a / unit[0], b / unit[1]
        calm = np.maximum(*(np.square(one[1:]).mean(axis=0) for one in (a, b))) < _NOISY
        a, b = a[:, calm], b[:, calm]
        for some in (_LOWEST, _HIGHER):
            products = [float((p[some] * q[some]).sum()) for p, q in ((a, b), (a, a), (b, b))]
            found.append(products[0] / math.sqrt(products[1] * products[2] + _LEAST))
    low, high = np.median(np.reshape(found, (-1, 2)), axis=0)
    return bool(_SHARED[0] < high < _SHARED[1] and _LESS * high < low < _SHARED[1])


def _of_calm_blocks(blocks: Array) -> Array:
    """Return the variances in calm blocks of all (64, n); half of the coefficients tell for the others."""
    noise = np.ones(SIDE**2)
    for _ in range(_ROUNDS):
        before, relative = noise.copy(), blocks / noise[:, np.newaxis]
        for measured, deciding in ((_EVEN, ~_EVEN), (~_EVEN, _EVEN)):
            noise[measured] = np.median(blocks[measured][:, _calm(relative, deciding)], axis=1) / _MEDIAN
        noise = np.maximum(noise, _FAINTEST * noise[1:].mean() + _LEAST)
        if (np.abs(noise - before) <= _SETTLED * before).all():
            break
    return noise


def _calm(relative: Array, deciding: Array) -> Array:
    """Return which blocks have no more energy in the coefficients that decide than most have by chance."""
    calm = np.ones(relative.shape[1], bool)
    for some in (deciding & (_LOWEST | _HIGHER), deciding & _LOWEST):
        energy = relative[some].mean(axis=0)
        most = math.exp(_mode(np.log(np.maximum(energy, _LEAST)))) * (1 + 2 * math.sqrt(2 / np.count_nonzero(some)))
        calm &= energy <= max(most, float(np.quantile(energy, _CALMEST)))
    return calm


def _mode(values: Array) -> float:
    """Return the half-sample mode: half of the values, as close together as possible, and half of these again."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        first = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[first : first + half]
    return float(values.mean())


def _coefficients(change: Array) -> Array:
    """Return the cosine coefficients of blocks (C, n, 8, 8) over √2, (C, 64, n)."""
    cosines = (_COSINES / math.sqrt(math.sqrt(2))).astype(change.dtype)

    def transformed(blocks: Array) -> Array:  # Sums, not products of matrices, which round differently on each machine.
        return np.stack([sum(cosines[k, j] * blocks[:, j] for j in range(SIDE)) for k in range(SIDE)], axis=1)

    down = transformed(np.ascontiguousarray(change.transpose(0, 2, 3, 1)))
    return transformed(down.swapaxes(1, 2)).swapaxes(1, 2).reshape(len(change), SIDE**2, -1)


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
