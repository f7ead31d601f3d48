"""Known values, spread along the edges of a guide: what `fuse` does where the video is as large as its guide."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.arrays.mosaic import mosaics
from pde_video.errors import InputError
from pde_video.integrators.equilibrium import equilibrium
from pde_video.protocols import Array
from pde_video.restoration.beside import hint_of_colour
from pde_video.restoration.fill import harmonic, written
from pde_video.terms.compose import Masked
from pde_video.terms.frozen import FrozenDiffusion

_FAINTEST = 1e-3  # Of the conductances: what edges enclose is filled, too, if nothing is known of it.
_LEFT_OUT = 0.2  # Share of the known pixels that are left out to test the guide, spread irregularly.
_GOLDEN = (math.sqrt(5) - 1) / 2
_TOLERANCE = 1e-3


class Completed(NamedTuple):
    """A frame of which some is known, filled with its guide, and without."""

    frame: Array
    mask: Array
    unit: Array
    guided: Array  # (C, H, W), in this unit
    unguided: Array
    errors: list[tuple[float, float]]  # Squared, at known pixels that were left out, with the guide and without.

    def result(self, share: float) -> Array:
        """Return the frame with some share of the guide in it; what is known stays, bit for bit."""
        planes = self.unguided + self.guided.dtype.type(share) * (self.guided - self.unguided)
        return written(self.frame, self.mask, planes * self.unit)


def completed(number: int, frame: Array, mask: Array, diffusion: FrozenDiffusion, name: str) -> Completed:
    """Return a frame and what is filled of it, with the diffusion that edges of its guide stop."""
    if diffusion.faces.shape[2:] != mask.shape:
        rows, columns = diffusion.faces.shape[2:]
        raise InputError(
            f"{name} has {rows} × {columns} pixels, the video {mask.shape[0]} × {mask.shape[1]}; with a mask they must "
            f"be equal: crop or resize one of them{hint_of_colour(columns)}"
        )
    if mask.all():
        raise InputError(
            f"frame {number} is masked as a whole, and nothing of it is known; leave it out, or `inpaint` it first"
        )
    planes = np.where(mask, 0, to_planes(frame, -1))
    unit = power_of_two(planes)
    planes = planes / unit
    left_out = _left_out(~mask)
    errors: list[tuple[float, float]] = []
    if mask.any() and (~(mask | left_out)).any():
        both = (_along(planes, mask | left_out, diffusion), harmonic(planes, mask | left_out))
        squares = (np.square(one - planes, dtype=np.float64)[:, left_out].ravel() for one in both)
        errors.append((math.fsum(next(squares)), math.fsum(next(squares))))
    return Completed(frame, mask, unit, _along(planes, mask, diffusion), harmonic(planes, mask), errors)


def power_of_two(planes: Array) -> Array:
    """Return the largest power of two up to the largest of some values: a unit in which nothing is rounded."""
    return np.asarray(math.ldexp(1.0, math.frexp(float(np.abs(planes).max()))[1] - 1), planes.dtype)


def _left_out(known: Array) -> Array:
    """Return which of the known pixels, (H, W), test the guide: some of them, however regular their places are."""
    out = np.zeros_like(known)
    out[known] = np.arange(np.count_nonzero(known)) * _GOLDEN % 1 < _LEFT_OUT
    return out


def _along(planes: Array, mask: Array, diffusion: FrozenDiffusion) -> Array:
    """Return planes (C, H, W) with the masked pixels at rest under a diffusion in the plane."""
    faces = np.maximum(diffusion.faces, np.float32(_FAINTEST))
    faces[0], faces[1, 0, -1], faces[2, 0, :, -1] = 0, 0, 0
    out = planes.copy()
    for boxes in mosaics(mask, 1):
        part = FrozenDiffusion(boxes.cut(faces), diffusion.scale, "neumann", 0.25)
        found: Iterable[Array] = (
            equilibrium(Masked(part, boxes.mask, one), one, tolerance=_TOLERANCE) for one in boxes.cut(planes)
        )
        boxes.paste(np.stack(list(found)), out)
    return out
