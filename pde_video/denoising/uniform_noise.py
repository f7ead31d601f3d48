"""Noise made uniform: frames as planes whose noise has variance 1, and the guides on which decisions are made."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pde_video.arrays.colours import from_opponent, opponent
from pde_video.arrays.grid import to_planes
from pde_video.denoising.repair import Repair
from pde_video.estimate.spectrum import at_half_size
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.motion.averaging import doubled, halved, luma_of
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import above_noise, excess, shrink

_LOW = 2  # Lowest cosine coefficients along each axis: smoothed guides still hold their noise.
_SEEN = 2.2  # Standard deviations of the noise in averages, from which on an earlier result tells what they lost.


@dataclass(frozen=True)
class Noise:
    """Noise of a video: made uniform by `model`; its deviation in each plane of `colours.opponent` then, if given.

    `spectra` (C, 8, 8) are the variances in cosine coefficients, of mean 1, of noise that is not white. `repair` mends
    frames first. If light is `faint`, so that noise is uniform only where photons are counted together, guides are
    coarser. The share `copied` is that which one frame has in common with the next. What was `measured` on the first
    frames may change later.
    """

    model: VarianceStabilizer
    deviations: tuple[float, ...] | None = None
    spectra: Array | None = None
    repair: Repair | None = None
    faint: bool = False
    copied: float = 0.0
    measured: bool = False

    def guide(self, planes: Array, variance: Array, step: int) -> tuple[Array, Array]:
        """Return planes at half their size, smoothed, and the variance of the noise left in them; see `held`."""
        if self.faint:
            return self.counted(self.intensity(planes))
        coarse = halved(planes)
        left = np.empty_like(coarse)
        spectra = None if self.spectra is None else self.coarse
        return self.held(shrink(coarse, variance, step=step, spectra=spectra, left=left), left)

    def unbiased(
        self,
        mean: Array,
        planes: Array,
        changed: Array,
        replaced: Array | None = None,
        seen: tuple[Array, Array] | None = None,
    ) -> Array:
        """Return averages of `planes`, in place, with what they lost that is more than noise.

        Things that move, too faint for flow and conductances to see, would be averaged away. The change has `changed`
        times the variance of the noise, at the size of the planes or at half of it. What was `replaced` does not count.
        What was `seen` is an earlier result (`held`), and the share of the noise in the averages: where these differ,
        the change is no noise either.
        """
        spectra = None if self.spectra is None else self.coarse

        def small(change: Array, variance: Array) -> tuple[Array, Array]:
            if replaced is not None:
                change[:, replaced] = 0
            coarse = variance if variance.shape != mean.shape[1:] else halved(variance[np.newaxis])[0]
            return halved(change), np.maximum(coarse, 0) / 4

        known = None
        if seen is not None and not self.faint:
            difference = seen[0] * self._low.astype(mean.dtype) - mean
            known = above_noise(*small(difference, seen[1]), spectra=spectra, deviations=_SEEN)
        lost = excess(*small(planes - mean, changed), spectra=spectra, known=known)
        for plane, here in zip(mean, lost, strict=True):
            if here.any():
                plane += doubled(here, *plane.shape)
        return mean

    @cached_property
    def coarse(self) -> Array:
        """The spectra at half the size, relative to white noise."""
        assert self.spectra is not None
        return 4 * at_half_size(self.spectra)

    @cached_property
    def _low(self) -> Array:
        """The standard deviation of the noise of low frequencies in each plane, (C, 1, 1)."""
        if self.spectra is None:
            return np.ones((1, 1, 1), np.float32)
        return np.sqrt(self.spectra[:, :_LOW, :_LOW].mean(axis=(1, 2), keepdims=True))

    def held(self, planes: Array, left: Array) -> tuple[Array, Array]:
        """Return smoothed planes, and the variance left, in units of the noise that they hold: of low frequencies."""
        if self.spectra is None:
            return planes, left
        return planes / self._low.astype(planes.dtype), left / np.square(self._low).astype(left.dtype)

    def counted(self, frame: Array) -> tuple[Array, Array]:
        """Return a guide of half the size by the photons of 4 × 4 pixels together, and the variance left in it."""
        planes = halved(to_planes(frame, -1))
        height, width = planes.shape[1:]
        coarse = self.together(np.moveaxis(halved(planes), 0, -1))
        guide = np.stack([doubled(plane, height, width) for plane in coarse])
        return guide, np.full_like(guide, 1 / 64)  # As of a window of which only the mean is left.

    def together(self, frame: Array) -> Array:
        """Return a frame of means over 4 × 4 pixels as planes, in units of the noise of a pixel."""
        model = VarianceStabilizer(self.model.slope / 16, self.model.offset / 16)
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
