"""Noise out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from pde_video.errors import ParameterError
from pde_video.estimate import estimate_sigma
from pde_video.filters.framewise import framewise
from pde_video.filters.lift import Frames, video_filter
from pde_video.protocols import Array
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import PeronaMalik
from pde_video.times import uniform

_LOOKED_AT = 5  # Frames from which an unknown noise level is estimated: the first that are not one flat colour,
_WITHIN = 40  # among so many, since films fade in from black.

# Contrast and time of each method, from the noise level of the picture's gradient: of `contrast`, which is σ √C for
# C channels whose squared differences are added. The numbers are the best common ones over three clips in colour
# and in grey at σ = 10, 20 and 40 of 255 (`python -m benchmarks.automatic` prints the search).
_METHODS: dict[str, Callable[[float], tuple[Heat | PeronaMalik, float]]] = {
    "heat": lambda contrast: (Heat(), 0.75),
    "perona-malik": lambda contrast: (PeronaMalik(0.2 * contrast, "rational", smoothing=0.7), 5.0),
    "tv": lambda contrast: (PeronaMalik(0.15 * contrast, "tv"), 0.65 * contrast),
}
METHODS = tuple(_METHODS)


@video_filter
def denoise(frames: Frames, *, sigma: float | None = None, method: str = "perona-malik") -> Iterator[Array]:
    """Remove noise from every frame by diffusion, with nothing to choose.

    frame ← evolve(term, frame, uniform(t)), with the term of the method, and its contrast and time t from the noise.

    Parameters
    ----------
    frames : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames.
    sigma : float, optional
        Standard deviation of the noise, ≥ 0, in units of the input (of 255 for uint8). Default: estimated from the
        first five frames by `estimate_sigma`; frames of one flat colour, as before a fade-in, are passed over.
    method : {"perona-malik", "tv", "heat"}
        Edge-stopping diffusion with a rational conductance on smoothed gradients, total variation flow, or the
        heat equation (which blurs).
    report : dict, optional
        Receives ``method``, ``sigma``, ``kappa``, ``smoothing`` (in pixels) and ``time``.

    Returns
    -------
    Video of the same kind, shape and dtype. Without noise (σ = 0), the video unchanged.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError, TypeError
        If the video cannot be used as it is.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Catté et al. (1992), doi:10.1137/0729012.
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> clean = np.full((2, 64, 64), 0.5)
    >>> noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    >>> report = {}
    >>> gain = pv.psnr(clean, pv.denoise(noisy, report=report)) - pv.psnr(clean, noisy)
    >>> gain > 12, round(report["sigma"], 1)
    (True, 0.1)
    """
    if method not in _METHODS:
        raise ParameterError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if sigma is None:
        level = estimate_sigma(_frames_that_show_noise(frames))
    elif math.isfinite(sigma) and sigma >= 0:
        level = sigma / frames.scale
    else:
        raise ParameterError(f"sigma is {sigma}; it must be 0 or a positive, finite standard deviation")
    frames.report.update(method=method, sigma=level * frames.scale)
    channels = frames.peek(1)[0].shape[2]
    contrast = level * math.sqrt(channels)
    if contrast == 0:
        return frames
    term, time = _METHODS[method](contrast)
    frames.report.update(_described(term, frames.scale), time=time)
    return framewise(term, uniform(time))(frames)


def _frames_that_show_noise(frames: Frames) -> list[Array]:
    ahead = _LOOKED_AT
    while True:
        head = frames.peek(ahead)
        lively = [frame for frame in head if frame.min() < frame.max()][:_LOOKED_AT]
        if len(lively) == _LOOKED_AT or len(head) < ahead or ahead >= _WITHIN:
            return lively or head[:_LOOKED_AT]
        ahead = min(2 * ahead, _WITHIN)


def _described(term: Heat | PeronaMalik, scale: float) -> dict[str, Any]:
    if isinstance(term, Heat):
        return {}
    return {"kappa": term.kappa * scale, "conductance": term.conductance, "smoothing": term.smoothing}
