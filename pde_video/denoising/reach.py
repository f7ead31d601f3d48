"""How many frames around it a denoised frame depends on.

In a pass along the motion a frame depends on those within the radius and on nothing else: scene cuts, repeated frames
and flows are found between them alone. The frames of a second pass are results of the first, so radii add up.
"""

from __future__ import annotations

from typing import Any

from pde_video.denoising.along_motion import passes_of
from pde_video.denoising.by_evolution import METHODS, PERIOD
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.filters.extent import EVERYTHING, Extent
from pde_video.filters.frames import WITHIN
from pde_video.protocols import Along, satisfies


def extent(
    *,
    preset: str | None = None,
    sigma: Any = None,
    noise: Any = "auto",
    noise_from: Any = None,
    radius: int | None = None,
    causal: bool = False,
    method: str | None = None,
    denoiser: Any = None,
    **others: Any,
) -> Extent:
    """Return the extent of `denoise` with these options."""
    if denoiser is not None and satisfies(denoiser, Along):
        return EVERYTHING
    told = sigma not in (None, "auto") or not isinstance(noise, str) or noise_from is not None
    first = 0 if told else WITHIN
    if method in METHODS:
        return Extent(0, 0, PERIOD, None, first)
    if method == "ddpm" or denoiser is not None:
        return Extent(0, 0, 1, None, first)
    if method is not None:  # The shipped network carries a state, and sees the contrast of the first frames.
        return Extent(None, 0, 1, None, WITHIN)
    if not isinstance(noise, NoiseEstimate) and noise_from is None and not (told and causal):
        first = WITHIN  # What share of the noise is fixed is measured even where its variance is told.
    if preset == "fast":
        return Extent(None, 0, 1, None, first)
    radii = sum(one.radius for one in passes_of(preset or "balanced", radius))
    return Extent(radii, 0 if causal else radii, 1, None, first)
