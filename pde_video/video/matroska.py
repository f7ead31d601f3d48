"""Elements of Matroska and WebM, counted before FFmpeg reads them.

FFmpeg keeps every element before the first cluster, and those to which a seek head points; it decompresses private data
of codecs and packets of tracks; its time grows with the cube of the number of tags. After an element that it cannot
read, it goes on at the next bytes that look like one: such files are refused here. Numbers of elements: RFC 9559.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pde_video.access.opening import open_regular
from pde_video.errors import InputError
from pde_video.video.boxes import refuse_streams

MAGIC = b"\x1aE\xdf\xa3"
SEGMENT = 0x18538067
_CLUSTER, _SEEK_POSITION = 0x1F43B675, 0x53AC
_CUES, _FILE, _VOID = 0x1C53BB6B, 0x465C, 0xEC
_TRACK, _TYPE, _TRACK_NUMBER, _TAG, _SIMPLE_TAG = 0xAE, 0x83, 0xD7, 0x7373, 0x67C8
_COMPRESSION, _SCOPE, _ALGORITHM, _SETTINGS = 0x5034, 0x5032, 0x4254, 0x4255
_GROUP, _BLOCK, _SIMPLE_BLOCK = 0xA0, 0xA1, 0xA3
_SUBTITLES, _STRIPPED, _OF_PRIVATE_DATA, _LACED = 17, 3, 2, 0x06


def _ids(digits: str) -> frozenset[int]:
    return frozenset(int(one, 16) for one in digits.split())


# Elements that hold others: first those beside clusters, then those within them.
_OUTER = _ids("114D9B74 1549A966 1654AE6B 1043A770 1254C367 1941A469")
_HOLDERS = _OUTER | _ids(
    "4DBB AE E0 55B0 55D0 7670 E1 6D80 6240 5034 5035 E2 E3 E4 41E4 61A7 45B9 B6 80 8F 7373 63C0 67C8"
)
# Elements that are whole or real numbers.
_NUMBERS = _ids(
    "4286 42F7 42F2 42F3 4287 4285 53AB 53AC 2AD7B1 4489 D7 73C5 83 B9 88 55AA 55AB 55AC 55AD 55AE 55AF 9C 6DE7 6DF8 "
    "23E383 234E7A 23314F 55EE 56AA 56BB AA 2383E3 9A 9D 53B8 53C0 B0 BA 54AA 54BB 54CC 54DD 54B0 54BA 54B2 54B3 55B1 "
    "55B2 55B3 55B4 55B5 55B6 55B7 55B8 55B9 55BA 55BB 55BC 55BD 55D1 55D2 55D3 55D4 55D5 55D6 55D7 55D8 55D9 55DA "
    "7671 7673 7674 7675 B5 78B5 9F 6264 5031 5032 5033 4254 47E1 E5 E6 41F0 41E7 46AE 45BC 45BD 45DB 45DD 73C4 91 92 "
    "98 4598 63C4 63C5 63C6 63C9 68CA 4484 44B4"
)
_HEAD, _DEEPEST = 12, 12  # Bytes of the longest head of an element; levels.
_FREE, _BYTES = 100_000, 64  # Elements that a file of any size may have; bytes of the file for each further one.
_FREE_CUES, _CUE = 2**22, 16  # Bytes of an index, of which FFmpeg makes 16 times as many; bytes of the file for each.
_LONGEST, _MOST_FILES = 2**24, 2**27  # Bytes of an element; of all attached files.
_TAG_WORK = 2**28  # Groups of tags times the square of the number of tags: half a second.
_LONGEST_PREFIX = 64  # Bytes that a track leaves out before each frame.


def check_elements(path: Path) -> None:
    """Raise InputError for a Matroska file that would take FFmpeg far more memory or time than a video of its size."""
    with open_regular(path) as file:
        if file.read(4) == MAGIC:
            _File(path, file, path.stat().st_size).check()


def read_head(file: BinaryIO, place: int) -> tuple[int, int, int | None] | None:
    """Return the number of the element there, where its content begins, and its length, None if not given.

    Return None if no element begins there.
    """
    file.seek(place)
    head = file.read(_HEAD)
    wide = _width(head)
    long = _width(head[wide:])
    if wide > 4 or long > 8 or len(head) < wide + long:
        return None
    unknown = (1 << 7 * long) - 1
    length = int.from_bytes(head[wide : wide + long], "big") & unknown
    return int.from_bytes(head[:wide], "big"), place + wide + long, None if length == unknown else length


@dataclass
class _Track:
    """What an entry of a track says about compression."""

    place: int  # In the file; it is read again where a seek head points to it.
    number: int = 0
    kind: int = 0
    scope: int = 1
    algorithm: int | None = None  # None: not compressed.


@dataclass
class _File:
    """A file, and what was counted in it so far."""

    path: Path
    file: BinaryIO
    size: int
    elements: int = 0
    groups: int = 0
    tags: int = 0
    attached: int = 0
    tracks: list[_Track] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)  # To which seek heads point.

    def check(self) -> None:
        """Check all that FFmpeg reads when it opens the file."""
        first, last = self._segment()
        clusters = self._before_clusters(first, last)
        visited: set[int] = set()
        while self.positions:
            place = first + self.positions.pop()
            if place not in visited and place < self.size:
                visited.add(place)
                ident, start, end = next(self._elements(place, self.size), (_CLUSTER, 0, 0))
                if ident != _CLUSTER:
                    self._outer(ident, start, end)
        refuse_streams(self.path, len({track.place for track in self.tracks}))
        self._check_compression(clusters)

    def _segment(self) -> tuple[int, int]:
        """Return where the content of the segment begins and ends."""
        place = 0
        for ident, start, end in self._elements(0, self.size):
            if ident == SEGMENT:
                length = self._head(place)[2]
                return start, self.size if length is None else min(self.size, start + length)
            self._within(start, end, 0)
            place = end
        raise self._fault("it has no segment")

    def _before_clusters(self, first: int, last: int) -> int:
        """Count what precedes the first cluster; return where its content begins."""
        for ident, start, end in self._elements(first, last):
            if ident == _CLUSTER:
                return start
            self._outer(ident, start, end)
        raise self._fault("it has no cluster")

    def _elements(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield the number of each element, where its content begins, and where it ends."""
        while start < end:
            self.elements += 1
            if self.elements > (most := _FREE + self.size // _BYTES):
                raise self._fault(f"it has over {most} elements, more than a video of its size needs")
            ident, content, length = self._head(start)
            if ident in (SEGMENT, _CLUSTER):  # Neither their lengths nor their ends must be known.
                yield ident, content, end
                return
            if length is None or content + length > end:
                raise self._fault(f"the element at byte {start} has no end, or ends behind what holds it")
            start = content + length
            yield ident, content, start

    def _head(self, place: int) -> tuple[int, int, int | None]:
        head = read_head(self.file, place)
        if head is None:
            raise self._fault(f"there is no element at byte {place}")
        return head

    def _outer(self, ident: int, start: int, end: int) -> None:
        """Count what is in an element beside the clusters."""
        if ident == _CUES and end - start > _FREE_CUES + self.size // _CUE:
            raise self._fault(f"its index has {end - start} bytes, more than a video of its size needs")
        if ident in _OUTER:
            self._within(start, end, 1)
        if self.groups * self.tags**2 > _TAG_WORK:
            raise self._fault(f"it has {self.tags} tags in {self.groups} groups, which take FFmpeg too long")

    def _within(self, start: int, end: int, depth: int) -> None:
        """Count the elements in another."""
        if depth > _DEEPEST:
            raise self._fault("its elements are nested too deeply")
        for ident, inner, its_end in self._elements(start, end):
            length = its_end - inner
            self.groups += ident == _TAG or (ident == _SIMPLE_TAG and depth > 2)
            self.tags += ident == _SIMPLE_TAG
            if ident == _TRACK:
                self.tracks.append(_Track(inner))
            if ident in _HOLDERS:
                if ident == _COMPRESSION and self.tracks:
                    self.tracks[-1].algorithm = 0  # Unless it says otherwise.
                self._within(inner, its_end, depth + 1)
            elif ident in _NUMBERS:
                if length > 8:
                    raise self._fault(f"a number of {length} bytes")
                self.file.seek(inner)
                self._number(ident, int.from_bytes(self.file.read(length), "big"))
            elif ident == _FILE:
                self.attached += length
                if self.attached > _MOST_FILES:
                    raise self._fault(f"over {_MOST_FILES} bytes are attached, which FFmpeg keeps in memory")
            elif length > _LONGEST and ident != _VOID:
                raise self._fault(f"an element of {length} bytes, where at most {_LONGEST} are read")
            elif ident == _SETTINGS and length > _LONGEST_PREFIX:
                most = _LONGEST_PREFIX
                raise self._fault(f"a track leaves out {length} bytes of each frame; at most {most} are read")

    def _number(self, ident: int, value: int) -> None:
        if ident == _SEEK_POSITION:
            self.positions.append(value)
        elif self.tracks:
            track = self.tracks[-1]
            if ident == _TRACK_NUMBER:
                track.number = value
            elif ident == _TYPE:
                track.kind = value
            elif ident == _SCOPE:
                track.scope |= value
            elif ident == _ALGORITHM:
                track.algorithm = value

    def _check_compression(self, clusters: int) -> None:
        """Check tracks whose packets are compressed once more, of which each may have 30 MB afterwards."""
        compressed = [track for track in self.tracks if track.algorithm not in (None, _STRIPPED)]
        if any(track.kind != _SUBTITLES or track.scope & _OF_PRIVATE_DATA for track in compressed):
            raise self._fault(
                "its pictures, sound or codec headers are compressed once more, which is read of subtitles only",
                "remux it without (mkvmerge --compression -1:none)",
            )
        numbers, place = {track.number for track in compressed}, clusters
        while numbers and place < self.size:
            ident, content, length = self._head(place)
            if ident in (_BLOCK, _SIMPLE_BLOCK):
                self._check_block(numbers, content)
            if length is None and ident != _CLUSTER:
                raise self._fault(f"the element at byte {place} has no end")
            place = content + (0 if ident in (_CLUSTER, _GROUP) else length or 0)

    def _check_block(self, numbers: set[int], place: int) -> None:
        """Refuse several frames in one block of a compressed track."""
        self.file.seek(place)
        head = self.file.read(_HEAD)
        wide = _width(head)
        track = int.from_bytes(head[:wide], "big") & ((1 << 7 * wide) - 1)
        if wide > 8 or (track in numbers and head[wide + 2 : wide + 3] and head[wide + 2] & _LACED):
            raise self._fault("compressed frames share a block, of which each may be large")

    def _fault(self, found: str, remedy: str = "it is damaged or malicious") -> InputError:
        return InputError(f"{self.path}: {found}; {remedy}")


def _width(data: bytes) -> int:
    """Return how many bytes a number at the beginning has, which its first bits tell."""
    return 9 - data[0].bit_length() if data else 9
