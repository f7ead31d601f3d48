"""Training data: randomly augmented crops of clean clips."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pde_video.arrays.dtypes import scale_of
from pde_video.errors import InputError, ParameterError
from pde_video.filters.conversion import to_gray
from pde_video.protocols import Array
from pde_video.video.files import read

_STILL, _SPEED = 0.3, 1.0  # Share of pictures at rest; standard deviation of the others' velocity in pixels.


@dataclass(frozen=True, eq=False)
class Footage:
    """Clean grey frames (T, H, W), float32 in [0, 1]; a single one is a still picture, which training moves."""

    name: str
    frames: Array

    def __post_init__(self) -> None:
        if not (np.isfinite(self.frames.min()) and np.isfinite(self.frames.max())):
            raise InputError(f"{self.name}: values are NaN or infinite; they must be in [0, 1]: correct the clip")

    def described(self) -> str:
        """Return a text that identifies the footage."""
        count, height, width = self.frames.shape
        digest = hashlib.sha256(np.ascontiguousarray(self.frames, np.float32).data).hexdigest()[:16]
        return f"{self.name}: {count} frames of {height} × {width}, SHA-256 {digest}"


def load(path: str | Path, start: int = 0, end: int | None = None) -> Footage:
    """Return frames START to END − 1 of a clip, in grey."""
    read_so_far, shape = bytearray(), None  # Grows in place; a stacked list of frames would need twice the memory.
    for frame in islice(read(path), start, end):
        values = frame / np.float32(scale_of(frame.dtype))
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):  # True for NaN.
            limits = f"[{low}, {high}]"
            raise InputError(f"{path}: values must be in [0, 1]; they are in {limits}: scale or correct the clip")
        grey = (to_gray(values[np.newaxis])[0] if values.ndim == 3 else values).astype(np.float32)
        if shape not in (None, grey.shape):
            raise InputError(f"{path}: frames of {shape} and of {grey.shape}; all frames of a clip must have one size")
        shape = grey.shape
        read_so_far += grey.tobytes()
    if shape is None:
        raise InputError(f"{path}: there is no frame from {start} on; a clip needs at least one")
    return Footage(Path(path).name, np.frombuffer(read_so_far, np.float32).reshape(-1, *shape))


def pieces(footage: Sequence[Footage], rng: np.random.Generator, *, batch: int, frames: int, size: int) -> Array:
    """Return random pieces (batch, frames, size, size), each mirrored, inverted, reversed or halved at random."""
    moving = [one.frames for one in footage if len(one.frames) > 1]
    still = [one.frames for one in footage if len(one.frames) == 1]
    kinds = [kind for kind in (moving, still) if kind]  # Equally many pieces of both kinds.
    chosen = [kinds[k % len(kinds)] for k in range(batch)]
    return np.stack([_piece(kind[rng.integers(len(kind))], rng, frames, size) for kind in chosen])


def check_size(footage: Sequence[Footage], size: int) -> None:
    """Raise ParameterError if there is no clip, or one smaller than a piece."""
    if not footage:
        raise ParameterError("there is no clip to train on; give at least one")
    for clip in footage:
        if min(clip.frames.shape[1:]) < size:
            raise ParameterError(f"{clip.name} has frames of {clip.frames.shape[1:]}; pieces are {size} × {size}")


def _piece(video: Array, rng: np.random.Generator, frames: int, size: int) -> Array:
    factor = 2 if min(video.shape[1:]) >= 2 * size and rng.random() < 0.5 else 1
    found = _window(video, rng, frames, size * factor)
    if factor == 2:
        found = found.reshape(frames, size, 2, size, 2).mean(axis=(2, 4))
    for axis in range(3):
        if rng.random() < 0.5:
            found = np.flip(found, axis)
    if rng.random() < 0.5:
        found = found.transpose(0, 2, 1)
    contrast, middle = math.exp(rng.uniform(math.log(0.3), math.log(1.25))), 0.5 + rng.uniform(-0.15, 0.15)
    if rng.random() < 0.25:
        contrast = -contrast
    return (middle + contrast * (found - 0.5)).astype(np.float32)


def _window(video: Array, rng: np.random.Generator, frames: int, side: int) -> Array:
    """Return consecutive frames (or every second one) at a fixed place; from a still picture, a moving place."""
    length, height, width = video.shape
    if length == 1:
        path = np.arange(frames)[:, None] * rng.normal(0, _SPEED, 2) * (rng.random() > _STILL)
        path = np.rint(path - path.min(axis=0)).astype(int)
        room = np.maximum(np.array([height, width]) - side - path.max(axis=0), 0)
        corners = np.minimum(path + rng.integers(room + 1), [height - side, width - side])
        return np.stack([video[0, top : top + side, left : left + side] for top, left in corners])
    stride = 2 if length >= 2 * frames and rng.random() < 0.25 else 1
    span = min(length, (frames - 1) * stride + 1)
    begin, top, left = (rng.integers(n + 1) for n in (length - span, height - side, width - side))
    found = video[begin : begin + span : stride, top : top + side, left : left + side]
    return np.pad(found, ((0, frames - len(found)), (0, 0), (0, 0)), mode="edge")
