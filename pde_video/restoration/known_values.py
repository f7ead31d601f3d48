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
from pde_video.restoration.fill import harmonic, written
from pde_video.restoration.masks import Marked
from pde_video.terms.compose import Masked
from pde_video.terms.frozen import FrozenDiffusion

_FAINTEST = 1e-3  # Of the conductances: what edges enclose is filled, too, if nothing is known of it.
_EVERY, _NEXT = 5, 2  # Of the known pixels, one in five is left out to test the guide; shift from row to row.
_TOLERANCE = 1e-3


class Completed(NamedTuple):
    """A frame of which some is known, filled with its guide, and without."""

    frame: Array
    mask: Array
    guided: Array  # (C, H, W)
    unguided: Array
    errors: list[tuple[float, float]]  # Squared, at known pixels that were left out, with the guide and without.

    def result(self, share: float) -> Array:
        """Return the frame with some share of the guide in it; what is known stays, bit for bit."""
        planes = self.unguided + self.guided.dtype.type(share) * (self.guided - self.unguided)
        return written(self.frame, self.mask, planes)


def completed(pair: Marked, diffusion: FrozenDiffusion, name: str) -> Completed:
    """Return a frame and what is filled of it, with the diffusion that edges of its guide stop."""
    frame, mask = pair
    if diffusion.faces.shape[2:] != mask.shape:
        rows, columns = diffusion.faces.shape[2:]
        raise InputError(
            f"{name} has {rows} × {columns} pixels, the video {mask.shape[0]} × {mask.shape[1]}; with a mask they must "
            "be equal: crop or resize one of them"
        )
    if mask.all():
        raise InputError(
            "a frame is masked as a whole, and nothing of it is known; leave it out, or `inpaint` it first"
        )
    planes = to_planes(frame, -1)
    rows, columns = np.indices(mask.shape)
    left_out = ~mask & ((rows * _NEXT + columns) % _EVERY == 0)
    errors: list[tuple[float, float]] = []
    if mask.any() and (~(mask | left_out)).any():
        both = (_along(planes, mask | left_out, diffusion), harmonic(planes, mask | left_out))
        squares = (np.square(one - planes, dtype=np.float64)[:, left_out].ravel() for one in both)
        errors.append((math.fsum(next(squares)), math.fsum(next(squares))))
    return Completed(frame, mask, _along(planes, mask, diffusion), harmonic(planes, mask), errors)


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
