"""What cameras see of a scene."""

import math

import numpy as np
from scipy import ndimage


def ground(height=120, width=220, seed=2):
    """A texture with details of several sizes, in [0, 1]."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    picture = sum(one / one.std() for one in (ndimage.gaussian_filter(noise, size) for size in (1.5, 4, 9)))
    return 0.5 + 0.1 * picture


def seen(scene, size, place, *, turn=0.0, scale=1.0, bend=(0.0, 0.0)):
    """What a camera of a size sees of a scene, with its middle at a place, turned by degrees; and where, (2, H, W)."""
    y, x = np.mgrid[: size[0], : size[1]] - (np.array(size)[:, np.newaxis, np.newaxis] - 1) / 2
    away = 1 + bend[0] * y / 100 + bend[1] * x / 100
    c, s = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
    where = np.stack([place[0] + (c * y - s * x) / away, place[1] + (s * y + c * x) / away])
    return ndimage.map_coordinates(scene, where, order=3), where
