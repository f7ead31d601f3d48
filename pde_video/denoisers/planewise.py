"""Networks that process one plane at a time, along a stream of frames of any number of channels."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.arrays.colours import from_opponent, opponent
from pde_video.denoisers.windows import StreamDenoiser, numbered
from pde_video.errors import ParameterError
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import diffuse

MIDDLE = 0.5  # Of the range of values.
_MEAN = 1 / math.sqrt(3)  # Turns the sum of three over √3 into their mean.
_SPANS = (0.4, 1.6)  # Ranges between the 1st and 99th percentile that need no scaling.


@dataclass(frozen=True, eq=False, repr=False)
class Planewise(StreamDenoiser):
    """A denoiser made of a causal cell for planes; see `Network`."""

    name = "network"
    most = math.inf  # The highest noise level of the training, if known.

    @abstractmethod
    def cell(self, planes: Array, state: Any, sigma: float | Sequence[float]) -> tuple[Array, Any]:
        """Return the estimate of float32 planes (P, H, W), and the state for the next ones."""

    @staticmethod
    def guides(planes: Array, sigma: float | Sequence[float]) -> Array:
        """Return planes (P, H, W) after diffusion by cosine filters, each with its own noise level."""
        levels = np.asarray(sigma, np.float32)
        levels = levels if levels.ndim == 0 else levels[:, np.newaxis, np.newaxis]
        return levels * diffuse(planes / levels, np.ones(planes.shape[1:], np.float32))

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of each frame (H, W, C) of a stream, each from that frame and those before it."""
        if not 0 <= sigma < math.inf:
            raise ParameterError(f"sigma is {sigma!r}; it must be a finite number ≥ 0, in units of the frames")
        if sigma > self.most * (1 + 1e-6):
            raise ParameterError(
                f"sigma is {sigma:g}; {self.name} was trained with noise up to {self.most:g}, in units of the frames: "
                "use denoise, which scales frames down to that, or, for sampling, a model trained with such noise"
            )
        return self._along(frames, float(sigma))

    def _along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        state: Array | None = None
        scale, shift = (np.array(n, np.float32).reshape(3, 1, 1) for n in ((_MEAN, 1, 1), (0, MIDDLE, MIDDLE)))
        for _, frame in numbered(frames, sigma):
            if not sigma:
                yield frame.copy()
                continue
            planes = opponent(frame.astype(np.float32))
            if len(planes) == 3:
                estimate, state = self.cell(planes * scale + shift, state, [sigma * _MEAN, sigma, sigma])
                estimate = (estimate - shift) / scale
            else:
                estimate, state = self.cell(planes, state, sigma)
            yield from_opponent(estimate).astype(frame.dtype)


@dataclass(frozen=True, repr=False)
class Affine(StreamDenoiser):
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
        scaled = (y.dtype.type(self.contrast) * y + y.dtype.type(self.offset) for y in frames)
        for estimate in self.model.along(scaled, self.contrast * sigma):
            yield (estimate - estimate.dtype.type(self.offset)) / estimate.dtype.type(self.contrast)


def fitted(model: Planewise, shown: Sequence[Array], sigma: float) -> Affine:
    """Return the model for frames like those shown, scaled down to the noise that it was trained with.

    Frames whose values fill little of [0, 1], or exceed it, are scaled to it.
    """
    low, high = np.percentile(np.stack(shown), (1, 99))
    contrast, middle = 1.0, 0.5
    if not (_SPANS[0] <= high - low <= _SPANS[1] and low > -0.5 and high < 1.5):
        contrast, middle = 1 / max(high - low, np.finfo(np.float32).tiny), (low + high) / 2
    contrast = min(contrast, model.most / sigma)
    return Affine(model, float(contrast), float(0.5 - contrast * middle))
