"""Diffusion along motion trajectories: a frame is averaged with its neighbours, warped to it."""

import math
from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np

from pde_video.kernels import motion_averages as kernels
from pde_video.kernels.conductance import named, unit
from pde_video.protocols import Array
from pde_video.threads import by_rows, each, pieces

_ROWS = 32  # The fewest rows that are worth a thread.
# Keys's parameter of cubic interpolation: exact for polynomials of degree 2, and one that keeps finer detail.
EXACT, _SHARP = -0.5, -0.75
# Binomial weights over which squared differences are averaged: as wide in pixels of the frame at half its size.
_FINE = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
_COARSE = np.array([1, 4, 6, 4, 1]) / 16
_GUIDED = 2.0  # Share of the noise of a guide in the squared contrast: their difference has that of both.
_OF_REPLACED = 16.0  # Variance of pixels that were replaced by their neighbours, in units of that of the noise.


class Planes:
    """Planes (C, H, W), and the same with padding.

    `light` (1 + C, H) is that in which others see them: gain and offsets of the rows to which they are moved.
    """

    def __init__(self, planes: Array) -> None:
        self.planes, self.padded, self.light = planes, padded(planes), _unlit(planes)


class GuidedFrame(Planes):
    """A frame (C, H, W) with its guide, a less noisy version of it of the same or half the size, and both padded.

    `noise` (h, w) is the variance of the noise that the guide still has, the mean of its channels. `guide_light` is the
    light of its rows.
    """

    def __init__(self, planes: Array, guide: Array, noise: Array | None = None) -> None:
        super().__init__(planes)
        self.guide, self.padded_guide = guide, padded(guide)
        self.noise = np.zeros_like(guide[0]) if noise is None else noise.mean(axis=0)
        coarse = guide if guide.shape != planes.shape else halved(guide)
        self.luma = luma_of(coarse)  # (H, W), at half the size: motion is estimated on it.
        self.guide_light = _unlit(guide)

    def seen_in(self, light: Array, guide_light: Array) -> "GuidedFrame":
        """Return the same frame, in another light for others."""
        frame = copy(self)
        frame.light, frame.guide_light = light, guide_light
        return frame


def _unlit(planes: Array) -> Array:
    light = np.zeros((1 + len(planes), planes.shape[1]), planes.dtype)
    light[0] = 1
    return light


def luma_of(planes: Array) -> Array:
    """Return the first of one or three planes; otherwise, the mean of all, scaled to the noise of one."""
    channels = len(planes)
    return planes[0] if channels in (1, 3) else planes.mean(axis=0) * planes.dtype.type(math.sqrt(channels))


def halved(planes: Array) -> Array:
    """Return planes of half the size: means over 2 × 2 pixels."""
    channels, height, width = planes.shape
    return by_rows(kernels.halved, np.empty((channels, (height + 1) // 2, (width + 1) // 2), planes.dtype), planes)


def doubled(plane: Array, height: int, width: int) -> Array:
    """Return a plane (h, w) interpolated to twice the size."""
    return by_rows(kernels.doubled, np.empty((height, width), plane.dtype), plane)


def wide_means(planes: Array, halvings: int) -> Array:
    """Return planes (C, H, W) halved so many times, and interpolated to their size again."""
    if not halvings:
        return planes
    coarse = wide_means(halved(planes), halvings - 1)
    return np.stack([doubled(plane, *planes.shape[1:]) for plane in coarse])


def warped(planes: Array, flow: Array, cubic: float = _SHARP) -> Array:
    """Return planes (C, H, W), given with their padding, at x + w."""
    channels, height, width = planes.shape
    out = np.empty((channels, height - 2 * kernels.EDGE, width - 2 * kernels.EDGE), planes.dtype)
    return by_rows(kernels.warped, out, planes, flow, out.dtype.type(cubic))


def warped_at(mask: Array, planes: Array, flow: Array, cubic: float = _SHARP) -> Array:
    """Return planes (C, H, W), given with their padding, at x + w, at the n pixels of a mask (H, W), as (C, n)."""
    starts = np.concatenate([[0], np.count_nonzero(mask, axis=1).cumsum()])
    out = np.empty((len(planes), starts[-1]), planes.dtype)
    a, bands = out.dtype.type(cubic), pieces(len(mask), _ROWS)
    each(lambda rows: kernels.warped_at(planes, flow, a, mask, starts, *rows, out), bands)
    return out


def blended(planes: Array, other: Array, flow: Array, share: Array) -> Array:
    """Return u + share (other(x + w) − u), with the planes of the other frame given with their padding."""
    out, unused, light = planes.copy(), np.zeros((2, *planes.shape[1:]), planes.dtype), _unlit(planes)
    a, bands = out.dtype.type(_SHARP), pieces(planes.shape[1], _ROWS)
    each(lambda rows: kernels.gather(planes, other, light, flow, share, a, *rows, out, *unused), bands)
    return out


def zero_where_static(flow: Array, first: Array, second: Array) -> Array:
    """Set the flow between two pictures (H, W) to 0, in place, where no motion explains them about as well."""
    # Noise makes the flow of static parts jitter, and each interpolation loses some of the finest detail.
    here = first[np.newaxis]
    moving = _local_means(_squares(here, padded(second[np.newaxis]), _unlit(here), flow))
    static = _local_means(np.square(second - first))
    return by_rows(kernels.zeroed, flow, static <= 1.1 * moving + 0.003)


def _local_means(squares: Array) -> Array:
    """Return means over about 20 pixels, one for every 4 × 4."""
    return smoothed(halved(halved(squares[np.newaxis]))[0])


def smoothed(plane: Array) -> Array:
    """Return binomial means over 9 × 9 pixels; edges are replicated."""
    return by_rows(kernels.smoothed, np.empty_like(plane), plane, _FINE.astype(plane.dtype), plane.dtype.type(1))


def _squares(here: Array, there: Array, light: Array, flow: Array) -> Array:
    """Return (there(x + w) − here)² in a light, averaged over channels; `there` has its padding."""
    out = np.empty(here.shape[1:], here.dtype)
    return by_rows(kernels.squared_differences, out, here, there, light, flow, out.dtype.type(_SHARP))


def conductance(here: GuidedFrame, there: GuidedFrame, flow: Array, excluded: Array | None, kappa: float) -> Array:
    """Return g(|there(x + w) − here|²) on the grid of the guides, squares being means over channels and neighbours.

    κ² grows with the noise of the guides, which the finest structure keeps most: there they differ though nothing does.
    """
    squares = _squares(here.guide, there.padded_guide, there.guide_light, flow)
    weights = (_FINE if here.guide.shape == here.planes.shape else _COARSE).astype(squares.dtype)
    g = named("exponential", (1.0, 1.0, 1.0), squares.dtype)
    numbers = np.array([unit("exponential") ** -2, kappa**2, _GUIDED], squares.dtype)
    out = by_rows(kernels.smoothed_conductance, np.empty_like(squares), squares, here.noise, weights, g, *numbers)
    if excluded is not None:  # Where the flow is known to be wrong.
        each(lambda rows: kernels.close(out, excluded, *rows), pieces(len(out), _ROWS))
    return out


def inconsistent(flow: Array, back: Array) -> Array:
    """Tell where the backward flow does not lead back: |w + w'(x + w)|² > 0.01 (|w|² + |w'(x + w)|²) + 0.5."""
    there = warped(padded(back), flow, EXACT)
    return by_rows(kernels.inconsistent, np.empty(flow.shape[1:], np.bool_), flow, there)


def averaged(
    here: Planes, others: Iterable[tuple[Any, ...]], replaced: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return u + Σ g (u_k(x + w_k) − u) / (1 + Σ g), and two shares of the noise variance, (H, W).

    The first is left in the result; the second is in its difference from u.

    This explicit step of the diffusion between a frame and `others` is the largest at which no weight is negative.
    `others` are frames, the flow to them, the conductance, and planes that take the place of u in the difference, if
    any. Where pixels of u were `replaced`, 1/V takes the place of 1, for the variance V of what they were replaced by.
    """
    total = np.zeros_like(here.planes)
    weights, squares = np.ones((2, *here.planes.shape[1:]), total.dtype)
    if replaced is not None:
        weights[replaced] = squares[replaced] = 1 / _OF_REPLACED
    a, bands = total.dtype.type(_SHARP), pieces(total.shape[1], _ROWS)
    for there, flow, g, *seen in others:
        args = *(seen or [here.planes]), there.padded, there.light, flow, g, a
        each(lambda rows, args=args: kernels.gather(*args, *rows, total, weights, squares), bands)  # type: ignore[misc]
    total /= weights
    total += here.planes
    squares /= weights
    squares /= weights
    return total, squares, squares - 2 / weights + 1


def padded(planes: Array) -> Array:
    """Return planes padded by replicating their edges."""
    edge = kernels.EDGE
    channels, height, width = planes.shape
    out = np.empty((channels, height + 2 * edge, width + 2 * edge), planes.dtype)
    out[:, edge:-edge, edge:-edge] = planes
    out[:, :edge], out[:, -edge:] = out[:, edge : edge + 1], out[:, -edge - 1 : -edge]
    out[:, :, :edge], out[:, :, -edge:] = out[:, :, edge : edge + 1], out[:, :, -edge - 1 : -edge]
    return out
