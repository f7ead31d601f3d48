"""Clips for the comparison."""

import hashlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.dtypes import scale_of
from pde_video.errors import InputError, ParameterError
from pde_video.filters.conversion import to_gray
from pde_video.protocols import Array
from pde_video.tools.demo import moving_scene
from pde_video.video.files import read

_FIRST = 16  # Frames, unless others are asked for.


@dataclass(frozen=True)
class Clip:
    """A clean video (T, H, W) or (T, H, W, C), float32 in [0, 1], and how it was made."""

    name: str
    frames: Array
    made: str

    @property
    def described(self) -> dict[str, Any]:
        """Size, origin, and the SHA-256 of the values as little-endian float32 in C order."""
        values = np.ascontiguousarray(self.frames, "<f4")
        return {"shape": list(values.shape), "made": self.made, "sha256": hashlib.sha256(values.tobytes()).hexdigest()}


def load(
    path: str | Path | None = None,
    *,
    frames: tuple[int, int] | None = None,
    scale: float = 1.0,
    gray: bool = False,
    noisy: bool = False,
) -> Clip:
    """Return frames START to END − 1 of a file, or of the synthetic scene, reduced by area averaging.

    Without a range, it is the first 16, or as many as there are. Floats of a noisy clip may lie outside [0, 1].
    """
    start, end = frames or (0, _FIRST)
    if not 0 <= start <= end - 2:
        raise ParameterError(f"frames are {start}:{end}; they must be START:END with 0 ≤ START and at least two frames")
    if not 0 < scale <= 1:
        raise ParameterError(f"scale is {scale}; it must be above 0 and at most 1")
    name = "moving scene" if path is None else os.fsencode(Path(path).stem).decode(errors="backslashreplace")
    frames_of = moving_scene() if path is None else read(path)
    found = list(islice(frames_of, *(min(number, sys.maxsize) for number in (start, end))))
    if frames is None and len(found) > 1:
        end = len(found)
    if len(found) < end - start:
        raise ParameterError(f"{path or name} has at most {start + len(found)} frames; {start}:{end} were asked for")
    video = np.stack(found)
    whole = scale_of(video.dtype)
    values = video.astype(np.float64) / whole
    low, high = (-math.inf, math.inf) if noisy else (0, 1)
    if not (np.isfinite(values).all() and values.min() >= low and values.max() <= high):
        allowed = "finite" if noisy else "in [0, 1]"
        raise InputError(f"{path or name}: values are in [{values.min()}, {values.max()}]; they must be {allowed}")
    made = f"frames {start}–{end - 1}"
    if gray and video.ndim == 4:
        values, made = to_gray(values), made + ", grey (luma of BT.601)"
    if scale < 1:
        values, made = reduced(values, scale), made + f", scaled by {scale:g} (area averaging)"
    return Clip(name, values.astype(np.float32), made)


def load_all(paths: Sequence[str | Path | None], **kwargs: Any) -> list[Clip]:
    """Load each path; clips of one name are numbered."""
    clips: dict[str, Clip] = {}
    for path in paths:
        clip = load(path, **kwargs)
        names = chain([clip.name], (f"{clip.name} ({k})" for k in count(2)))
        name = next(name for name in names if name not in clips)
        clips[name] = replace(clip, name=name)
    return list(clips.values())


def reduced(video: Array, scale: float) -> Array:
    """Return the video reduced by `scale`: means over cells of pixels, weighted by area."""
    down, across = (_overlaps(n, max(1, round(n * scale))) for n in video.shape[1:3])
    columns = np.moveaxis(np.tensordot(video, across, (2, 1)), -1, 2)
    return np.moveaxis(np.tensordot(columns, down, (1, 1)), -1, 1)


def _overlaps(pixels: int, cells: int) -> Array:
    """Return a matrix: the share of each cell (row) that each pixel (column) covers."""
    edges = np.linspace(0, pixels, cells + 1)[:, np.newaxis]
    left = np.arange(pixels)
    covered = np.minimum(edges[1:], left + 1) - np.maximum(edges[:-1], left)
    return np.maximum(covered, 0) * (cells / pixels)
