"""Noise out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.estimate import estimate_sigma, stopping_time
from pde_video.filters.frames import Frames
from pde_video.filters.lift import video_filter
from pde_video.loop import evolve
from pde_video.protocols import Array, Times
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import PeronaMalik
from pde_video.times import uniform

_LOOKED_AT = 5  # Frames from which an unknown noise level is estimated: the first that are not one flat colour,
_WITHIN = 40  # among so many, since films fade in from black.
_EVERY = 25  # Frames after which the time is chosen anew: scenes change, and what is smooth wants longer.
_PATCH = 160  # Side in pixels of the patches on which it is chosen.

# Term of each method, and the times among which to choose, from the noise level of the picture's gradient: of
# `contrast`, which is σ √C for C channels whose squared differences are added. docs/automatic.md has the figures.
_METHODS: dict[str, Callable[[float], tuple[Heat | PeronaMalik, Times]]] = {
    "heat": lambda contrast: (Heat(), uniform(4.0, dt=0.05)),
    "perona-malik": lambda contrast: (PeronaMalik(0.2 * contrast, "rational", smoothing=0.7), uniform(12.0)),
    "tv": lambda contrast: (PeronaMalik(0.15 * contrast, "tv"), uniform(1.6 * contrast)),
}
METHODS = tuple(_METHODS)


@video_filter
def denoise(frames: Frames, *, sigma: float | None = None, method: str = "perona-malik") -> Iterator[Array]:
    """Remove noise from every frame by diffusion, with nothing to choose.

    frame ← evolve(term, frame, times), with the term of the method, its contrast from the noise, and times up to the
    one at which Stein's estimate of the error is smallest (`stopping_time`), on patches of every 25th frame.

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
        Receives ``method``, ``sigma``, ``kappa``, ``conductance``, ``smoothing`` (in pixels), ``time`` (the last
        one chosen) and the ``criterion`` it was chosen by.

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
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F. Ramani, Blu & Unser (2008),
    doi:10.1109/TIP.2008.2001404.

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
    contrast = level * math.sqrt(frames.peek(1)[0].shape[2])
    if contrast == 0:
        return frames
    term, times = _METHODS[method](contrast)
    frames.report.update(_described(term, frames.scale), criterion="sure")
    return _diffused(frames, term, times, level)


def _frames_that_show_noise(frames: Frames) -> list[Array]:
    ahead = _LOOKED_AT
    while True:
        head = frames.peek(ahead)
        lively = [frame for frame in head if frame.min() < frame.max()][:_LOOKED_AT]
        if len(lively) == _LOOKED_AT or len(head) < ahead or ahead >= _WITHIN:
            return lively or head[:_LOOKED_AT]
        ahead = min(2 * ahead, _WITHIN)


def _diffused(frames: Frames, term: Heat | PeronaMalik, times: Times, sigma: float) -> Iterator[Array]:
    def with_times() -> Iterator[tuple[Array, Array]]:
        for index, frame in enumerate(frames):
            if index % _EVERY == 0:
                chosen = _until_best(term, times, frame, sigma)
                frames.report["time"] = float(chosen[-1])
            yield frame, chosen

    def evolved(frame_and_times: tuple[Array, Array], out: Array | None) -> Array:
        return evolve(term, *frame_and_times, channel_axis=-1, out=out)

    return frames.mapped(evolved, with_times())


def _until_best(term: Heat | PeronaMalik, times: Times, frame: Array, sigma: float) -> Array:
    """Return the times up to the smallest estimated error, summed over the patches of a frame."""
    found = [stopping_time(term, patch, times, sigma=sigma, channel_axis=-1) for patch in _patches(frame)]
    return found[0].times[: np.sum([one.values for one in found], axis=0).argmin() + 1]


def _patches(frame: Array) -> list[Array]:
    """Return patches of equal size: of the middle of a frame, and of the middle of each quarter."""
    corners = {
        tuple(max(0, min(n * q // 4 - _PATCH // 2, n - _PATCH)) for n, q in zip(frame.shape, quarters, strict=False))
        for quarters in ((2, 2), (1, 1), (3, 3), (1, 3), (3, 1))
    }
    return [frame[top : top + _PATCH, left : left + _PATCH] for top, left in sorted(corners)]


def _described(term: Heat | PeronaMalik, scale: float) -> dict[str, Any]:
    if isinstance(term, Heat):
        return {}
    return {"kappa": term.kappa * scale, "conductance": term.conductance, "smoothing": term.smoothing}
