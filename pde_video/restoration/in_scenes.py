"""Frames in scenes: what their neighbours need of them, and the motion between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.estimate.light import Light, light_change
from pde_video.estimate.light import between as light_between
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.kernels.motion_averages import EDGE
from pde_video.motion.averaging import halved, padded
from pde_video.motion.optical_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.restoration.expected_errors import EVIDENCE, around
from pde_video.restoration.fill import harmonic
from pde_video.restoration.masks import Marked
from pde_video.threads import ordered

UNIT = 0.25  # Of flow and mismatches, in standard deviations of a frame.
_SMOOTHNESS = 20.0  # Of the motion.
_SIGNIFICANT = 0.15  # Share of what two frames differ by, which a change of light must explain.
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
    found: Any = None  # What a detector found.
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
    return Picture(frame, mask, planes, padded(np.concatenate([planes, known])), levels, shares, unit, torn=torn)


def numbered(
    pictures: Iterable[Picture], report: dict[str, Any], spread: Any = ordered, *, cuts: bool = True
) -> Iterator[Picture]:
    """Yield the pictures with the numbers of their scenes, one if not by `cuts`, and the changes of light in these."""
    report["relit"] = 0
    before: Picture | None = None  # If it is torn, with the change since the last that is not, as the one after it.
    for picture in spread(_lit, _in_scenes(pictures, report, apart=cuts)):
        report["relit"] += picture.light is not None
        light = picture.light
        if before is not None and before.light and before.torn is not None and before.scene == picture.scene:
            back = before.light.inverse()
            light = back if light is None else back.then(light)
        before = picture
        yield picture._replace(light=light)


def _in_scenes(
    pictures: Iterable[Picture], report: dict[str, Any], *, apart: bool
) -> Iterator[tuple[Picture | None, Picture]]:
    """Yield the pictures with the numbers of their scenes, and before them the last of its scene that is not torn."""
    cuts: list[int] = []
    report["cuts"] = cuts
    previous: Picture | None = None  # The last of which much is known.
    for number, picture in enumerate(pictures):
        if apart and previous is not None and not picture.mask.all():
            unit = previous.unit or 1.0
            before, here = _in_units(previous, unit), _in_units(picture, unit)
            if picture.torn is not None:  # What is not known tells nothing.
                here = [b + share * (h - b) for b, h, share in zip(before, here, picture.shares, strict=True)]
            if is_cut_not_motion(before, here, sigma=0.0):
                cuts.append(number)
        picture = picture._replace(number=number, original=number, scene=len(cuts))
        yield previous if previous is not None and previous.scene == picture.scene else None, picture
        previous = previous if picture.torn is not None else picture


def _lit(pair: tuple[Picture | None, Picture]) -> Picture:
    """Return the second of two pictures with the change of light since the first."""
    before, here = pair
    return here if before is None else here._replace(light=change_of_light(before, here))


def unlike(before: Picture, after: Picture) -> bool:
    """Tell whether two pictures show different scenes."""
    unit = before.unit or after.unit or 1.0
    return is_cut_not_motion(_in_units(before, unit), _in_units(after, unit), sigma=0.0)


def change_of_light(
    before: Picture, after: Picture, *, even: bool = False, significant: float = _SIGNIFICANT
) -> Light | None:
    """Return the change of light between two pictures, of what is known of both; None if none is significant."""
    unit = max(before.unit, after.unit) or 1.0
    shares = [np.stack(both) for both in zip(before.shares, after.shares, strict=True)]
    light = light_change(
        *(_in_units(one, unit) for one in (before, after)),
        even=even or after.torn is not None,
        shares=shares,
        significant=significant,
    )
    return light and light._replace(offset=unit * light.offset)


def _in_units(picture: Picture, unit: float) -> list[Array]:
    return [level * level.dtype.type(1 / unit) for level in picture.levels]


def flow(here: Picture, there: Picture) -> Array:
    """Return the flow between two pictures at half of their size, smooth where either is not known."""
    unit = here.unit or 1.0
    shares = [np.stack(both) for both in zip(here.shares, there.shares, strict=True)]
    return flow_between(_in_units(here, unit), _in_units(there, unit), _SMOOTHNESS, shares)


def seen_from(pictures: list[Picture], there: int, here: int) -> Picture:
    """Return one of the pictures in the light of another."""
    light = light_between([one.light for one in pictures], there, here)
    return pictures[there] if light is None else in_light(pictures[there], light)._replace(unit=pictures[here].unit)


def in_light(picture: Picture, light: Light) -> Picture:
    """Return a picture in another light."""
    planes, *levels = light.of_levels([picture.planes, *picture.levels])
    seen = padded(np.concatenate([planes, picture.seen[-1:, EDGE:-EDGE, EDGE:-EDGE]]))
    return picture._replace(planes=planes, seen=seen, levels=levels)


def together(before: Picture, after: Picture, light: Light | None, share: float) -> tuple[Picture, Picture]:
    """Return two pictures, between which light changes, in that of a share of the way."""
    if light is None:
        return before, after
    part = light.partly(share)
    return in_light(before, part), in_light(after, light.inverse().then(part))
