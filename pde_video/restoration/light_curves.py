"""Curves of light between two frames: what each value of one is in the next, by the pixels that both show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.motion.averaging import EXACT, halved, padded, warped
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.restoration.trajectories import inside

_BANDS = 16  # Of pixels in the order of their values, narrower at both ends.
_EDGES = (1 - np.cos(np.pi * np.arange(_BANDS + 1) / _BANDS)) / 2
_ENDS, _STRAIGHT = 4, 0.1  # Bands that tell the slope beyond them; share of all values from which on they do.
_SHALLOWEST, _STEEPEST = -0.9, 3.0  # Such slopes, of changes.
_UNIT, _SMOOTHNESS = 0.25, 20.0  # Of the motion: standard deviations of a frame; weight.
_MOTIONS, _TRIMS = 2, 3  # Rounds of motion and light, and of pixels that agree.
_APART, _LEAST = 1.5, 2e-3  # Medians of the residual up to which pixels agree; standard deviations.
_KNOWN, _FEWEST = 0.99, 200  # Share of a warped pixel that is not cut off; pixels that tell anything.
_BLOCKS, _FAR = (3, 4), 9.0  # Of a picture, that must agree on a change; medians up to which pixels have a say.
_SURE, _SURE_IN_TILES = 16.0, 2.0  # Variances of a change that are taken off.
_OF_ALL = 0.1  # Weight of the whole frame in the curve of a tile.

Pair: TypeAlias = tuple[Array, Array]


class Look(NamedTuple):
    """A frame, and what the next needs of it, in pictures of half the size."""

    frame: Array
    planes: Array  # (C, h, w)
    inner: Array  # (h, w): 1 where nothing is cut off.
    levels: list[Array]
    limits: Array  # (2,): the values at which it is cut off, or NaN.
    scene: int = 0

    def in_units(self, of: Look) -> list[Array]:
        """Return the pyramid in units of that of a frame."""
        unit = 1 / (_UNIT * float(of.levels[0].std(dtype=np.float64)) or 1.0)
        return [level * level.dtype.type(unit) for level in self.levels]


class Sure(NamedTuple):
    """A curve through (x, y), as far as it is sure, and the variance of what is left in doubt."""

    x: Array
    y: Array
    variance: float


class Curves(NamedTuple):
    """What values are in the next frame, (M, ...) for channels and tiles: means of bands, and what is cut off."""

    x: Array  # (M, K)
    y: Array
    held: Array  # (M, 2, 2): the least and the largest value if values are cut off there, and what they become.
    back: Array  # The same from the next frame to this.
    variance: Array  # (M,): of what is in doubt.

    def onward(self, values: Array) -> Array:
        """Return what values (M, N) are in the next frame."""
        return _followed(self.x, self.y, self.held, values)

    def backward(self, values: Array) -> Array:
        """Return what values (M, N) of the next frame are in this."""
        return _followed(self.y, self.x, self.back, values)


def looked(frame: Array) -> Look:
    """Return a frame (H, W, C) with what is compared of it. It is cut off at 1, and at 0 or −1, if it reaches these."""
    planes = to_planes(frame, -1)
    low, high = float(planes.min()), float(planes.max())
    limits = np.array([low if low in (-1, 0) else np.nan, high if high == 1 else np.nan])
    cut = ((planes == limits[0]) | (planes == limits[1])).any(axis=0, keepdims=True)
    half = halved(planes)
    inner = (halved((~cut).astype(planes.dtype))[0] == 1).astype(planes.dtype)
    return Look(frame, half, inner, pyramid(half.mean(axis=0)), limits)


def groups(channels: int, colour: bool) -> list[slice]:
    """Return the channels that share a curve: all of grey or colour, unless each is to have its own."""
    one_light = channels in (1, 3) and not colour
    return [slice(0, channels)] if one_light else [slice(c, c + 1) for c in range(channels)]


def curves_between(before: Look, here: Look, tiles: tuple[int, int], colour: bool) -> Curves:
    """Return the curves from a frame to the next, in every tile, of the pixels that agree along the motion.

    The motion is that in the light found so far: at first by all values in their order.
    """
    parts, levels = groups(len(here.planes), colour), here.in_units(here)
    (shown, used), moved = np.ones((2, *here.inner.shape), bool), before.planes
    curves = _by_order(before, here, parts)
    seen, coarse = padded(np.concatenate([before.planes, before.inner[np.newaxis]])), int(len(levels) > 1)
    for _ in range(_MOTIONS):
        luma = _lit(before, curves, parts).in_units(here)
        flow = flow_between(levels[coarse:], luma[coarse:], _SMOOTHNESS)
        found = warped(seen, flow.astype(seen.dtype), EXACT)
        there = inside(flow).repeat(1 + coarse, axis=0).repeat(1 + coarse, axis=1)[: len(used), : used.shape[1]]
        agree = there & (found[-1] > _KNOWN) & (here.inner == 1)
        if np.count_nonzero(agree) < _FEWEST:
            break
        moved, shown, used = found[:-1], there, agree
        curves = [_matched(moved[part][:, used], here.planes[part][:, used]) for part in parts]
    pairs = [(moved[part], here.planes[part]) for part in parts]
    blocks = _blocks(used, _BLOCKS)
    sure = [
        _sure(curve, curve[0], (x[:, used], y[:, used]), blocks, _SURE)
        for curve, (x, y) in zip(curves, pairs, strict=True)
    ]
    many = [list(_in_tiles(*pair, used, curve, tiles)) for pair, curve in zip(pairs, sure, strict=True)]
    x, y, variance = (np.array([one[k] for those in many for one in those]) for k in range(3))
    n = tiles[0] * tiles[1]
    held = [_held(first, second, before.limits, shown) for first, second in pairs]
    back = [_held(second, first, here.limits, shown) for first, second in pairs]
    return Curves(x, y, np.repeat(held, n, axis=0), np.repeat(back, n, axis=0), variance)


def _blocks(used: Array, grid: tuple[int, int]) -> Array:
    """Return the number of the block in which each of the used pixels lies."""
    down, across = (np.arange(n) * count // n for n, count in zip(used.shape, grid, strict=True))
    return (down[:, np.newaxis] * grid[1] + across)[used]


def _sure(curve: Pair, expected: Array, pixels: Pair, blocks: Array, variances: float) -> Sure:
    """Return a curve with as much of its change from what is `expected` as is sure: on which blocks of pixels agree.

    Its variance is that of means over blocks, each as large as it has pixels (C, n) in a band.
    """
    (x, y), (first, second) = curve, pixels
    apart, count = second - first, int(blocks.max(initial=0)) + 1
    error = np.abs(second - _onward(curve, first))
    agree = error <= _FAR * np.median(error) if error.size else error > 0
    band = np.searchsorted((x[1:] + x[:-1]) / 2, first)
    at = (band * count + blocks)[agree]
    n, sums = (np.bincount(at, one, _BANDS * count).reshape(_BANDS, -1) for one in (np.ones(at.shape), apart[agree]))
    total = np.maximum(n.sum(axis=1, keepdims=True), 1)
    variance = np.square((sums - n * sums.sum(axis=1, keepdims=True) / total) / total).sum(axis=1)
    noise, signal = ((np.diff(_EDGES) * one).sum() for one in (variance, np.square(y - expected)))
    share = max(0.0, 1 - variances * noise / signal) if signal else 0.0
    return Sure(x, expected + share * (y - expected), variances * noise)


def in_light_of(before: Look, here: Look, colour: bool) -> Look:
    """Return a frame with the pyramid that it has in the light of the next, by the order of all values."""
    parts = groups(len(here.planes), colour)
    return _lit(before, _by_order(before, here, parts), parts)


def _by_order(before: Look, here: Look, parts: list[slice]) -> list[Pair]:
    return [(_bands(before.planes[part]), _bands(here.planes[part])) for part in parts]


def _lit(look: Look, curves: list[Pair], parts: list[slice]) -> Look:
    lit = [_onward(curve, look.planes[part]) for curve, part in zip(curves, parts, strict=True)]
    return look._replace(levels=pyramid(np.concatenate(lit).mean(axis=0)))


def _in_tiles(x: Array, y: Array, used: Array, of_all: Sure, tiles: tuple[int, int]) -> Iterator[Sure]:
    """Yield the curve of each tile, by the pixels around its middle, and a little by all."""
    if tiles == (1, 1):
        yield of_all
        return
    curve = of_all.x, of_all.y
    near = [_nearness(*two) for two in zip(tiles, used.shape, strict=True)]
    for down in near[0]:
        for across in near[1]:
            weights = np.outer(down, across)
            here = used & (weights > 0)
            pixels = x[:, here], y[:, here]
            found = _matched(*pixels, weights[here], (*curve, _OF_ALL * max(float(weights.sum()), 1.0)))
            blocks = _blocks(here, (2 * tiles[0], 2 * tiles[1]))
            yield _sure(found, _onward(curve, found[0]), pixels, blocks, _SURE_IN_TILES)


def _nearness(count: int, length: int) -> Array:
    """Return weights (count, length) with which places lie in pieces, that fall linearly between their middles."""
    place = np.clip((np.arange(length) + 0.5) * count / length - 0.5, 0, count - 1)
    return np.maximum(1 - np.abs(place - np.arange(count)[:, np.newaxis]), 0)


def _matched(x: Array, y: Array, weights: Array | None = None, prior: tuple[Array, Array, float] | None = None) -> Pair:
    """Return the bands of values (C, n) of both frames at the pixels that agree, with a curve as so many more."""
    weights = np.ones(x.shape) if weights is None else np.broadcast_to(weights, x.shape)
    more = (np.zeros(0),) * 3 if prior is None else (*prior[:2], prior[2] * len(x) * np.diff(_EDGES))
    agree, least = np.ones(x.shape, bool), _LEAST * float(y.std(dtype=np.float64)) if y.size else 0.0
    for last in reversed(range(_TRIMS + 1)):
        a, b, w = (np.concatenate([one[agree], also]) for one, also in zip((x, y, weights), more, strict=True))
        curve = _bands(a, w), _bands(b, w)
        if not last or not x.size:
            break
        apart = np.abs(_onward(curve, x) - y)
        agree = apart <= max(_APART * float(np.median(apart)), least)
    return curve


def _bands(values: Array, weights: Array | None = None) -> Array:
    """Return the means of bands of values in their order, with fixed shares of the weights."""
    values = values.ravel().astype(np.float64)
    order = np.argsort(values, kind="stable")
    weight = np.ones(values.size) if weights is None else weights[order]
    total, sums = (np.concatenate([[0.0], np.cumsum(one)]) for one in (weight, weight * values[order]))
    edges = _EDGES * total[-1]
    means: Array = np.diff(np.interp(edges, total, sums)) / np.diff(edges)
    return np.maximum.accumulate(means)  # But for rounding, they increase.


def _held(x: Array, y: Array, limits: Array, shown: Array) -> Array:
    """Return the limits at which values x (C, h, w) are cut off, each with the median y there; NaN of few."""
    there = [shown & (np.abs(x - limit) < 1e-6) for limit in limits]
    told = [np.median(y[one]) if np.count_nonzero(one) >= _FEWEST else np.nan for one in there]
    return np.stack([np.where(np.isnan(told), np.nan, limits), told], axis=1)


def _onward(curve: Pair, values: Array) -> Array:
    """Return what values are by a single curve."""
    x, y = (one[np.newaxis] for one in curve)
    return _followed(x, y, np.zeros((1, 0, 2)), values.reshape(1, -1)).reshape(values.shape).astype(values.dtype)


def _followed(x: Array, y: Array, held: Array, values: Array) -> Array:
    """Return what values (M, N) are by curves through (x, y), whose equal knots are as one."""
    from pde_video.kernels.tone_curves import follow

    for k in np.flatnonzero((np.diff(x) <= 0).any(axis=1)):
        _, index, count = np.unique(x[k], return_inverse=True, return_counts=True)
        y = y if y.flags.owndata else y.copy()
        y[k] = (np.bincount(index, y[k]) / count)[index]
    change = y - x
    out = np.empty(values.shape)
    follow(x, change, _slopes(x, change), held, values.astype(np.float64), out)
    return out


def _slopes(x: Array, change: Array) -> Array:
    """Return the slopes of changes beyond both ends (M, 2): of the line through all, and the outermost bands."""
    whole, tiny = (x - x.mean(axis=1, keepdims=True)), np.finfo(np.float64).tiny
    spread = np.square(whole).sum(axis=1)
    slope = (whole * change).sum(axis=1) / np.maximum(spread, tiny)
    found = []
    for part in (np.s_[:, :_ENDS], np.s_[:, -_ENDS:]):
        at = x[part] - x[part].mean(axis=1, keepdims=True)
        prior = _STRAIGHT**2 * spread
        both = ((at * change[part]).sum(axis=1) + prior * slope) / np.maximum(np.square(at).sum(axis=1) + prior, tiny)
        found.append(np.clip(both, _SHALLOWEST, _STEEPEST))
    return np.stack(found, axis=1)
