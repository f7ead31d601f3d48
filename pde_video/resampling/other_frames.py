"""What other frames show along the motion of what a coarse frame does not see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.kernels import motion_averages, scattered
from pde_video.kernels.conductance import evaluate
from pde_video.motion.averaging import EXACT, padded
from pde_video.motion.optical_flow import occluded
from pde_video.protocols import Array
from pde_video.resampling.pixel_model import PixelModel
from pde_video.resampling.unseen import edge_enhancing
from pde_video.threads import by_rows

_ROUNDS, _ALIGNED = 8, 3  # In all, and the one that begins with a correction of the motion.
_OWN = 2.4  # γ: the weight of what is there, relative to that of another frame.
_DIFFUSION = 0.05  # Time per round, in squared fine pixels.
_CONTRAST, _FAINTEST = 1.25, 0.002  # κ, relative to the details around; at least, to the standard deviation.
_AROUND = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256  # Weights of the pixels around.
_PLAIN = np.array([1, 6, 1]) / 8  # Means over pixels, between whose centres the picture is linear.
_DAMPED, _LEAST, _FARTHEST = 0.3, 1e-3, 0.5  # λ, at least; the largest correction of the motion, in coarse pixels.
_HELD_OUT = 8  # One of so many pixels tests the other frames.


class Other(NamedTuple):
    """Another frame: its planes (C, h, w), and where in the planes of `PixelModel.anywhere` their pixels are."""

    values: Array
    places: Array
    visible: Array  # (h, w)
    kappa2: Array  # (h, w)

    def missed(self, there: Array) -> tuple[Array, Array]:
        """Return what such planes, given with their padding, lack of its values, and the weights g of that."""
        r = np.empty_like(self.values)
        by_rows(scattered.differences, r, self.values, there, self.places, r.dtype.type(EXACT))
        return r, self.visible * _weights(_around(_mean_square(r)) / self.kappa2)

    def aligned(self, there: Array, model: PixelModel) -> Other:
        """Return it along a better motion w: Σ (g ∇z ∇zᵀ + λ g κ²) dw = Σ g r ∇z, with sums over the pixels around."""
        r, g = self.missed(there)
        products = np.empty((5, *g.shape), g.dtype)
        by_rows(scattered.slopes, products, r, g / self.kappa2, there, self.places)
        a, b, c, d, e = map(_around, products)
        damping = g.dtype.type(_DAMPED) * _around(g) + g.dtype.type(_LEAST)
        rows, columns = model.steps.astype(g.dtype)
        a, b, c = rows * rows * a + damping, rows * columns * b, columns * columns * c + damping
        d, e, determinant = rows * d, columns * e, a * c - b * b
        change = np.stack([c * d - b * e, a * e - b * d]) / determinant
        change = np.clip(change, -_FARTHEST, _FARTHEST) * np.reshape([rows, columns], (2, 1, 1))
        return self._replace(places=self.places + change)


def other_frame(there: Array, flow: Array, back: Array, model: PixelModel) -> Other:
    """Return another frame (C, h, w), with the flow from there to here, and back."""
    least = (_FAINTEST * float(there.std(dtype=np.float64))) ** 2
    plain = there
    for axis in (1, 2):
        plain = ndimage.correlate1d(plain, _PLAIN, axis, mode="nearest")
    kappa2 = _CONTRAST**2 * _around(_mean_square(there - plain)) + there.dtype.type(least or 1)
    visible = (~occluded(flow, back)).astype(there.dtype)
    return Other(there, model.places(flow.astype(there.dtype, copy=False)), visible, kappa2)


def refined(planes: Array, others: Sequence[Other], model: PixelModel) -> Array:
    """Return fine planes (C, H, W) with what other frames show that K does not see."""
    term = edge_enhancing(planes, model)
    if term is None or not others:
        return planes
    start, u = term.rate(0.0, planes), planes
    for number in range(_ROUNDS):
        seen = padded(model.anywhere(u))
        if number == _ALIGNED:
            others = [one.aligned(seen, model) for one in others]
        diffused = u.dtype.type(_DIFFUSION) * (term.rate(0.0, u) - start)
        u = u + diffused + model.unseen(_shown(others, seen, u.shape, model))
    return u


def _shown(others: Sequence[Other], seen: Array, shape: tuple[int, ...], model: PixelModel) -> Array:
    """Return the mean of what fine planes lack of other frames, Σ g r / (γ + Σ g)."""
    total, weights = np.zeros(shape, seen.dtype), np.zeros((1, *shape[1:]), seen.dtype)
    for one in others:
        scattered.spread(*one.missed(seen), one.places - model.before, total, weights[0])
    total, weights = model.widened(total), model.widened(weights)
    return total / (weights + weights.dtype.type(_OWN / math.prod(model.steps)))


def helpful(data: Array, others: Sequence[Other], model: PixelModel) -> list[Other]:
    """Return the frames that tell pixels of the frame that are held out no worse than their neighbours do."""
    rows, columns = np.indices(data.shape[1:])
    held = (3 * rows + columns) % _HELD_OUT == 0
    wide = np.pad(data, [(0, 0), (1, 1), (1, 1)], mode="edge")
    beside = (wide[:, 2:, 1:-1] + wide[:, :-2, 1:-1] + wide[:, 1:-1, 2:] + wide[:, 1:-1, :-2]) / 4
    planes = model.up(np.where(held, beside, data))
    seen = padded(model.anywhere(planes))

    def error(fine: Array) -> float:
        return float(np.square(data - model.down(fine), dtype=np.float64)[:, held].sum())

    alone = error(planes)
    return [one for one in others if error(planes + _shown([one], seen, planes.shape, model)) <= alone]


def _weights(ratio: Array) -> Array:
    """Return exp(−ratio) to single precision, by arithmetic that is the same on every machine."""
    return evaluate("exponential", np.minimum(ratio, 16).astype(np.float32), 1.0).astype(ratio.dtype)


def _mean_square(planes: Array) -> Array:
    return np.square(planes).mean(axis=0)


def _around(plane: Array) -> Array:
    """Return binomial means over 9 × 9 pixels."""
    weights = _AROUND.astype(plane.dtype)
    return by_rows(motion_averages.smoothed, np.empty_like(plane), plane, weights, plane.dtype.type(1))
