"""How many frames around it a denoised frame depends on, where the noise is given as a `NoiseEstimate`.

A piece of a video with so many frames more on either side, or all there are, is denoised as within the whole, bit for
bit, if it begins at a multiple of `by_evolution.PERIOD` for one of `by_evolution.METHODS`. In a pass along the motion a
frame depends on those within the radius and on nothing else: scene cuts, repeated frames and flows are found between
them alone. The frames of a second pass are results of the first, so radii add up.
"""

from __future__ import annotations

from pde_video.denoising.along_motion import passes_of
from pde_video.denoising.by_evolution import METHODS
from pde_video.protocols import Denoiser


def frames_before(
    *,
    preset: str | None = None,
    radius: int | None = None,
    method: str | None = None,
    denoiser: Denoiser | None = None,
) -> int | None:
    """Return the number of frames before a frame that its result depends on; None: all of them."""
    if _alone(method, denoiser):
        return 0
    if method is not None or preset == "fast":
        return None
    return sum(one.radius for one in passes_of(preset or "balanced", radius))


def frames_after(
    *,
    preset: str | None = None,
    radius: int | None = None,
    causal: bool = False,
    method: str | None = None,
    denoiser: Denoiser | None = None,
) -> int | None:
    """Return the number of frames after a frame that its result depends on; None: it is not known, so perhaps all."""
    if method is not None:
        return 0 if denoiser is None or _alone(method, denoiser) else None
    return 0 if causal or preset == "fast" else frames_before(preset=preset, radius=radius)


def _alone(method: str | None, denoiser: Denoiser | None) -> bool:
    """Tell whether a method treats every frame for itself."""
    if denoiser is not None:
        return not hasattr(denoiser, "along")
    return method == "ddpm" or method in METHODS
