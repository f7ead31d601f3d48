"""The filter `denoise`: its options, and the choice of a method."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from pde_video.access.opening import content_of, reading
from pde_video.checks import check_denoiser
from pde_video.denoisers.network import load_denoiser
from pde_video.denoising.along_motion import PASSES, along_motion, passes_of
from pde_video.denoising.camera import corrected, without_noisy_pixels
from pde_video.denoising.doubts import doubt_of_rounding
from pde_video.denoising.first_frames import (
    NOISES,
    REPAIRS,
    Sigma,
    checked_sigma,
    first_frames,
    measure_noise,
    noise_of,
)
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.other_methods import BY_DENOISER, BY_EVOLUTION, PERIOD, evolved, without_noise
from pde_video.denoising.recursive import recursive
from pde_video.denoising.repair import Repair
from pde_video.denoising.uniform_noise import Noise
from pde_video.errors import InputError, ParameterError
from pde_video.estimate.interlace import is_interlaced
from pde_video.filters import EVERYTHING, Extent, Frames, Option, video_filter
from pde_video.filters.frames import WITHIN
from pde_video.motion.neighbours import REACH
from pde_video.protocols import Along, Array, Denoiser, satisfies
from pde_video.reverse_process.hooks import Hook

PRESETS = ("fast", *PASSES)
_INTERLACED = (
    "the frames are interlaced: their even and odd rows show different times, so that motion is not found; deinterlace "
    "them first, for example with ffmpeg -i in.mp4 -vf bwdif -c:v ffv1 out.mkv"
)
_LARGEST = 2**16  # Bytes of an estimate of noise in a file.
_MENDED = ("impulses", "hot", "rows", "columns")  # What is reported if there is any.
_FAINT = 2.0  # Photons per pixel, below which they are counted together.
_MANY = 1e5  # Photons per pixel: more than most sensors hold, so that it is other noise that seems to grow a little.


def _noise(value: Any) -> Any:
    """Return the noise for a plain value: a name, a pair, or an estimate in a JSON file."""
    if isinstance(value, str) and value not in NOISES:
        if not value.endswith(".json"):
            raise ParameterError(
                f"noise is {value!r}; it must be {', '.join(NOISES)}, a pair (slope, offset; SLOPE,OFFSET on the "
                "command line), or a .json file"
            )
        with reading(Path(value)):
            content = content_of(Path(value), _LARGEST)
        try:
            return NoiseEstimate.from_json(content.decode())
        except (ParameterError, UnicodeDecodeError) as fault:
            raise ParameterError(f"{value}: {fault}") from None
    return tuple(value) if isinstance(value, list) else value


def _extent(
    preset: str | None,
    sigma: Any,
    noise: Any,
    noise_from: Any,
    radius: int | None,
    causal: bool,
    method: str | None,
    denoiser: Denoiser | None,
    **others: Any,
) -> Extent:
    """Return how far a result looks.

    In a pass along the motion a frame depends only on those within the radius, or within three radii if they repeat
    others: scene cuts, repeated frames and flows are found between them. The frames of a second pass are results of the
    first.
    """
    if denoiser is not None and satisfies(denoiser, Along):
        return EVERYTHING
    told = sigma not in (None, "auto") or not isinstance(noise, str) or noise_from is not None
    first = 0 if told else WITHIN
    if method in BY_EVOLUTION:
        return Extent(0, 0, PERIOD, None, first)
    if method == "ddpm" or denoiser is not None:
        return Extent(0, 0, 1, None, first)
    if method is not None:  # The shipped network carries a state, and sees the contrast of the first frames.
        return Extent(None, 0, 1, None, WITHIN)
    if not isinstance(noise, NoiseEstimate) and noise_from is None and not (told and causal):
        first = WITHIN  # The fixed share of the noise is measured even if its variance is given.
    if preset == "fast":
        return Extent(None, 0, 1, None, first)
    radii = REACH * sum(one.radius for one in passes_of(preset or "balanced", radius))
    return Extent(radii, 0 if causal else radii, 1, None, first)


@video_filter(
    extent=_extent,
    examples=(
        "noisy.mp4 clean.mp4",
        "stack.tiff clean.tiff --preset best",
        "stack.tiff clean.tiff --noise-from flat.tiff",
        "stack.tiff clean.tiff --dark dark.tiff --flat flat.tiff",
        "noisy.mp4 clean.mp4 --method learned",
        "a.mp4 b.mp4 c.tiff results/",
        "- - < noisy.y4m > clean.y4m",
    ),
)
def denoise(
    frames: Frames,
    *,
    preset: Annotated[str | None, Option(choices=PRESETS)] = None,
    sigma: Sigma = None,
    noise: Annotated[
        str | tuple[float, float] | NoiseEstimate, Option(unit="input", choices=NOISES, file=True, load=_noise)
    ] = "auto",
    noise_from: Annotated[Any, Option(file=True)] = None,
    dark: Annotated[Any, Option(file=True)] = None,
    flat: Annotated[Any, Option(file=True)] = None,
    repair: Annotated[str, Option(choices=REPAIRS)] = "auto",
    radius: Annotated[int | None, Option(unit="frames", least=0, most=1000)] = None,
    causal: bool = False,
    method: Annotated[str | None, Option(choices=(*BY_EVOLUTION, *BY_DENOISER))] = None,
    denoiser: Annotated[Denoiser | None, Option(name="model", load=load_denoiser, file=True)] = None,
    steps: Annotated[int | None, Option(least=1)] = None,
    hooks: Sequence[Hook] = (),
) -> Iterator[Array]:
    """Remove noise by averaging along the motion and diffusing in space; no parameter has to be set.

    u ← u + Σ g_k (u_k(x + w_k) − u) / (1 + Σ g_k), with the flow w_k to frame k and the conductance g_k of the
    remaining difference, 0 where the flow is inconsistent; then u ← u − Σ K_jᵀ (1 − g_j) K_j u, with the cosine filters
    K_j of 8 × 8 windows and g_j by the noise left at each pixel. See docs/denoising.md.

    Parameters
    ----------
    preset : {"balanced", "fast", "best"}, optional
        Trade-off between time and quality. "balanced" averages 6 frames on each side; "best" averages 4 and then 8,
        guided by the first result, and filters similar patches; "fast" uses a recursive average without look-ahead.
        Default: "balanced".
    sigma : float or "auto", optional
        Standard deviation of Gaussian noise, ≥ 0, in units of the input (of 255 for uint8), or "auto" to measure it. It
        is the same for all colours; the share of a fixed pattern is still measured. Default: measured.
    noise : {"auto", "gaussian", "poisson-gaussian"}, (slope, offset), or NoiseEstimate
        Kind of noise to measure; or the noise itself, on the command line SLOPE,OFFSET or a JSON file. Gaussian
        noise is the same everywhere; the variance of Poisson–Gaussian noise is slope · brightness + offset; "auto"
        decides between them. It is measured on the first five frames that differ and are not constant, of small ones on
        up to 32. A pair is in units of the input and their square, and the share of a fixed pattern is still measured.
        With a `NoiseEstimate` no noise is measured, and a piece of a video, with the neighbouring frames that `extent`
        gives, is denoised as within the whole.
    noise_from : video or path, optional
        Recording of a still scene by the same camera, as bright as the video, on which to measure the noise. Dark
        frames show the read-out noise alone, and light has more.
    dark : video or path, optional
        Recording without light by the same camera, with the same exposure, whose fixed pattern is subtracted. Pixels
        much noisier there than most are replaced where that exceeds the noise of the video. A few frames suffice, since
        no more of the pattern is subtracted than they tell for certain; of a single frame, all. See docs/noise.md.
    flat : video or path, optional
        Recording of even light, with `dark`: each pixel is divided by its gain, relative to most pixels.
    repair : {"auto", "none"}
        Whether to mend what is found of outliers and stripes. With "none" they stay, also if a `NoiseEstimate` has
        them; what `dark` tells of pixels is mended all the same.
    radius : int, optional
        Frames to average on each side, 0 to 1000, instead of the preset's. Still scenes gain with every frame; time
        and memory grow with it. With 0, every frame is denoised separately; "fast" has no radius.
    causal : bool
        Use no look-ahead. Unless the noise is given, the first frames are read before the first is returned, to measure
        it; with `sigma` or a pair, no fixed pattern is assumed.
    method : {"perona-malik", "tv", "heat", "ddpm", "learned"}, optional
        Another method instead of a preset. "perona-malik", "tv" and "heat" (which blurs) evolve each frame separately,
        up to the time at which Stein's estimate of the error is smallest. "ddpm" runs the reverse process from the
        noise level of the video by posterior means; "learned" does so with a network.
    denoiser : Denoiser, optional
        Denoiser for "ddpm" and "learned": a network's .safetensors or .onnx file on the command line. In Python
        (y, σ) → estimate, as `load_denoiser`, `from_eps`, `from_torch` and others make it; without a method, it implies
        "learned". Default: `cosine_diffusion` for "ddpm", the network that comes with the library for "learned".
    steps : int, optional
        Noise levels that "ddpm" and "learned" visit, ≥ 1. Default: 2.
    hooks : sequence of callable
        For "ddpm" and "learned": applied to each estimate, as for `Reverse`.
    report : dict, optional
        Receives ``preset`` or ``method``; ``noise`` with ``sigma``, of measured noise that of all channels together
        (√ of their mean variance), or with ``slope`` and ``offset``, and ``photons`` per pixel at the median
        brightness, if they are below 100,000; ``fixed``, the share of the noise's variance that is the same in every
        frame (a fixed pattern); ``colours``, its standard deviation in brightness and in two colour differences, or in
        each of other than three channels, relative to ``sigma``, if they are not all 1; ``correlation``, the
        number of pixels over which neighbours share it, in each of these, if it is not 1; ``impulses`` and
        ``hot``, the shares of pixels that were replaced since they are far from all their neighbours, in single frames
        or in all, if there are any; ``rows`` and ``columns``, the standard deviation of offsets that rows or columns
        share, if there are; ``latency``, the look-ahead in frames (apart from what is estimated once,
        and up to three times as many where frames repeat); ``cuts``, where scenes begin; ``repeated``, the number of
        frames that repeat the one before; ``relit``, the number of those that differ from it by a gain or an offset, as
        in flicker and fades; with `dark`, ``offsets`` and ``gains``, the standard deviations of what was corrected, and
        ``noisy_pixels``, the share of those noisier than most; ``warnings``, if frames are interlaced, no brighter than
        `dark`, or so faint that rounding to integers loses their means, or if their noise is in doubt or changes. For
        the first three methods ``kappa``, ``conductance``, ``smoothing`` (in pixels), ``time`` (the last one chosen)
        and the ``criterion``; for the others ``denoiser``, ``steps``, and the ``contrast`` by which the frames were
        scaled for a network (1 if they were not, with integers as 0 to 1).

    Returns
    -------
    Video of the same kind, shape and dtype. Without noise (σ = 0), the video unchanged.

    References
    ----------
    Weickert, Steidl, Mrázek, Welk & Brox (2006) on diffusion and shrinkage, doi:10.1007/0-387-28831-7_1. Yu & Sapiro
    (2011), doi:10.5201/ipol.2011.ys-dct. Makitalo & Foi (2013), doi:10.1109/TIP.2012.2202675. Lebrun, Buades & Morel
    (2013), doi:10.1137/120874989, on similar patches. Of the methods: Perona & Malik (1990), doi:10.1109/34.56205;
    Catté et al. (1992), doi:10.1137/0729012; Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F; Ramani,
    Blu & Unser (2008), doi:10.1109/TIP.2008.2001404.

    Examples
    --------
    >>> clean = np.full((4, 64, 64), 0.5)
    >>> noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    >>> report = {}
    >>> gain = pv.psnr(clean, pv.denoise(noisy, report=report)) - pv.psnr(clean, noisy)
    >>> gain > 20, round(report["sigma"], 1)
    (True, 0.1)
    """
    if denoiser is not None and method is None:
        method = "learned"
    noise = _measured_elsewhere(noise_from, sigma, noise, dark, flat, repair)
    sigma = checked_sigma(sigma, noise)
    _check(preset, noise, radius, causal, method, repair)
    _check_denoiser(method, denoiser, steps, hooks)
    frames, excess = corrected(frames, dark, flat)
    told = sigma is not None or not isinstance(noise, str)
    seen = without_noisy_pixels(frames, excess)
    shown = None if told else first_frames(seen)
    if shown is not None and is_interlaced(shown):
        frames.report.setdefault("warnings", []).append(_INTERLACED)
    estimate = noise_of(
        seen,
        sigma,
        "gaussian" if method is not None and isinstance(noise, str) else noise,
        shown=shown,
        variance_only=method is not None or (causal and told),  # Anything else would delay the stream.
        repair=repair,
    )
    model = estimate.stabiliser()
    _report(frames.report, estimate)
    frames.report.update({"preset": preset or "balanced"} if method is None else {"method": method})
    if model is None:
        return frames
    if doubt := doubt_of_rounding(estimate, seen.peek(1)[0]):
        frames.report.setdefault("warnings", []).append(doubt)
    if method in BY_DENOISER:
        return without_noise(frames, method, denoiser, model.readout, steps, hooks)
    if method is not None:
        return evolved(frames, method, model.readout)
    frames.report["fixed"] = estimate.fixed
    if estimate.colours is not None:
        frames.report["colours"] = [round(one, 2) for one in estimate.colours]
    frames.report.update({name: getattr(estimate, name) for name in ("copied", *_MENDED) if getattr(estimate, name)})
    if estimate.spectra is not None:
        frames.report["correlation"] = [round(one, 2) for one in estimate.correlation]
    spectra = None if estimate.spectra is None else np.reshape(estimate.spectra, (-1, 8, 8))
    mends = excess is not None or any(getattr(estimate, name) for name in _MENDED)
    mending = Repair(estimate, model, excess) if mends else None
    faint = estimate.photons is not None and estimate.photons < _FAINT
    passes = () if preset == "fast" else passes_of(preset or "balanced", radius, faint=faint)
    frames.report["latency"] = 0 if causal else sum(one.radius for one in passes)
    uneven = Noise(model, estimate.colours, spectra, mending, faint, estimate.copied, measured=not told)
    if not passes:
        return recursive(frames, uneven, estimate.fixed, causal=causal)
    return along_motion(frames, passes, uneven, estimate.fixed, causal=causal)


def _measured_elsewhere(noise_from: Any, sigma: Any, noise: Any, dark: Any, flat: Any, repair: str) -> Any:
    """Return the noise of another recording, if one is given, or else `noise`."""
    if noise_from is None:
        return noise
    if sigma is not None or noise != "auto":
        raise ParameterError("noise_from, and sigma or noise, both set the noise; give one of them")
    from pde_video.video.files import read_besides  # Here, so that arrays are denoised without codecs.

    recording = read_besides(noise_from) if isinstance(noise_from, str | Path) else noise_from
    try:
        return measure_noise(recording, still=True, dark=dark, flat=flat, repair=repair)
    except InputError as fault:
        where = f" {noise_from}" if isinstance(noise_from, str | Path) else ""
        raise type(fault)(f"noise_from{where}: {fault}") from None


def _check(preset: str | None, noise: Any, radius: int | None, causal: bool, method: str | None, repair: str) -> None:
    other_noise = noise not in ("auto", "gaussian") and not isinstance(noise, NoiseEstimate)
    if method is not None and (preset is not None or radius is not None or causal or other_noise):
        raise ParameterError(
            f"method {method!r} is for Gaussian noise, frame by frame: it takes no preset, radius, causal or other "
            "noise; leave out one or the other"
        )
    if method is not None and repair != "auto":
        raise ParameterError(f"method {method!r} mends no outliers or stripes; leave out repair, or give a preset")
    if method is not None and isinstance(noise, NoiseEstimate) and noise.slope:
        raise ParameterError(
            f"method {method!r} is for Gaussian noise, but the noise given grows with brightness (slope "
            f"{noise.slope:g}); give a preset, or what measure_noise(video, noise='gaussian') returns"
        )
    if radius is not None and preset == "fast":
        raise ParameterError("the preset 'fast' averages recursively and has no radius; choose another preset")


def _check_denoiser(method: str | None, denoiser: Denoiser | None, steps: int | None, hooks: Sequence[Hook]) -> None:
    given = {"hooks are": bool(hooks), "a denoiser is": denoiser is not None, "steps are": steps is not None}
    for what in given:
        if given[what] and method not in BY_DENOISER:
            none = what.split()[-2]
            raise ParameterError(f"{what} for the methods {' and '.join(BY_DENOISER)}; give one, or no {none}")
    if denoiser is not None:
        check_denoiser(denoiser)


def _report(report: dict[str, Any], estimate: NoiseEstimate) -> None:
    measured = ("sigma", "slope", "offset", "photons", "fixed", "colours", "correlation", "copied", *_MENDED)
    for name in (*measured, "latency", "cuts", "repeated", "relit"):
        report.pop(name, None)  # Of another video, for which the same report was used before.
    if estimate.slope == 0:
        report.update(noise="gaussian", sigma=estimate.sigma)
    else:
        report.update(noise="poisson-gaussian", slope=estimate.slope, offset=estimate.offset)
        if estimate.photons is not None and estimate.photons < _MANY:
            report["photons"] = round(estimate.photons, 1)
