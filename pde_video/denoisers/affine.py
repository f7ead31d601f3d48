"""Denoisers for values in [0, 1], applied to values in any range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pde_video.denoisers.planewise import Planewise
from pde_video.protocols import Array

_SPANS = (0.4, 1.6)  # Ranges between the 1st and 99th percentile that need no scaling.


@dataclass(frozen=True)
class Affine:
    """D(y, σ) = (model(a y + b, a σ) − b)/a, a > 0 the contrast and b the offset."""

    model: Planewise
    contrast: float
    offset: float

    @property
    def name(self) -> str:
        """The name in reports and errors."""
        return self.model.name

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of each frame (H, W, C) of a stream."""
        for estimate in self.model.along(map(self._there, frames), self.contrast * sigma):
            yield self._back(estimate)

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of a frame (H, W, C), or of frames (T, H, W, C)."""
        return self._back(self.model(self._there(y), self.contrast * sigma))

    def _there(self, y: Array) -> Array:
        return y.dtype.type(self.contrast) * y + y.dtype.type(self.offset)

    def _back(self, estimate: Array) -> Array:
        return (estimate - estimate.dtype.type(self.offset)) / estimate.dtype.type(self.contrast)


def fitted(model: Planewise, shown: Sequence[Array], sigma: float) -> Affine:
    """Return the model for frames like those shown, scaled down to the noise that it was trained with.

    Frames whose values do not fill much of [0, 1], or exceed it, are scaled to it.
    """
    low, high = np.percentile(np.stack(shown), (1, 99))
    contrast, middle = 1.0, 0.5
    if not (_SPANS[0] <= high - low <= _SPANS[1] and low > -0.5 and high < 1.5):
        contrast, middle = 1 / max(high - low, np.finfo(np.float32).tiny), (low + high) / 2
    contrast = min(contrast, model.most / sigma)
    return Affine(model, float(contrast), float(0.5 - contrast * middle))
