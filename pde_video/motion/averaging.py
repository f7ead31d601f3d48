"""Diffusion along trajectories: every frame takes in what the frames around it show of the same thing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pde_video.kernels import motion_averages as kernels
from pde_video.kernels.conductance import named, unit
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_ROWS = 32  # The least that is worth a thread.
# Keys's parameter of cubic interpolation: exact for polynomials of degree 2, and what keeps more of the finest detail.
EXACT, _SHARP = -0.5, -0.75
# Binomial weights over which squared differences are averaged: as wide in pixels of the frame at half its size.
_FINE = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
_COARSE = np.array([1, 4, 6, 4, 1]) / 16


class Seen(NamedTuple):
    """A frame as its neighbours need it: planes (C, H, W), the same with an edge, and its guide."""

    planes: Array
    edged: Array
    guide: Array  # (C, H, W), or half the size.
    edged_guide: Array
    coarse: Array  # The light of the guide, (H, W), at half the size, on which motion is seen.


def seen(planes: Array, guide: Array) -> Seen:
    """Return a frame with its guide, a picture of it with less noise, of the same or half the size."""
    coarse = guide if guide.shape != planes.shape else halved(guide)
    channels = len(coarse)  # One, or those of a colour, of which the first is the mean: otherwise all, as noisy as one.
    light = coarse[0] if channels in (1, 3) else coarse.mean(axis=0) * coarse.dtype.type(math.sqrt(channels))
    return Seen(planes, edged(planes), guide, edged(guide), light)


def halved(planes: Array) -> Array:
    """Return planes of half the size: means over 2 × 2 pixels."""
    channels, height, width = planes.shape
    out = np.empty((channels, (height + 1) // 2, (width + 1) // 2), planes.dtype)
    each(lambda rows: kernels.halved(planes, *rows, out), pieces(out.shape[1], _ROWS))
    return out


def doubled(plane: Array, height: int, width: int) -> Array:
    """Return a plane (h, w) interpolated to twice the size."""
    out = np.empty((height, width), plane.dtype)
    each(lambda rows: kernels.doubled(plane, *rows, out), pieces(height, _ROWS))
    return out


def warped(edged: Array, flow: Array, cubic: float = _SHARP) -> Array:
    """Return planes (C, H, W), given with their edge, at x + w."""
    channels, height, width = edged.shape
    out = np.empty((channels, height - 2 * kernels.EDGE, width - 2 * kernels.EDGE), edged.dtype)
    a = out.dtype.type(cubic)
    each(lambda rows: kernels.warped(edged, flow, a, *rows, out), pieces(out.shape[1], _ROWS))
    return out


def toward(planes: Array, other: Array, flow: Array, share: Array) -> Array:
    """Return u + share (other(x + w) − u), with another frame's planes given with their edge."""
    out, unused = planes.copy(), np.zeros((2, *planes.shape[1:]), planes.dtype)
    a = out.dtype.type(_SHARP)
    each(
        lambda rows: kernels.gather(planes, other, flow, share, a, *rows, out, *unused),
        pieces(planes.shape[1], _ROWS),
    )
    return out


def settled(flow: Array, first: Array, second: Array) -> Array:
    """Put 0, in place, where standing still explains two pictures (H, W) about as well as the flow between them does.

    Noise lets the flow of what stands still tremble, and each interpolation costs some of the finest detail.
    """
    here, there = first[np.newaxis], edged(second[np.newaxis])
    off, still = (_around(_squares(here, there, w)) for w in (flow, np.zeros_like(flow)))
    height, width = first.shape
    where = (still <= 1.1 * off + 0.003).repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    flow[:, where] = 0
    return flow


def _around(squares: Array) -> Array:
    """Return means over about 20 pixels, one for every 4 × 4."""
    coarse = halved(halved(squares[np.newaxis]))[0]
    out = np.empty_like(coarse)
    kernels.smoothed(coarse, _FINE.astype(coarse.dtype), coarse.dtype.type(1), 0, len(out), out)
    return out


def _squares(here: Array, there: Array, flow: Array) -> Array:
    """Return (there(x + w) − here)², averaged over channels; `there` has its edge."""
    out = np.empty(here.shape[1:], here.dtype)
    a = out.dtype.type(_SHARP)
    each(lambda rows: kernels.squared_differences(here, there, flow, a, *rows, out), pieces(len(out), _ROWS))
    return out


def conductance(here: Seen, there: Seen, flow: Array, lost: Array | None, kappa: float) -> Array:
    """Return g(|there(x + w) − here|²) on the grid of the guides, of squares averaged over channels and nearby.

    Where the motion is known to be `lost`, 0.
    """
    squares = _squares(here.guide, there.edged_guide, flow)
    out, real, bands = np.empty_like(squares), squares.dtype.type, pieces(len(squares), _ROWS)
    weights = (_FINE if here.guide.shape == here.planes.shape else _COARSE).astype(out.dtype)
    g = named("exponential", (1.0, 1.0, 1.0), out.dtype)
    scale = real((1 / (kappa * unit("exponential"))) ** 2)
    each(lambda rows: kernels.smoothed_conductance(squares, weights, g, scale, *rows, out), bands)
    if lost is not None:
        each(lambda rows: kernels.close(out, lost, *rows), bands)
    return out


def astray(flow: Array, back: Array) -> Array:
    """Tell where the flow `back` does not lead back: |w + w'(x + w)|² > 0.01 (|w|² + |w'(x + w)|²) + 0.5."""
    there, out = warped(edged(back), flow, EXACT), np.empty(flow.shape[1:], np.bool_)
    each(lambda rows: kernels.astray(flow, there, *rows, out), pieces(len(out), _ROWS))
    return out


def averaged(here: Seen, others: Iterable[tuple[Seen, Array, Array]]) -> tuple[Array, Array]:
    """Return u + Σ g (u_k(x + w_k) − u) / (1 + Σ g), and the share of the noise's variance that is left, (H, W).

    The explicit step of the diffusion between a frame and `others`, each with flow and conductance, that is as long
    as keeps every weight from becoming negative.
    """
    total = np.zeros_like(here.planes)
    weights, squares = np.ones((2, *here.planes.shape[1:]), total.dtype)
    a, bands = total.dtype.type(_SHARP), pieces(total.shape[1], _ROWS)
    for there, flow, g in others:
        args = here.planes, there.edged, flow, g, a
        each(lambda rows, args=args: kernels.gather(*args, *rows, total, weights, squares), bands)  # type: ignore[misc]
    total /= weights
    total += here.planes
    squares /= weights
    squares /= weights
    return total, squares


def edged(planes: Array) -> Array:
    """Return planes with the rows and columns at their edges repeated."""
    edge = kernels.EDGE
    channels, height, width = planes.shape
    out = np.empty((channels, height + 2 * edge, width + 2 * edge), planes.dtype)
    out[:, edge:-edge, edge:-edge] = planes
    out[:, :edge], out[:, -edge:] = out[:, edge : edge + 1], out[:, -edge - 1 : -edge]
    out[:, :, :edge], out[:, :, -edge:] = out[:, :, edge : edge + 1], out[:, :, -edge - 1 : -edge]
    return out
