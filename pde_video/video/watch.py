"""Inputs that change while they are read: the sizes and times of their files are compared."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pde_video.video.zarr_keys import HEADER


class _State(NamedTuple):
    files: int
    nbytes: int
    mark: int  # Of names, sizes and times; the memory for it does not grow with the number of files.


class Watch:
    """The state of an input when it was opened, and of the chunks of a folder when it was first compared."""

    def __init__(self, head: Callable[[], Iterable[Any]], rest: Callable[[], Iterable[Any]] = tuple) -> None:
        self._parts, self._before = (head, rest), {head: _state(head())}
        self._folder = None if all(map(os.path.isabs, head())) else _current_folder()

    def change(self) -> str | None:
        """Return what has changed since, or None."""
        for files in self._parts:
            now = _state(files())
            before = self._before.setdefault(files, now)
            if now != before:
                return _told(before, now)
        return None

    def astray(self) -> str | None:
        """Return why its name no longer leads to it, or None: it is relative, and the current folder is another."""
        if self._folder is None or (now := _current_folder()) == self._folder:
            return None
        return f"its name is relative to the current folder, which was {self._folder} and is now {now or 'gone'}"


def watch_file(path: Path) -> Watch:
    """Return the state of a file, or of an array in a folder."""
    if path.is_dir():
        return Watch(lambda: [path / HEADER], lambda: _inside(path))
    return Watch(lambda: [path])


def _inside(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _state(files: Iterable[Any]) -> _State:
    number = nbytes = mark = 0
    for file in files:
        try:
            facts = os.stat(file)
        except OSError:
            continue
        number, nbytes = number + 1, nbytes + facts.st_size
        # Without the number of the file, which some file systems give anew when it is opened again.
        mark = (mark + hash((str(file), facts.st_size, facts.st_mtime_ns))) % 2**64
    return _State(number, nbytes, mark)


def _told(before: _State, now: _State) -> str:
    if not now.files:
        return "it is gone"
    if now.files != before.files:
        return f"it had {before.files} files, and now has {now.files}"
    if now.nbytes != before.nbytes:
        return f"it had {before.nbytes} bytes, and now has {now.nbytes}"
    return "its modification time differs"
