"""Zarr 3 arrays in folders: one chunk with a checksum per frame (extra ``zarr``)."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError, not_installed
from pde_video.protocols import Array
from pde_video.video.calibration import positive
from pde_video.video.provenance import believed
from pde_video.video.signals import held_back
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.untrusted import refuse_huge, refuse_inflated, untrusted
from pde_video.video.zarr_chunks import Chunks, check_codecs, read_inside
from pde_video.video.zarr_keys import HEADER

_LONGEST = 2**21  # Bytes of a header.
_OURS = "pde_video"  # The attribute of arrays that `write` made: all of their chunks must exist.
_COUNTED = 1000  # Up to so many chunks are counted when an array is opened, to warn of absent ones.
_BLOCK = 256  # Frames by which an array grows at a time: each time its header is rewritten.


def read(path: Path, choice: Choice) -> FileVideo:
    """Return an array (T, H, W) or (T, H, W, C) in a folder."""
    chunks = _opened(path)
    array = chunks.array
    refuse_huge(path, array.shape[1:], choice.max_pixels)
    refuse_huge(path, array.chunks, choice.max_pixels)
    if choice.first < array.shape[0]:
        _stored(chunks, choice.first // array.chunks[0], choice)
    details: dict[str, Any] = {"axes": "TYX" if array.ndim == 3 else "TYXC"}
    if _OURS in array.attrs:
        if made := believed(array.attrs[_OURS]):
            details["made"] = made
    elif chunks.total <= _COUNTED and (there := chunks.count(chunks.total + 1) - 1) < chunks.total:
        details["warnings"] = [f"{chunks.total - there} of {chunks.total} chunks are absent{_filled(array)}"]
    rate = positive(array.attrs.get("frames_per_second"))
    size_channels = size_and_channels(array.shape[1:])
    return FileVideo(path, *size_channels, array.dtype, _decode, rate, array.shape[0], details=details)


def _opened(path: Path) -> Chunks:
    """Return the array; refuse a header with codecs or dtypes other than plain numbers."""
    folder = path.resolve()
    data = read_inside(folder, HEADER, _LONGEST) if folder.is_dir() else None
    if data is None:
        raise InputError(f"{path}: not a folder with a zarr 3 array (it has no {HEADER})")
    try:
        codecs = [codec["name"] for codec in json.loads(data)["codecs"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        raise InputError(
            f"{path}: not a zarr 3 array that can be read ({HEADER} is damaged or describes a group)"
        ) from fault
    check_codecs(path, codecs)
    zarr = _zarr()
    with untrusted(f"{path}: not a zarr array that can be read"):
        held = {HEADER: _buffer(data)}  # As checked: zarr reads it from memory, and opens no file.
        with _in_our_words(f"its {HEADER} does not describe one that zarr {zarr.__version__} opens"):
            array = zarr.open_array(zarr.storage.MemoryStore(held), mode="r", zarr_format=3)
        numbers, shape, sides = array.dtype.kind in "biufc", array.shape, array.chunks
    if not numbers or len(shape) not in (3, 4) or min(shape) < 1 or min(sides) < 1:
        raise InputError(f"{path}: {array.dtype} values of shape {shape}; a video is numbers (T, H, W) or (T, H, W, C)")
    return Chunks(folder, array, codecs, held)


@contextlib.contextmanager
def _in_our_words(said: str) -> Iterator[None]:
    """Raise ValueError, with what is said, for whatever zarr raises about data."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as fault:  # Of many types.
        raise ValueError(said) from fault


def _filled(array: Any) -> str:
    return f", and read as the fill value {array.fill_value}"


def _buffer(data: bytes) -> Any:
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype().buffer.from_bytes(data)


def _decode(video: FileVideo) -> Decoded:
    chunks = _opened(video.path)
    array = chunks.array
    length = array.chunks[0]
    for start in range(0, array.shape[0], length):
        numbers = range(start, min(start + length, array.shape[0]))
        block: Any = [None] * len(numbers)
        if any(map(video.wants, numbers)):
            with untrusted(f"{video.path}: frame {start} cannot be read"):
                found = _stored(chunks, start // length, video.choice)
                if len(found) < chunks.per_block and "warnings" not in video.details:
                    video.details["warnings"] = [f"chunks of frame {start} are absent{_filled(array)}"]
                chunks.held.update((name, _buffer(data)) for name, data in found.items())
                with _in_our_words("a chunk does not match its checksum, or cannot be decoded"):
                    block = array[start : numbers.stop]
                for name in found:
                    del chunks.held[name]
        for index, frame in zip(numbers, block, strict=True):
            yield None if frame is None else np.ascontiguousarray(frame), video.time(index)


def _stored(chunks: Chunks, block: int, choice: Choice) -> dict[str, bytes]:
    """Return the stored chunks of a block of frames; in arrays of this program none may be absent."""
    array, found = chunks.array, chunks.read(block)
    if _OURS in array.attrs and (absent := next((name for name in chunks.names(block) if name not in found), None)):
        start = block * array.chunks[0]
        raise InputError(f"{chunks.folder}: frame {start} cannot be read: the chunk {absent} is missing")
    nbytes = min(array.chunks[0], array.shape[0]) * math.prod(array.shape[1:]) * array.dtype.itemsize
    nbytes = max(nbytes, len(found) * chunks.nbytes)  # Chunks may reach far beyond the array.
    refuse_inflated(chunks.folder, nbytes, sum(map(len, found.values())), choice.max_pixels)
    return found


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one chunk with a checksum per frame; return the number of frames."""
    zarr, first = _zarr(), target.first
    if first.dtype.kind not in "biufc":
        raise ParameterError(f"zarr output cannot store {first.dtype} frames; convert them to numbers")
    attributes: dict[str, Any] = {_OURS: json.loads(target.made or "{}")}
    if target.known_rate is not None:
        attributes["frames_per_second"] = str(target.known_rate)
    with held_back():  # zarr's threads write: they must not recreate what is removed after a signal.
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
        with held_back():
            if count > array.shape[0]:
                array.resize((count + _BLOCK, *first.shape))
            array[count - 1] = frame
    with held_back():
        array.resize((count, *first.shape))
    return count


def count(path: Path) -> int:
    """Return the number of frames in an array just written."""
    chunks = _opened(path)
    length = int(chunks.array.shape[0])
    missing = next((name for k in range(length) for name in chunks.names(k) if not (path / name).is_file()), None)
    if missing:
        raise InputError(f"{path}: the chunk {missing} is missing")
    return length


def _zarr() -> Any:
    try:
        import zarr
        import zarr.codecs
        import zarr.storage
    except ImportError as error:
        raise ImportError(not_installed("a .zarr folder", "zarr", "zarr")) from error
    return zarr
