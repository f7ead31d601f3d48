"""Noise made uniform: frames as planes whose noise has variance 1, and the guides on which decisions are made."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pde_video.arrays.colours import from_opponent, opponent
from pde_video.denoising.repair import Repair
from pde_video.estimate.spectrum import at_half_size
from pde_video.estimate.stabiliser import Stabiliser
from pde_video.motion.averaging import doubled, halved, luma_of
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import excess, shrink

_LOW = 2  # Lowest cosine coefficients along each axis: smoothed guides still hold their noise.


@dataclass(frozen=True)
class Noise:
    """Noise of a video: made uniform by `model`; its deviation in each plane of `colours.opponent` then, if given.

    `spectra` (C, 8, 8) are the variances in cosine coefficients, of mean 1, of noise that is not white. `repair` mends
    frames first. If light is `faint`, so that noise is uniform only where photons are counted together, guides are
    coarser.
    """

    model: Stabiliser
    deviations: tuple[float, ...] | None = None
    spectra: Array | None = None
    repair: Repair | None = None
    faint: bool = False

    def guide(self, planes: Array, variance: Array, step: int) -> tuple[Array, Array]:
        """Return planes at half their size, smoothed, and the variance of the noise left in them; see `held`."""
        if self.faint:
            return self.counted(self.intensity(planes))
        coarse = halved(planes)
        left = np.empty_like(coarse)
        spectra = None if self.spectra is None else self.coarse
        return self.held(shrink(coarse, variance, step=step, spectra=spectra, left=left), left)

    def unbiased(self, mean: Array, planes: Array, left: Array, replaced: Array | None = None) -> Array:
        """Return averages of `planes`, in place, with what they lost that is more than noise.

        Things that move, too faint for flow and conductances to see, would be averaged away. A share `left` of the
        variance of the noise, at the size of the planes or at half of it, is in the averages; the change has the rest
        (less than that where conductances are neither 0 nor 1). What was `replaced` does not count.
        """
        coarse = left if left.shape != mean.shape[1:] else halved(left[np.newaxis])[0]
        change = planes - mean
        if replaced is not None:
            change[:, replaced] = 0
        lost = excess(
            halved(change), np.maximum(1 - coarse, 0) / 4, spectra=None if self.spectra is None else self.coarse
        )
        for plane, here in zip(mean, lost, strict=True):
            if here.any():
                plane += doubled(here, *plane.shape)
        return mean

    @cached_property
    def coarse(self) -> Array:
        """The spectra at half the size, relative to white noise."""
        assert self.spectra is not None
        return 4 * at_half_size(self.spectra)

    def held(self, planes: Array, left: Array) -> tuple[Array, Array]:
        """Return smoothed planes, and the variance left, in units of the noise that they hold: of low frequencies."""
        if self.spectra is None:
            return planes, left
        low = self.spectra[:, :_LOW, :_LOW].mean(axis=(1, 2), keepdims=True)
        return planes / np.sqrt(low).astype(planes.dtype), left / low.astype(left.dtype)

    def counted(self, frame: Array) -> tuple[Array, Array]:
        """Return a guide of half the size by the photons of 4 × 4 pixels together, and the variance left in it."""
        planes = halved(np.ascontiguousarray(np.moveaxis(frame, -1, 0)))
        height, width = planes.shape[1:]
        guide = self.together(np.moveaxis(halved(planes), 0, -1))
        return self.with_its_noise(np.stack([doubled(plane, height, width) for plane in guide]))

    def with_its_noise(self, guide: Array) -> tuple[Array, Array]:
        """Return a guide by photons, and the variance left in it: that of a window of which only the mean is left."""
        return guide, np.full_like(guide, 1 / 64)

    def together(self, frame: Array) -> Array:
        """Return a frame of means over 4 × 4 pixels as planes, in units of the noise of a pixel."""
        model = Stabiliser(self.model.slope / 16, self.model.offset / 16)
        return replace(self, model=model).planes(frame) / frame.dtype.type(4)

    def planes(self, frame: Array) -> Array:
        """Return a frame as planes (C, H, W) whose noise is uncorrelated and of variance 1."""
        planes = opponent(self.model.forward(frame))
        return planes if self.deviations is None else planes / self._per_plane(planes)

    def frame(self, planes: Array) -> Array:
        """Return the frame of such planes, with its noise still uniform."""
        return from_opponent(planes if self.deviations is None else planes * self._per_plane(planes))

    def intensity(self, planes: Array) -> Array:
        """Return the frame of such planes, in units of the video."""
        return self.model.inverse(self.frame(planes))

    def offsets(self, frame: Array, rows: Array) -> Array:
        """Return offsets of rows (H,) of a frame as they are in its luma with noise of variance 1."""
        means = frame.mean(axis=1, keepdims=True)
        low, high = (luma_of(self.planes(one)) for one in (means, means + rows[:, np.newaxis, np.newaxis]))
        return (high - low)[:, 0]

    def _per_plane(self, planes: Array) -> Array:
        return np.asarray(self.deviations, planes.dtype)[:, np.newaxis, np.newaxis]
