"""Methods that do not average along the motion: an evolution up to the best time, and the reverse process."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pde_video.denoisers.network import shipped
from pde_video.denoisers.pde import cosine_diffusion
from pde_video.denoisers.planewise import Planewise, fitted
from pde_video.denoising.first_frames import first_frames
from pde_video.estimate.stopping import stopping_time
from pde_video.filters import Frames
from pde_video.filters.reverse import reverse
from pde_video.integrators.loop import evolve, uniform
from pde_video.protocols import Array, Denoiser, Times, name_of
from pde_video.reverse_process.hooks import Hook
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import PeronaMalik

PERIOD = 25  # Frames after which the time is chosen anew: scenes change, and smooth ones need longer.
_PATCH = 160  # Side in pixels of the patches on which it is chosen.

# Term of each method, and the times to choose from, by the noise level of the picture's gradient: `contrast` is σ √C
# for C channels, whose squared differences are added. docs/automatic.md has the figures.
_EVOLUTIONS: dict[str, Callable[[float], tuple[Heat | PeronaMalik, Times]]] = {
    "heat": lambda contrast: (Heat(), uniform(4.0, dt=0.05)),
    "perona-malik": lambda contrast: (PeronaMalik(0.2 * contrast, "rational", smoothing=0.7), uniform(12.0)),
    "tv": lambda contrast: (PeronaMalik(0.15 * contrast, "tv"), uniform(1.6 * contrast)),
}
BY_EVOLUTION = tuple(_EVOLUTIONS)
BY_DENOISER = ("ddpm", "learned")
_STEPS = 2  # docs/learned.md has the figures.
_LOWEST = 1 / 8  # Of the noise level of the video: the lowest level visited before 0.


def evolved(frames: Frames, method: str, sigma: float) -> Iterator[Array]:
    """Yield every frame evolved by the term of the method, up to the time of the least estimated error."""
    contrast = sigma * math.sqrt(frames.peek(1)[0].shape[2])
    term, times = _EVOLUTIONS[method](contrast)
    if isinstance(term, PeronaMalik):
        frames.report.update(kappa=term.kappa * frames.scale, conductance=term.conductance, smoothing=term.smoothing)
    frames.report["criterion"] = "sure"

    def with_times() -> Iterator[tuple[Array, Array]]:
        for index, frame in enumerate(frames):
            if index % PERIOD == 0:
                found = [stopping_time(term, patch, times, sigma=sigma, channel_axis=-1) for patch in _patches(frame)]
                errors = np.sum([one.values for one in found], axis=0)  # Estimates, summed over all patches.
                chosen = found[0].times[: errors.argmin() + 1]
                frames.report["time"] = float(chosen[-1])
            yield frame, chosen

    def evolved(frame_and_times: tuple[Array, Array], out: Array | None) -> Array:
        return evolve(term, *frame_and_times, channel_axis=-1, out=out)

    return frames.mapped(evolved, with_times())


def _patches(frame: Array) -> list[Array]:
    """Return patches of equal size: of the middle of a frame, and of the middle of each quarter."""
    corners = {
        tuple(max(0, min(n * q // 4 - _PATCH // 2, n - _PATCH)) for n, q in zip(frame.shape, quarters, strict=False))
        for quarters in ((2, 2), (1, 1), (3, 3), (1, 3), (3, 1))
    }
    return [frame[top : top + _PATCH, left : left + _PATCH] for top, left in sorted(corners)]


def levels(sigma: float, steps: int) -> Array:
    """Return the noise levels visited, evenly spaced in log σ, then 0."""
    return np.append(np.geomspace(sigma, sigma * (_LOWEST if steps > 1 else 1), steps), 0.0)


def without_noise(
    frames: Frames, method: str, denoiser: Denoiser | None, sigma: float, steps: int | None, hooks: Sequence[Hook]
) -> Iterator[Array]:
    """Yield the frames with noise of standard deviation `sigma` removed."""
    if denoiser is None:
        denoiser = shipped() if method == "learned" else cosine_diffusion
    if isinstance(denoiser, Planewise):
        denoiser = fitted(denoiser, first_frames(frames), sigma)
        frames.report["contrast"] = denoiser.contrast
    steps = steps or _STEPS
    frames.report.update(denoiser=name_of(denoiser), steps=steps)
    return reverse(denoiser, levels(sigma, steps), hooks=hooks)(frames)
