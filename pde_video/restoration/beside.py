"""A second video beside the frames of a filter, such as masks or guides: one picture for all, or one for each frame."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array

Made = TypeVar("Made")


def beside(
    frames: Iterable[Array], other: Any, role: str, made: Callable[[Array, str], Made]
) -> Iterator[tuple[Array, Made]]:
    """Yield each frame with what is `made` of the picture beside it and of its name, in the `role` of a mask or so.

    `other` is an array, a sequence or stream of pictures, or a path. What is made of a single picture is made once.
    """
    name = f"the {role}"
    if isinstance(other, str | Path):
        from pde_video.video.files import read  # Here, so that arrays need no codecs.

        name, other = f"{name} {other}", read(other)
    if isinstance(other, np.ndarray) and other.ndim == 2:
        other = other[np.newaxis]
    pictures: Iterator[Made] = (made(np.asarray(one), name) for one in other)
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{name} has no frame")
    second = next(pictures, None)
    pictures = repeat(first) if second is None else chain([first, second], pictures)
    number = -1
    for number, frame in enumerate(frames):
        found = next(pictures, None)
        if found is None:
            raise InputError(f"the {role} has {number} frames, and the video more; give one for each, or one for all")
        yield frame, found
    if not isinstance(pictures, repeat) and next(pictures, None) is not None:
        raise InputError(f"the video has {number + 1} frames, and the {role} more; give one for each, or one for all")
