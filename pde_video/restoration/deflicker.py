"""The filter `deflicker`: light that changes from frame to frame is evened out by diffusion along time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.along_time import heat_kernel, pairs, windows
from pde_video.restoration.light_curves import Curves, Look, curves_between, groups, in_light_of, looked
from pde_video.threads import by_rows, ordered

_TILES = 6, 8  # Of a frame, where light changes from place to place.
_NODES = 257  # Values of a frame whose light is followed: 8 bits are between them without loss.
_ROUNDS, _ROBUST = 4, 6.0  # Of reweighting; medians of the distance from the light that is expected.
_FEW = 1  # Frames on each side of that few: light that is switched stays so, light that alternates does not.
_ROUNDING = 1e-12  # Of squared distances, relative to the largest.
_CERTAIN = 9.0  # Squared trend of light, in units of its variance, up to which it is no trend.


class Lit(NamedTuple):
    """A frame, and the curves from the one before it, if there is one in the scene."""

    frame: Array | None
    scene: int
    since: Curves | None


@video_filter(
    extent=lambda width, **others: Extent(2 * width, 2 * width, 1, None),
    examples=("old.mp4 steady.mkv", "old.mp4 steady.mkv --local", "lapse.mp4 steady.mkv --width 40 --colour"),
)
def deflicker(
    frames: Frames,
    *,
    width: Annotated[int, Option(unit="frames", least=1, most=100)] = 15,
    local: bool = False,
    colour: bool = False,
) -> Iterator[Array]:
    """Even out light that flickers: the values of each frame are diffused along time, ∂q/∂s = ∂²q/∂t².

    u_t ← Σ_s w_s φ_ts(u_t), with a heat kernel w over time, closed at cuts, and the monotone curves φ_ts that lead from
    the light of frame t to that of frame s: those from each frame to the next, set one behind the other. They are the
    curves of quantiles, as in scale-time equalisation, but of the pixels alone that agree along the motion. So what
    enters or leaves the picture does not count. Where no change of light is sure, the curve is the identity: a video
    without flicker stays as it is. Frames whose light is far from that of the others, as in a flash, count little, and
    the trend of a fade is kept to the end of a scene. See docs/flicker.md.

    Parameters
    ----------
    width : int
        Standard deviation of w, about, in frames, 1 to 100. Twice as many on each side count; slower changes of light
        are kept.
    local : bool
        Follow light that differs from place to place, by curves for 6 × 8 tiles, linear between their middles.
    colour : bool
        Follow each channel by curves of its own, as where dyes fade. By default, red, green and blue have the same;
        other channels always have their own.
    report : dict, optional
        Receives ``largest_change``, the largest of the mean changes of a frame's values, in units of the input, and
        ``cuts``, where scenes begin.

    References
    ----------
    Delon (2006), doi:10.1109/TIP.2005.860328. Delon & Desolneux (2010), doi:10.1137/090766371, for local flicker.

    Examples
    --------
    >>> scene = np.random.default_rng(0).random((24, 32)) / 2
    >>> film = np.stack([scene * (1 + 0.2 * (-1) ** t) for t in range(9)])
    >>> bool(np.ptp(deflicker(film).mean(axis=(1, 2))) < 0.2 * np.ptp(film.mean(axis=(1, 2))))
    True
    """
    tiles = _TILES if local else (1, 1)
    looks = pairs(ordered(looked, frames), partial(_is_cut, colour=colour), frames.report)
    lit = windows(
        ordered(partial(_linked, tiles=tiles, colour=colour), looks), 2 * width, lambda one: one._replace(frame=None)
    )
    largest = 0.0
    for frame, changed in ordered(partial(_evened, width=width, tiles=tiles, colour=colour), lit):
        largest = max(largest, changed)
        frames.report["largest_change"] = largest * frames.scale
        yield frame


def _is_cut(before: Look, here: Look, colour: bool) -> bool:
    levels = (one.in_units(here) for one in (in_light_of(before, here, colour), here))
    return is_cut_not_motion(*levels, sigma=0.0)


def _linked(pair: tuple[Look | None, Look], tiles: tuple[int, int], colour: bool) -> Lit:
    before, here = pair
    return Lit(here.frame, here.scene, before and curves_between(before, here, tiles, colour))


def _evened(window: tuple[int, list[Lit]], width: int, tiles: tuple[int, int], colour: bool) -> tuple[Array, float]:
    """Return the frame with its light evened out, and the mean by which its values are changed, at most."""
    from pde_video.kernels.tone_curves import change

    at, lit = window
    frame = lit[at].frame
    assert frame is not None
    planes = to_planes(frame, -1)
    parts = [planes[part] for part in groups(len(planes), colour)]
    ends = np.array([(float(part.min()), float(part.max())) for part in parts])
    values = np.linspace(ends[:, 0], ends[:, 1], _NODES, axis=1)
    shares = np.stack([_shares(part, one) for part, one in zip(parts, values, strict=True)])
    values, shares = (np.repeat(one, tiles[0] * tiles[1], axis=0) for one in (values, shares))
    light = np.empty((len(lit), *values.shape))
    light[at] = values
    for k in range(at + 1, len(lit)):
        light[k] = _since(lit[k]).onward(light[k - 1])
    for k in range(at, 0, -1):
        light[k - 1] = _since(lit[k]).backward(light[k])
    doubt = np.cumsum([np.zeros(len(values)), *(_since(one).variance for one in lit[1:])], axis=0)
    tables = _expected(light - values, np.abs(doubt - doubt[at]), at, width, shares)
    rising = np.maximum.accumulate(values + tables, axis=-1)
    tables = np.where(rising > values + tables, rising - values, tables)
    steps, out = np.diff(ends, axis=1)[:, 0] / (_NODES - 1), []
    for part, (low, _), step, table in zip(parts, ends, steps, tables.reshape(-1, *tiles, _NODES), strict=True):
        out += [by_rows(change, np.empty_like(plane), plane, low, step or 1.0, table) for plane in part]
    return np.stack(out, axis=-1), float(np.abs((shares * tables).sum(axis=-1)).max())


def _since(lit: Lit) -> Curves:
    assert lit.since is not None  # Frames of a window are of one scene.
    return lit.since


def _shares(part: Array, values: Array) -> Array:
    """Return the shares of the values of some planes that are near to each of a table."""
    step = (values[-1] - values[0]) / (_NODES - 1) or 1.0
    places = np.rint((part.ravel() - values[0]) / step).astype(np.int64)
    return np.bincount(places, minlength=_NODES) / part.size


def _expected(light: Array, doubt: Array, at: int, width: int, shares: Array) -> Array:
    """Return the light (M, N) to expect in one of several frames (T, M, N), relative to its own.

    That is the robust mean, at first of what is near to the mean of a few; on the trend, if there is more of one than
    by chance, so that a fade goes on as it does to the end of a scene. What is in `doubt` (T, M) counts less.
    """
    weights, few = (heat_kernel(at, len(light) - 1 - at, one) for one in (width, _FEW))
    time, tiny = (np.arange(len(light)) - at)[:, np.newaxis], np.finfo(np.float64).tiny
    apart = _energy(light - np.einsum("t,tmn->mn", few, light), shares)
    for _ in range(_ROUNDS):
        usual = np.maximum(_median(apart, weights), _ROUNDING * apart.max(axis=0)) + tiny
        w = weights[:, np.newaxis] / np.square(1 + apart / (_ROBUST**2 * usual)) * (usual / (usual + doubt))
        w /= w.sum(axis=0)
        mean, middle = np.einsum("tm,tmn->mn", w, light), (w * time).sum(axis=0)
        away = time - middle
        spread = (w * np.square(away)).sum(axis=0)
        slope = np.einsum("tm,tmn->mn", w * away, light - mean) / np.maximum(spread, tiny)[:, np.newaxis]
        apart = _energy(light - mean - away[..., np.newaxis] * slope, shares)
        error = (w * apart).sum(axis=0) * np.square(w).sum(axis=0)
        chance = _CERTAIN * error / np.maximum(spread * _energy(slope, shares), tiny)
        slope *= np.maximum(1 - chance, 0)[:, np.newaxis]
        apart = _energy(light - mean - away[..., np.newaxis] * slope, shares)
    return mean - middle[:, np.newaxis] * slope


def _energy(values: Array, shares: Array) -> Array:
    return (np.square(values) * shares).sum(axis=-1)


def _median(values: Array, weights: Array) -> Array:
    """Return the weighted medians of values (T, M) over T."""
    order = np.argsort(values, axis=0, kind="stable")
    sums = np.cumsum(weights[order], axis=0)
    middle = np.argmax(sums >= sums[-1] / 2, axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, middle[np.newaxis], axis=0), axis=0)[0]
