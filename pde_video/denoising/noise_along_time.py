"""What differences along time tell of noise beyond what can be seen within frames: its strength and its spectrum."""

import math
from dataclasses import replace
from functools import partial
from itertools import accumulate, combinations, pairwise

import numpy as np

from pde_video.denoising.along_motion import Picture, flow, prepared
from pde_video.denoising.channels import stronger
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.estimate.spectrum import Spectra, are_independent, changes, spectra
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.protocols import Array
from pde_video.threads import ordered

NOTABLE = 0.1  # Lowest fixed share of the variance that is not taken for an error of estimation.
_STRONGER = 1.05  # Ratio of deviations, along time to within frames, above which the former holds for white noise.
_LESS = 0.7  # Share of the variance below which changes are those of one motion of the whole picture.
_MIDDLE = 256  # Pixels of the middle of a picture, on each side, on which that is looked for.
APART = 3  # Frames from one to another, whose differences show noise that is copied from frame to frame.
_COPIED = 0.2  # Lowest share of the noise in common with the next frame that is not taken for chance or motion.
_STRIPED = 0.3  # Offsets of rows, relative to sigma, above which noise does not count as white.
_SMOOTHNESS = 20.0  # Of the motion.


def along_time(
    estimate: NoiseEstimate, model: VarianceStabilizer, shown: list[Array], *, still: bool = False
) -> NoiseEstimate | None:
    """Return the estimate with the spectrum of the noise, if it is not white, and then with its true strength.

    None if differences do not tell. Within frames, only the finest details of flat blocks tell noise from structure.
    They hold little of the noise that neighbouring pixels share, and codecs remove noise from flat blocks first.
    `model` makes the noise as estimated uniform. With `still`, the strength is that of differences already.
    """
    given = np.square(estimate.colours or np.ones(shown[0].shape[2]))
    pictures = list(ordered(partial(prepared, noise=Noise(model, estimate.colours)), shown))
    found = _spectra(pictures, estimate.fixed, still)
    if found is None or not found.certain:
        return None
    finest = found.finest()
    fixed = estimate.fixed
    if not still:
        fixed = min(fixed, 1 - float(finest[0]))
        fixed = fixed if fixed > NOTABLE else 0.0
    striped = estimate.rows > _STRIPED * estimate.sigma  # What is left of them is in few coefficients.
    white = np.array([found.white(c) and not striped for c in range(len(found.variances))])
    strength = np.array([found.strength(c) for c in range(len(given))]) * given / (1.0 if still else 1 - fixed)
    strength = np.where(white & (finest < _STRONGER**2), given, strength)
    whole = float(strength.mean())
    if white.all() and (strength == given).all():
        return replace(estimate, fixed=fixed, copied=found.copied)
    relative = found.variances / found.variances.mean(axis=(1, 2), keepdims=True)
    relative[white] = 1
    return replace(
        stronger(estimate, whole),
        fixed=fixed,
        copied=found.copied,
        colours=tuple(np.sqrt(strength / whole).tolist()) if len(given) > 1 else None,
        spectra=None if white.all() else tuple(tuple(one.ravel().tolist()) for one in relative),
    )


def _spectra(pictures: list[Picture], fixed: float, still: bool) -> Spectra | None:
    """Return the spectra of the noise of prepared frames, followed along the motion.

    Codecs copy noise from frame to frame. What is copied is not in differences of consecutive frames, but in those of
    frames further apart, which hold if they show more noise.
    """
    planes = [picture.guided.planes for picture in pictures]
    found = spectra(list(ordered(lambda pair: changes(*pair), pairwise(planes)))) if len(planes) > 1 else None
    if found is None or still or min(fixed, 1 - found.finest()[0]) > NOTABLE:
        return found  # A fixed pattern stays where it is, so that what is followed would change by it.
    unit = max(1.0, math.sqrt(found.variances[0, 1, 1]))  # Motion and cuts are seen in units of the noise that is seen.
    seen = [one._replace(levels=[y / y.dtype.type(unit) for y in one.levels]) for one in pictures]
    cuts = (is_cut_not_motion(a.levels, b.levels, sigma=0.5) for a, b in pairwise(seen))
    scenes = list(accumulate(cuts, initial=0))
    every = combinations(range(len(seen)), 2)
    apart = max(2, min(APART, len(seen) - 1))
    pairs = [(k, j) for k, j in every if scenes[k] == scenes[j] and (j == k + 1 or j >= k + apart)]

    def followed(pair: tuple[int, int]) -> Array:
        k, j = pair
        return changes(planes[k], planes[j], flow(seen[k], seen[j], _SMOOTHNESS))

    told = dict(zip(pairs, ordered(followed, pairs), strict=True))
    near = {(k, j): one for (k, j), one in told.items() if j == k + 1}
    far = {(k, j): one for (k, j), one in told.items() if j > k + 1}
    if not are_independent([(near[a], far[b]) for a in near for b in far if a[0] == b[0]]):
        return None
    found, copied = ordered(lambda some: spectra(list(some.values())) if some else None, (near, far))
    if found is not None and found.certain and not found.white(0):
        # What is textured alike everywhere, and fast, is not followed by the flow, and looks like noise.
        shifted = spectra([changes(planes[k], planes[j], _shift(planes[k][0], planes[j][0])) for k, j in near])
        if shifted is not None and shifted.variances[0].mean() < _LESS * found.variances[0].mean():
            return shifted
    if found is None or copied is None:
        return found or copied
    share = found.shared_with_next(copied)
    best = copied if copied.certain and copied.exceed(found) else found
    return replace(best, copied=share if share > _COPIED else 0.0)


def _shift(before: Array, after: Array) -> Array:
    """Return the flow of half the size that moves the middle of a picture (H, W) as a whole to where it fits best."""
    places = [slice(max(0, (n - _MIDDLE) // 2), max(0, (n - _MIDDLE) // 2) + _MIDDLE) for n in before.shape]
    first, second = (np.fft.rfft2(one[places[0], places[1]] - one.mean()) for one in (before, after))
    fit = np.fft.irfft2(np.conj(first) * second, tuple(min(_MIDDLE, n) for n in before.shape))
    there = np.unravel_index(int(fit.argmax()), fit.shape)
    moved = [k if k <= n // 2 else k - n for k, n in zip(there, fit.shape, strict=True)]
    height, width = before.shape
    half = np.ones((1, (height + 1) // 2, (width + 1) // 2), before.dtype)
    return np.concatenate([half * (moved[0] / 2), half * (moved[1] / 2)])
