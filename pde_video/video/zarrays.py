"""Zarr 3 arrays in folders: one chunk with a checksum per frame (extra ``zarr``)."""

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError, not_installed
from pde_video.protocols import Array
from pde_video.video.calibration import positive
from pde_video.video.provenance import believed
from pde_video.video.regular import content_of
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.untrusted import refuse_huge, untrusted

_HEADER = "zarr.json"
_LONGEST = 2**24  # Bytes of a header.
_CODECS = ("bytes", "transpose", "crc32c", "zstd", "gzip", "blosc")  # None of them executes data.
_BLOCK = 256  # Frames by which an array grows at a time, since each time its header is rewritten.


def read(path: Path, choice: Choice) -> FileVideo:
    """Return an array (T, H, W) or (T, H, W, C) in a folder."""
    array = _opened(path)
    refuse_huge(path, array.shape[1:], choice.max_pixels)
    refuse_huge(path, array.chunks, choice.max_pixels)
    details: dict[str, Any] = {"axes": "TYX" if array.ndim == 3 else "TYXC"}
    if made := believed(array.attrs.get("pde_video")):
        details["made"] = made
    rate = positive(array.attrs.get("frames_per_second"))
    size_channels = size_and_channels(array.shape[1:])
    return FileVideo(path, *size_channels, array.dtype, _decode, rate, array.shape[0], details=details)


def _opened(path: Path) -> Any:
    """Return the array; refuse a header with codecs or dtypes other than plain numbers."""
    try:
        header = json.loads(content_of(path / _HEADER, _LONGEST))
        codecs = [codec["name"] for codec in header["codecs"]]
    except OSError as fault:
        raise InputError(f"{path}: not a folder with a zarr 3 array ({_HEADER}: {fault.strerror})") from fault
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        raise InputError(f"{path}: not a zarr 3 array that can be read ({_HEADER} is damaged, or a group's)") from fault
    zarr = _zarr()
    if not set(codecs) <= set(_CODECS):
        raise InputError(f"{path}: codecs {', '.join(codecs)}; read are zarr 3 arrays with {', '.join(_CODECS)}")
    with untrusted(f"{path}: not a zarr array that can be read"):
        array = zarr.open_array(zarr.storage.LocalStore(path, read_only=True), mode="r", zarr_format=3)
        numbers, shape, chunks = array.dtype.kind in "biufc", array.shape, array.chunks
    if not numbers or len(shape) not in (3, 4) or min(shape) < 1 or min(chunks) < 1:
        raise InputError(f"{path}: {array.dtype} values of shape {shape}; a video is numbers (T, H, W) or (T, H, W, C)")
    return array


def _decode(video: FileVideo) -> Decoded:
    array = _opened(video.path)
    length = array.chunks[0]
    for start in range(0, array.shape[0], length):
        numbers = range(start, min(start + length, array.shape[0]))
        block: Any = [None] * len(numbers)
        if any(map(video.wants, numbers)):
            if missing := _missing(array, video.path, start // length):
                raise InputError(f"{video.path}: frame {start} cannot be read: the chunk {missing} is missing")
            with untrusted(f"{video.path}: frame {start} cannot be read"):
                block = array[start : numbers.stop]
        for index, frame in zip(numbers, block, strict=True):
            yield None if frame is None else np.ascontiguousarray(frame), video.time(index)


def _missing(array: Any, path: Path, block: int) -> str | None:
    """Return the name of a missing chunk of these frames, which zarr would read as zeros."""
    counts = [math.ceil(n / chunk) for n, chunk in zip(array.shape[1:], array.chunks[1:], strict=True)]
    names = (array.metadata.encode_chunk_key((block, *place)) for place in product(*map(range, counts)))
    return next((name for name in names if not (path / name).is_file()), None)


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one chunk with a checksum per frame; return the number of frames."""
    zarr, first = _zarr(), target.first
    if first.dtype.kind not in "biufc":
        raise ParameterError(f"a zarr array does not hold {first.dtype} frames here; convert them to numbers")
    attributes: dict[str, Any] = {"pde_video": json.loads(target.made)} if target.made else {}
    if target.known_rate is not None:
        attributes["frames_per_second"] = str(target.known_rate)
    array = zarr.create_array(
        zarr.storage.LocalStore(temporary),
        shape=(0, *first.shape),
        chunks=(1, *first.shape),
        dtype=first.dtype.newbyteorder("="),
        compressors=[zarr.codecs.Crc32cCodec()],
        fill_value=0,
        dimension_names=["t", "y", "x", "c"][: 1 + first.ndim],
        attributes=attributes,
        config={"write_empty_chunks": True},  # Otherwise frames of zeros would be missing.
    )
    count = 0
    for count, frame in enumerate(frames, 1):
        if count > array.shape[0]:
            array.resize((count + _BLOCK, *first.shape))
        array[count - 1] = frame
    array.resize((count, *first.shape))
    return count


def count(path: Path) -> int:
    """Return the number of frames in an array just written."""
    array = _opened(path)
    missing = next((name for k in range(array.shape[0]) if (name := _missing(array, path, k))), None)
    if missing:
        raise InputError(f"{path}: the chunk {missing} is missing")
    return int(array.shape[0])


def _zarr() -> Any:
    try:
        import zarr
        import zarr.codecs
        import zarr.storage
    except ImportError as error:
        raise ImportError(not_installed("a .zarr folder", "zarr", "zarr")) from error
    return zarr
