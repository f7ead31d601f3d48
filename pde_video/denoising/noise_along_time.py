"""What differences along time tell of noise beyond what can be seen within frames: its strength and its spectrum."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pde_video.denoising.along_motion import Picture, flow, prepared
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.scene import is_scene_cut
from pde_video.estimate.spectrum import Spectra, changes, is_white, spectra
from pde_video.estimate.stabiliser import Stabiliser
from pde_video.protocols import Array

NOTABLE = 0.1  # Lowest fixed share of the variance that is not taken for an error of estimation.
_STRONGER = 1.08  # Ratio of deviations, along time to within frames, above which the former holds for white noise.
_FINEST = 4  # Cosine coefficients from which on they are compared.
_AT_REST = 0.85  # Share of calm blocks below which their motion is looked for.
_STRIPED = 0.3  # Offsets of rows, relative to sigma, above which noise does not count as white.
_SMOOTHNESS = 20.0  # Of the motion.


def along_time(
    estimate: NoiseEstimate, model: Stabiliser, shown: list[Array], *, still: bool = False
) -> NoiseEstimate | None:
    """Return the estimate with the spectrum of the noise, if it is not white, and then with its true strength.

    None if differences do not tell.

    Within frames, only the finest details of flat blocks tell noise from structure. They hold little of the noise that
    neighbouring pixels share, and codecs remove noise from flat blocks first. `model` makes the noise as estimated
    uniform. With `still`, the strength is that of differences already.
    """
    given = np.square(estimate.colours or np.ones(shown[0].shape[2]))
    pictures = [prepared(frame, Noise(model, estimate.colours)) for frame in shown]
    found = _spectra(pictures, still)
    if found is None or not found.certain:
        return None
    finest = found.variances[:, _FINEST:, _FINEST:].mean(axis=(1, 2))  # Motion that is left hardly adds to it.
    fixed = estimate.fixed
    if not still:
        fixed = min(fixed, 1 - float(finest[0]))
        fixed = fixed if fixed > NOTABLE else 0.0
    striped = estimate.rows > _STRIPED * estimate.sigma  # What is left of them is in few coefficients.
    white = np.array([is_white(one) and not striped for one in found.variances])
    strength = found.variances.mean(axis=(1, 2)) * given / (1.0 if still else 1 - fixed)
    strength = np.where(white & (finest < _STRONGER**2), given, strength)
    whole = float(strength.mean())
    if white.all() and (strength == given).all():
        return replace(estimate, fixed=fixed)
    relative = found.variances / found.variances.mean(axis=(1, 2), keepdims=True)
    relative[white] = 1
    return replace(
        estimate,
        slope=estimate.slope * whole,
        offset=estimate.offset * whole,
        fixed=fixed,
        colours=tuple(np.sqrt(strength / whole).tolist()) if len(given) > 1 else None,
        spectra=None if white.all() else tuple(tuple(one.ravel().tolist()) for one in relative),
    )


def _spectra(pictures: list[Picture], still: bool) -> Spectra | None:
    """Return the spectra of the noise of prepared frames, following the motion if much moves."""
    pairs = [(a, b) for a, b in pairwise(pictures) if not is_scene_cut(a.guided.luma, b.guided.luma, sigma=0.5)]
    planes = [(a.guided.planes, b.guided.planes) for a, b in pairs]
    found = spectra([changes(*pair) for pair in planes]) if pairs else None
    if found is None or still or found.calm >= _AT_REST:
        return found
    unit = max(1.0, math.sqrt(found.variances[0].mean()))  # Motion is seen better in units of the noise.
    seen = [tuple(one._replace(levels=[y / y.dtype.type(unit) for y in one.levels]) for one in pair) for pair in pairs]
    return spectra([changes(*pair, flow(a, b, _SMOOTHNESS)) for pair, (a, b) in zip(planes, seen, strict=True)])
