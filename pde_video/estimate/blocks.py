"""Mean, noise energy and structure of small blocks, from which noise is estimated."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pde_video.errors import REPLACE, DtypeError, InputError
from pde_video.kernels.block_bands import PARTS, block_bands
from pde_video.protocols import Array
from pde_video.threads import ordered

_HAAR = np.array([1.0, 1.0]) / math.sqrt(2.0)
# Daubechies' wavelet with two vanishing moments, which are zero on slopes; Haar's is not.
_DB2 = (np.array([1.0, 3.0, 3.0, 1.0]) + np.sqrt(3.0) * np.array([1.0, 1.0, -1.0, -1.0])) / math.sqrt(32.0)
_SIDE = 8  # Coefficients along the side of a block, which then spans 16 pixels.
_SMALL_SIDE = 4  # The same where structure is small, as cells are, or has gone.
NORMAL = 1.4826  # Standard deviation of normal variables over the median of their distances from the median.
_MOST = 2**12  # Blocks of differences that are used, at least this many and at most twice as many.


@dataclass(frozen=True)
class Blocks:
    """Measurements on the blocks of all frames and channels, each a flat array.

    White noise is independent in the bands they come from: choosing blocks by `structure` does not bias `energy`.
    """

    mean: Array
    energy: Array  # Mean square of the finest diagonal detail: σ² for pure noise.
    structure: Array  # Energy of the other bands without a fitted plane: `bands` · σ² for pure noise.
    bands: int
    count: int  # Coefficients in a block.


def measure(frames: Iterable[Array], *, small: bool = False) -> Blocks:
    """Return the measurements on every block of every frame."""
    rows = list(ordered(partial(_measured, side=_SMALL_SIDE if small else _SIDE), frames))
    mean, energy, structure = (np.concatenate([row[k] for row in rows]).astype(np.float64) for k in range(3))
    return _without_constant_blocks(Blocks(mean, energy, structure, rows[0][3], rows[0][4]))


def measure_changes(frames: Sequence[Array]) -> Blocks | None:
    """Return the measurements on differences of consecutive frames over √2; None if none of them differ.

    What stands still is no structure there, and what moves is. `mean` is that of the pixels whose noise `energy` is.
    """

    def measured(pair: tuple[Array, Array]) -> tuple[Any, ...] | None:
        before, after = pair
        change = (after - before) * after.dtype.type(math.sqrt(0.5))
        if not change.any():  # Some films repeat frames.
            return None
        return _means_under_details((before + after) / 2), *_measured(change, _SMALL_SIDE)[1:]

    rows = [row for row in ordered(measured, pairwise(frames)) if row is not None]
    if not rows:
        return None
    every = max(1, len(rows) * rows[0][0].size // _MOST)
    mean, energy, structure = (np.concatenate([row[k] for row in rows])[::every].astype(np.float64) for k in range(3))
    return Blocks(mean, energy, structure, rows[0][3], rows[0][4])


def _means_under_details(frame: Array) -> Array:
    """Return the mean of every small block with the squared taps of the finest diagonal detail as weights."""
    down, across = (np.square(_taps(n)[::-1]) for n in frame.shape[:2])
    return _parts(frame, _SMALL_SIDE, down, across)[0][0]


def measure_still(frames: Sequence[Array]) -> Blocks:
    """Return mean and temporal variance of every block of a recording in which nothing moves but frames may repeat."""
    if len(frames) < 2:
        raise InputError("there is only one frame; the noise of a still recording is estimated from at least two")
    total, energy, changes = frames[0].astype(np.float64), np.zeros(frames[0].shape), 0
    for before, after in pairwise(frames):  # Their differences hardly change with a slow drift.
        squares = np.square((after - before).astype(np.float64)) / 2
        total, energy, changes = total + after, energy + squares, changes + bool(squares.any())
    sides, count = _sides(total.shape[0], total.shape[1], _SIDE), max(changes, 1)
    mean, variance = (_tiles(y, sides).mean((1, 3)).ravel() for y in (total / len(frames), energy / count))
    return _without_constant_blocks(Blocks(mean, variance, np.zeros_like(mean), 1, sides[0] * sides[1] * count))


def _without_constant_blocks(blocks: Blocks) -> Blocks:
    varying = blocks.energy + blocks.structure > 0
    # Bars, borders and overexposed skies hold no noise to measure; a picture that is mostly constant has no noise.
    if 2 * np.count_nonzero(varying) < varying.size:
        return blocks
    mean, energy, structure = blocks.mean[varying], blocks.energy[varying], blocks.structure[varying]
    return replace(blocks, mean=mean, energy=energy, structure=structure)


def as_frames(video: Any) -> list[Array]:
    """Return the frames as floats (H, W, C), checked."""
    frames = []
    for index, frame in enumerate(map(np.asarray, video)):
        if frame.ndim not in (2, 3) or frame.size == 0:
            raise InputError(f"frame {index} has shape {frame.shape}; it must be (H, W) or (H, W, C), none of them 0")
        if frame.dtype.kind not in "iuf":
            raise DtypeError(f"frame {index} has dtype {frame.dtype}; it must hold integers or floats")
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise InputError(f"frame {index} holds NaN or infinite values; {REPLACE}")
        exact = frame.dtype.itemsize <= 2 or frame.dtype == np.float32
        if frame.dtype == np.float32:  # Squares of much smaller or larger values leave the range of single precision.
            exact = frame.max() == frame.min() or 1e-12 < float(np.abs(frame).max()) < 1e12
        # In C order, so that sums round alike for the frames of a stream and of an array, whose layouts differ.
        frames.append(np.atleast_3d(frame).astype(np.float32 if exact else np.float64, order="C", copy=False))
    if not frames:
        raise InputError("the video is empty: it has no frame")
    return frames


class Extremes(NamedTuple):
    """The lowest and the highest value of data, each with the next one, and how often these four occur."""

    lowest: tuple[float, float]
    highest: tuple[float, float]
    counts: tuple[int, int, int, int]

    def clipped(self, pile: float = 4.0) -> tuple[float, float]:
        """Return the values at which the data are clipped below and above, −∞ and ∞ where they are not.

        Data count as clipped where the extreme value is more than `pile` times as frequent as the next one.
        """
        limits = [-math.inf, math.inf]
        for k, (extreme, neighbour) in enumerate((self.lowest, self.highest)):
            count, beside = self.counts[2 * k : 2 * k + 2]
            if count >= 8 and math.isfinite(neighbour) and count > pile * beside:
                limits[k] = extreme
        return limits[0], limits[1]


def extremes(frames: Sequence[Array]) -> Extremes:
    """Return the extreme values of all frames together."""
    low, high = min(float(one.min()) for one in frames), max(float(one.max()) for one in frames)
    above = min(float(one.min(where=one > low, initial=np.inf)) for one in frames)
    below = max(float(one.max(where=one < high, initial=-np.inf)) for one in frames)
    first, second, third, fourth = (
        sum(int(np.count_nonzero(one == value)) for one in frames) for value in (low, above, high, below)
    )
    return Extremes((low, above), (high, below), (first, second, third, fourth))


def remaining_deviation(distance: Array) -> Array:
    """Return the standard deviation of max(z, 0) for z ~ N(μ, 1), as a function of the mean of max(z, 0)."""
    return np.interp(distance, *_clipped_normal())


@functools.cache
def _clipped_normal() -> tuple[Array, Array]:
    """Return means and standard deviations of max(z, 0)."""
    mu = np.linspace(-4.0, 6.0, 1001)
    above = np.array([math.erfc(-m / math.sqrt(2)) / 2 for m in mu])  # P(z > 0); scipy.special takes long to import.
    density = np.exp(-(mu**2) / 2) / math.sqrt(2 * math.pi)
    mean = mu * above + density
    variance = (1 + mu**2) * above + mu * density - mean**2
    return mean, np.sqrt(variance)


def _measured(frame: Array, side: int) -> tuple[Array, Array, Array, int, int]:
    if frame.size == frame.shape[2]:
        zero = np.zeros(frame.size)
        return frame.ravel(), zero, zero, 1, 1
    (mean, structure, *middle, detail), count = _parts(frame, side, *map(_taps, frame.shape[:2]))
    flat = 1 in frame.shape[:2]
    # The taps add up to zero only up to rounding: what remains of a constant is not noise.
    rounding = (8 * np.finfo(frame.dtype).eps * np.abs(frame).max()) ** 2
    energy, *others = (np.where(one > rounding, one, 0) for one in (detail, structure, *([] if flat else middle)))
    # An orthonormal average is √2 times the mean along each axis that was halved.
    return mean / math.sqrt(2 if flat else 4), energy, np.sum(others, axis=0), len(others), count


def _parts(frame: Array, side: int, down: Array, across: Array) -> tuple[Array, int]:
    """Return what `block_bands` measures of all blocks and channels, (5, n), and the coefficients in a block."""
    height, width, channels = frame.shape
    rows, columns = ((n - taps.shape[1]) // 2 + 1 for n, taps in ((height, down), (width, across)))
    tall, wide = _sides(rows, columns, side)
    out = np.empty((rows // tall, columns // wide, channels, PARTS))
    halves = np.zeros((2, height, (width + 1) // 2, channels), frame.dtype)
    for parity, half in enumerate(halves):
        half[:, : (width + 1 - parity) // 2] = frame[:, parity::2]
    taps = down.astype(frame.dtype), across.astype(frame.dtype)
    block_bands(halves.reshape(2, height, -1), channels, *taps, tall, wide, out)
    return out.reshape(-1, PARTS).T, tall * wide


def _taps(length: int) -> Array:
    """Return the taps of the low and the high half band along an axis, (2, n)."""
    low = _DB2 if length >= len(_DB2) else _HAAR if length > 1 else np.ones(1)
    return np.stack([low, low[::-1] * (-1.0) ** np.arange(len(low))])


def _sides(height: int, width: int, side: int) -> tuple[int, int]:
    rows = min(height, max(side, side**2 // width))
    return rows, min(width, max(side, side**2 // height))


def _tiles(y: Array, sides: tuple[int, int]) -> Array:
    """Return a view (rows, height, columns, width, channels) of whole blocks of a given height and width."""
    rows, columns = (n // side for n, side in zip(y.shape, sides, strict=False))
    return y[: rows * sides[0], : columns * sides[1]].reshape(rows, sides[0], columns, sides[1], -1)
