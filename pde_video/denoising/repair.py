"""What is mended in each frame before anything else looks at it: noisy pixels, outliers, offsets of lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pde_video.denoising.camera import NOISY
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.estimate.outliers import LIKELY, SURE, filled, shares, without_outliers
from pde_video.estimate.stripes import HIGHEST, amplitude, offsets
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.protocols import Array

_ROUNDS = 3  # The noise is seen too strong while there are outliers, and these then too few.


class Mended(NamedTuple):
    """A frame mended, and what was done to it, where that was looked for."""

    frame: Array
    replaced: Array | None = None  # Pixels, (H, W).
    rows: Array | None = None  # What was subtracted from the rows, (H,).


@dataclass(frozen=True)
class Repair:
    """The mending of frames (H, W, C) with outliers and stripes as in `estimate`, whose noise `model` makes uniform.

    `excess` (H, W, C) is the variance of pixels beyond that of most, where it is known.
    """

    estimate: NoiseEstimate
    model: VarianceStabilizer
    excess: Array | None = None

    def __call__(self, frame: Array) -> Mended:
        """Return a frame mended."""
        found = self.estimate.to_unit(1.0)
        replaced, rows = None, None
        if self.excess is not None:
            around = filled(frame, self.excess > 0)
            noisy = self.excess > NOISY * (found.slope * around + found.offset)
            frame, replaced = np.where(noisy, around, frame), np.asarray(noisy.any(axis=2))
        if found.impulses or found.hot:
            rule = LIKELY if found.impulses else SURE
            frame, outliers = without_outliers(frame, _uniform(frame, self.estimate, self.model), rule)
            replaced = outliers if replaced is None else np.logical_or(outliers, replaced)
        for axis, deviation in enumerate((found.rows, found.columns)):
            if deviation:
                shift = offsets(_mean(frame), axis, deviation)
                rows = shift if axis == 0 else rows
                frame = frame - (shift[:, np.newaxis, np.newaxis] if axis == 0 else shift[:, np.newaxis])
        return Mended(frame, replaced, rows)


def mended(
    shown: list[Array], estimate: NoiseEstimate, least: NoiseEstimate, measured: Callable[[list[Array]], NoiseEstimate]
) -> tuple[NoiseEstimate, list[Array]]:
    """Return the estimate with the outliers and stripes of some frames, and the frames without them.

    The noise is `measured` again without them. Where there is no noise, `least` takes its place if there is anything to
    mend.
    """
    found, frames = estimate, shown

    def model() -> VarianceStabilizer:
        one = found.stabiliser() or least.stabiliser()
        assert one is not None
        return one

    def again(**parts: Any) -> None:
        nonlocal found, frames
        wanted = replace(found if found.stabiliser() else least, **parts)
        frames = [Repair(wanted, model())(frame).frame for frame in shown]
        noise = measured(frames)
        kept = {name: getattr(wanted, name) for name in ("impulses", "hot", "rows", "columns")}
        found = replace(noise if noise.stabiliser() else least, **kept)

    for _ in range(_ROUNDS):
        impulses, hot = shares([_uniform(frame, found, model()) for frame in shown])
        if not (impulses or hot):
            found, frames = estimate, shown
            break
        again(impulses=impulses, hot=hot)
    rows, columns = (amplitude([_mean(frame) for frame in frames], axis) * estimate.unit for axis in (0, 1))
    if rows or columns:
        before = found, frames
        again(rows=rows, columns=columns)
        if columns > HIGHEST * _deviation(found, shown[0]):
            found, frames = before
            if rows:
                again(rows=rows)
    return found, frames


def _uniform(frame: Array, estimate: NoiseEstimate, model: VarianceStabilizer) -> Array:
    """Return a frame with noise of variance 1 in every channel."""
    uniform = model.forward(frame)
    return uniform if estimate.channels is None else uniform / np.asarray(estimate.channels, uniform.dtype)


def _deviation(estimate: NoiseEstimate, frame: Array) -> float:
    """Return the standard deviation of the noise where a frame has its mean brightness, in units of the estimate."""
    return float(np.sqrt(max(estimate.slope * float(frame.mean()) * estimate.unit + estimate.offset, 0.0)))


def _mean(frame: Array) -> Array:
    """Return the mean of the channels (H, W)."""
    return np.asarray(frame.mean(axis=2)) if frame.shape[2] > 1 else frame[..., 0]
