"""Tags in lists of AVI, counted before FFmpeg reads them: its time grows with the square of their number."""

from pathlib import Path
from typing import BinaryIO

from pde_video.access.opening import open_regular
from pde_video.errors import InputError
from pde_video.video.boxes import MOST_TAGS

_MOST_CHUNKS = 100_000  # Beside those with frames.


def check_lists(path: Path) -> None:
    """Raise InputError for an AVI file of far too many tags, or of far too many chunks beside its frames."""
    with open_regular(path) as file:
        if file.read(4) == b"RIFF":
            _check(path, file, path.stat().st_size)


def _check(path: Path, file: BinaryIO, size: int) -> None:
    place, end_of_tags, chunks, tags = 12, 0, 0, 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(12)
        kind, end = head[8:], place + 8 + int.from_bytes(head[4:8], "little")
        chunks, tags = chunks + 1, tags + (place < end_of_tags)
        if chunks > _MOST_CHUNKS or tags > MOST_TAGS:
            raise InputError(
                f"{path}: it has over {MOST_TAGS} tags, or {_MOST_CHUNKS} chunks; it is damaged or malicious"
            )
        if head[:4] == b"LIST" and kind != b"movi" and place >= end_of_tags:
            end_of_tags = end if kind == b"INFO" else 0
            place += 12
        else:
            place = end + end % 2
