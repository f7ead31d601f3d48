"""NumPy files, memory-mapped."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.untrusted import refuse_huge, untrusted

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read(path: Path, choice: Choice) -> FileVideo:
    """Return an array (T, H, W) or (T, H, W, C) in a NumPy file."""
    array, missing = _mapped(path)
    refuse_huge(path, array.shape[1:], choice.max_pixels)

    def decode(video: FileVideo) -> Decoded:
        for index, frame in enumerate(array):
            yield np.array(frame, order="C") if video.wants(index) else None, None
        if missing:
            raise InputError(missing)

    if missing and not (choice.keep_partial and len(array)):
        raise InputError(missing)
    count = None if missing else len(array)
    return FileVideo(path, *size_and_channels(array.shape[1:]), array.dtype, decode, count=count)


def _mapped(path: Path) -> tuple[Array, str | None]:
    """Return the frames in the file, and an error message if the header declares more."""
    with path.open("rb") as file:
        with untrusted(f"{path}: not a NumPy array that can be read"):
            version = np.lib.format.read_magic(file)
            shape, by_columns, dtype = _HEADERS[version](file)
        offset, end = file.tell(), file.seek(0, 2)
    if dtype.hasobject:
        raise InputError(f"{path}: the array is pickled; reading it could run any program, so it is refused")
    if dtype.kind not in "biufc" or len(shape) not in (3, 4) or min(shape) < 1:
        raise InputError(f"{path}: {dtype} values of shape {shape}; a video is numbers (T, H, W) or (T, H, W, C)")
    needed, there, missing = math.prod(shape) * dtype.itemsize, end - offset, None
    if needed > there:
        whole = 0 if by_columns else there // (needed // shape[0])
        missing = f"{path}: frame {whole} is cut off: the array needs {needed} bytes, and the file has {there}"
        shape = (whole, *shape[1:])
    if shape[0] == 0:
        raise InputError(missing)
    order: Any = "F" if by_columns else "C"
    return np.memmap(path, dtype, "r", offset, shape, order), missing


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write the frames and then, into the header, their number; return it."""
    if target.first.dtype.hasobject:
        raise ParameterError(f"frames of dtype {target.first.dtype} would have to be pickled; convert them to numbers")

    header = {"descr": np.lib.format.dtype_to_descr(target.first.dtype), "fortran_order": False}
    count, shape = 0, target.first.shape
    with temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (0, *shape)})
        start = file.tell()
        for count, frame in enumerate(frames, 1):
            file.write(np.ascontiguousarray(frame).data)
        file.seek(0)
        # NumPy pads headers so that the first axis may grow: the rewritten one has the same length.
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count, *shape)})
        if file.tell() != start:
            raise RuntimeError("the NumPy header changed its length")
    return count
