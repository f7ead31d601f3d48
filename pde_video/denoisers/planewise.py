"""Networks that process one plane at a time, along a stream of frames with any number of channels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.arrays.colours import from_opponent, opponent
from pde_video.arrays.values import Value
from pde_video.errors import DtypeError, InputError, ParameterError
from pde_video.protocols import Array
from pde_video.solvers.shrinkage import diffuse

MIDDLE = 0.5  # Of the range of values.
_MEAN = 1 / math.sqrt(3)  # Turns the sum of three over √3 into their mean.


@dataclass(frozen=True, eq=False, repr=False)
class Planewise(Value, ABC):
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

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of a frame (H, W, C), or of frames (T, H, W, C) in order; float64 stays float64."""
        if y.ndim not in (3, 4):
            raise InputError(f"an array of shape {y.shape} is neither a frame (H, W, C) nor frames (T, H, W, C)")
        out = np.empty_like(y)
        frames, places = (y, out) if y.ndim == 4 else (y[np.newaxis], out[np.newaxis])
        for k, estimate in enumerate(self.along(frames, sigma)):
            places[k] = estimate
        return out

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of each frame (H, W, C) of a stream, each from that frame and those before it."""
        if not 0 <= sigma < math.inf:
            raise ParameterError(f"sigma is {sigma!r}; it must be a finite number ≥ 0, in units of the frames")
        if sigma > self.most * (1 + 1e-6):
            raise ParameterError(
                f"sigma is {sigma:g}; {self.name} was trained with noise up to {self.most:g}, in units of the frames: "
                "use denoise, which scales frames down to that, or for sampling a model trained with such noise"
            )
        return self._along(frames, float(sigma))

    def _along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        state: Array | None = None
        scale, shift = (
            np.array(n, np.float32)[:, np.newaxis, np.newaxis] for n in ((_MEAN, 1, 1), (0, MIDDLE, MIDDLE))
        )
        for index, frame in enumerate(frames):
            if frame.ndim != 3 or not frame.size:
                raise InputError(f"frame {index} has shape {frame.shape}; it must be (H, W, C), none of them 0")
            if frame.dtype not in (np.float32, np.float64):
                raise DtypeError(f"frame {index} is of {frame.dtype}; networks take float32 and float64, in 0 to 1")
            if not np.isfinite(frame).all():
                raise InputError(
                    f"frame {index} has values that are not finite: they would stay in the network's state"
                )
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
