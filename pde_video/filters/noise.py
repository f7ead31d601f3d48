"""Noise in, to test what takes it out."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pde_video.errors import ParameterError
from pde_video.filters.frames import Frames
from pde_video.filters.lift import video_filter
from pde_video.grid import check_whole
from pde_video.protocols import Array


@video_filter
def gaussian_noise(frames: Frames, sigma: float, *, rng: int | np.random.Generator = 0) -> Iterator[Array]:
    """Add independent Gaussian noise to every value.

    out = frame + σ z, z ~ N(0, 1)

    Parameters
    ----------
    frames : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames.
    sigma : float
        Standard deviation ≥ 0, in units of the input (of 255 for uint8). Integers are rounded and saturate, and
        the report counts how many did.
    rng : int or numpy.random.Generator
        Seed, or generator to draw from.

    Returns
    -------
    Video of the same kind, shape and dtype.

    Raises
    ------
    ParameterError
        If `sigma` is out of range.

    References
    ----------
    None.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> noisy = pv.gaussian_noise(np.full((2, 100, 100), 128, np.uint8), 20.0)
    >>> round(float(noisy.std())), noisy.dtype
    (20, dtype('uint8'))
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ParameterError(f"sigma is {sigma}; it must be 0 or a positive, finite standard deviation")
    if not isinstance(rng, np.random.Generator):
        check_whole(0, rng=rng)
    generator, level = np.random.default_rng(rng), sigma / frames.scale
    return (frame + level * generator.standard_normal(frame.shape, frame.dtype) for frame in frames)
