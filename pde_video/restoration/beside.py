"""A second video beside the frames of a filter, such as masks or guides: one picture for all, or one for each frame."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pde_video.arrays.dtypes import as_float, scale_of
from pde_video.arrays.grid import all_finite, to_planes
from pde_video.errors import DtypeError, InputError, ParameterError
from pde_video.protocols import Array

Frame = TypeVar("Frame")
Made = TypeVar("Made")
_GIVE = "give one for each, or one for all"


def beside(
    frames: Iterable[Frame], other: Any, role: str, made: Callable[[Array, str], Made]
) -> Iterator[tuple[Frame, Made]]:
    """Yield each frame with what is `made` of the picture beside it and of its name, in the `role` of a mask or so.

    `other` is an array, a sequence or stream of pictures, or a path. What is made of a single picture is made once.
    """
    name, part, give = f"the {role}", "", f"; {_GIVE}"
    if isinstance(other, str | Path):
        from pde_video.video.files import read_besides  # Here, so that arrays need no codecs.

        name, other = f"{name} {other}", read_besides(other, together=True)
        if other.remedy:
            part, give = f" from number {other.choice.first} on", other.remedy
    if isinstance(other, np.ndarray) and other.ndim == 2:
        other = other[np.newaxis]
    if not isinstance(other, Iterable) or (isinstance(other, np.ndarray) and not other.ndim):
        raise ParameterError(f"{name} is {other!r}; it must be an array, frames, or the name of a file")
    hint = hint_of_colour(other.shape[2]) if isinstance(other, np.ndarray) and other.ndim == 3 else ""
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
            raise InputError(f"the {role} has {number} frames{part}, and the video more{give}{hint}")
        yield frame, found
    if not isinstance(pictures, repeat) and next(pictures, None) is not None:
        raise InputError(f"the video has {number + 1} frames, and the {role} more; {_GIVE}{hint}")


def hint_of_colour(columns: int) -> str:
    """Return what to do if what was given as a video, of so many columns, may be one picture in colour."""
    return " (a single picture in colour is an array (1, H, W, C))" if columns in (3, 4) else ""


def planes_of(picture: Array, name: str) -> Array:
    """Return a picture beside the frames as planes (C, H, W), with white as 1."""
    if picture.ndim not in (2, 3) or picture.dtype.kind not in "uif" or not picture.size:
        raise InputError(
            f"{name} has a picture of shape {picture.shape} and dtype {picture.dtype}; it must be (H, W) or (H, W, C), "
            "of integers or floats"
        )
    try:
        scale = scale_of(picture.dtype)
    except DtypeError as error:
        raise DtypeError(f"{name}: {error}") from None
    frame = as_float(picture, np.float64 if picture.dtype == np.float64 else np.float32, scale)
    if not all_finite(frame):
        raise InputError(f"{name} holds NaN or infinite values; replace them first")
    return to_planes(frame, -1)
