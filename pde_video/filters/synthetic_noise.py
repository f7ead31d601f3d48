"""Synthetic noise, to test denoisers."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from pde_video.checks import check_whole
from pde_video.errors import ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array

Deviation = Annotated[float, Option(unit="input", least=0)]
Photon = Annotated[float, Option(unit="input", above=0)]
Seed = Annotated[int | np.random.Generator, Option(least=0, name="seed", text="Seed, or generator to draw from.")]
_ALL_BEFORE = Extent(before=None)  # Random numbers are drawn frame by frame.


@video_filter(extent=_ALL_BEFORE, examples=("in.mp4 out.mkv --sigma 20",))
def gaussian_noise(frames: Frames, sigma: Deviation, *, rng: Seed = 0) -> Iterator[Array]:
    """Add independent Gaussian noise to every value.

    out = frame + σ z, z ~ N(0, 1)

    Parameters
    ----------
    sigma : float
        Standard deviation ≥ 0, in units of the input (of 255 for uint8). Integers are rounded and saturate, and
        the report counts how many did.

    Examples
    --------
    >>> noisy = pv.gaussian_noise(np.full((2, 100, 100), 128, np.uint8), 20.0)
    >>> round(float(noisy.std())), noisy.dtype
    (20, dtype('uint8'))
    """
    generator, level = _generator(rng), sigma / frames.scale
    return (frame + level * generator.standard_normal(frame.shape, frame.dtype) for frame in frames)


@video_filter(extent=_ALL_BEFORE, examples=("in.mp4 out.mkv --slope 5 --readout 2",))
def poisson_gaussian_noise(
    frames: Frames, slope: Photon, readout: Deviation = 0.0, *, rng: Seed = 0
) -> Iterator[Array]:
    """Add photon noise, as cameras have in low light, and read-out noise.

    out = slope · Poisson(max(frame, 0) / slope) + readout · z, z ~ N(0, 1); its variance is slope · frame + readout².

    Parameters
    ----------
    frames : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames, linear in light and 0 where it is black.
    slope : float
        Intensity of one photon, > 0, in units of the input (of 255 for uint8): white / peak for `peak` photons at
        white. Integers are rounded and saturate, and the report counts how many did.
    readout : float
        Standard deviation ≥ 0, in units of the input.

    Raises
    ------
    ParameterError
        If `slope` or `readout` is out of range, or the numbers of photons are too large.

    References
    ----------
    Foi, Trimeche, Katkovnik & Egiazarian (2008), doi:10.1109/TIP.2008.2001399.

    Examples
    --------
    >>> noisy = pv.poisson_gaussian_noise(np.full((2, 100, 100), 0.5), 1 / 50, 0.01)
    >>> round(float(noisy.mean()), 2), round(float(noisy.var()), 3)
    (0.5, 0.01)
    """
    generator, level, photon = _generator(rng), readout / frames.scale, slope / frames.scale
    for frame in frames:
        light = np.maximum(frame.astype(np.float64) / photon, 0)
        if light.max() > 1e18:
            many = f"{light.max():.0e} photons per pixel are too many to draw"
            raise ParameterError(f"slope is {slope}; {many}; give a larger slope")
        counts = (photon * generator.poisson(light)).astype(frame.dtype)
        yield counts + level * generator.standard_normal(frame.shape, frame.dtype) if level else counts


def _generator(rng: int | np.random.Generator) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        check_whole(0, rng=rng)
    return np.random.default_rng(rng)
