"""Films for tests of frames at other times, and a passage that is a line."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

SIDE = (48, 64)


class Line:
    """A passage of which each value is its time."""

    reliable = 1.0

    def __init__(self, first, second):
        self.ends = first, second

    def at(self, share):
        return (1 - share) * self.ends[0] + share * self.ends[1]


def numbers(count):
    return (np.full((1, 1), float(k)) for k in range(count))


def moving(frames=6, speed=2.0, seed=2, channels=1):
    """A texture that moves to the left, (T, H, W, C), in [0, 1]."""
    wide = SIDE[1] + math.ceil(speed * frames) + 1
    ground = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE[0], wide, channels)), (2.5, 2.5, 0))
    ground = np.clip(0.5 + 0.1 * ground / ground.std(), 0, 1)
    return np.stack([ground[:, int(speed * t) : int(speed * t) + SIDE[1]] for t in range(frames)])
