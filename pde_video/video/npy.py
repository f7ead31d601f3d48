"""NumPy files."""

import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.untrusted import refuse_huge, untrusted

_LONGEST = 10_000  # Characters of a header, as in NumPy, which reads all that is declared before it refuses.
_START = 12  # Bytes before the header: magic, version, and its length in 2 or 4 bytes.
_HEADERS = {(1, 0): (2, np.lib.format.read_array_header_1_0), (2, 0): (4, np.lib.format.read_array_header_2_0)}
_BLOCK, _PIECE = 2**28, 2**20  # Bytes, of an array in Fortran order, that are held and read at once.


def read(path: Path, choice: Choice) -> FileVideo:
    """Return an array (T, H, W) or (T, H, W, C) in a NumPy file."""
    stored, missing = _stored(path)
    count, *shape = stored.shape
    refuse_huge(path, shape, choice.max_pixels)

    def decode(video: FileVideo) -> Decoded:
        with path.open("rb") as file:
            for frame in (_by_columns if stored.by_columns else _by_rows)(file, stored, video):
                yield frame, None
        if missing:
            raise InputError(missing)

    if missing and not (choice.keep_partial and count):
        raise InputError(missing)
    return FileVideo(path, *size_and_channels(shape), stored.dtype, decode, count=None if missing else count)


@dataclass(frozen=True)
class _Stored:
    """An array in a file."""

    offset: int  # Of the first value.
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool  # In Fortran order: the values of all frames at one place lie side by side.


def _understood(parse: Callable[[io.BytesIO], Any], start: io.BytesIO) -> Any:
    """Return what NumPy makes of the beginning of a file; its words for what is wrong there are its own."""
    try:
        return parse(start)
    except Exception as fault:  # Of many types: a header is parsed as Python.
        raise ValueError("its header is damaged or cut off") from fault


def _stored(path: Path) -> tuple[_Stored, str | None]:
    """Return where the frames are in the file, and an error message if the header declares more."""
    with path.open("rb") as file:
        with untrusted(f"{path}: not a NumPy array that can be read"):
            start = io.BytesIO(file.read(_START + _LONGEST))
            if not start.getvalue().startswith(np.lib.format.MAGIC_PREFIX):
                raise ValueError("it does not begin as one")
            version = _understood(np.lib.format.read_magic, start)
            if version not in _HEADERS:
                raise ValueError(f"a header of version {version[0]}.{version[1]}; 1.0 and 2.0 are supported")
            width, parse = _HEADERS[version]
            length = int.from_bytes(start.read(width), "little")
            if length > _LONGEST:
                raise ValueError(f"a header of {length:,} characters; the limit is {_LONGEST:,}")
            start.seek(-width, os.SEEK_CUR)
            shape, by_columns, dtype = _understood(parse, start)
        offset, end = start.tell(), file.seek(0, 2)
    if dtype.hasobject:
        raise InputError(f"{path}: the array is pickled; reading it could execute arbitrary code, so it is refused")
    if dtype.kind not in "biufc" or len(shape) not in (3, 4) or min(shape) < 1:
        raise InputError(f"{path}: {dtype} values of shape {shape}; a video is numbers (T, H, W) or (T, H, W, C)")
    needed, there, missing = math.prod(shape) * dtype.itemsize, end - offset, None
    if needed > there:
        whole = 0 if by_columns else there // (needed // shape[0])
        missing = f"{path}: frame {whole} is truncated: the array needs {needed} bytes, and the file has {there}"
        shape = (whole, *shape[1:])
    if shape[0] == 0:
        raise InputError(missing)
    return _Stored(offset, shape, dtype, by_columns), missing


def _by_rows(file: BinaryIO, stored: _Stored, video: FileVideo) -> Iterator[Array | None]:
    """Yield the frames that are wanted, and None for the others."""
    count, *shape = stored.shape
    size = math.prod(shape) * stored.dtype.itemsize
    file.seek(stored.offset)
    for index in range(count):
        if video.wants(index):
            yield _content(file, size, video.path, index).view(stored.dtype).reshape(shape)
        else:
            file.seek(size, os.SEEK_CUR)
            yield None


def _by_columns(file: BinaryIO, stored: _Stored, video: FileVideo) -> Iterator[Array | None]:
    """Do the same for an array in Fortran order: in blocks, each of which takes one pass over the file."""
    (count, *shape), size = stored.shape, stored.dtype.itemsize
    places = math.prod(shape)  # In a frame; in the file, each has a column of `count` values.
    for start in range(0, count, length := max(1, _BLOCK // (places * size))):
        indices = range(start, min(start + length, count))
        wanted = [video.wants(index) for index in indices]
        block = np.empty((places, len(indices)) if any(wanted) else 0, stored.dtype)
        for first in range(0, len(block), step := max(1, _PIECE // (count * size))):
            columns = min(step, places - first)
            begin, nbytes = first * count + start, ((columns - 1) * count + len(indices)) * size
            file.seek(stored.offset + begin * size)
            piece = _content(file, nbytes, video.path, start)
            # With several columns, this includes what lies between the parts of the block.
            parts: Array = np.ndarray((columns, len(indices)), stored.dtype, piece.data, strides=(count * size, size))
            block[first : first + columns] = parts
        for number, is_wanted in enumerate(wanted):
            yield np.ascontiguousarray(block[:, number].reshape(shape, order="F")) if is_wanted else None


def _content(file: BinaryIO, nbytes: int, path: Path, index: int) -> Array:
    """Return the next bytes; the file is not memory-mapped, since SIGBUS would end the process if it shrinks."""
    content = np.empty(nbytes, np.uint8)
    if file.readinto(content) < nbytes:  # type: ignore[attr-defined]
        raise InputError(f"{path}: frame {index} is truncated: the file became shorter while it was read")
    return content


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
