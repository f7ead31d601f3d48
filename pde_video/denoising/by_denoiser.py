"""Denoising by a denoiser: posterior means, from the noise level of the video down to 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pde_video.denoisers.network import shipped
from pde_video.denoisers.pde import cosine_diffusion
from pde_video.denoisers.planewise import Planewise, fitted
from pde_video.denoising.first_frames import first_frames
from pde_video.filters.frames import Frames
from pde_video.filters.reverse import reverse
from pde_video.protocols import Array, Denoiser, name_of
from pde_video.reverse_process.hooks import Hook

METHODS = ("ddpm", "learned")
_STEPS = 2  # docs/learned.md has the figures.
_LOWEST = 1 / 8  # Of the noise level of the video: the lowest level visited before 0.


def levels(sigma: float, steps: int) -> Array:
    """Return the noise levels visited, evenly spaced in log σ, then 0."""
    return np.append(np.geomspace(sigma, sigma * (_LOWEST if steps > 1 else 1), steps), 0.0)


def lowered(
    frames: Frames,
    method: str,
    denoiser: Denoiser | None,
    sigma: float,
    steps: int | None,
    hooks: Sequence[Hook],
) -> Iterator[Array]:
    """Yield the frames with noise of standard deviation `sigma` taken away."""
    if denoiser is None:
        denoiser = shipped() if method == "learned" else cosine_diffusion
    if isinstance(denoiser, Planewise):
        denoiser = fitted(denoiser, first_frames(frames), sigma)
        frames.report["contrast"] = denoiser.contrast
    steps = steps or _STEPS
    frames.report.update(denoiser=name_of(denoiser), steps=steps)
    return reverse(denoiser, levels(sigma, steps), hooks=hooks)(frames)
