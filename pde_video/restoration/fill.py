"""Filling in space: by the heat equation, and along edges by edge-enhancing diffusion."""

import numpy as np

from pde_video.arrays.mosaic import mosaics
from pde_video.integrators.equilibrium import equilibrium
from pde_video.integrators.steps import freeze
from pde_video.protocols import Array, Term
from pde_video.solvers.rest import rest
from pde_video.terms.compose import Masked, Sum
from pde_video.terms.data import Fidelity
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.terms.heat import Heat
from pde_video.terms.tensor import EdgeEnhancing

# Of edge-enhancing diffusion: κ in units of the contrast of the frame, σ in pixels, and the least diffusivity.
_CONTRAST, _SMOOTHING, _LEAST = 0.04, 1.0, 0.05
_MARGIN = 6  # Pixels around what is filled, which decide on its tensors.
_TOLERANCE, _SOLVES = 1e-4, 2


def written(frame: Array, mask: Array, planes: Array) -> Array:
    """Return a frame (H, W, C) with planes (C, H, W) in the mask alone."""
    return np.where(mask[..., np.newaxis], np.moveaxis(planes, 0, -1), frame)


def harmonic(
    planes: Array, mask: Array, conductivity: Array | None = None, tolerance: float = 1e-3, pull: float = 0.0
) -> Array:
    """Return planes (C, H, W) with the masked pixels at rest under the heat equation, div(g ∇u) = c u.

    The conductivity g > 0 (C, H, W) is 1 if it is not given, and the `pull` c to 0 is 0.
    """
    if not mask.any():
        return planes
    if mask.all():
        return np.zeros_like(planes)
    out = planes.copy()
    for boxes in mosaics(mask, 1):
        y = boxes.cut(planes)
        if conductivity is None:
            frame = np.moveaxis(y, 0, -1)
            term = Masked(Sum(Heat(), Fidelity(np.zeros_like(frame), pull)) if pull else Heat(), boxes.mask, frame)
            found = np.moveaxis(equilibrium(term, frame, tolerance=tolerance, channel_axis=-1), -1, 0)
        else:
            terms = (Masked(_conducting(one), boxes.mask, u) for one, u in zip(boxes.cut(conductivity), y, strict=True))
            found = np.stack([equilibrium(term, u, tolerance=tolerance) for term, u in zip(terms, y, strict=True)])
        boxes.paste(found, out)
    return out


def _conducting(g: Array) -> FrozenDiffusion:
    """Return the diffusion with a conductivity (H, W), at faces the harmonic mean of both cells."""
    faces = np.zeros((3, 1, *g.shape), g.dtype)
    for face, a, b in ((faces[1, 0, :-1], g[1:], g[:-1]), (faces[2, 0, :, :-1], g[:, 1:], g[:, :-1])):
        face[...] = 2 * a / np.where(a + b > 0, a + b, 1) * b  # 0 between boxes.
    return FrozenDiffusion(faces, np.ones(3), "neumann", 1 / (8 * float(g.max())))


def along_edges(planes: Array, mask: Array, data: Array | None = None, weight: Array | None = None) -> Array:
    """Return planes (C, H, W) with the masked pixels at rest under edge-enhancing diffusion.

    weight (data − u) + div(D ∇u) = 0, with `weight` (H, W), and tensors D from what is in the planes. The contrast is
    relative to the standard deviation of what is known. Tensors are frozen twice.
    """
    if not mask.any() or mask.all():
        return planes
    deviation = float(planes[:, ~mask].std())
    if deviation == 0:
        return planes
    term: Term = EdgeEnhancing(_CONTRAST * deviation, smoothing=_SMOOTHING, conductance="charbonnier", least=_LEAST)
    out = planes.copy()
    for boxes in mosaics(mask, _MARGIN):
        y, terms = boxes.cut(planes), [term]
        if data is not None and weight is not None and (pull := boxes.cut(weight)).any():
            terms.append(Fidelity(boxes.cut(data), pull[np.newaxis]))
        filled = Masked(Sum(*terms), boxes.mask[np.newaxis], y)
        for _ in range(_SOLVES):
            y = rest(freeze(filled, 0.0, y), y, _TOLERANCE, warm=True).state
        boxes.paste(y, out)
    return out
