"""Diffusion of what a pixel model does not see of a picture, so that the coarse picture stays."""

import math
from dataclasses import dataclass

import numpy as np

from pde_video.arrays.values import Value
from pde_video.estimate.blocks import NORMAL
from pde_video.integrators.loop import evolve
from pde_video.protocols import Array, Term, bound_of
from pde_video.resampling.pixel_model import PixelModel
from pde_video.terms.tensor import EdgeEnhancing

_CONTRAST, _FAINTEST = 3.0, 0.01  # κ, relative to the usual contrast; at least, to the standard deviation.
_SMOOTHING = 0.4  # Before gradients are taken, in fine pixels.
_TIME, _MOST = 0.25, 4.0  # Of the diffusion, in areas of a coarse pixel; at most, in squared fine pixels.
_RIM = 16  # Fine pixels by which the picture is continued, so that its slope does not end there.


@dataclass(frozen=True, eq=False, repr=False)
class Unseen(Value):
    """A term, restricted to what K does not see: dy/dt = (1 − U K) rate(t, y), so that K y stays."""

    term: Term
    model: PixelModel

    def rate(self, t: float, y: Array) -> Array:
        """Return dy/dt of fine planes (C, H, W)."""
        wide = np.pad(y, [(0, 0), (_RIM, _RIM), (_RIM, _RIM)], mode="reflect", reflect_type="odd")
        return self.model.unseen(self.term.rate(t, wide)[:, _RIM:-_RIM, _RIM:-_RIM])

    def stable_dt(self, ndim: int) -> float:
        """Return that of the term."""
        return bound_of(self.term, ndim)


def edge_enhancing(planes: Array, model: PixelModel) -> Unseen | None:
    """Return the diffusion along the edges of fine planes (C, H, W), with their contrast; None if they have none."""
    kappa = max(_CONTRAST * _usual(planes), _FAINTEST * float(planes.std(dtype=np.float64)))
    if min(planes.shape[1:]) < 2 or kappa <= np.finfo(planes.dtype).tiny:
        return None
    return Unseen(EdgeEnhancing(kappa, smoothing=_SMOOTHING), model)


def _usual(planes: Array) -> float:
    """Return the contrast of `estimate_kappa`, by differences along the diagonals: the same for flipped planes."""
    one, other = planes[:, 1:, 1:] - planes[:, :-1, :-1], planes[:, 1:, :-1] - planes[:, :-1, 1:]
    slopes = np.sqrt((np.square(one) + np.square(other)).sum(axis=0) / 2)
    return NORMAL * float(np.median(np.abs(slopes - np.median(slopes)))) if slopes.size else 0.0


def along_edges(planes: Array, model: PixelModel) -> Array:
    """Return fine planes (C, H, W) after edge-enhancing diffusion of what K does not see."""
    term = edge_enhancing(planes, model)
    if term is None:
        return planes
    dt = term.stable_dt(2)
    steps = max(1, round(min(_TIME * math.prod(model.steps), _MOST) / dt))
    return evolve(term, planes, dt * np.arange(steps + 1), channel_axis=0)
