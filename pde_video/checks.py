"""Checks of parameters and frames before any work is done."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from pde_video.errors import DtypeError, InputError, ParameterError
from pde_video.protocols import Array


def check_positive(**values: float) -> None:
    """Raise ParameterError unless every value is a positive finite number."""
    _check_numbers(values, lambda value: value > 0, "positive and finite")


def check_contrast(dtype: Any, power: int = 1, **values: float) -> None:
    """Raise ParameterError for a contrast so small that `dtype`, which the state has, cannot hold 1 over its power."""
    least = (4 * float(np.finfo(dtype).tiny)) ** (1 / power)  # Small factors may come to it.
    for name, value in values.items():
        if value < least:
            given = f"{name} is {value:.3g} in units of the state (integers: of the full scale)"
            raise ParameterError(f"{given}; {np.dtype(dtype)} needs at least {least:.2g}: give a larger one")


def check_width(**values: float) -> None:
    """Raise ParameterError unless every value is zero or a positive finite number."""
    _check_numbers(values, lambda value: value >= 0, "0 (none) or a positive width in pixels")


def _check_numbers(values: dict[str, float], allowed: Callable[[float], bool], needed: str) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise ParameterError(f"{name} is {value!r}; it must be a number")
        if not (math.isfinite(value) and allowed(value)):
            raise ParameterError(f"{name} is {value}; it must be {needed}")


def check_whole(at_least: int, **values: float) -> None:
    """Raise ParameterError unless every value is a whole number of at least `at_least`."""
    for name, value in values.items():
        whole = isinstance(value, (int, float, np.number)) and math.isfinite(value) and value == int(value)
        if isinstance(value, bool) or not whole or value < at_least:
            raise ParameterError(f"{name} is {value!r}; it must be a whole number of at least {at_least}")


def check_denoiser(denoiser: Any) -> None:
    """Raise ParameterError unless `denoiser` can be called with frames and a noise level."""
    if not callable(denoiser):
        raise ParameterError(f"the denoiser is {denoiser!r}; it must be a function (y, sigma) -> estimate")
    if any(base.__module__.startswith("torch.nn.") for base in type(denoiser).__mro__):
        raise ParameterError(
            f"the denoiser is the PyTorch module {type(denoiser).__name__}, which takes tensors; make a denoiser: "
            "from_torch(module), with its schedule and kind if it predicts noise"
        )


def check_path(remedy: str, **values: Any) -> None:
    """Raise DtypeError, with what to do instead, unless every value is a path."""
    for name, value in values.items():
        if not isinstance(value, str | os.PathLike):
            shape = f" {value.shape}" if isinstance(value, np.ndarray) else ""
            raise DtypeError(f"{name} is of type {type(value).__name__}{shape}; it must be a path: {remedy}")


def first_frame(video: Iterable[Array]) -> tuple[Array, Iterator[Array]]:
    """Return the first frame, checked, and an iterator over all frames."""
    frames = iter(video)
    head = next(frames, None)
    if head is None:
        raise InputError("the video is empty: it has no frame")
    head = np.asarray(head)
    if head.ndim not in (2, 3) or head.size == 0:
        raise InputError(f"frame 0 has shape {head.shape}; a frame is (H, W) or (H, W, C), none of them 0")
    return head, chain([head], frames)


def alike(frames: Iterable[Array], head: Array) -> Iterator[Array]:
    """Yield the frames as arrays, as long as they have the shape and dtype of `head`."""
    for i, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.shape != head.shape or frame.dtype != head.dtype:
            raise InputError(
                f"frame {i} has shape {frame.shape} and dtype {frame.dtype}; frame 0 has {head.shape} and {head.dtype}"
            )
        yield frame
