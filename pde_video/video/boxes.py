"""Boxes of mp4 and mov, and how many samples their tables declare: FFmpeg keeps an entry of its index for each."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pde_video.errors import InputError
from pde_video.video.regular import open_regular

# Boxes in which FFmpeg looks for further ones, also where they do not belong.
_HOLDERS = frozenset(b"moov hoov trak mdia minf stbl edts mvex moof traf dinf tref udta ilst meta".split())
_TABLES = frozenset(b"stsz stz2 stts stsc stco co64 elst trun hdlr".split())
_READ = _HOLDERS | _TABLES | {b"stsd", b"cmov"}
_DEEPEST = 10  # Levels of boxes that FFmpeg follows.
_LARGEST = 2**27  # Bytes of a box with tables.
_MOVIE = 2**24  # Bytes of a compressed movie when decompressed; there are only tables in it.
_FREE_SAMPLES, _FREE_BOXES = 2**20, 100_000  # That a file of any size may declare.
_SAMPLE, _BOX = 8, 64  # Bytes of the file for each further one.
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
            found, length = True, min(end, size) - start
            known = b"moov" if kind == b"free" and _hides_a_movie(file, start) else kind
            if known in _READ and length > _LARGEST:
                raise InputError(f"{path}: its tables take {length} bytes; up to {_LARGEST} are read")
            file.seek(start)
            tables.add(known, file.read(length) if known in _READ else b"")
    if tables.entries > _FREE_SAMPLES + size // _SAMPLE:
        raise InputError(
            f"{path}: its tables declare {tables.entries} samples, more than a video of {size} bytes has; it is "
            "damaged, or made to fill the memory"
        )
    return found


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
    runs: bytes = b""  # Of chunks with equally many samples.
    durations: set[bytes] = field(default_factory=set)  # Numbers of entries, and the first duration.
    kinds: set[bytes] = field(default_factory=set)

    @property
    def entries(self) -> int:
        """The length of FFmpeg's index, in which each edit may repeat all samples."""
        uncompressed = b"soun" in self.kinds and not self.kinds & _OTHERS and self.durations == {_TICK}
        return (self._packets() if uncompressed else self.samples) * self.edits

    def _packets(self) -> int:
        rows = np.frombuffer(self.runs, ">u4", len(self.runs) // 12 * 3).reshape(-1, 3).astype(np.int64)
        lengths = np.diff(rows[:, 0], append=self.chunks + 1).clip(0)
        return sum((lengths * (rows[:, 1] // _PACKET + 1)).tolist())


@dataclass
class _Tables:
    """The tables of a file that were read so far."""

    path: Path
    most_boxes: int
    boxes: int = 0
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

    def add(self, kind: bytes, content: bytes, depth: int = 0) -> None:
        """Read a box, and the boxes in it."""
        self.count()
        if kind == b"trak":
            self.tracks.append(_Track())
        if kind in _TABLES:
            self._table(kind, content)
        elif kind == b"stsd":  # There may be boxes after any number of bytes.
            for table in _TABLES:
                for part in content.split(table)[1:]:
                    self._table(table, part)
        elif kind == b"cmov" and depth < _DEEPEST:
            self._holder(b"moov", self._decompressed(content), depth)
        elif kind in _HOLDERS and depth < _DEEPEST:
            self._holder(kind, content, depth)

    def _holder(self, kind: bytes, content: bytes, depth: int) -> None:
        first = max(0, content.find(b"hdlr") - 4) if kind == b"meta" else 0  # Some begin with a version.
        for inner, start, end in boxes(io.BytesIO(content), first, len(content)):
            self.add(inner, content[start:end] if inner in _READ else b"", depth + 1)

    def _decompressed(self, content: bytes) -> bytes:
        """Return the movie in a compressed box: a box with the method, and one with length and data."""
        try:
            movie = zlib.decompressobj().decompress(content[24:], _MOVIE + 1) if content[8:12] == b"zlib" else b""
        except zlib.error:
            return b""
        if len(movie) > _MOVIE:
            raise InputError(f"{self.path}: its compressed tables have over {_MOVIE} bytes, which is more than is read")
        return movie

    def _table(self, kind: bytes, content: bytes) -> None:
        track = self.tracks[-1]
        first, second = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8))
        if kind in (b"stsz", b"stz2"):  # Of one size, or with the size of each, of which some have four bits.
            track.samples = max(track.samples, second if first and kind == b"stsz" else min(second, 2 * len(content)))
        elif kind == b"stts":
            track.durations.add(content[4:8] + content[12:16])
        elif kind == b"stsc":
            track.runs = content[8 : 8 + 12 * first]
        elif kind in (b"stco", b"co64"):
            track.chunks = max(track.chunks, min(first, len(content) // 4))
        elif kind == b"elst":
            track.edits = max(track.edits, min(first, len(content) // 12))
        elif kind == b"hdlr":
            track.kinds.add(content[8:12])
        elif kind == b"trun":
            self.fragments += first
