"""Noise out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pde_video.checks import check_whole
from pde_video.denoising.along_motion import PASSES, Noise, along_motion, passes_of
from pde_video.denoising.by_denoiser import METHODS as BY_DENOISER
from pde_video.denoising.by_denoiser import lowered
from pde_video.denoising.by_evolution import METHODS, evolved
from pde_video.denoising.first_frames import check_noise, noise_of
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.reach import frames_after
from pde_video.denoising.recursive import recursive
from pde_video.errors import ParameterError
from pde_video.filters.frames import Frames
from pde_video.filters.lift import video_filter
from pde_video.protocols import Array, Denoiser
from pde_video.reverse_process.hooks import Hook

PRESETS = ("fast", *PASSES)


@video_filter
def denoise(
    frames: Frames,
    *,
    preset: str | None = None,
    sigma: float | str | None = None,
    noise: str | tuple[float, float] | NoiseEstimate = "auto",
    radius: int | None = None,
    causal: bool = False,
    method: str | None = None,
    denoiser: Denoiser | None = None,
    steps: int | None = None,
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
        Standard deviation of Gaussian noise, ≥ 0, in units of the input (of 255 for uint8), the same for all colours.
        What share of it is a fixed pattern is still measured, as below. Default, and "auto": see `noise`.
    noise : {"auto", "gaussian", "poisson-gaussian"}, (slope, offset), or NoiseEstimate
        What is measured on the first five frames (those of one flat colour, as before a fade-in, passed over):
        Gaussian noise, the same everywhere; noise whose variance is slope · brightness + offset; or which of the two
        it is; and the share of it that is a fixed pattern. Or that line itself, in units of the input and their
        square, with the share still measured. Or what `measure_noise` returned, for a video of this dtype: then
        nothing is measured, and a piece of a video is denoised as within the whole. (A network still finds the range
        of values on the first frames.)
    radius : int, optional
        ≥ 0: frames to use on each side, in place of the preset's ("fast" has none). Still scenes gain with every
        frame; time and memory grow with it. With 0, every frame is denoised alone.
    causal : bool
        Whether to give every frame back before the next is read, and so to use only frames before it. Unless the noise
        is told, the first frames are all the same read before the first comes back, to measure it. Where it is told
        by `sigma` or a line, no share is taken to be fixed.
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
    sigma = check_noise(sigma, noise)
    _check(preset, noise, radius, causal, method)
    _check_denoiser(method, denoiser, steps, hooks)
    told = sigma is not None or not isinstance(noise, str)
    estimate = noise_of(
        frames,
        sigma,
        "gaussian" if method is not None and isinstance(noise, str) else noise,
        variance_only=method is not None or (causal and told),  # To look at more would be to wait.
    )
    model = estimate.stabiliser()
    _report(frames.report, estimate)
    frames.report.update({"preset": preset or "balanced"} if method is None else {"method": method})
    if model is None:
        return frames
    if method in BY_DENOISER:
        return lowered(frames, method, denoiser, model.readout, steps, hooks)
    if method is not None:
        return evolved(frames, method, model.readout)
    frames.report["fixed"] = estimate.fixed
    if estimate.colours is not None:
        frames.report["colours"] = [round(one, 2) for one in estimate.colours]
    frames.report["latency"] = frames_after(preset=preset, radius=radius, causal=causal)
    uneven = Noise(model, estimate.colours)
    if preset == "fast":
        return recursive(frames, uneven, estimate.fixed, causal=causal)
    return along_motion(frames, passes_of(preset or "balanced", radius), uneven, estimate.fixed, causal=causal)


def _check(preset: str | None, noise: Any, radius: int | None, causal: bool, method: str | None) -> None:
    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    if method is not None and method not in (*METHODS, *BY_DENOISER):
        raise ParameterError(f"method is {method!r}; it must be one of {', '.join((*METHODS, *BY_DENOISER))}")
    other_noise = noise not in ("auto", "gaussian") and not isinstance(noise, NoiseEstimate)
    if method is not None and (preset is not None or radius is not None or causal or other_noise):
        raise ParameterError(
            f"method {method!r} is for Gaussian noise and has frames of its own choice to look at: it takes no preset, "
            "radius, causal or other noise; leave out one or the other"
        )
    if method is not None and isinstance(noise, NoiseEstimate) and noise.slope:
        raise ParameterError(
            f"method {method!r} is for Gaussian noise, and the noise given grows with brightness (slope "
            f"{noise.slope:g}); give a preset, or what measure_noise(video, noise='gaussian') returns"
        )
    if radius is not None:
        check_whole(0, radius=radius)
        if preset == "fast":
            raise ParameterError("the preset 'fast' goes from frame to frame and has no radius; take another preset")


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


def _report(report: dict[str, Any], estimate: NoiseEstimate) -> None:
    for name in ("sigma", "slope", "offset", "cuts", "fixed", "latency", "colours"):
        report.pop(name, None)  # Of another video, for which the same report was used before.
    if estimate.slope == 0:
        report.update(noise="gaussian", sigma=estimate.sigma)
    else:
        report.update(noise="poisson-gaussian", slope=estimate.slope, offset=estimate.offset)
