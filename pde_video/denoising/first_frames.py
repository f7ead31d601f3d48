"""The noise of a video, measured on its first frames."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from pde_video.denoising.camera import corrected, without_noisy_pixels
from pde_video.denoising.channels import as_a_whole, deviations, with_channels
from pde_video.denoising.doubts import doubt_of_scales
from pde_video.denoising.noise_along_time import APART, NOTABLE, along_time
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.repair import Repair, mended
from pde_video.denoising.repeats import HARDLY, distinct, of_one_noise, roughness
from pde_video.errors import ParameterError
from pde_video.estimate.borders import within_borders
from pde_video.estimate.drawings import is_drawn
from pde_video.estimate.noise import (
    changing_noise,
    estimate_noise,
    estimate_poisson_gaussian,
    estimate_sigma,
    pattern_variance,
)
from pde_video.estimate.scene import is_scene_cut
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.filters import Frames, Option
from pde_video.filters.declarations import checked
from pde_video.filters.lift import lifted
from pde_video.protocols import Array

NOISES = ("auto", "gaussian", "poisson-gaussian")
REPAIRS = ("auto", "none")  # Whether outliers and stripes are looked for.
Sigma = Annotated[float | str | None, Option(unit="input", least=0, choices=("auto",))]
_FRAMES = 5  # Number of frames on which noise is measured: the first that are not constant.
_STILL_FRAMES = 16  # The same for a recording in which nothing moves.
_MOST_FRAMES, _PIXELS = 32, 2**20  # Small frames are looked at, as long as they change, until they have so many pixels.
_STEADY = 0.8  # Share of calm blocks from which on the changes tell more of the noise than the frames do.
_FEW = 5.0  # Photons per pixel.
_QUIET = 1e-3  # Noise of videos that have none but outliers, relative to their contrast.


def measure_noise(
    video: Any,
    *,
    sigma: Sigma = None,
    noise: Annotated[str | tuple[float, float], Option(choices=NOISES)] = "auto",
    still: bool = False,
    dark: Any = None,
    flat: Any = None,
    repair: Annotated[str, Option(choices=REPAIRS)] = "auto",
) -> NoiseEstimate:
    """Measure the noise of a video on its first frames, as `denoise` does without an estimate.

    variance = slope · brightness + offset by `estimate_noise`; of it, the share fixed = 1 − V(u_{k+1} − u_k) / (2 V(u))
    is the same in every frame, with the variance V of noise in frames and in differences of consecutive frames; it is
    structure, not noise, unless their mean has it in most places. Where photon noise hardly moves, the line is that of
    the differences (`changing_noise`). If they tell that neighbouring pixels share noise, its spectrum is measured on
    them, and slope, offset and the fixed share are set so that the variance is theirs too (docs/noise.md).

    ``denoise(video, noise=measure_noise(video))`` equals ``denoise(video)``. With the estimate, a piece of the video,
    with the neighbouring frames that `extent` gives, is denoised as within the whole. The preset "fast" and the method
    "learned" need all frames before it.

    Parameters
    ----------
    video : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames. The first five that differ and are not constant are
        used, and up to 32 if they are small, until they have a million pixels; of at most 40 that are read. The frames
        that are read are consumed from an iterator. Black bars and masks are left out.
    sigma : float or "auto", optional
        Known standard deviation of Gaussian noise, ≥ 0, in units of the video. Then only `fixed` is measured. Default,
        and "auto": see `noise`.
    noise : {"auto", "gaussian", "poisson-gaussian"} or (slope, offset)
        Kind of noise, as for `denoise`; or the line, if it is known: then only `fixed` is measured.
    still : bool
        Whether nothing moves, as in dark frames or a flat field. The variance that is new in every frame is then the
        temporal variance of the pixels over the first 16 frames, to which that of the fixed pattern is added. Dark
        frames show the read-out noise only, not photon noise.
    dark, flat : video or path, optional
        Recordings without light and of even light, by which to correct the video first, as `denoise` does.
    repair : {"auto", "none"}
        Whether to look for outliers and stripes, and to measure the noise without them.

    Returns
    -------
    NoiseEstimate
        In units of the video.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or `sigma` and `noise` both set the noise.
    InputError, TypeError
        If the video cannot be used as it is, or with `still` has a single frame.

    References
    ----------
    Foi, Trimeche, Katkovnik & Egiazarian (2008), doi:10.1109/TIP.2008.2001399. Of still recordings: Janesick (2007),
    Photon Transfer, doi:10.1117/3.725073.

    Examples
    --------
    >>> video = np.random.default_rng(0).normal(100, 5, (8, 64, 64))
    >>> noise = pv.measure_noise(video)
    >>> round(noise.sigma), noise.fixed, noise.unit
    (5, 0.0, 1.0)
    >>> whole = pv.denoise(video, noise=noise)
    >>> bool(np.array_equal(pv.denoise(video[1:], noise=noise)[6:], whole[7:]))  # Six frames before it suffice.
    True
    """
    checked(measure_noise, {"sigma": sigma, "noise": noise, "repair": repair}, "measure_noise")
    found: list[NoiseEstimate] = []

    def measuring(frames: Frames) -> Frames:
        seen = without_noisy_pixels(*corrected(frames, dark, flat))
        found.append(noise_of(seen, checked_sigma(sigma, noise), noise, still=still, repair=repair))
        return frames

    lifted(measuring, iter(video) if isinstance(video, np.ndarray) else video)
    return found[0]


def checked_sigma(sigma: float | str | None, noise: Any) -> float | None:
    """Return sigma, or None where it is to be estimated; refuse a noise of another form, or that contradicts sigma."""
    sigma = None if sigma == "auto" else sigma
    if not isinstance(noise, (str, NoiseEstimate)) and not (isinstance(noise, (tuple, list)) and len(noise) == 2):
        raise ParameterError(f"noise is {noise!r}; it must be a name, a pair (slope, offset), or a NoiseEstimate")
    if sigma is not None and not isinstance(noise, str):
        raise ParameterError("sigma and noise both set the noise; give one of them")
    if sigma is not None and noise == "poisson-gaussian":
        raise ParameterError(
            "sigma is for Gaussian noise; for noise='poisson-gaussian' give (slope, offset), or neither"
        )
    return None if sigma is None else float(sigma)


def noise_of(
    frames: Frames,
    sigma: float | None,
    noise: str | tuple[float, float] | NoiseEstimate,
    *,
    shown: list[Array] | None = None,
    variance_only: bool = False,
    still: bool = False,
    repair: str = "auto",
) -> NoiseEstimate:
    """Return the noise as given, or as measured on the first frames, `shown` if they are known already.

    With `variance_only`, only the variance is measured; if it is given, no frame is read for it. With `repair` "none"
    it has no outliers and stripes.
    """
    if isinstance(noise, NoiseEstimate):
        _refuse_of_another_kind(noise, frames)
        return noise if repair == "auto" else replace(noise, impulses=0.0, hot=0.0, rows=0.0, columns=0.0)
    told = sigma is not None or not isinstance(noise, str)
    if shown is None:
        shown = [] if told and variance_only else frames.peek(_STILL_FRAMES) if still else first_frames(frames)
    first = frames.peek(1)[0]
    unit, spread, whole, box = frames.scale, float(np.ptp(first)), shown, within_borders(shown)
    shown = [frame[box] for frame in shown]
    none = NoiseEstimate(0.0, 0.0, unit=unit)
    if not told and not still and _is_still_structure(shown):
        return none
    drawn = not told and not still and any(all(map(is_drawn, some)) for some in (whole, shown))  # Paper has no border.
    variance = partial(_variance, noise=noise, still=still, unit=unit)

    def measured(shown: list[Array]) -> NoiseEstimate:
        found = _told(first, sigma, noise, unit) if told else none if drawn else variance(shown)
        if not (told or still or drawn):
            found = with_channels(found, shown, variance)
        return found if _model(found, first) else none

    estimate = measured(shown)
    if repair == "auto" and not variance_only and spread and (estimate.stabiliser() or not told):
        quiet = NoiseEstimate(0.0, (_QUIET * spread * unit) ** 2, unit=unit)
        estimate, shown = mended(shown, estimate, quiet, measured)
    model = estimate.stabiliser()
    if model is None:
        return estimate
    estimate = replace(estimate, photons=_photons(shown or [first], model))
    if variance_only:
        return estimate
    # Where one channel has much more noise than others, their details would be taken for some of it.
    telling = shown if estimate.channels is None else [one[..., [np.argmax(estimate.channels)]] for one in shown]
    within, share = _within_and_common(telling, model)
    if still and not told:  # What was measured is new in every frame; the fixed pattern has so many times as much.
        common = within * share
        estimate = replace(_with_pattern(estimate, common), fixed=common / (1 + common))
    else:
        even = not told and estimate.channels is None
        changing = _changing(estimate, share, frames, str(noise), len(shown), box) if even else None
        estimate = replace(estimate, fixed=share) if changing is None else _by_changes(changing, shown, first)
        model = estimate.stabiliser()
    if told or model is None or _few(estimate.photons):
        return estimate
    estimate = replace(estimate, colours=deviations(shown, model, still))
    told_along_time = along_time(estimate, model, shown, still=still)
    if told_along_time is None and (doubt := doubt_of_scales(estimate, model, shown)):
        frames.report.setdefault("warnings", []).append(doubt)
    return as_a_whole(told_along_time or estimate)


def _is_still_structure(shown: list[Array]) -> bool:
    """Tell whether frames repeat, and what looks like noise in them is not alike everywhere: the scene's, as letters.

    Of what stands still, codecs leave most blocks as they are; noise changes all of them.
    """
    changes = [b - a for a, b in pairwise(shown)]
    rough = sum(map(roughness, shown)) / len(shown) if changes else 0.0
    if not rough or sum(map(roughness, changes)) / len(changes) > math.sqrt(2 * HARDLY) * rough:
        return False
    return changing_noise(shown, "gaussian") is None and not pattern_variance(np.mean(shown, axis=0))


def _model(estimate: NoiseEstimate, first: Array) -> VarianceStabilizer | None:
    """Return what makes the noise uniform; None if it is less than rounding."""
    model = estimate.stabiliser()
    rounding = np.finfo(first.dtype).eps * float(np.abs(first).max())
    return None if model is None or (not model.slope and model.readout <= rounding) else model


def _by_changes(changing: NoiseEstimate, shown: list[Array], first: Array) -> NoiseEstimate:
    """Return the noise of which `changing` is new in every frame, with its fixed share."""
    model = _model(changing, first)
    if model is None:
        return replace(changing, slope=0.0, offset=0.0)
    share = _within_and_common(shown, model)[1]
    return replace(_with_pattern(changing, share / (1 - share)), photons=_photons(shown, model), fixed=share)


def _with_pattern(estimate: NoiseEstimate, common: float) -> NoiseEstimate:
    """Return noise that is new in every frame with the fixed pattern added, of so many times its variance."""
    return replace(estimate, slope=estimate.slope * (1 + common), offset=estimate.offset * (1 + common))


def _photons(shown: list[Array], model: VarianceStabilizer) -> float | None:
    """Return the photons per pixel at the median brightness of channels that vary, or None if noise does not tell."""
    mean = np.mean(shown, axis=0)
    varying = np.ptp(mean, axis=(0, 1)) > 0
    brightness = float(np.median(mean[..., varying] if varying.any() else mean))
    return max(model.slope * brightness + model.offset, 0.0) / model.slope**2 if model.slope else None


def _few(photons: float | None) -> bool:
    """Tell whether light is so faint that stabilised noise is not uniform: nothing can be measured on it then."""
    return photons is not None and photons < _FEW


def first_frames(frames: Frames) -> list[Array]:
    """Return the first five frames that are neither constant nor repeats, or else the first five, but odd ones."""
    return of_one_noise(distinct(frames, _FRAMES) or frames.peek(_FRAMES))


def _variance(shown: Sequence[Array], noise: Any, still: bool, unit: float) -> NoiseEstimate:
    if noise == "gaussian":
        slope, offset = 0.0, estimate_sigma(shown, still=still) ** 2
    else:
        slope, offset = (estimate_noise if noise == "auto" else estimate_poisson_gaussian)(shown, still=still)
    return NoiseEstimate(slope * unit, offset * unit**2, unit=unit)


def _changing(
    estimate: NoiseEstimate, fixed: float, frames: Frames, noise: str, few: int, box: tuple[slice, slice]
) -> NoiseEstimate | None:
    """Return the noise that is new in every frame where changes tell more of it than `estimate`; otherwise None."""
    pixels = frames.peek(1)[0].size
    shown = of_one_noise(distinct(frames, max(few, min(_MOST_FRAMES, _PIXELS // pixels))))
    model = estimate.stabiliser()
    assert model is not None
    shown = [Repair(estimate, model)(frame[box]).frame for frame in shown]
    found = changing_noise(shown, noise)
    if found is None:
        return None
    relative = estimate.to_unit(1.0)
    within = (1 - fixed) * (relative.slope * found.levels + relative.offset)
    along = found.slope * found.levels + found.offset
    higher, lower = within > found.certainty * along, along > found.certainty * within
    steady = found.calm > _STEADY and (found.slope > 0 or (higher | lower).any())
    # Motion adds to changes; but where they are less than the noise seen within frames, that is structure.
    if not (steady or higher[1:].all()):
        return None
    if not (relative.slope or found.slope):  # What differs more in frames further apart is noise that was copied.
        apart = changing_noise(shown[:: max(1, min(APART, len(shown) - 1))], noise)
        most = found.certainty * found.offset
        if relative.offset <= most or apart is None or apart.offset > most:
            return None
    return replace(estimate, slope=found.slope * estimate.unit, offset=found.offset * estimate.unit**2)


def _told(first: Array, sigma: float | None, noise: Any, unit: float) -> NoiseEstimate:
    if sigma is not None:
        return NoiseEstimate(0.0, sigma * sigma, unit=unit)
    estimate, brightness = NoiseEstimate(noise[0], noise[1], unit=unit), float(np.median(first)) * unit
    if estimate.slope * brightness + estimate.offset < 0:
        raise ParameterError(
            f"noise is {noise}; at the first frame's median brightness, {brightness:g}, that is a variance "
            "below 0: the pair is (slope, offset), in units of the input and their square"
        )
    return estimate


def _refuse_of_another_kind(estimate: NoiseEstimate, frames: Frames) -> None:
    if estimate.unit != frames.scale:
        raise ParameterError(
            f"the noise is that of a video with full scale {estimate.unit:g}; that of this one is {frames.scale:g} "
            f"(255: uint8, 65535: uint16, 1: floats): give noise.to_unit({frames.scale:g}) if full scale means the "
            "same in both, or measure it on a video of this dtype"
        )
    channels = frames.peek(1)[0].shape[2]
    for name in ("spectra", "colours", "channels"):
        planes = getattr(estimate, name)
        if planes is not None and channels != len(planes):
            raise ParameterError(
                f"the noise has {len(planes)} numbers in {name}, but the video has {channels} channels; measure it on "
                "a video of such frames, or give dataclasses.replace(noise, colours=None, spectra=None, channels=None)"
            )


def _within_and_common(shown: list[Array], model: VarianceStabilizer) -> tuple[float, float]:
    """Return the noise's variance within frames, and the share of it that is missing in differences of frames.

    Both are measured: a given variance that is too large would look like a fixed pattern. What structure has in common
    is none either.
    """
    if _few(_photons(shown, model)):
        return 1.0, 0.0
    uniform = [model.forward(frame) for frame in shown]
    within = estimate_sigma(uniform) ** 2
    pairs = [(a, b) for a, b in pairwise(uniform) if not is_scene_cut(a, b, sigma=1.0)]
    changes = [change for change in (b - a for a, b in pairs) if change.any()]  # Some films repeat frames.
    new = estimate_sigma(changes) ** 2 / 2 if changes else within
    if new >= (1 - NOTABLE) * within:
        return within, 0.0
    pattern = pattern_variance(np.mean(uniform, axis=0)) - new / (1 + len(changes))
    return within, 1 - new / within if pattern > NOTABLE * (pattern + new) else 0.0
