"""Boxes of mp4 and mov, and how many samples their tables declare: FFmpeg keeps an entry of its index for each."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pde_video.access.opening import open_regular
from pde_video.errors import InputError

# Boxes in which FFmpeg looks for further ones, also where they do not belong.
_HOLDERS = frozenset(b"moov hoov trak mdia minf stbl edts mvex moof traf dinf tref udta ilst meta".split())
_TABLES = frozenset(b"stsz stz2 stts stsc stco co64 elst trun senc hdlr".split())
_ITEMS, _ITEM = {b"iinf": 4, b"iloc": 6, b"keys": 4}, 6  # Where their number is, and the fewest bytes of one.
_TAGS, MOST_TAGS = (b"udta", b"ilst"), 4096  # FFmpeg's time grows with the square of their number: 0.3 s.
MOST_STREAMS = 256
_DEEPEST = 10  # Levels of boxes that FFmpeg follows.
_LARGEST = 2**24  # Bytes of a box that is searched, and of a compressed movie when decompressed.
_FREE_SAMPLES, _FREE_BOXES = 2**20, 100_000  # That a file of any size may declare.
_SAMPLE, _BOX = 8, 16  # Bytes of the file for each further one; a fragment of one small frame has 137 in 7 boxes.
_DESCRIBED = 10_000  # Tables that may lie in descriptions of samples, where none belongs.
_ROWS = 2**16  # Of a table, that are read at once.
_PACKET = 1024  # Samples of uncompressed sound that share an entry.
_OTHERS, _TICK = {b"vide", b"subp", b"clcp"}, b"\0\0\0\1" * 2  # Kinds of media; one entry, of one tick.


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, where its content begins, and where the box ends by its own account."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, least = int.from_bytes(head[8:], "big"), 16
        elif length == 0:
            length = end - start
        if len(head) < 8 or length < least:
            return
        yield kind, start + least, start + length
        start += length


def check_tables(path: Path) -> bool:
    """Raise InputError if tables declare more samples than the file can hold; tell whether the file has boxes."""
    size, found = path.stat().st_size, False
    tables = _Tables(path, _FREE_BOXES + size // _BOX)
    with open_regular(path) as file:
        for kind, start, end in boxes(file, 0, size):
            if end > size and not found:  # FFmpeg does not take it for a movie either.
                return False
            found = True
            known = b"moov" if kind == b"free" and _hides_a_movie(file, start) else kind
            tables.add(known, file, start, min(end, size))
    refuse_streams(path, len(tables.tracks) - 1)
    if tables.entries > _FREE_SAMPLES + size // _SAMPLE:
        raise InputError(
            f"{path}: its tables declare {tables.entries} samples, more than a video of {size} bytes has; it is "
            "damaged or malicious"
        )
    return found


def refuse_streams(path: Path, count: int) -> None:
    """Raise for more streams than are read."""
    if count > MOST_STREAMS:
        raise InputError(f"{path}: it has {count} streams; at most {MOST_STREAMS} are read")


def _hides_a_movie(file: BinaryIO, start: int) -> bool:
    """Tell whether FFmpeg takes a box of free space for a movie."""
    file.seek(start + 4)
    return file.read(4) in (b"mvhd", b"cmov")


@dataclass
class _Track:
    """What the tables of a track say."""

    samples: int = 0
    edits: int = 1
    chunks: int = 0
    packets: int = 0  # In all chunks but those of the last run, a run being chunks with equally many samples.
    last_run: tuple[int, int] = (1, 0)  # Its first chunk, and the packets in each.
    durations: set[bytes] = field(default_factory=set)  # Numbers of entries, and the first duration.
    kinds: set[bytes] = field(default_factory=set)

    @property
    def entries(self) -> int:
        """The length of FFmpeg's index, in which each edit may repeat all samples."""
        uncompressed = b"soun" in self.kinds and not self.kinds & _OTHERS and self.durations == {_TICK}
        return (self._all_packets() if uncompressed else self.samples) * self.edits

    def _all_packets(self) -> int:
        first, packets = self.last_run
        return self.packets + max(0, self.chunks + 1 - first) * packets

    def read_runs(self, file: BinaryIO, count: int) -> None:
        """Read the table of runs."""
        self.packets, self.last_run = 0, (1, 0)
        for start in range(0, count, _ROWS):
            data = file.read(12 * min(_ROWS, count - start))
            rows = np.frombuffer(data, ">u4", len(data) // 12 * 3).reshape(-1, 3)[:, :2].astype(np.int64)
            firsts = np.append(self.last_run[0], rows[:, 0])
            packets = np.append(self.last_run[1], rows[:, 1] // _PACKET + 1)
            self.packets += int(np.diff(firsts).clip(0).astype(float) @ packets[:-1].astype(float))
            self.last_run = int(firsts[-1]), int(packets[-1])


@dataclass
class _Tables:
    """The tables of a file that were read so far."""

    path: Path
    most_boxes: int
    boxes: int = 0
    described: int = 0  # Tables in descriptions of samples.
    tags: int = 0
    fragments: int = 0  # Samples in fragments of movies.
    tracks: list[_Track] = field(default_factory=lambda: [_Track()])

    @property
    def entries(self) -> int:
        """The length of FFmpeg's index of all tracks."""
        return self.fragments + sum(track.entries for track in self.tracks)

    def count(self) -> None:
        """Count one more box."""
        self.boxes += 1
        if self.boxes > self.most_boxes:
            raise InputError(f"{self.path}: it has over {self.most_boxes} boxes, more than a video of its size needs")

    def add(self, kind: bytes, file: BinaryIO, start: int, end: int, depth: int = 0) -> None:
        """Read a box whose content lies there, and the boxes in it."""
        self.count()
        if kind == b"trak":
            self.tracks.append(_Track())
        if kind in _TABLES:
            self._table(kind, file, start, end)
        elif kind in _ITEMS:
            self._items(kind, file, start, end)
        elif kind == b"stsd":
            self._description(file, start, end)
        elif kind == b"cmov" and depth < _DEEPEST:
            movie = self._decompressed(self._content(file, start, end))
            self._holder(io.BytesIO(movie), 0, len(movie), depth)
        elif kind in _HOLDERS and depth < _DEEPEST:
            self._holder(file, self._first(file, start, end) if kind == b"meta" else start, end, depth, kind in _TAGS)

    def _holder(self, file: BinaryIO, start: int, end: int, depth: int, of_tags: bool = False) -> None:
        for kind, inner, its_end in boxes(file, start, end):
            self.tags += of_tags
            if self.tags > MOST_TAGS:
                raise InputError(f"{self.path}: it has over {MOST_TAGS} tags, which take FFmpeg too long")
            self.add(kind, file, inner, min(its_end, end), depth + 1)

    def _items(self, kind: bytes, file: BinaryIO, start: int, end: int) -> None:
        """Check the number of items of a picture, or names of tags, for which FFmpeg takes memory at once."""
        file.seek(start)
        head = file.read(10)
        place = _ITEMS[kind]
        wide = kind == b"keys" or head[:1] > (b"\0" if kind == b"iinf" else b"\1")  # Else by the version of the box.
        count = int.from_bytes(head[place : place + (4 if wide else 2)], "big")
        if count * _ITEM > end - start:
            raise InputError(f"{self.path}: its box {kind.decode()} declares {count} items in {end - start} bytes")

    def _content(self, file: BinaryIO, start: int, end: int) -> bytes:
        """Return all of a box, which must not be large."""
        if end - start > _LARGEST:
            raise InputError(f"{self.path}: a box of {end - start} bytes, of a kind of which {_LARGEST} are read")
        file.seek(start)
        return file.read(end - start)

    def _first(self, file: BinaryIO, start: int, end: int) -> int:
        """Return where the first box in one with metadata begins: some have a version before it."""
        file.seek(start)
        place = file.read(min(end - start, _LARGEST)).find(b"hdlr")
        if place < 0 and end - start > _LARGEST:
            raise InputError(f"{self.path}: metadata of {end - start} bytes that do not begin with their kind")
        return start + max(0, place - 4)

    def _description(self, file: BinaryIO, start: int, end: int) -> None:
        """Read the tables in a description of samples, where they may follow any number of bytes."""
        content = self._content(file, start, end)
        for kind in _TABLES:
            self.described += content.count(kind)
            if self.described > _DESCRIBED:
                raise InputError(f"{self.path}: its descriptions of samples hold over {_DESCRIBED} tables")
            place = content.find(kind)
            while place >= 0:
                following = content.find(kind, place + 4)
                self._table(kind, file, start + place + 4, start + following if following >= 0 else end)
                place = following

    def _decompressed(self, content: bytes) -> bytes:
        """Return the movie in a compressed box: a box with the method, and one with length and data."""
        try:
            movie = zlib.decompressobj().decompress(content[24:], _LARGEST + 1) if content[8:12] == b"zlib" else b""
        except zlib.error:
            return b""
        if len(movie) > _LARGEST:
            raise InputError(
                f"{self.path}: its compressed tables have over {_LARGEST} bytes, which is more than is read"
            )
        return movie

    def _table(self, kind: bytes, file: BinaryIO, start: int, end: int) -> None:
        file.seek(start)
        head, length, track = file.read(min(16, end - start)), end - start, self.tracks[-1]
        first, second = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
        if kind in (b"stsz", b"stz2"):  # Of one size, or with the size of each, of which some have four bits.
            track.samples = max(track.samples, second if first and kind == b"stsz" else min(second, 2 * length))
        elif kind == b"stts":
            track.durations.add(head[4:8] + head[12:16])
        elif kind == b"stsc":
            file.seek(start + 8)
            track.read_runs(file, min(first, (length - 8) // 12))
        elif kind in (b"stco", b"co64"):
            track.chunks = max(track.chunks, min(first, length // 4))
        elif kind == b"elst":
            track.edits = max(track.edits, min(first, length // 12))
        elif kind == b"hdlr":
            track.kinds.add(head[8:12])
        elif kind in (b"trun", b"senc"):  # Samples of a fragment, and places for keys of encrypted ones.
            self.fragments += first
