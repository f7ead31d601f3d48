"""Chunks of a zarr array as files: their names, how they may be stored, and the checks before decoding."""

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of
from pde_video.errors import InputError

CODECS = ("bytes", "transpose", "crc32c", "zstd", "gzip", "blosc")  # None of them executes data.
_COMPRESSORS = {"zstd": "zstd frame", "gzip": "gzip member", "blosc": "blosc buffer"}  # And what a chunk is.
_CHECKSUM = 4  # Bytes.
_MOST_CHUNKS = 2**14  # Of a frame.
_GROWTH, _EXTRA = 1.1, 2**16  # Compressed data may be larger than the data by this factor, and these bytes.
_BLOCK, _SLACK = 2**17, 2**20  # Bytes in a block of zstd, at most; that a frame of few blocks may hold.
_SPARSE = 10_000  # Frames for each file of an array.


def check_codecs(path: Path, names: Sequence[str]) -> None:
    """Refuse codecs that are not known, and data that are compressed more than once."""
    if not set(names) <= set(CODECS):
        raise InputError(f"{path}: codecs {', '.join(names)}; zarr 3 arrays can be read with {', '.join(CODECS)}")
    if len(set(names)) < len(names) or sum(name in _COMPRESSORS for name in names) > 1:
        raise InputError(f"{path}: codecs {', '.join(names)}; each may appear once, and only one may compress")


@dataclass(frozen=True)
class Chunks:
    """The files of an array, and what each must hold."""

    folder: Path  # Without links.
    array: Any
    codecs: Sequence[str]
    held: dict[str, Any]  # By their names, the files from which zarr reads.

    def __post_init__(self) -> None:
        shape, chunks = self.array.shape, self.array.chunks
        if self.per_block > _MOST_CHUNKS:
            raise InputError(f"{self.folder}: a frame has {self.per_block} chunks; the limit is {_MOST_CHUNKS}")
        blocks = -(-shape[0] // chunks[0])
        if blocks > _SPARSE and blocks > _SPARSE * (files := self.count(blocks // _SPARSE + 1)):
            raise InputError(
                f"{self.folder}: it declares {shape[0]} frames, but has {files} files; it is damaged or malicious"
            )

    @property
    def _grid(self) -> list[int]:
        """The number of chunks along each axis of a frame."""
        return [-(-n // chunk) for n, chunk in zip(self.array.shape[1:], self.array.chunks[1:], strict=True)]

    @property
    def per_block(self) -> int:
        """The number of chunks of a frame, or of several that share them."""
        return math.prod(self._grid)

    @property
    def total(self) -> int:
        """The number of chunks."""
        return -(-self.array.shape[0] // self.array.chunks[0]) * self.per_block

    def names(self, block: int) -> Iterator[str]:
        """Yield the names of the chunks with one number along the axis of frames."""
        return (self.array.metadata.encode_chunk_key((block, *at)) for at in product(*map(range, self._grid)))

    def count(self, enough: int) -> int:
        """Return the number of files in the folder, or `enough` if there are more."""
        found, folders = 0, [self.folder]
        while folders and found < enough:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    found += entry.is_file(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    if found >= enough:
                        break
        return found

    def read(self, block: int) -> dict[str, bytes]:
        """Return the chunks of a block that exist; refuse those that would not decode to the size of a chunk."""
        found = {}
        for name in self.names(block):
            data = read_inside(self.folder, name, int(_GROWTH * self.nbytes) + _EXTRA)
            if data is not None:
                self._check(name, data)
                found[name] = data
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.array.chunks) * self.array.dtype.itemsize

    def _check(self, name: str, data: bytes) -> None:
        method = next((name for name in self.codecs if name in _COMPRESSORS), None)
        if method is None:
            return
        before, _, after = " ".join(self.codecs).partition(method)
        data = data[: len(data) - _CHECKSUM * after.count("crc32c")]
        expected = self.nbytes + _CHECKSUM * before.count("crc32c")
        declared = {"zstd": _of_zstd, "blosc": _of_blosc, "gzip": _of_gzip}[method](data, expected)
        if declared is None:
            raise InputError(f"{self.folder}: the chunk {name} is not one complete {_COMPRESSORS[method]}")
        if declared != expected:
            raise InputError(
                f"{self.folder}: the chunk {name} declares {declared} bytes of data; a chunk has {expected}"
            )


def read_inside(folder: Path, name: str, most: int) -> bytes | None:
    """Return the content of a file in a folder without links, or None; it must be regular, of `most` bytes at most."""
    path = folder / name
    try:
        if os.path.realpath(path) != str(path):
            raise InputError(f"{path}: it is a symlink, or behind one, which is not followed")
        return content_of(path, most, follow=False)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise InputError(f"{path}: it cannot be read ({fault.strerror})") from fault


def _of_zstd(data: bytes, expected: int) -> int | None:
    """Return the size that the frame header declares; without one, `expected` if its blocks cannot hold far more."""
    if data[:4] != b"\x28\xb5\x2f\xfd" or len(data) < 6:
        return None
    single, kind = data[4] >> 5 & 1, data[4] >> 6
    at, size = 5 + (not single) + (0, 1, 2, 4)[data[4] & 3], (single, 2, 4, 8)[kind]
    if size:
        return int.from_bytes(data[at : at + size], "little") + (256 if kind == 1 else 0)
    total, last, end = 0, 0, len(data) - _CHECKSUM * (data[4] >> 2 & 1)
    while not last and at + 3 <= end:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        total, at = total + (_BLOCK if kind == 2 else size), at + 3 + (1 if kind == 1 else size)
    return expected if at == end and total <= 2 * expected + _SLACK else total


def _of_blosc(data: bytes, expected: int) -> int | None:
    return int.from_bytes(data[4:8], "little") if int.from_bytes(data[12:16], "little") == len(data) > 16 else None


def _of_gzip(data: bytes, expected: int) -> int | None:
    """Return the size of the one member; with several, zlib would copy the rest after each."""
    member = zlib.decompressobj(31)
    try:
        size = len(member.decompress(data, expected + 1))
    except zlib.error:
        return None
    return size if size > expected or (member.eof and not member.unused_data) else None
