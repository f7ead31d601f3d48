"""Noise out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.colours import opponent
from pde_video.checks import check_whole
from pde_video.denoisers.loading import load_denoiser
from pde_video.denoising.along_motion import PASSES, Noise, along_motion
from pde_video.denoising.by_denoiser import METHODS as BY_DENOISER
from pde_video.denoising.by_denoiser import lowered
from pde_video.denoising.by_evolution import EVERY, METHODS, evolved
from pde_video.denoising.recursive import recursive
from pde_video.errors import ParameterError
from pde_video.estimate import estimate_noise, estimate_poisson_gaussian, estimate_sigma, is_scene_cut
from pde_video.estimate.stabiliser import Stabiliser
from pde_video.filters.declarations import Option
from pde_video.filters.extent import EVERYTHING, Extent
from pde_video.filters.filter import video_filter
from pde_video.filters.frames import Frames
from pde_video.motion.averaging import halved
from pde_video.protocols import Array, Denoiser
from pde_video.reverse_process.hooks import Hook

PRESETS = ("fast", *PASSES)
_LOOKED_AT = 5  # Frames from which unknown noise is estimated: the first that are not one flat colour,
_WITHIN = 40  # among so many, since films fade in from black.
_UNEVEN = 0.2  # What deviations may differ by chance, and by texture that seems to be noise at half the size.
_FAINT = 0.1  # Noise is not taken to be less than this part of that in the other planes.
_NOTABLE = 0.1  # Share of the variance that frames have in common from which that is more than an error of estimation.


def _extent(
    preset: str | None, radius: int | None, causal: bool, method: str | None, sigma: Any, noise: Any, **others: Any
) -> Extent:
    if method in BY_DENOISER or others["denoiser"] is not None:
        return EVERYTHING
    told = sigma is not None or not isinstance(noise, str)
    if method is not None:
        return Extent(period=EVERY, cells=None, first=0 if told else _WITHIN)
    first = 0 if told and causal else _WITHIN  # Which share of the noise is fixed is estimated even where it is told.
    if preset == "fast":
        return Extent(before=None, cells=None, first=first)
    radii = sum(one.radius if radius is None else radius for one in PASSES[preset or "balanced"])
    return Extent(radii, 0 if causal else radii, 1, None, first)


@video_filter(
    extent=_extent,
    examples=(
        "noisy.mp4 clean.mp4",
        "stack.tiff clean.tiff --preset best",
        "stack.tiff clean.tiff --sigma 300",
        "noisy.mp4 clean.mp4 --method learned",
        "a.mp4 b.mp4 c.tiff results/",
        "- - < noisy.y4m > clean.y4m",
    ),
)
def denoise(
    frames: Frames,
    *,
    preset: Annotated[str | None, Option(choices=PRESETS)] = None,
    sigma: Annotated[float | str | None, Option(unit="input", least=0, choices=("auto",))] = None,
    noise: Annotated[
        str | tuple[float, float], Option(unit="input", choices=("auto", "gaussian", "poisson-gaussian"))
    ] = "auto",
    radius: Annotated[int | None, Option(unit="frames", least=0)] = None,
    causal: bool = False,
    method: Annotated[str | None, Option(choices=(*METHODS, *BY_DENOISER))] = None,
    denoiser: Annotated[Denoiser | None, Option(name="model", load=load_denoiser, file=True)] = None,
    steps: Annotated[int | None, Option(least=1)] = None,
    hooks: Sequence[Hook] = (),
) -> Iterator[Array]:
    """Remove noise, with nothing to choose: frames are averaged along the motion, then diffused in space.

    u ← u + Σ g_k (u_k(x + w_k) − u) / (1 + Σ g_k), with the flow w_k to frame k and the conductance g_k of the
    difference that remains, 0 where the motion is lost; then u ← u − Σ K_jᵀ (1 − g_j) K_j u, with the cosine filters
    K_j of 8 × 8 windows and g_j by what noise is left at each pixel. docs/denoising.md tells more.

    Parameters
    ----------
    frames : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames.
    preset : {"balanced", "fast", "best"}
        "balanced" (default) averages 6 frames on each side. "best" repeats that with 8, guided by the first result.
        "fast" carries an average on from frame to frame, and never looks ahead for it.
    sigma : float or "auto", optional
        Standard deviation of Gaussian noise, ≥ 0, in units of the input (of 255 for uint8). Default, and "auto": see
        `noise`.
    noise : {"auto", "gaussian", "poisson-gaussian"} or (slope, offset)
        What is estimated from the first five frames (those of one flat colour, as before a fade-in, passed over):
        Gaussian noise, the same everywhere; noise whose variance is slope · brightness + offset; or which of the two
        it is. Or that line itself, in units of the input and their square.
    radius : int, optional
        ≥ 0: frames to use on each side, in place of the preset's ("fast" has none). Still scenes gain with every
        frame; time and memory grow with it. With 0, every frame is denoised alone.
    causal : bool
        Whether to give every frame back before the next is read, and so to use only frames before it. Unless the noise
        is told, the first frames are all the same read before the first comes back, to estimate it.
    method : {"perona-malik", "tv", "heat", "ddpm", "learned"}, optional
        In place of a preset: evolve each frame alone by edge-stopping diffusion, total variation flow, or the heat
        equation (which blurs), up to the time at which Stein's estimate of the error is smallest. "ddpm": run the
        reverse process from the noise level of the video, which is where it begins, without adding noise, by posterior
        means. "learned": the same with a network.
    denoiser : Denoiser, optional
        For "ddpm" and "learned": (y, σ) → estimate, as `load_denoiser`, `from_eps`, `from_torch` and others make it.
        Default: `cosine_diffusion`, and the network that comes with the library.
    steps : int, optional
        For "ddpm" and "learned": noise levels visited, ≥ 1. Default: 2.
    hooks : sequence of callable
        For "ddpm" and "learned": what is done to each estimate, as for `Reverse`.
    report : dict, optional
        Receives ``preset`` or ``method``; ``noise`` with ``sigma``, or with ``slope`` and ``offset``; ``fixed``, the
        share of the noise's variance that is the same in every frame (a fixed pattern); ``colours``, its deviation in
        brightness and in two differences of colours, as parts of sigma, if they are not all 1; ``latency``, the frames
        after it that a result depends on (but for what is estimated once); ``cuts``, the frames at which scenes
        begin. For the first three methods ``kappa``, ``conductance``, ``smoothing`` (in pixels), ``time`` (the last one
        chosen) and the ``criterion``; for the others ``denoiser``, ``steps``, and the ``contrast`` at which a network
        saw the frames (1 if it saw them as they are, integers as 0 to 1).

    Returns
    -------
    Video of the same kind, shape and dtype. Without noise (σ = 0), the video unchanged.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or two contradict each other.
    InputError, TypeError
        If the video cannot be used as it is.

    References
    ----------
    Weickert, Steidl, Mrázek, Welk & Brox (2006) on diffusion and shrinkage, doi:10.1007/0-387-28831-7_1. Yu & Sapiro
    (2011), doi:10.5201/ipol.2011.ys-dct. Makitalo & Foi (2013), doi:10.1109/TIP.2012.2202675. Of the methods: Perona &
    Malik (1990), doi:10.1109/34.56205; Catté et al. (1992), doi:10.1137/0729012; Rudin, Osher & Fatemi (1992),
    doi:10.1016/0167-2789(92)90242-F; Ramani, Blu & Unser (2008), doi:10.1109/TIP.2008.2001404.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> clean = np.full((4, 64, 64), 0.5)
    >>> noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    >>> report = {}
    >>> gain = pv.psnr(clean, pv.denoise(noisy, report=report)) - pv.psnr(clean, noisy)
    >>> gain > 20, round(report["sigma"], 1)
    (True, 0.1)
    """
    if isinstance(sigma, str):
        if sigma != "auto":
            raise ParameterError(f"sigma is {sigma!r}; it must be a standard deviation, or 'auto'")
        sigma = None
    if denoiser is not None and method is None:
        method = "learned"
    _check(preset, sigma, noise, radius, causal, method)
    _check_denoiser(method, denoiser, steps, hooks)
    model = _model(frames, sigma, "gaussian" if method is not None else noise)
    preset = preset or "balanced"
    frames.report.update({"preset": preset} if method is None else {"method": method})
    if model is None:
        return frames
    if method in BY_DENOISER:
        return lowered(frames, method, denoiser, model.readout, steps, _frames_that_show_noise(frames), hooks)
    if method is not None:
        return evolved(frames, method, model.readout)
    told = sigma is not None or not isinstance(noise, str)
    fixed = 0.0 if causal and told else _share_in_common(frames, model)  # To look would be to wait.
    frames.report["fixed"] = fixed
    uneven = Noise(model, None if told else _deviations(frames, model))
    if preset == "fast":
        frames.report["latency"] = 0
        return recursive(frames, uneven, fixed, causal=causal)
    passes = PASSES[preset] if radius is None else tuple(replace(one, radius=radius) for one in PASSES[preset])
    frames.report["latency"] = 0 if causal else sum(one.radius for one in passes)
    return along_motion(frames, passes, uneven, fixed, causal=causal)


def _check(
    preset: str | None,
    sigma: float | None,
    noise: str | tuple[float, float],
    radius: int | None,
    causal: bool,
    method: str | None,
) -> None:
    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    if method is not None and method not in (*METHODS, *BY_DENOISER):
        raise ParameterError(f"method is {method!r}; it must be one of {', '.join((*METHODS, *BY_DENOISER))}")
    if method is not None and (preset is not None or radius is not None or causal or noise not in ("auto", "gaussian")):
        raise ParameterError(
            f"method {method!r} is for Gaussian noise and has frames of its own choice to look at: it takes no preset, "
            "radius, causal or other noise; leave out one or the other"
        )
    if radius is not None:
        check_whole(0, radius=radius)
        if preset == "fast":
            raise ParameterError("the preset 'fast' goes from frame to frame and has no radius; take another preset")
    if sigma is not None and not (math.isfinite(sigma) and sigma >= 0):
        raise ParameterError(f"sigma is {sigma}; it must be 0 or a positive, finite standard deviation")
    if isinstance(noise, str):
        if noise not in ("auto", "gaussian", "poisson-gaussian"):
            raise ParameterError(
                f"noise is {noise!r}; it must be 'auto', 'gaussian', 'poisson-gaussian', or a pair (slope, offset)"
            )
    elif not (isinstance(noise, (tuple, list)) and len(noise) == 2):
        raise ParameterError(f"noise is {noise!r}; it must be a name, or a pair (slope, offset)")
    elif sigma is not None:
        raise ParameterError("sigma and noise=(slope, offset) both say how much noise there is; give one of them")
    if sigma is not None and noise == "poisson-gaussian":
        raise ParameterError(
            "sigma is of Gaussian noise; for noise='poisson-gaussian' give (slope, offset), or neither"
        )


def _check_denoiser(method: str | None, denoiser: Denoiser | None, steps: int | None, hooks: Sequence[Hook]) -> None:
    if hooks and method not in BY_DENOISER:
        raise ParameterError(f"hooks are for the methods {' and '.join(BY_DENOISER)}; give one, or no hooks")
    if denoiser is not None and method not in BY_DENOISER:
        raise ParameterError(f"a denoiser is for the methods {' and '.join(BY_DENOISER)}; give one, or no denoiser")
    if denoiser is not None and not callable(denoiser):
        raise ParameterError(f"denoiser is {denoiser!r}; it must be a function (y, sigma) -> estimate")
    if steps is not None:
        check_whole(1, steps=steps)
        if method not in BY_DENOISER:
            raise ParameterError(f"steps are for the methods {' and '.join(BY_DENOISER)}; give one, or no steps")


def _model(frames: Frames, sigma: float | None, noise: str | tuple[float, float]) -> Stabiliser | None:
    """Return the noise in units of the frames, reported in units of the input; None if there is none."""
    scale, first = frames.scale, frames.peek(1)[0]
    for name in ("sigma", "slope", "offset", "cuts", "fixed", "latency", "colours"):
        frames.report.pop(name, None)  # Of another video, for which the same report was used before.
    if sigma is not None:
        slope, offset = 0.0, (sigma / scale) ** 2
    elif not isinstance(noise, str):
        slope, offset = noise[0] / scale, noise[1] / scale**2
        brightness = float(np.median(first))
        if slope * brightness + offset < 0:
            raise ParameterError(
                f"noise is {noise}; at the first frame's median brightness, {brightness * scale:g}, that is a variance "
                "below 0: the pair is (slope, offset), in units of the input and their square"
            )
    else:
        shown = _frames_that_show_noise(frames)
        if noise == "gaussian":
            slope, offset = 0.0, estimate_sigma(shown) ** 2
        else:
            slope, offset = (estimate_noise if noise == "auto" else estimate_poisson_gaussian)(shown)
    if slope == 0:
        frames.report.update(noise="gaussian", sigma=math.sqrt(max(offset, 0)) * scale)
    else:
        frames.report.update(noise="poisson-gaussian", slope=slope * scale, offset=offset * scale**2)
    model = Stabiliser(slope, offset) if slope or offset else None
    if model is not None and not slope and model.readout <= np.finfo(first.dtype).eps * float(np.abs(first).max()):
        return None  # Less than rounding is.
    return model


def _share_in_common(frames: Frames, noise: Stabiliser) -> float:
    """Return the share of the noise's variance that the differences of consecutive frames do not have.

    Both are measured: noise told to be more than there is would seem to be fixed.
    """
    shown = [noise.forward(frame) for frame in _frames_that_show_noise(frames)]
    within = estimate_sigma(shown) ** 2
    pairs = [(a, b) for a, b in pairwise(shown) if not is_scene_cut(a, b, sigma=1.0)]
    changes = [change for change in (b - a for a, b in pairs) if change.any()]  # Some films repeat frames.
    share = 1 - estimate_sigma(changes) ** 2 / (2 * within) if changes and within else 0.0
    return share if share > _NOTABLE else 0.0


def _deviations(frames: Frames, model: Stabiliser) -> tuple[float, ...] | None:
    """Return how strong the noise of colour frames is in brightness and in colour, where that is not the same.

    Cameras and codecs work on brightness, and on colour at half the size: noise that went through them is the same in
    red, green and blue, for the most part, and what there is of it in colour is shared by neighbouring pixels. A
    picture of half the size has half the noise, if neighbours do not share it.
    """
    if frames.peek(1)[0].shape[2] != 3:
        return None
    shown = [opponent(model.forward(frame)) for frame in _frames_that_show_noise(frames)]
    small = [halved(planes) for planes in shown]
    brightness, *colours = (estimate_sigma([planes[c] for planes in shown]) for c in range(3))
    shared = (2 * estimate_sigma([planes[c] for planes in small]) for c in (1, 2))
    found = [brightness, *map(max, colours, shared)]
    deviations = tuple(1.0 if abs(one - 1) < _UNEVEN else max(one, _FAINT) for one in found)
    if deviations == (1.0, 1.0, 1.0):
        return None
    frames.report["colours"] = [round(one, 2) for one in deviations]
    return deviations


def _frames_that_show_noise(frames: Frames) -> list[Array]:
    ahead = _LOOKED_AT
    while True:
        head = frames.peek(ahead)
        lively = [frame for frame in head if frame.min() < frame.max()][:_LOOKED_AT]
        if len(lively) == _LOOKED_AT or len(head) < ahead or ahead >= _WITHIN:
            return lively or head[:_LOOKED_AT]
        ahead = min(2 * ahead, _WITHIN)
