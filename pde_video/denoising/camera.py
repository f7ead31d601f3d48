"""The pixels of a camera: their offsets, gains and noise, as recordings without light and of even light show them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.dtypes import scale_of
from pde_video.checks import alike, first_frame
from pde_video.errors import InputError, ParameterError
from pde_video.estimate.blocks import NORMAL
from pde_video.estimate.outliers import filled
from pde_video.filters import Frames
from pde_video.protocols import Array

_OF_MEDIAN = np.pi / 2  # Variance of a median over that of a mean.
_LEAST = 0.1  # Share of the variance between pixels that must be more than noise, to be told from it.
_FAR = 5.0  # Standard deviations from most pixels beyond which a pixel is one of its own, such as a hot one.
_CHANCE = 1e-6  # Of a pixel to seem noisier than most by accident.
NOISY = 4.0  # Excess of the variance of a pixel over that of most, from which on its neighbours tell more than it does.
_STUCK, _FEWEST = 0.01, 4  # Share of the variance of most that a stuck pixel has less than; frames that tell it.
_DEAD = 1 / 16  # Gain, relative to most pixels, of those that hardly see light.
_CERTAIN = 4.0  # Standard errors.
_PAIRS = 30  # Of neighbours that must differ about equally, so that standard errors are known.
_BRIGHTER = 0.1  # Than a dark recording: standard deviations of its noise.
_NO_BRIGHTER = "the video is no brighter than the dark recording: was that recorded without light?"


@dataclass(frozen=True, eq=False)
class _Recording:
    """What a recording of a still scene shows of each pixel (H, W, C), in its own numbers."""

    name: str
    length: int
    dtype: np.dtype[Any]
    mean: Array
    variance: Array | None  # Over time; None for a single frame.

    @property
    def noise(self) -> float:
        """The variance over time of most pixels, at least that of rounding; 0 for a single frame, as not known."""
        if self.variance is None:
            return 0.0
        from scipy.special import chdtri  # Here, since it takes long to import.

        expected = float(chdtri(self.length - 1, 0.5)) / (self.length - 1)  # The median is below the mean.
        rounding = 1 / 12 if self.dtype.kind != "f" else 0.0
        return max(float(np.median(self.variance)) / expected, rounding)


@dataclass(frozen=True, eq=False)
class _Pattern:
    """What differs from pixel to pixel: with its rows and columns, and without; and which pixels are far from most."""

    whole: Array
    single: Array
    far: Array


def corrected(frames: Frames, dark: Any, flat: Any) -> tuple[Frames, Array | None]:
    """Return the frames as by equal pixels, and by how much the variance of noisy pixels exceeds that of most.

    (y − level − offset) / gain + level, with the offsets by a recording `dark` and the gains by one that is `flat`,
    each a video, a path or None, relative to those of most pixels, so that the brightness stays. The excess (H, W, C)
    is in units of the frames, infinite for dead pixels and 0 for most; None if there is none.
    """
    for name in ("offsets", "gains", "noisy_pixels"):
        frames.report.pop(name, None)  # Of another video, for which the same report was used before.
    if dark is None:
        if flat is not None:
            raise ParameterError(
                "flat is given without dark; gains are relative to the light alone: give a recording without light too"
            )
        return frames, None
    recordings = [_recorded(name, one) for name, one in (("dark", dark), ("flat", flat)) if one is not None]
    first, scale = frames.peek(1)[0], frames.scale
    for one in recordings:
        _refuse_of_another_camera(one, first.shape, scale)
    black = recordings[0]
    level = np.median(black.mean, axis=(0, 1))
    offsets = _pattern(black.mean, black.noise / black.length)
    seen = first * scale - level - offsets.whole
    if seen.mean() <= _BRIGHTER * np.sqrt(black.noise):
        frames.report.setdefault("warnings", []).append(_NO_BRIGHTER)
    _refuse_absent("dark", offsets, first * scale, np.ones_like(first))
    gains = _gains(recordings[1], black) if flat is not None else None
    if gains is not None:
        _refuse_absent("flat", gains, seen, seen)
    gain = np.ones_like(offsets.whole) if gains is None else 1 + gains.whole
    dead = gain < _DEAD
    gain[dead] = 1
    excess = _excess(black, offsets, gain)
    excess[dead] = np.inf
    frames.report["offsets"] = float(offsets.whole.std())
    if gains is not None:
        frames.report["gains"] = float(gain.std())
    if excess.any():
        frames.report["noisy_pixels"] = float(excess.any(axis=2).mean())
    factor = _as_frame(1 / gain, first.dtype)
    shift = _as_frame((level - (level + offsets.whole) / gain) / scale, first.dtype)

    def of_equal_pixels() -> Iterator[Array]:
        for frame in frames:
            yield frame + shift if gains is None else frame * factor + shift

    found = _as_frame(excess / scale**2, first.dtype) if excess.any() else None
    return Frames(of_equal_pixels(), scale, frames.report), found


def without_noisy_pixels(frames: Frames, excess: Array | None) -> Frames:
    """Return frames on which to measure the noise of most pixels; they are examined, but not consumed."""
    if excess is None:
        return frames
    noisy = excess > 0

    def ahead() -> Iterator[Array]:
        for number in count():
            shown = frames.peek(number + 1)
            if len(shown) == number:
                return
            yield filled(shown[-1], noisy)

    return Frames(ahead(), frames.scale, frames.report)


def _recorded(name: str, recording: Any) -> _Recording:
    """Return the mean and variance over time of a recording: a path, a video, or a single frame (H, W)."""
    from pde_video.video.files import read_besides  # Here, so that arrays are denoised without codecs.

    video = read_besides(recording) if isinstance(recording, str | Path) else recording
    if isinstance(video, np.ndarray) and video.ndim == 2:
        video = video[np.newaxis]
    try:
        head, frames = first_frame(video)
        scale_of(head.dtype)
    except InputError as fault:
        raise type(fault)(f"{name}: {fault}") from None
    shape = (*head.shape, 1)[:3]
    length, mean, squares, level = 0, np.zeros(shape), np.zeros(shape), 0.0
    for length, frame in enumerate(alike(frames, head), 1):
        values = frame.reshape(shape).astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{name}: frame {length - 1} holds NaN or infinite values; replace them first")
        brightness = values.mean(axis=(0, 1))  # It may flicker and drift.
        change = values - brightness - mean
        mean += change / length
        squares += change * (values - brightness - mean)
        level += (brightness - level) / length
    variance = squares / (length - 1) if length > 1 else None
    return _Recording(name, length, head.dtype, mean + level, variance)


def _refuse_of_another_camera(recording: _Recording, shape: tuple[int, ...], scale: float) -> None:
    """Refuse a recording whose frames or numbers are not those of the video."""
    if recording.mean.shape != shape:
        there, here = (f"{h} × {w} pixels, {c} channels" for h, w, c in (recording.mean.shape, shape))
        raise InputError(
            f"{recording.name} has frames of (height × width) {there}, those of the video have {here}; give a "
            "recording by the same part of the sensor"
        )
    if recording.dtype.kind != "f" and scale not in (1.0, scale_of(recording.dtype)):
        raise InputError(
            f"{recording.name} has dtype {recording.dtype} and full scale {scale_of(recording.dtype):g}, the video "
            f"{scale:g}; give a recording as the camera stores the video, or floats with the numbers of the video"
        )


def _pattern(values: Array, noise: float) -> _Pattern:
    """Return how the values of pixels (H, W, C) differ from their median, less their noise, which has this variance.

    What rows and columns share has less noise than single pixels, so that more of it is kept.
    """
    left, whole = values - np.median(values, axis=(0, 1)), np.zeros_like(values)
    for axis in (0, 1):
        lines = np.median(left, axis=axis, keepdims=True)
        shared, _ = _without_noise(lines, _OF_MEDIAN * noise / left.shape[axis])
        left, whole = left - shared, whole + shared
    single, far = _without_noise(left, noise)
    return _Pattern(whole + single, single, far)


def _without_noise(values: Array, noise: float) -> tuple[Array, Array]:
    """Return values by Wiener's filter, with the variance of most, and which are far from most: these stay whole."""
    spread = np.square(NORMAL * np.median(np.abs(values), axis=(0, 1)))
    kept = 1 - noise / np.maximum(spread, np.finfo(float).tiny)
    kept = np.where(kept < _LEAST, 0, kept)
    far = np.square(values) > _FAR**2 * np.maximum(spread, noise)
    return np.where(far, values, kept * values), far


def _gains(flat: _Recording, dark: _Recording) -> _Pattern:
    """Return the gains of pixels relative to the median of their channel, less 1."""
    light = flat.mean - dark.mean
    level = np.median(light, axis=(0, 1))
    noise = flat.noise / flat.length + dark.noise / dark.length
    if not (level > _CERTAIN * np.sqrt(noise)).all():
        raise InputError(
            "flat is no brighter than dark; give a recording of an evenly lit surface, and one without light"
        )
    return _pattern(light / level, noise / float(level.min()) ** 2)


def _excess(dark: _Recording, offsets: _Pattern, gain: Array) -> Array:
    """Return the variance beyond that of most of pixels that are far noisier, once divided by their gain."""
    if dark.variance is None:
        return np.zeros_like(gain)
    from scipy.special import chdtri

    certain = dark.variance * (dark.length - 1) > dark.noise * chdtri(dark.length - 1, _CHANCE)
    excess = np.where(certain, dark.variance, dark.noise) / gain**2 - dark.noise
    excess[excess < NOISY * dark.noise] = 0
    if dark.length >= _FEWEST:  # Hot pixels have more noise than others, unless they show nothing else.
        excess[offsets.far & (dark.variance < _STUCK * np.median(dark.variance))] = np.inf
    return excess


def _refuse_absent(name: str, pattern: _Pattern, seen: Array, light: Array) -> None:
    """Refuse a pattern, relative to `light`, of which so little is in a frame that subtracting it would add it.

    That is where it is in there less than half, by the regression of differences between neighbours in a row.
    """
    changes, levels = _between_neighbours(seen)[0], _between_neighbours(light)[1]
    for far in (False, True):
        expected = _between_neighbours(np.where(pattern.far == far, pattern.single, 0))[0] * levels
        energy = float(np.square(expected).sum())
        if energy**2 > _PAIRS * float((expected**4).sum()):
            share = float((expected * changes).sum()) / energy
            error = np.sqrt(np.square(expected * (changes - share * expected)).sum()) / energy
            if share + _CERTAIN * error < 0.5:
                raise InputError(
                    f"the pixels of {name} differ in a way that is not that of the video (a share of {share:.2g} of "
                    "it), so that correcting it would do harm; give a recording by the same camera and part of the "
                    "sensor, with the same exposure and gain, of more frames if it has few"
                )


def _between_neighbours(frame: Array) -> tuple[Array, Array]:
    """Return the differences and the means of pairs of neighbours in a row; each pixel is in one pair."""
    left, right = frame[:, : frame.shape[1] // 2 * 2 : 2], frame[:, 1::2]
    return right - left, (left + right) / 2


def _as_frame(values: Array, dtype: Any) -> Array:
    """Return values (H, W, C) in the dtype of frames and their layout in memory, channels first."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, -1, 0), dtype), 0, -1)
