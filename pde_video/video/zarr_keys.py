"""Which files in a folder belong to a zarr 3 array, by its plain JSON: nothing else is ever replaced."""

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of
from pde_video.errors import OutputError

_HEADER = "zarr.json"
_LONGEST = 2**24  # Bytes of a header.
_MOST_AXES = 64
_INDEX = "(?:0|[1-9][0-9]*)"


def check_array(folder: Path) -> None:
    """Raise OutputError unless a folder is a zarr 3 array, and holds nothing else."""
    try:
        header = json.loads(content_of(folder / _HEADER, _LONGEST, follow=False))
    except (OSError, ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("node_type") not in ("array", "group"):
        _refuse(f"{folder} is a folder that holds no zarr array; name another, or remove it")
    if header["node_type"] == "group":
        _refuse(f"{folder} is a zarr group, which may hold other arrays and is never replaced; name another output")
    try:
        levels = _levels(header)
    except (LookupError, TypeError, AttributeError, ValueError):
        _refuse(f"{folder} is a zarr array whose {_HEADER} does not tell the names of its chunks; name another output")
    foreign = next(_foreign(str(folder), levels, {_HEADER}), None)
    if foreign is not None:
        name = os.path.relpath(foreign, folder) + _maker_of(os.path.basename(foreign))
        _refuse(f"{folder} holds {name}, which is no part of its zarr array; move it away, or name another output")


def _maker_of(name: str) -> str:
    """Return a remark on files that systems make by themselves."""
    if name == ".DS_Store":
        return " (made by macOS, which showed the folder)"
    if name.startswith(".nfs"):
        return " (made by NFS in place of a removed file that is still open in a program)"
    return ""


def _levels(header: dict[str, Any]) -> list[re.Pattern[str]]:
    """Return the patterns of the names on the way to a chunk: of folders, and of the file at last."""
    axes, encoding = len(header["shape"]), header["chunk_key_encoding"]
    if isinstance(encoding, str):
        encoding = {"name": encoding}
    kind = encoding["name"]
    separator = encoding.get("configuration", {}).get("separator", {"default": "/", "v2": "."}[kind])
    if kind not in ("default", "v2") or separator not in ("/", ".") or axes > _MOST_AXES:
        raise ValueError(kind)
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
