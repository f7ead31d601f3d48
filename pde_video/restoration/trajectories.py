"""Known pixels along the motion: what is masked in a frame is seen in others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from pde_video.estimate.light import Light
from pde_video.estimate.light import between as light_between
from pde_video.kernels.motion_averages import EDGE
from pde_video.motion.averaging import (
    EXACT,
    inconsistent,
    padded,
    warped,
    warped_at,
)
from pde_video.motion.neighbours import windows
from pde_video.motion.passage import Passage
from pde_video.protocols import Array
from pde_video.restoration.expected_errors import EVIDENCE, LEAST, TINY, around, missed_at_rim, missed_in_space
from pde_video.restoration.fill import along_edges, harmonic, written
from pde_video.restoration.in_scenes import (
    UNIT,
    Picture,
    Shown,
    clipped_at,
    flow,
    numbered,
    prepared,
    seen_from,
    together,
)
from pde_video.restoration.masks import Marked
from pde_video.threads import ordered

_UNSEEN = 1.0  # Smallest expected mismatch where nothing is known around, in units.
_STILL = 0.02  # Mismatch without motion, in units, up to which nothing moves.
_SOME = 0.05  # Share of a picture that must not move, if other frames are looked at without motion.
_SEEN = 0.7  # Share of a warped pixel that must be known
_KNOWN = 0.99  # where it is filled from it, and where mismatches are counted.
_NEAR = 2.0  # Weight of what other frames show where much is lost, relative to the share of what is known around.
_CARRIED = 0.03  # Weight of what was filled before, relative to what is seen.
_RIM = 2  # Pixels around what is masked, on which the mean along the motion is tried.
_SCREENED, _SURER = 0.35, 4.0  # Weights of the motion and of diffusion, where both are expected to be as wrong.
_SURE = 10.0  # Of the motion, from which on it stays as it is.


def along_motion(
    pairs: Iterable[Marked], report: dict[str, Any], radius: int, *, causal: bool, screened: bool
) -> Iterator[Array]:
    """Yield the frames with what is masked filled along the motion, and in space where that finds nothing."""
    spread = map if causal else ordered
    pictures = numbered(spread(prepared, pairs), report, spread)
    linked = spread(_linked, windows(pictures, radius, 0))
    gathered = spread(_gathered, windows(linked, radius, 0 if causal else radius))
    return spread(partial(_finished, screened=screened), _carried(gathered, report))


def _linked(window: tuple[int, list[Picture]]) -> Picture:
    """Return the last picture of the window with the flows between it and the others."""
    *others, last = pictures = window[1]
    seen = [seen_from(pictures, k, len(others), coarsely=True) for k in range(len(others))]
    return last._replace(links={one.number: (flow(last, one), flow(one, last)) for one in seen})


def _gathered(window: tuple[int, list[Picture]]) -> Picture:
    """Return the picture with what others show of its masked pixels and their rim."""
    at, pictures = window
    here, lights = pictures[at], [one.light for one in pictures]
    rim = here.torn is None and here.mask.any()
    here = here._replace(wide=ndimage.maximum_filter(here.mask, 2 * _RIM + 1) if rim else here.mask)
    n = int(np.count_nonzero(here.wide))
    shown = Shown(np.zeros((len(here.planes), n)), *np.zeros((2, n)))
    if here.mask.any() and not here.mask.all():
        for k, there in enumerate(pictures):
            if k != at:
                w, back = here.links[there.number] if k < at else there.links[here.number][::-1]
                light = light_between(lights, k, at)
                white = clipped_at(here, there)
                values, g = _found(here, there.seen, there.levels[0], there.shares[0], w, back, light, white)
                shown = shown.also(values, g, 1 / abs(k - at))  # Errors of the motion add up.
    links = {number: link for number, link in here.links.items() if number == here.number - 1}
    if here.torn is not None and (nearby := _shown_around(at, pictures)):
        values, error, own = nearby
        near = np.square(np.minimum(_NEAR * here.torn[here.mask], 1))
        here = here._replace(back=own, unit=max(one.unit for one in pictures))  # What is known of it may be flat.
        shown = Shown(*(near * one for one in shown))
        shown = shown.also(values[:, here.mask], 1 / np.maximum(error[here.mask], np.square(LEAST * here.unit) + TINY))
        links = {}  # Nothing tells what was carried on.
    return here._replace(links=links, shown=shown)


def _shown_around(at: int, pictures: list[Picture]) -> tuple[Array, Array, Light | None] | None:
    """Return planes (C, H, W) of the nearest pictures that are not torn, and their expected squared error (H, W).

    That is what is between them, if there is one on both sides. With it the change from its light to that of here.
    """
    here, lost, lights = pictures[at], pictures[at].mask.all(), [one.light for one in pictures]
    serve = [k for k, one in enumerate(pictures) if (not one.mask.all() if lost else one.torn is None)]
    old, new = max((k for k in serve if k < at), default=None), min((k for k in serve if k > at), default=None)
    if old is not None and new is not None:
        first, second = pictures[old], pictures[new]
        share = (here.number - first.number) / (second.number - first.number)
        if lost:
            light = light_between(lights, old, new)
            back = light_between([None, light and light.partly(share).inverse(), light_between(lights, old, at)], 0, 2)
            return *between(*together(first, second, light, share), share), back
        return *between(seen_from(pictures, old, at), seen_from(pictures, new, at), share), None
    one = old if new is None else new
    if one is None:
        return None
    nearest = pictures[one] if lost else seen_from(pictures, one, at)
    both = here.shares[0] * nearest.shares[0]
    missed = float((both * np.square(here.levels[0] - nearest.levels[0])).mean(dtype=np.float64))
    error = np.full(here.mask.shape, missed / max(float(both.mean(dtype=np.float64)), EVIDENCE))
    return nearest.planes, error, light_between(lights, one, at) if lost else None


def between(before: Picture, after: Picture, share: float) -> tuple[Array, Array]:
    """Return the planes of what is a share of the way from a picture to another.

    With them the mean squared difference around (H, W) of what both tell.
    """
    known = (np.moveaxis(one.seen[:-1, EDGE:-EDGE, EDGE:-EDGE], 0, -1) for one in (before, after))
    passage = Passage(*known)
    return np.moveaxis(passage.at(share), -1, 0), passage.missed


def _found(
    here: Picture, seen: Array, luma: Array, share: Array, w: Array, back: Array, light: Light | None, white: float
) -> tuple[Array, Array]:
    """Return what another picture shows at the wide mask (C, n), and g: the inverse of the expected error, or 0.

    At the same place where that fits as it does in still scenes without noise, so that these are filled exactly.
    """
    mask, limit = here.wide, _STILL * here.unit
    own = seen[:, EDGE:-EDGE, EDGE:-EDGE][:, mask]
    moved = warped_at(mask, seen, w.astype(seen.dtype, copy=False), EXACT)
    coarse = warped(padded(np.stack([luma, share])), w, EXACT)
    if light is not None:
        for values in (own, moved):
            values[:-1] = np.minimum(light.of_pixels(values[:-1], mask), white)
        gain, offset = light.rows(luma)
        luma, coarse[0] = (np.minimum(gain * one + offset, white) for one in (luma, coarse[0]))
    moving = _worth(here, moved, coarse, ~inconsistent(w, back) & inside(w))
    if np.count_nonzero(np.abs(luma - here.levels[0]) <= limit) < _SOME * luma.size:
        return moved[:-1], moving
    still = _worth(here, own, np.stack([luma, share]), np.ones(luma.shape, bool))
    stays = still * np.square(limit) >= 1
    return np.where(stays, own[:-1], moved[:-1]), np.where(stays, still, moving)


def _worth(here: Picture, values: Array, coarse: Array, valid: Array) -> Array:
    """Return the inverse of the mean squared mismatch around, of what both show; 0 where `values` (C + 1, n) do not."""
    mask = here.wide
    both = valid & (coarse[1] > _KNOWN) & (here.shares[0] > _KNOWN)
    mismatch, evidence = around(np.square(coarse[0] - here.levels[0]) * both, both.astype(coarse.dtype), mask.shape)
    least = np.where(evidence[mask] < EVIDENCE, _UNSEEN, LEAST) * here.unit
    visible = (values[-1] > _SEEN) & valid.repeat(2, axis=0).repeat(2, axis=1)[: mask.shape[0], : mask.shape[1]][mask]
    return visible / np.maximum(mismatch[mask] + np.square(least), np.finfo(np.float32).tiny)


def inside(w: Array) -> Array:
    """Tell where x + w lies in the frame."""
    rows, columns = np.indices(w.shape[1:], np.float32) + w
    return (rows >= 0) & (rows <= w.shape[1] - 1) & (columns >= 0) & (columns <= w.shape[2] - 1)


def _carried(pictures: Iterable[Picture], report: dict[str, Any]) -> Iterator[Picture]:
    """Yield the pictures with what was found for the frame before, which may have been seen long ago."""
    before: tuple[Picture, Array] | None = None
    found = masked = 0
    for picture in pictures:
        if before is not None and picture.links:
            there, seen = before
            link, light = picture.links[there.number], light_between([None, there.back, picture.light], 0, 2)
            white = clipped_at(picture, there)
            values, g = _found(picture, seen, there.levels[0], there.shares[0], *link, light, white)
            picture = picture._replace(shown=picture.shown.also(values, g, _CARRIED))
        inner, mean, weight = picture.mask[picture.wide], _mean(picture), picture.shown.weight
        found, masked = found + int(np.count_nonzero(weight[inner])), masked + int(np.count_nonzero(inner))
        report["along_motion"] = found / masked if masked else 0.0
        planes, known = picture.planes.copy(), np.ones(picture.mask.shape, picture.planes.dtype)
        planes[:, picture.mask], known[picture.mask] = mean[:, inner], weight[inner] > 0
        before = picture, padded(np.concatenate([planes, known[np.newaxis]]))
        yield picture._replace(links={})


def _mean(picture: Picture) -> Array:
    """Return the mean along the motion at the wide mask (C, n); what was filled in space where that has none."""
    return picture.shown.mean(picture.planes[:, picture.wide])


def _finished(picture: Picture, screened: bool) -> Array:
    """Return the frame, filled."""
    mask, planes = picture.mask, picture.planes.copy()
    if not mask.any():
        return picture.frame
    inner, mean = mask[picture.wide], _mean(picture)
    unseen = mask.copy()
    unseen[mask] = picture.shown.weight[inner] == 0
    planes[:, mask] = mean[:, inner]
    if not screened or mask.all():
        planes = along_edges(harmonic(planes, unseen), unseen)
    else:
        data, weight, seen = planes.copy(), np.zeros(mask.shape), ~unseen[mask]
        shown, deviation = picture.shown, picture.unit / UNIT
        there = np.square(mean - picture.planes[:, picture.wide]).mean(axis=0)
        of_mean = missed_at_rim(there, shown.weight > 0, shown.surest, mask, picture.wide, picture.unit)
        odds = np.square(missed_in_space(picture.planes, mask, deviation)[mask] / of_mean) * seen
        weight[mask] = _SCREENED * odds
        share = (odds / (odds + _SURER)).astype(planes.dtype)
        planes[:, mask] = picture.planes[:, mask] + share * (mean[:, inner] - picture.planes[:, mask])
        doubtful = mask & (weight < _SURE)
        planes = np.where(doubtful, planes, data)
        planes = along_edges(harmonic(planes, unseen), doubtful, data, weight)
    return written(picture.frame, mask, planes)
