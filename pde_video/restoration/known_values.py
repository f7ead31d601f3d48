"""Known values, spread along the edges of a guide: what `fuse` does where the video is as large as its guide."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.arrays.mosaic import mosaics
from pde_video.errors import InputError
from pde_video.integrators.equilibrium import equilibrium
from pde_video.protocols import Array, Term
from pde_video.restoration.beside import hint_of_colour
from pde_video.restoration.fill import harmonic, written
from pde_video.terms.compose import Masked, Sum
from pde_video.terms.data import Fidelity
from pde_video.terms.frozen import FrozenDiffusion

_FAINTEST = 1e-3  # Of the conductances: what edges enclose is filled, too, if nothing is known of it.
_LEFT_OUT = 0.2  # Share of the known pixels that are left out to test the guide, spread irregularly.
_GOLDEN = (math.sqrt(5) - 1) / 2
_TOLERANCE = 1e-3
_SURE = 1e3  # Weight of values from other frames, from which on they are as known.


class Shown(NamedTuple):
    """What other frames show along the motion, with a share in the result."""

    values: Array  # (C, H, W)
    weight: Array  # (H, W), relative to conductances; 0 where nothing is shown.
    diffusion: FrozenDiffusion  # Between them: that of the guide, or one that no edge stops.
    share: float = 0.0


class Completed(NamedTuple):
    """A frame of which some is known, filled with its guide, and without."""

    frame: Array
    mask: Array
    unit: Array
    planes: Array  # What is known, (C, H, W), in this unit, and 0 elsewhere
    guided: Array  # and what is filled.
    unguided: Array
    left_out: Array  # The known pixels, (H, W), that test the guide,
    missed: Array  # and squared errors there, (2, C, n), with the guide and without; n is 0 if nothing is tested.
    shown: Shown | None = None

    @property
    def errors(self) -> list[tuple[float, float]]:
        """Return the squared errors with the guide and without."""
        guided, without = (math.fsum(one.ravel()) for one in self.missed)
        return [(guided, without)] if self.missed.size else []

    def result(self, share: float) -> Array:
        """Return the frame with some share of the guide in it; what is known stays, bit for bit."""
        planes = self.unguided + self.guided.dtype.type(share) * (self.guided - self.unguided)
        if self.shown is not None and self.shown.share > 0:
            along = spread(self.planes, self.mask, self.shown.diffusion, self.shown)
            planes = planes + planes.dtype.type(self.shown.share) * (along - planes)
        return written(self.frame, self.mask, planes * self.unit)


def completed(frame: Array, mask: Array, diffusion: FrozenDiffusion, name: str) -> Completed:
    """Return a frame and what is filled of it, with the diffusion that edges of its guide stop.

    That is 0 where nothing is known.
    """
    if diffusion.faces.shape[2:] != mask.shape:
        rows, columns = diffusion.faces.shape[2:]
        raise InputError(
            f"{name} has {rows} × {columns} pixels, the video {mask.shape[0]} × {mask.shape[1]}; with a mask they must "
            f"be equal: crop or resize one of them{hint_of_colour(columns)}"
        )
    planes = np.where(mask, 0, to_planes(frame, -1))
    unit = power_of_two(planes)
    planes = planes / unit
    left_out = _left_out(~mask)
    missed = np.zeros((2, len(planes), 0))
    if mask.any() and left_out.any() and (~(mask | left_out)).any():
        both = spread(planes, mask | left_out, diffusion), harmonic(planes, mask | left_out)
        missed = np.stack([squares(one, planes)[:, left_out] for one in both])
    guided = planes if mask.all() else spread(planes, mask, diffusion)
    return Completed(frame, mask, unit, planes, guided, harmonic(planes, mask), left_out, missed)


def even(diffusion: FrozenDiffusion) -> FrozenDiffusion:
    """Return a diffusion that no edge stops."""
    return replace(diffusion, faces=np.ones_like(diffusion.faces))


def squares(found: Array, truth: Array) -> Array:
    """Return squared differences in double precision."""
    return np.asarray(np.square(found - truth, dtype=np.float64))


def power_of_two(planes: Array) -> Array:
    """Return the largest power of two up to the largest of some values: a unit in which nothing is rounded."""
    return np.asarray(math.ldexp(1.0, math.frexp(float(np.abs(planes).max()))[1] - 1), planes.dtype)


def _left_out(known: Array) -> Array:
    """Return which of the known pixels, (H, W), test the guide: some of them, however regular their places are."""
    out = np.zeros_like(known)
    out[known] = np.arange(np.count_nonzero(known)) * _GOLDEN % 1 < _LEFT_OUT
    return out


def spread(planes: Array, mask: Array, diffusion: FrozenDiffusion, shown: Shown | None = None) -> Array:
    """Return planes (C, H, W) with the masked pixels at rest under a diffusion in the plane: div(g ∇u) + c (m − u) = 0.

    With values m that other frames show, and their weights c.
    """
    faces = np.maximum(diffusion.faces, np.float32(_FAINTEST))
    faces[0], faces[1, 0, -1], faces[2, 0, :, -1] = 0, 0, 0
    out = planes.copy()
    if shown is not None:
        sure = mask & (shown.weight >= _SURE)
        out[:, sure], mask = shown.values[:, sure], mask & ~sure
    for boxes in mosaics(mask, 1) if mask.any() else []:
        part: Term = FrozenDiffusion(boxes.cut(faces), diffusion.scale, "neumann", 0.25)
        terms = [part] * len(planes)
        if shown is not None and (pull := boxes.cut(shown.weight)).any():
            terms = [Sum(part, Fidelity(values, pull)) for values in boxes.cut(shown.values)]
        found: Iterable[Array] = (
            equilibrium(Masked(term, boxes.mask, one), one, tolerance=_TOLERANCE)
            for term, one in zip(terms, boxes.cut(out), strict=True)
        )
        boxes.paste(np.stack(list(found)), out)
    return out
