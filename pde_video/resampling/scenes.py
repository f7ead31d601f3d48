"""What frames have to do with each other: whether two are of one scene, and which repeat the one before them."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import numpy as np

from pde_video.estimate.scene import block_means, is_cut_not_motion
from pde_video.motion.averaging import halved
from pde_video.motion.noisy_flow import pyramid
from pde_video.protocols import Array
from pde_video.terms.structure import unit_of
from pde_video.threads import ordered

_UNIT = 0.25  # Of differences, in standard deviations of a frame.
_STAYS = 0.1  # Change of most of 16 × 16 blocks, relative to their contrast, below which it is the same scene.
_WITHIN = 3  # Frames before and after one, among which there must be a change for it to repeat another.
_LESS = 0.5  # Share of its root mean square, below which that of another is none.
_LEAST = 0.01  # A change, in standard deviations of a frame: noise and codecs change that much.


def in_one_unit(first: Array, second: Array) -> tuple[float, list[Array]]:
    """Return a power of two, in which two frames have powers within the range of float32, and both frames in it."""
    unit = unit_of(np.array([[one.min(), one.max()] for one in (first, second)]), dtype=np.float32)
    return unit, [one if unit == 1 else one / one.dtype.type(unit) for one in (first, second)]


def of_two_scenes(first: Array, second: Array) -> bool:
    """Tell whether two frames (H, W, C), one after the other in either order, are of different scenes.

    They are where both orders say so: motion that is found one way is motion. Where most of the picture stays, what
    changes is an object, however fast it is.
    """
    _, both = in_one_unit(first, second)
    unit = _UNIT * math.sqrt(0.5 * sum(float(one.var(dtype=np.float64)) for one in both)) or 1.0
    grey = [halved(one.mean(axis=2, dtype=one.dtype)[np.newaxis])[0] for one in both]
    means = [block_means(one) for one in grey]
    if np.median(np.abs(means[1] - means[0])) <= _STAYS * max(float(one.std()) for one in means):
        return False
    before, after = (pyramid(one / one.dtype.type(unit)) for one in grey)
    return all(is_cut_not_motion(*levels, sigma=0.0) for levels in ((before, after), (after, before)))


def with_repeats(frames: Iterable[Array]) -> Iterator[tuple[Array, bool]]:
    """Yield frames (H, W, C), each with whether it repeats the one before it but for noise and what a codec changed.

    Then its change is, in the root mean square, less than half of one within three frames before and of another after
    it. In a still no frame's is, nor after the last change.
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
            frame, change = ahead.popleft()
            after = max((later for _, later in ahead), default=0.0)
            yield frame, change < _LESS * min(max(before), after)
            before.append(change)


def _change(pair: tuple[Array, Array]) -> tuple[Array, float]:
    """Return the second of two frames with the root mean square of the change from the first, above that of none."""
    unit, (before, after) = in_one_unit(*pair)
    least = _LEAST * float(after.std(dtype=np.float64))
    energy = float(np.mean(np.square(after - before), dtype=np.float64))
    return pair[1], unit * math.sqrt(max(0.0, energy - least**2))
