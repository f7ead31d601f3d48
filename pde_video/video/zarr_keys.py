"""Which files in a folder belong to a zarr 3 array, by its plain JSON: nothing else is replaced or removed."""

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of
from pde_video.errors import OutputError
from pde_video.video.disk import remove_if_empty

HEADER = "zarr.json"
_LONGEST = 2**24  # Bytes of a header.
_MOST_AXES = 64
_INDEX = "(?:0|[1-9][0-9]*)"
_PART = re.compile(r".+\.[0-9a-f]{32}\.partial")  # As zarr names a file until it is complete.


def check_array(folder: Path) -> None:
    """Raise OutputError unless a folder is a zarr 3 array, and holds nothing else."""
    header = _header_of(folder)
    if not isinstance(header, dict) or header.get("node_type") not in ("array", "group"):
        _refuse(f"{folder} is a folder that holds no zarr array; name another, or remove it")
    if header["node_type"] == "group":
        _refuse(f"{folder} is a zarr group, which may hold other arrays and is never replaced; name another output")
    levels = _levels(header)
    if not levels:
        _refuse(f"{folder} is a zarr array whose {HEADER} does not tell the names of its chunks; name another output")
    foreign = next(_foreign(str(folder), levels, {HEADER}), None)
    if foreign is not None:
        name = os.path.relpath(foreign, folder) + _maker_of(os.path.basename(foreign))
        _refuse(f"{folder} holds {name}, which is no part of its zarr array; move it away, or name another output")


def remove_array(folder: Path) -> None:
    """Remove the files of a zarr 3 array, and its folder if nothing else is in it."""
    _remove_chunks(str(folder), _levels(_header_of(folder)))
    if (folder / HEADER).is_file():  # Last, since it tells what the others are.
        (folder / HEADER).unlink()
    remove_if_empty(folder)


def _remove_chunks(folder: str, levels: Sequence[re.Pattern[str]]) -> None:
    with os.scandir(folder) as entries:
        there = list(entries)
    for entry in there:
        fits = bool(levels) and levels[0].fullmatch(entry.name)
        if fits and len(levels) > 1 and entry.is_dir(follow_symlinks=False):
            _remove_chunks(entry.path, levels[1:])
            remove_if_empty(entry.path)
        elif entry.is_file(follow_symlinks=False) and ((fits and len(levels) == 1) or _PART.fullmatch(entry.name)):
            os.unlink(entry.path)


def _header_of(folder: Path) -> Any:
    """Return what the header of an array or group holds, or None if it is none."""
    try:
        return json.loads(content_of(folder / HEADER, _LONGEST, follow=False))
    except (OSError, ValueError, RecursionError):
        return None


def _maker_of(name: str) -> str:
    """Return a remark on files that systems make by themselves."""
    if name == ".DS_Store":
        return " (made by macOS, which showed the folder)"
    if name.startswith(".nfs"):
        return " (made by NFS in place of a removed file that is still open in a program)"
    return ""


def _levels(header: Any) -> list[re.Pattern[str]]:
    """Return the patterns of the names on the way to a chunk: of folders, and of the file at last; none if unknown."""
    try:
        axes, encoding = len(header["shape"]), header["chunk_key_encoding"]
        if isinstance(encoding, str):
            encoding = {"name": encoding}
        kind = encoding["name"]
        separator = encoding.get("configuration", {}).get("separator", {"default": "/", "v2": "."}[kind])
    except (LookupError, TypeError, AttributeError):
        return []
    if kind not in ("default", "v2") or separator not in ("/", ".") or axes > _MOST_AXES:
        return []
    parts = ["c"] * (kind == "default") + [_INDEX] * axes or ["0"]
    return [re.compile(part) for part in (parts if separator == "/" else [r"\.".join(parts)])]


def _foreign(folder: str, levels: Sequence[re.Pattern[str]], others: set[str]) -> Iterator[str]:
    """Yield what in a folder is neither a chunk, nor on the way to one, nor one of the `others`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            on_the_way, fits = len(levels) > 1, levels[0].fullmatch(entry.name)
            if entry.name in others and entry.is_file(follow_symlinks=False):
                continue
            if fits and on_the_way and entry.is_dir(follow_symlinks=False):
                yield from _foreign(entry.path, levels[1:], set())
            elif not (fits and not on_the_way and entry.is_file(follow_symlinks=False)):
                yield entry.path


def _refuse(message: str) -> None:
    raise OutputError(errno.EISDIR, message)
