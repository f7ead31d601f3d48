"""Frames in scenes: what their neighbours need of them, and the motion between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.estimate.light import Light, light_change, suits_all
from pde_video.estimate.light import between as light_between
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.kernels.motion_averages import EDGE
from pde_video.motion.averaging import halved, padded
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.restoration.expected_errors import EVIDENCE, around
from pde_video.restoration.fill import harmonic
from pde_video.restoration.masks import Marked
from pde_video.threads import ordered

UNIT = 0.25  # Of flow and mismatches, in standard deviations of a frame.
_SMOOTHNESS = 20.0  # Of the motion.
_SIGNIFICANT = 0.15  # Share of what two frames differ by, which a change of light must explain.
_CLIPPED = 0.01  # Share of a picture by which more is as bright as can be than in the other.
_NOTHING = np.zeros(0)


class Shown(NamedTuple):
    """What other frames show along the motion at n pixels."""

    moved: Array  # Σ g u, (C, n),
    weight: Array  # Σ g, (n,),
    surest: Array  # and the largest g.

    def also(self, values: Array, g: Array, share: float = 1.0) -> Shown:
        """Return this and what one more frame shows, with a share of its weight."""
        part = share * g
        return Shown(self.moved + part * values, self.weight + part, np.maximum(self.surest, g))

    def mean(self, otherwise: Array) -> Array:
        """Return the mean (C, n), and something else where nothing is shown."""
        some = self.weight > 0
        return np.where(some, self.moved / np.where(some, self.weight, 1.0), otherwise)


class Picture(NamedTuple):
    """A frame in the chain: as read (H, W, C), what is to be filled, and what its neighbours need of it."""

    frame: Array
    mask: Array  # (H, W)
    planes: Array  # (C, H, W), filled in space.
    seen: Array  # The same, and 1 where it is known, with padding.
    levels: list[Array]  # The pyramid on which motion is seen.
    shares: list[Array]  # What of it is known.
    unit: float
    number: int = 0
    scene: int = 0
    original: int = 0
    links: Mapping[int, tuple[Array, Array]] = {}  # The flow to frames before it, and back.
    wide: Array = _NOTHING  # The mask and its rim, where other frames are asked
    shown: Shown = Shown(*3 * [_NOTHING])  # what they show.
    light: Light | None = None  # Its change since the frame before.
    back: Light | None = None  # To this light from that in which it is filled, if it is lost.
    found: Any = None  # What a detector found.
    white: float = np.inf  # The largest value that is known, and the share of the pixels that have it in a channel:
    at_white: float = 0.0  # where light clips there, many.
    torn: Array | None = None  # How much is known around each pixel, (H, W), if there is one with nothing.


def prepared(pair: Marked) -> Picture:
    """Return a frame, filled in space where it is masked, with what its neighbours need of it."""
    frame, mask = pair
    planes = harmonic(to_planes(frame, -1), mask)
    known = (~mask).astype(planes.dtype)[np.newaxis]
    coarse = halved(np.concatenate([planes.mean(axis=0, keepdims=True), known]))
    levels, shares = pyramid(coarse[0]), [coarse[1].astype(np.float32)]
    while len(shares) < len(levels):
        shares.append(halved(shares[-1][np.newaxis])[0])
    unit = UNIT * float(planes.std(dtype=np.float64))
    evidence = around(shares[0], shares[0], mask.shape)[1] if mask.any() else None
    torn = evidence if evidence is not None and evidence.min() < EVIDENCE else None
    white = float(frame.max(where=~mask[..., np.newaxis], initial=-np.inf))
    at_white = np.count_nonzero((planes >= white).any(axis=0)) / mask.size if white > -np.inf else 0.0
    seen = padded(np.concatenate([planes, known]))
    return Picture(frame, mask, planes, seen, levels, shares, unit, white=white, at_white=at_white, torn=torn)


def numbered(
    pictures: Iterable[Picture], report: dict[str, Any], spread: Any = ordered, *, cuts: bool = True
) -> Iterator[Picture]:
    """Yield the pictures with the numbers of their scenes, one if not by `cuts`, and the changes of light in these."""
    report["relit"] = 0
    # Light of torn frames and of those after them is relative to the last frame that is not torn.
    before: Picture | None = None
    for picture, differs in spread(_lit, _in_scenes(pictures, report, apart=cuts)):
        report["relit"] += differs
        light = picture.light
        if before is not None and before.light and before.torn is not None and before.scene == picture.scene:
            back = before.light.inverse()
            light = back if light is None else back.then(light)
        before = picture
        yield picture._replace(light=light)


def _in_scenes(
    pictures: Iterable[Picture], report: dict[str, Any], *, apart: bool
) -> Iterator[tuple[Picture | None, Picture | None, Picture]]:
    """Yield the pictures with the numbers of their scenes, and before them two of these, if there are any.

    First the last that is whole, or else torn at the beginning of the scene, then the last of which something is known.
    """
    cuts: list[int] = []
    report["cuts"] = cuts
    whole: Picture | None = None
    last: Picture | None = None
    for number, picture in enumerate(pictures):
        lost = picture.mask.all()
        if apart and whole is not None and not lost and _is_cut(whole, picture):
            cuts.append(number)
            whole = last = None
        picture = picture._replace(number=number, original=number, scene=len(cuts))
        yield whole, last, picture
        whole = picture if picture.torn is None or (whole is None and not lost) else whole
        last = last if lost else picture


def _is_cut(before: Picture, here: Picture) -> bool:
    """Tell whether two pictures show different scenes, in units of the first; what is torn tells nothing."""
    torn = before.torn is not None or here.torn is not None
    unit = before.unit or 1.0
    shares = _shares(before, here) if torn else None
    return is_cut_not_motion(_in_units(before, unit), _in_units(here, unit), sigma=0.0, shares=shares)


def _lit(three: tuple[Picture | None, Picture | None, Picture]) -> tuple[Picture, bool]:
    """Return the third picture with the change of light since the first, and whether there is one since the second."""
    whole, last, here = three
    if whole is None or last is None:
        return here, False
    light = change_of_light(whole, here)
    since = light if last is whole else change_of_light(last, here)
    return here._replace(light=light), since is not None


def unlike(before: Picture, after: Picture) -> bool:
    """Tell whether two pictures show different scenes."""
    unit = before.unit or after.unit or 1.0
    return is_cut_not_motion(_in_units(before, unit), _in_units(after, unit), sigma=0.0)


def change_of_light(
    before: Picture, after: Picture, *, even: bool = False, significant: float = _SIGNIFICANT
) -> Light | None:
    """Return the change of light between two pictures, of what is known of both; None if none is significant.

    Nor is one of luma that brings a channel further apart: the colour has changed.
    """
    unit = max(before.unit, after.unit) or 1.0
    levels = _in_units(before, unit), _in_units(after, unit)
    shares = _unclipped(before, after)
    light = light_change(
        *levels,
        even=even or before.torn is not None or after.torn is not None,
        shares=shares,
        significant=significant,
    )
    if light is not None and len(before.planes) > 1:
        colours = halved(before.planes / unit), halved(after.planes / unit)
        if not suits_all(light, *levels, colours, [np.ascontiguousarray(one[::-1]) for one in shares]):
            return None
    return light and light._replace(offset=unit * light.offset)


def _unclipped(before: Picture, after: Picture) -> list[Array]:
    """Return what is known of two pictures (2, H, W) on each level, without what light clips in one of them."""
    shares = _shares(before, after)
    if abs(before.at_white - after.at_white) <= _CLIPPED:
        return shares
    white = [(one.planes >= one.white).any(axis=0) for one in (before, after)]
    below = np.expand_dims(~(white[0] | white[1]), 0).astype(shares[0].dtype)
    for share in shares:
        below = (halved(below) == 1).astype(share.dtype)
        share *= below
    return shares


def _in_units(picture: Picture, unit: float) -> list[Array]:
    return [level * level.dtype.type(1 / unit) for level in picture.levels]


def flow(here: Picture, there: Picture) -> Array:
    """Return the flow between two pictures at half of their size, smooth where either is not known."""
    unit = here.unit or 1.0
    return flow_between(_in_units(here, unit), _in_units(there, unit), _SMOOTHNESS, _shares(here, there))


def _shares(one: Picture, other: Picture) -> list[Array]:
    """Return what is known of two pictures, (2, H, W) on each level."""
    return [np.stack(both) for both in zip(one.shares, other.shares, strict=True)]


def seen_from(pictures: list[Picture], there: int, here: int, *, coarsely: bool = False) -> Picture:
    """Return one of the pictures in the light of another; `coarsely`, if that of its levels is enough."""
    light = light_between([one.light for one in pictures], there, here)
    if light is None:
        return pictures[there]
    lit, white = in_light(pictures[there], light, coarsely=coarsely), clipped_at(pictures[here], pictures[there])
    return lit._replace(unit=pictures[here].unit, levels=[np.minimum(level, white) for level in lit.levels])


def clipped_at(here: Picture, there: Picture) -> float:
    """Return the value at which light clips a picture, if it does so more than in another; else infinity."""
    return here.white if here.at_white - there.at_white > _CLIPPED else np.inf


def in_light(picture: Picture, light: Light, *, coarsely: bool = False) -> Picture:
    """Return a picture in another light; `coarsely`, if that of its levels is enough."""
    if coarsely:
        return picture._replace(levels=light.of_levels(picture.levels))
    planes, *levels = light.of_levels([picture.planes, *picture.levels])
    seen = padded(np.concatenate([planes, picture.seen[-1:, EDGE:-EDGE, EDGE:-EDGE]]))
    return picture._replace(planes=planes, seen=seen, levels=levels)


def together(before: Picture, after: Picture, light: Light | None, share: float) -> tuple[Picture, Picture]:
    """Return two pictures, between which light changes, in that of a share of the way."""
    if light is None:
        return before, after
    part = light.partly(share)
    return in_light(before, part), in_light(after, light.inverse().then(part))
