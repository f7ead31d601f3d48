"""Known values along the motion of a guide: what is known in other frames lies somewhere in this one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from pde_video.errors import InputError
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.motion.averaging import EXACT, doubled, halved, inconsistent, padded, smoothed, warped, wide_means
from pde_video.motion.neighbours import windows
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.restoration.known_values import Completed, Shown, even, spread, squares
from pde_video.restoration.trust import share_by, with_shares
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.threads import ordered

_UNIT = 0.25  # Of mismatches of the guide, in its standard deviations.
_SMOOTHNESS = 20.0  # Of the motion.
_AROUND, _HERE = 1.0, 0.7  # Mismatches, around and at a pixel, from which on it counts little.
_FAR = 1e6  # Ratio of contrasts, or of values, from which on two frames have nothing to do with each other.
_WEIGHT = 0.6  # Of what others show, relative to conductances, where it is as wrong as what is filled without it.
_LEAST, _MOST = 1 / 64, 1e6  # Odds below which nothing is taken from others, and above which they weigh no more.
_MOSTLY = 0.5  # Share of the guide from which on its edges stop what spreads between values of others.
_SLACK = 1.06  # A frame on its own tests little: its error with others may be so many times that without.
_HALVINGS, _FEW = 3, 20.0  # Change along the motion: size of its means; weight of the mean of all, in pixels.


class Sight(NamedTuple):
    """A picture of a guide, for its motion: the mean of its channels, from 0 to 1."""

    fine: Array  # (H, W)
    levels: list[Array]  # Its pyramid, from half the size on.
    least: float  # What 0 and 1 stand for,
    contrast: float
    unit: float  # and that of mismatches.

    def as_in(self, other: Sight) -> tuple[float, float]:
        """Return the factor and the summand that lead to the units of another picture."""
        factor, summand = self.contrast / other.contrast, (self.least - other.least) / other.contrast
        return min(factor, _FAR) / other.unit, min(max(summand, -_FAR), _FAR) / other.unit

    def levels_in(self, other: Sight) -> list[Array]:
        """Return the pyramid in the units of another picture."""
        factor, summand = map(np.float32, self.as_in(other))
        return [level * factor + summand for level in self.levels]


def sight(planes: Array, least: float, contrast: float) -> Sight:
    """Return what tells the motion of planes (C, H, W) from 0 to 1."""
    fine = planes.mean(axis=0)
    n = fine.size
    mean = math.fsum(fine.sum(axis=0, dtype=np.float64)) / n  # Down the rows first: the same on every machine.
    variance = math.fsum(squares(fine, mean).sum(axis=0)) / n
    return Sight(fine, pyramid(halved(fine[np.newaxis])[0]), least, contrast, _UNIT * math.sqrt(variance) or 1.0)


class Seen(NamedTuple):
    """A frame, filled on its own, with what tells its motion."""

    one: Completed
    sight: Sight
    diffusion: FrozenDiffusion
    number: int = 0
    scene: int = 0
    original: int = 0
    links: Mapping[int, tuple[Array, Array]] = {}  # The flow to frames before it, and back.
    guided: float = 1.0  # The share of the guide.

    @property
    def errors(self) -> list[tuple[float, float]]:
        """Return the squared errors with the guide and without."""
        return self.one.errors


class Moved(NamedTuple):
    """A frame with what others show, and the squared errors with that and without."""

    one: Completed
    shown: Shown | None
    errors: list[tuple[float, float]]
    scene: int = 0


def along_guide(seen: Iterable[Seen], report: dict[str, Any], radius: int) -> Iterator[Completed]:
    """Yield frames with what those around show along the motion of the guide, and the share that it deserves."""
    shared = (one._replace(guided=share) for one, share in with_shares(seen))
    linked = ordered(_linked, windows(_numbered(shared, report), radius, 0))
    scenes = groupby(ordered(_gathered, windows(linked, radius, radius)), attrgetter("scene"))
    total = count = report["along_motion"] = 0.0
    for moved, share in chain.from_iterable(with_shares(scene, False) for _, scene in scenes):
        one, shown = moved.one, moved.shown
        if shown is not None:
            own = share_by([(along, _SLACK**2 * without) for along, without in moved.errors], False)
            shown = shown._replace(share=1.0 if one.mask.all() else min(share, own))  # If all, there is nothing else.
        if one.mask.any():
            total, count = total + (shown.share if shown else 0.0), count + 1
            report["along_motion"] = total / count
        yield one._replace(shown=shown)


def _numbered(seen: Iterable[Seen], report: dict[str, Any]) -> Iterator[Seen]:
    """Yield the frames with the numbers of the scenes of the guide."""
    cuts: list[int] = []
    report["cuts"] = cuts
    before: Sight | None = None
    for number, one in enumerate(seen):
        here = one.sight
        if before is None or here is before:
            pass
        elif is_cut_not_motion(before.levels_in(before), here.levels_in(before), sigma=0.0):
            cuts.append(number)
        before = here
        yield one._replace(number=number, original=number, scene=len(cuts))


def _linked(window: tuple[int, list[Seen]]) -> Seen:
    """Return the last frame of the window with the flows between it and the others."""
    *others, last = window[1]
    return last._replace(
        links={one.number: (_flow(last.sight, one.sight), _flow(one.sight, last.sight)) for one in others}
    )


def _flow(here: Sight, there: Sight) -> Array:
    """Return the flow between two pictures at half of their size; none if they are one."""
    if here is there:
        return np.zeros((2, *here.levels[0].shape), np.float32)
    return flow_between(here.levels_in(here), there.levels_in(here), _SMOOTHNESS)


def _gathered(window: tuple[int, list[Seen]]) -> Moved:
    """Return the frame with what others show of it."""
    at, frames = window
    here = frames[at]
    if here.one.mask.all():  # Its values are those of others.
        here = here._replace(one=here.one._replace(unit=max(there.one.unit for there in frames)))
    shape = here.one.mask.shape
    total, weight = np.zeros((2, len(here.one.planes), *shape)), np.zeros(shape)
    for k, there in enumerate(frames):
        serves = k != at and not there.one.mask.all() and float(there.one.unit) / _FAR < float(here.one.unit)
        if serves and here.one.mask.any():
            w, back = here.links[there.number] if k < at else there.links[here.number][::-1]
            places, values, g = _landed(here, there, w, back)
            g = g / math.sqrt(abs(k - at))  # Errors of the motion add up.
            weight += _added(places, g, shape)
            for ways, found in zip(total, values, strict=True):
                ways += np.stack([_added(places, g * channel, shape) for channel in found])
    total /= np.where(weight > 0, weight, 1.0)
    return _weighed(here, total, weight)._replace(scene=here.scene)


def _weighed(here: Seen, means: Array, weight: Array) -> Moved:
    """Return a frame with the means (2, C, H, W) that others show, with and without the change along the motion.

    Those are taken that tell better what was left out. The weight grows with what is missed there without them, by the
    same diffusion, relative to what they miss. With all of it, less has to be missed than without, with the guide or
    not, whichever is better.
    """
    one, unguided = here.one, here.guided < _MOSTLY
    diffusion = even(here.diffusion) if unguided else here.diffusion
    if one.mask.all():
        if not weight.any():
            raise InputError(
                f"frame {here.number} is masked as a whole, and no other within the radius tells anything of it: all "
                "of them may be masked, or a cut of the guide lies between; leave it out, give a greater radius, or "
                "`inpaint` it first"
            )
        return Moved(one, Shown(means[0].astype(one.planes.dtype), _MOST * weight.astype(np.float32), diffusion), [])
    tested = one.left_out & (weight > 0)
    if not one.missed.size or not tested.any():
        return Moved(one, None, [])
    g = weight[tested]
    ways = [(math.fsum((g * squares(values, one.planes)[:, tested]).ravel()), values) for values in means]
    least, values = min(ways, key=lambda way: way[0])
    without = math.fsum((g * one.missed[int(unguided)][:, tested[one.left_out]]).ravel())
    odds = min(without / least if least else _MOST, _MOST)
    if odds < _LEAST:
        return Moved(one, None, [])
    shown = Shown(values.astype(one.planes.dtype), (_WEIGHT * odds * weight).astype(np.float32), diffusion)
    found = spread(one.planes, one.mask | one.left_out, diffusion, shown)
    along = math.fsum(squares(found, one.planes)[:, one.left_out].ravel())
    return Moved(one, shown, [(along, min(one.errors[0]))])


def _added(places: Array, values: Array, shape: tuple[int, ...]) -> Array:
    """Return the sums of values at the same places, (H, W)."""
    return np.bincount(places, values, math.prod(shape)).reshape(shape)


def _landed(here: Seen, there: Seen, w: Array, back: Array) -> tuple[Array, tuple[Array, Array], Array]:
    """Return where n of the known pixels of another frame lie in this one, their values there, and weights.

    Places are numbers of pixels; values (C, n) are those of the same point in this frame as if it did not change along
    the motion, and with the change that known pixels around show.
    """
    shape = here.one.mask.shape
    rows, columns = np.nonzero(~there.one.mask)
    moved = [2 * doubled(plane, *shape)[rows, columns] for plane in back]
    to = np.stack([rows, columns]) + np.stack(moved)
    y, x = np.rint(to).astype(np.intp)
    serves = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1]) & ~inconsistent(back, w)[rows // 2, columns // 2]
    rows, columns, y, x, to = rows[serves], columns[serves], y[serves], x[serves], to[:, serves]
    planes = there.one.guided
    values = planes[:, rows, columns]
    for axis, off in enumerate(to - np.stack([y, x])):  # Pixels do not land on pixels.
        values = values - off * _slopes(planes, rows, columns, axis)
    scale = float(there.one.unit) / float(here.one.unit)
    weight = _worth(here.sight, there.sight, w, (rows, columns), (y, x))
    return (
        y * shape[1] + x,
        (scale * values, scale * values + _change(here.one, planes, w, back, scale)[:, y // 2, x // 2]),
        weight,
    )


def _slopes(planes: Array, rows: Array, columns: Array, axis: int) -> Array:
    """Return central differences along an axis at some pixels, (C, n)."""
    last = planes.shape[1 + axis] - 1
    place = (rows, columns)[axis]
    after, before = np.minimum(place + 1, last), np.maximum(place - 1, 0)
    apart = np.maximum(after - before, 1)
    if axis == 0:
        return (planes[:, after, columns] - planes[:, before, columns]) / apart
    return (planes[:, rows, after] - planes[:, rows, before]) / apart


def _worth(here: Sight, there: Sight, w: Array, place: tuple[Array, Array], to: tuple[Array, Array]) -> Array:
    """Return weights of pixels of another frame: small where the guides differ along the motion."""
    luma = here.levels_in(here)[0]
    moved = warped(padded(there.levels_in(here)[0][np.newaxis]), w, EXACT)[0]
    around = doubled(smoothed(np.square(moved - luma)), *here.fine.shape)[to]
    factor, summand = there.as_in(here)
    apart = factor * there.fine[place] + summand - here.fine[to] / here.unit
    with np.errstate(over="ignore"):
        return np.asarray(1 / np.square((1 + around / _AROUND**2) * (1 + np.square(apart) / _HERE**2)))


def _change(here: Completed, planes: Array, w: Array, back: Array, scale: float) -> Array:
    """Return how much known pixels differ from planes of another frame along the motion, in the mean around.

    (C, h, w), at half the size; where these are few, in the mean of all. What was left out is not asked.
    """
    shape = here.mask.shape
    fits = ~inconsistent(w, back).repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
    known = ~(here.mask | here.left_out) & fits
    apart = known * (here.planes - planes.dtype.type(scale) * warped(padded(planes), w.astype(planes.dtype), EXACT))
    n = int(np.count_nonzero(known)) or 1
    everywhere = [math.fsum(one.sum(axis=0, dtype=np.float64)) / n for one in apart]
    *sums, count = wide_means(halved(np.concatenate([apart, known[np.newaxis].astype(apart.dtype)])), _HALVINGS)
    few = apart.dtype.type(_FEW / 4 ** (1 + _HALVINGS))
    return np.stack([(one + few * mean) / (count + few) for one, mean in zip(sums, everywhere, strict=True)])
