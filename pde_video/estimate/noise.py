"""Estimates of the noise of a video."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pde_video.estimate.blocks import (
    Blocks,
    as_frames,
    extremes,
    measure,
    measure_changes,
    measure_still,
    remaining_deviation,
)
from pde_video.protocols import Array

_ROUNDS = 12  # Fixed-point iterations; about six suffice.
_PILE_OF_COUNTS = 1.5  # Photon counts are coarse, so that clipped values pile up less.
_PILE, _OFTEN = 8, 0.01  # Values are frequent that occur so often, and in this share of the most frequent one.
_CHANGED = 0.9  # Share of the blocks that noise changes from frame to frame, at least.
_FAR = 6.0  # Energies of small blocks are skewed: of noise, one in 10,000 is so many standard deviations away.
_ALIKE = 0.2  # Share of flat blocks above which what all frames have in common is a pattern.
_MOST = 1.5  # Share of all variance that noise may seem to have, by errors of estimation.
_BINS = 16  # Ranges of brightness with as many blocks each.
_TEXTURED = 1.3  # Structure relative to noise, in units of the flattest range, above which a range tells nothing.
_MOSTLY = 0.5  # Share of the blocks of each range that must be calm,
_SOME, _EXPLAINED = 0.25, 1.5  # or else so many of all, and so many times as many by a line as by a constant.
_TELLING = 12.0  # Likelihood ratio of a line and a constant, in logarithms, that chance has once in 10⁶.
_DIFFERENT = 1.2  # Ratio of variances above which those within frames and along time contradict each other.


def estimate_sigma(video: Any, *, still: bool = False) -> float:
    """Standard deviation of additive Gaussian noise.

    σ² = mean of d² over the flat blocks, with d the finest diagonal coefficients of Daubechies' wavelet db2, in which
    white noise keeps its standard deviation. A block of 8 × 8 coefficients (16 × 16 pixels of one channel) is flat if
    its other bands have no more energy than noise; at least the flattest tenth of the blocks is used, and blocks far
    above the median are left out. Where the data are clipped, at 0 and 255 for example, less noise is left: the
    estimate is divided by the share that a clipped normal distribution with the block's mean keeps.

    Parameters
    ----------
    video : array (T, H, W) or (T, H, W, C), or sequence of frames
        Of integers or floats. One frame suffices; five are more accurate. Frames of a single row or column use
        differences along their length; the estimate of a single pixel is 0.
    still : bool
        Whether nothing moves, as in a dark recording or a flat field. Then σ² is half the mean square of differences of
        consecutive frames, at least two: with spatially correlated noise, but not what is the same in every frame.

    Returns
    -------
    float
        In units of the input, finite, ≥ 0. Fine texture counts as noise; correlated noise is underestimated.

    Raises
    ------
    InputError
        If there are no frames (with `still`, not two), an array is not a frame, or it holds NaN or infinite values.
    TypeError
        If frames are not of integers or floats.

    References
    ----------
    Donoho & Johnstone (1994), doi:10.1093/biomet/81.3.425. Immerkær (1996), doi:10.1006/cviu.1996.0060. For clipped
    data: Foi (2009), doi:10.1016/j.sigpro.2009.04.035. For still recordings: Janesick (2007), Photon Transfer,
    doi:10.1117/3.725073.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(100, 5, (4, 64, 64))
    >>> abs(estimate_sigma(noise) - 5) < 0.2
    True
    """
    frames = as_frames(video)
    blocks = measure_still(frames) if still else measure(frames)
    return _deviation(blocks, *extremes(frames).clipped())


def estimate_poisson_gaussian(video: Any, *, still: bool = False) -> tuple[float, float]:
    """Variance of Poisson-Gaussian noise as a linear function of brightness.

    variance = slope · mean + offset, fitted to the flat blocks of `estimate_sigma` by weighted least squares without
    outliers, with the same correction for clipped values; counts of zero photons do not count as clipped. For a camera
    that counts photons, `slope` is the gain per photon, and `offset` the variance of the read-out noise less `slope`
    times the black level.

    Parameters
    ----------
    video, still
        As for `estimate_sigma`; the values are linear in the light received.

    Returns
    -------
    slope : float
        ≥ 0, in units of the input. 0 if brightness does not vary or noise does not grow with it.
    offset : float
        In squared units of the input; negative if the black level is positive.

    Raises
    ------
    InputError, TypeError
        As for `estimate_sigma`.

    References
    ----------
    Foi, Trimeche, Katkovnik & Egiazarian (2008), doi:10.1109/TIP.2008.2001399.

    Examples
    --------
    >>> light = np.linspace(20, 200, 256) * np.ones((4, 256, 1))
    >>> counts = 0.5 * np.random.default_rng(0).poisson(light / 0.5)
    >>> slope, offset = estimate_poisson_gaussian(counts)
    >>> abs(slope - 0.5) < 0.05, abs(offset) < 5
    (True, True)
    """
    return _variances(video, still)[2][:2]


def estimate_noise(video: Any, *, still: bool = False) -> tuple[float, float]:
    """Variance of Poisson-Gaussian noise if it grows with brightness, otherwise of Gaussian noise.

    variance = slope · mean + offset as by `estimate_poisson_gaussian`, if the variance of bright blocks (95th
    percentile) is more than 1.5 + 5/√blocks times that of dark ones (5th), the latter is not negative, and blocks with
    no more structure than noise has tell so for certain; otherwise slope = 0 and offset = σ² of
    `estimate_sigma`. Both are parameters of a `VarianceStabilizer`, unless there is no noise.

    Parameters
    ----------
    video, still
        As for `estimate_sigma`.

    Returns
    -------
    slope : float
        ≥ 0, in units of the input; 0 for Gaussian noise.
    offset : float
        In squared units of the input.

    Raises
    ------
    InputError, TypeError
        As for `estimate_sigma`.

    References
    ----------
    Foi, Trimeche, Katkovnik & Egiazarian (2008), doi:10.1109/TIP.2008.2001399.

    Examples
    --------
    >>> light = np.linspace(20, 200, 256) * np.ones((4, 256, 1))
    >>> rng = np.random.default_rng(0)
    >>> estimate_noise(rng.normal(light, 10.0))[0], round(estimate_noise(rng.poisson(light))[0], 1)
    (0.0, 1.0)
    """
    return _decided(*_variances(video, still))


class _Line(NamedTuple):
    """variance = slope · mean + offset, and the logarithm of its likelihood over that of a constant variance."""

    slope: float
    offset: float
    evidence: float


@dataclass(frozen=True)
class ChangingNoise:
    """The part of the noise that is new in every frame: variance = slope · mean + offset."""

    slope: float
    offset: float
    levels: Array  # Means of dark, medium and bright blocks: the 5th percentile, the median, and the 95th.
    certainty: float  # Ratio of variances above which they differ by more than errors of estimation.
    calm: float  # Share of the blocks that change no more than by noise.


def changing_noise(video: Any, kind: str = "auto") -> ChangingNoise | None:
    """Estimate noise by differences of consecutive frames over √2, in which what stands still is no structure.

    The line is fitted to their blocks as by `estimate_noise` (`kind` "auto"), `estimate_poisson_gaussian`
    ("poisson-gaussian") or `estimate_sigma` ("gaussian"). None if less than 90 % of the blocks change: codecs leave
    parts of clean films unchanged.
    """
    frames = as_frames(video)
    blocks = measure_changes(frames)
    if blocks is None or np.count_nonzero(blocks.energy) <= _CHANGED * blocks.energy.size:
        return None
    constant = _deviation(blocks, *extremes(frames).clipped()) ** 2
    line = _Line(0.0, constant, 0.0) if kind == "gaussian" else _photon_line(frames, blocks, constant, _FAR)
    slope, offset = _decided(blocks, constant, line) if kind == "auto" else line[:2]

    def calm_blocks(slope: float, offset: float) -> Array:
        most = np.maximum(slope * blocks.mean + offset, 0) * _above_noise(blocks, 2.0)
        return np.asarray(blocks.structure <= blocks.bands * most)

    calm = calm_blocks(slope, offset)
    shares = [float(calm[here].mean()) for here in _by_brightness(blocks)]
    if kind == "auto" and slope and sorted(shares)[:2][-1] < _MOSTLY:  # Two of them: one may hold all edges of cells.
        even = calm_blocks(0.0, constant)
        if calm.mean() < max(_SOME, _EXPLAINED * even.mean()):  # What is bright moves: its changes are no noise.
            slope, offset, calm = 0.0, constant, even
    levels = np.quantile(blocks.mean, (0.05, 0.5, 0.95))
    certainty = _DIFFERENT + 5 / math.sqrt(blocks.mean.size)
    return ChangingNoise(slope, offset, levels, certainty, float(calm.mean()))


def pattern_variance(mean: Array) -> float:
    """Return the variance of noise in a mean of frames (H, W, C); 0 if few blocks are flat, or it exceeds all variance.

    The noise of a sensor is alike everywhere. Structure is not, and the mean shows more of it than single frames do.
    """
    blocks = measure([mean], small=True)
    variance = _deviation(blocks, -math.inf, math.inf) ** 2
    flat = blocks.structure <= blocks.bands * variance * _above_noise(blocks)
    alike = np.count_nonzero(flat) > _ALIKE * flat.size and variance <= _MOST * float(mean.var())
    return variance if alike else 0.0


def _decided(blocks: Blocks, constant: float, line: _Line) -> tuple[float, float]:
    """Return the line if the variance surely grows with brightness, or else the constant."""
    slope, offset, evidence = line
    dark, bright = slope * np.quantile(blocks.mean, (0.05, 0.95)) + offset
    # Photon noise has no negative variance; texture that compression left in bright regions only gives such lines.
    grows = evidence > _TELLING
    if not grows or slope == 0 or dark < -0.02 * bright or bright <= (1.5 + 5 / math.sqrt(blocks.mean.size)) * dark:
        return 0.0, constant
    return slope, offset


def _variances(video: Any, still: bool) -> tuple[Blocks, float, _Line]:
    """Return the blocks, the variance of Gaussian noise, and the line of Poisson-Gaussian noise."""
    frames = as_frames(video)
    blocks = measure_still(frames) if still else measure(frames)
    constant = _deviation(blocks, *extremes(frames).clipped()) ** 2
    return blocks, constant, _photon_line(frames, blocks, constant)


def _deviation(blocks: Blocks, low: float, high: float) -> float:
    """Return σ of Gaussian noise in data clipped at `low` and `high`."""
    variance, before = float(np.median(blocks.energy)), 0.0
    for _ in range(_ROUNDS):
        if variance in (0, before):
            break
        before = variance
        left = _left_of_noise(blocks.mean, math.sqrt(variance), low, high)
        inside = left >= min(0.81, float(np.quantile(left, 0.8)))
        energy, structure = blocks.energy[inside] / left[inside], blocks.structure[inside] / left[inside]
        flat = structure <= _flat_limit(blocks, variance, structure)
        variance = _typical(energy[flat], blocks.count)
    return math.sqrt(variance)


def _photon_line(frames: Sequence[Array], blocks: Blocks, constant: float, far: float = 4.0) -> _Line:
    """Return the line fitted to flat blocks whose energies are not `far` standard deviations away."""
    low, high = extremes(frames).clipped(_PILE_OF_COUNTS)
    if constant == 0 or np.ptp(blocks.mean) == 0:
        return _Line(0.0, constant, 0.0)
    if math.isfinite(low):
        line = _fitted_line(blocks, constant, -math.inf, high, far)
        quantum = _quantum(frames)
        if abs(line.slope / quantum - 1) < 0.2 and abs(line.slope * low + line.offset) < 0.5 * quantum**2:
            return line  # Photon counts: the lowest is zero photons, not a clipped value.
    return _fitted_line(blocks, constant, low, high, far)


def _quantum(frames: Sequence[Array]) -> float:
    """Return the distance of values that are frequent; a few others, as where pixels were mended, do not count."""
    values, counts = np.unique(np.concatenate([one.ravel() for one in frames]), return_counts=True)
    frequent = values[counts >= max(_PILE, _OFTEN * counts.max())]
    return float(np.median(np.diff(frequent))) if len(frequent) > 1 else math.inf


def _fitted_line(blocks: Blocks, constant: float, low: float, high: float, far: float) -> _Line:
    slope, offset = 0.0, constant
    ranges = _by_brightness(blocks)
    for _ in range(_ROUNDS):
        variance = np.maximum(slope * blocks.mean + offset, 1e-3 * np.median(blocks.energy) + 1e-30)
        left = _left_of_noise(blocks.mean, np.sqrt(variance), low, high)
        inside = left > 0.8
        energy, relative = blocks.energy / left, blocks.structure / variance
        flat = np.zeros_like(inside)
        for one in ranges:  # The flattest of every brightness, not all from one region.
            here = inside & one
            if here.any():
                flat |= here & (relative <= _flat_limit(blocks, 1.0, relative[here]))
        near = np.abs(energy / variance - 1) < far * math.sqrt(2 / blocks.count)
        used = flat & near if np.count_nonzero(flat & near) >= 8 else flat
        if np.count_nonzero(used) < 2 or np.ptp(blocks.mean[used]) == 0:
            break
        weight = 1 / variance[used]
        line = np.stack([blocks.mean[used], np.ones_like(weight)], axis=1)
        fitted = np.linalg.lstsq(line * weight[:, None], energy[used] * weight, rcond=None)[0].tolist()
        before = slope, offset
        slope, offset = fitted if fitted[0] > 0 else (0.0, float(np.median(energy[used])))
        if (slope, offset) == before:
            break
    flattest = [found for one in ranges if (found := flat & one).any()]
    return _Line(slope, offset, _evidence(blocks, energy, flattest, constant, slope * blocks.mean + offset))


def _evidence(blocks: Blocks, energy: Array, flattest: list[Array], constant: float, variance: Array) -> float:
    """Return the logarithm of the likelihood of energies with this variance over that with a constant one.

    They are those of the flattest blocks of each range of brightness. Where these have much more structure than noise
    has, as stars and letters do, they tell nothing.
    """
    if not flattest:
        return 0.0
    noise = np.maximum([energy[here].mean() for here in flattest], 1e-30)
    rest = np.array([blocks.structure[here].mean() / blocks.bands for here in flattest]) / noise
    told = rest <= _TEXTURED * max(1.0, float(rest.min()))
    count = np.array([np.count_nonzero(here) * blocks.count for here in flattest])
    lines = np.maximum([variance[here].mean() for here in flattest], 1e-3 * noise)
    logarithms = np.log(constant / lines) + noise / constant - noise / lines
    return float((count * logarithms)[told].sum()) / 2


def _by_brightness(blocks: Blocks) -> list[Array]:
    """Return which blocks are in each range of brightness; none of these is empty."""
    bins = np.searchsorted(np.quantile(blocks.mean, np.linspace(0, 1, _BINS + 1)[1:-1]), blocks.mean)
    return [bins == k for k in np.unique(bins)]


def _left_of_noise(mean: Array, sigma: float | Array, low: float, high: float) -> Array:
    """Return the share of the variance σ² that is left by clipping at `low` and `high`."""
    below, above = (remaining_deviation(np.maximum(d, 0) / sigma) for d in (mean - low, high - mean))
    return np.maximum(below * above, 1e-3) ** 2


def _flat_limit(blocks: Blocks, variance: float, structure: Array) -> float:
    """Return the largest structure of a flat block: that of noise, or of the flattest tenth if it is larger."""
    noise = blocks.bands * variance * _above_noise(blocks)
    last = max(1, round(max(structure.size / 10, min(structure.size / 5, 40)))) - 1
    return max(noise, float(np.partition(structure, last)[last]))


def _above_noise(blocks: Blocks, deviations: float = 1.0) -> float:
    """Return the structure, relative to that of noise, below which it stays: with one deviation, in 5 of 6 blocks."""
    return 1 + deviations * math.sqrt(2 / (blocks.bands * blocks.count))


def _typical(energy: Array, count: int) -> float:
    """Return the mean of the energies that are not far above the median, each a mean of `count` squares."""
    median = np.median(energy) / (1 - 2 / (9 * count)) ** 3  # Of a chi-square distribution, after Wilson and Hilferty.
    kept = energy[energy <= median * (1 + 3 * math.sqrt(2 / count))]
    return float(kept.mean()) if kept.size else float(median)
