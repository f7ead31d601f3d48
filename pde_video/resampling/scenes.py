"""What frames have to do with each other: whether two are of one scene, and which repeat the one before them."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import numpy as np

from pde_video.estimate.scene import is_cut_not_motion
from pde_video.motion.averaging import halved
from pde_video.motion.noisy_flow import pyramid
from pde_video.protocols import Array
from pde_video.threads import ordered

_UNIT = 0.25  # Of differences, in standard deviations of a frame.
_WITHIN = 3  # Frames before and after one, among which there must be a change for it to repeat another.
_LESS = 0.25  # Share of its energy, below which that of another is none.
_LEAST = 0.01  # A change, in standard deviations of a frame: noise and codecs change that much.


def of_two_scenes(first: Array, second: Array) -> bool:
    """Tell whether two consecutive frames (H, W, C) are of different scenes."""
    unit = _UNIT * float(first.std(dtype=np.float64) or second.std(dtype=np.float64)) or 1.0
    before, after = (halved(frame.mean(axis=2, dtype=frame.dtype)[np.newaxis])[0] for frame in (first, second))
    levels = ([level * level.dtype.type(1 / unit) for level in pyramid(one)] for one in (before, after))
    return is_cut_not_motion(*levels, sigma=0.0)


def with_repeats(frames: Iterable[Array]) -> Iterator[tuple[Array, bool]]:
    """Yield frames (H, W, C), each with whether it repeats the one before it but for noise and what a codec changed.

    Then it has less than a quarter of the energy of a change within three frames before and another after it. In a
    still no frame has, nor after the last change.
    """
    source = iter(frames)
    first = next(source)
    changes = ordered(_change, pairwise(chain([first], source)))
    before: deque[float] = deque([math.inf], _WITHIN)  # A video begins with a change.
    ahead: deque[tuple[Array, float]] = deque()
    yield first, False
    for one in chain(changes, [None] * _WITHIN):
        if one is not None:
            ahead.append(one)
        if len(ahead) > _WITHIN or (one is None and ahead):
            frame, energy = ahead.popleft()
            after = max((later for _, later in ahead), default=0.0)
            yield frame, energy < _LESS * min(max(before), after)
            before.append(energy)


def _change(pair: tuple[Array, Array]) -> tuple[Array, float]:
    """Return the second of two frames with the energy of the change from the first, above that of none."""
    before, after = pair
    least = _LEAST * float(after.std(dtype=np.float64))
    return after, max(0.0, float(np.mean(np.square(after - before), dtype=np.float64)) - least**2)
