"""TIFF directories: the tags of each page, read within limits, since they are untrusted input."""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array

MOST_BYTES = 2**20  # Of the value of a tag that is not an array of offsets.
_MOST_TAGS = 4096
# Pages that any file may have, bytes of the file for each further one, and the limit.
_FEW_PAGES, _PAGE_BYTES, _MOST_PAGES = 2**16, 256, 2**20
_BLOCK, _AHEAD = 4096, 512  # Bytes that are read at once; bytes that most directories do not exceed.
# Types of values, as NumPy has them; a rational number is two integers.
_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "S1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8"}
_TYPES |= {13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_SIZES = {kind: np.dtype(name).itemsize * (2 if kind in (5, 10) else 1) for kind, name in _TYPES.items()}


def name_of(names: Any, number: int) -> str:
    """Return the name of a number in an enumeration of TIFF, or the number."""
    try:
        return str(names(number).name)
    except ValueError:
        return str(number)


class Source(io.FileIO):
    """An open TIFF file."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its header."""
        super().__init__(path)
        self.path, self.size = path, self.seek(0, 2)
        header = self.at(0, min(16, self.size))
        known = {b"II": "<", b"MM": ">"}.get(header[:2])
        self.order: Any = known or "<"
        self.endian: Literal["little", "big"] = "big" if self.order == ">" else "little"
        kind = int.from_bytes(header[2:4], self.endian)
        self._block, self._block_at = b"", 0
        if not known or kind not in (42, 43):
            self.close()
            raise InputError(f"{path}: not a TIFF that can be read (its magic number is wrong)")
        self.counter, self.link, self.entry = (2, 4, 12) if kind == 42 else (8, 8, 20)  # Bytes.

    def fill(self, offset: int, room: memoryview) -> None:
        """Read bytes at `offset` until there is no more room for them."""
        if offset + len(room) > self.size:
            raise ValueError("its data lie beyond the end of the file")
        self.seek(offset)
        while room:
            count = self.readinto(room)
            if not count:
                raise ValueError("the file was truncated after it was opened")
            room = room[count:]

    def at(self, offset: int, count: int) -> bytes:
        """Return bytes of the file."""
        if offset + count > self.size:
            raise ValueError("its data lie beyond the end of the file")
        self.seek(offset)
        data = self.read(count)
        if len(data) < count:  # One call may return less; the rest, or an error if there is none.
            room = bytearray(count - len(data))
            self.fill(offset + len(data), memoryview(room))
            data += room
        return data

    def directory(self, offset: int) -> bytes | None:
        """Return the tags of a directory and where the next one is, if it is whole and has any."""
        if not self.counter <= offset < self.size:
            return None
        ahead = self._block if 0 <= offset - self._block_at <= len(self._block) - _AHEAD else b""
        if not ahead:
            self._block = ahead = self.at(offset, min(_BLOCK, self.size - offset))
            self._block_at = offset
        start = offset - self._block_at
        tags = int.from_bytes(ahead[start : start + self.counter], self.endian)
        length = self.counter + tags * self.entry + self.link
        if not 1 <= tags <= _MOST_TAGS or offset + length > self.size:
            return None
        if start + length > len(ahead):
            ahead, start = self.at(offset, length), 0
        return ahead[start + self.counter : start + length]

    def pages(self) -> tuple[Pages, str | None]:
        """Return the pages, and an error message for what follows them; each directory points to the next."""
        found, seen, reduced, taken = Pages(), set[int](), array("Q"), 0
        most = min(_MOST_PAGES, max(_FEW_PAGES, self.size // _PAGE_BYTES))
        offset = int.from_bytes(self.at(self.link, self.link), self.endian) if self.size >= 2 * self.link else self.size
        while offset or not seen:
            if offset in seen:
                raise InputError(f"{self.path}: page {len(seen)} links back to an earlier page; the file is damaged")
            if len(seen) == most:
                raise InputError(
                    f"{self.path}: its {self.size:,} bytes declare more than {most:,} pages, the limit for its size"
                )
            try:
                directory, why = self.directory(offset), "is missing or damaged; the file seems to be truncated"
            except OSError as error:
                directory, why = None, f"cannot be read ({error.strerror})"
            if directory is None:
                fault = f"{self.path}: page {len(seen)} {why}"
                if not seen:
                    raise InputError(fault)
                return found.without(reduced), fault
            seen.add(offset)
            taken += len(directory)
            if taken > self.size:
                raise InputError(f"{self.path}: the directories of its pages overlap; the file is damaged")
            (reduced if self._is_reduced(directory) else found.offsets).append(offset)
            offset = int.from_bytes(directory[-self.link :], self.endian)
        return found.without(reduced), None

    def _is_reduced(self, directory: bytes) -> bool:
        """Tell whether a page says that it is a thumbnail, or level of a pyramid, or mask of another one."""
        code = int.from_bytes(directory[:2], self.endian)
        if code not in (254, 255):  # NewSubfileType and SubfileType; tags are in order.
            return False
        size = 2 if int.from_bytes(directory[2:4], self.endian) == 3 else 4
        value = int.from_bytes(directory[self.entry - self.link :][:size], self.endian)
        return bool(value & 0b101) if code == 254 else value == 2


@dataclass
class Pages:
    """Where the directories of pages are."""

    offsets: array[int] = field(default_factory=lambda: array("Q"))
    reduced: int = 0  # The number of thumbnails, levels of pyramids and masks, which are not among them.

    def without(self, reduced: array[int]) -> Pages:
        """Return the pages without reduced ones, unless there are no others."""
        return Pages(self.offsets, len(reduced)) if self.offsets else Pages(reduced)


class Tag(NamedTuple):
    """One tag of a directory: its type, its number of values, and these values or where they are."""

    type: int
    number: int
    field: bytes

    @property
    def nbytes(self) -> int:
        """The bytes that its values take; 0 for an unknown type."""
        return self.number * _SIZES.get(self.type, 0)


class Directory:
    """The tags of one page."""

    def __init__(self, source: Source, offset: int) -> None:
        """Read the directory at `offset`, without the values that lie elsewhere."""
        self.source, self.offset = source, offset
        self.tags, self.again = dict[int, Tag](), dict[int, Tag]()
        data = source.directory(offset)
        if data is None:
            raise ValueError("its directory is damaged")
        layout = source.order + ("HHI4s" if source.link == 4 else "HHQ8s")
        for code, *tag in struct.iter_unpack(layout, data[: -source.link]):
            if code in self.tags:
                self.again.setdefault(code, Tag(*tag))
            else:
                self.tags[code] = Tag(*tag)

    def __contains__(self, code: int) -> bool:
        return code in self.tags

    def raw(self, code: int, most: int = MOST_BYTES, repeated: bool = False) -> bytes:
        """Return the values of a tag as bytes, none if it is not there or of an unknown type."""
        tag = (self.again if repeated else self.tags).get(code)
        if tag is None or tag.nbytes == 0:
            return b""
        if tag.nbytes > most:
            raise ValueError(f"tag {code} has {tag.nbytes:,} bytes; the limit is {most:,}")
        if tag.nbytes <= len(tag.field):
            return tag.field[: tag.nbytes]
        return self.source.at(int.from_bytes(tag.field, self.source.endian), tag.nbytes)

    def numbers(self, code: int, most: int = MOST_BYTES) -> Array:
        """Return the values of a tag as numbers, none if it is not there or holds none."""
        tag = self.tags.get(code)
        if tag is None or _TYPES.get(tag.type, "S1") == "S1":
            return np.empty(0, np.int64)
        values = np.frombuffer(self.raw(code, most), np.dtype(_TYPES[tag.type]).newbyteorder(self.source.order))
        return values.astype(values.dtype.newbyteorder("="))

    def number(self, code: int, default: int) -> int:
        """Return the first value of a tag as an integer."""
        tag = self.tags.get(code)
        if tag is None or _TYPES.get(tag.type, "S1")[0] not in "iu" or not tag.number:
            return default
        size, raw = np.dtype(_TYPES[tag.type]).itemsize, self.raw(code)
        return int.from_bytes(raw[:size], self.source.endian, signed=_TYPES[tag.type][0] == "i")

    def text(self, code: int, most: int = MOST_BYTES, repeated: bool = False) -> str:
        """Return the value of a tag as text."""
        data = self.raw(code, most, repeated).rstrip(b"\0")
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("cp1252" if not set(data) & set(b"\x81\x8d\x8f\x90\x9d") else "latin-1")

    def is_like(self, other: Directory, codes: Iterable[int]) -> bool:
        """Tell whether these tags have the same values in another directory."""
        for code in codes:
            mine, theirs = self.tags.get(code), other.tags.get(code)
            if mine == theirs:  # Also in the same place.
                continue
            if mine is None or theirs is None or mine[:2] != theirs[:2] or mine.nbytes <= len(mine.field):
                return False
            if self.raw(code) != other.raw(code):
                return False
        return True
