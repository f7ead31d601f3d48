"""A folder of files that are run: it and they are used only if nobody but this user and root can write to them.

Both are checked on open descriptors, so that nothing can be put in their place after the check. The folders above need
no check for that reason: who can write to those can only hide this one. Windows has other rules, and is not checked.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import IO, Self

_BY_DESCRIPTOR = os.open in os.supports_dir_fd
_CLOSED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # No link is followed, no pipe waited for.
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
FOLDER_MODE, _FILE_MODE = 0o755, 0o644  # Whatever the umask allows beyond.


class NotOursError(PermissionError):
    """Somebody else can write to a file or folder."""


def check_owner(path: Path, facts: os.stat_result) -> None:
    """Raise NotOursError unless only this user and root can write to what has these facts."""
    if not hasattr(os, "geteuid"):
        return
    if facts.st_uid not in (0, os.geteuid()):
        raise NotOursError(f"{path} belongs to another user (number {facts.st_uid})")
    if facts.st_mode & _OTHERS:
        raise NotOursError(f"{path} can be written by other users (its mode is {stat.S_IMODE(facts.st_mode):o})")


class GuardedFolder:
    """An open folder whose content may be run; raises OSError, or NotOursError if somebody else can write to it."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, None
        if _BY_DESCRIPTOR:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _CLOSED)
            try:
                check_owner(path, os.fstat(self._descriptor))
            except NotOursError:
                os.close(self._descriptor)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def read(self, name: str) -> bytes:
        """Return the content of a file that only this user and root can write."""
        with self._opened(name, "rb") as file:
            check_owner(self._path / name, os.fstat(file.fileno()))
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write under a temporary name and rename, so that no process reads an incomplete file."""
        temporary = f"{name}.{os.urandom(8).hex()}"
        try:
            with self._opened(temporary, "xb") as file:
                file.write(content)
            inside = self._descriptor
            os.replace(self._inside(temporary), self._inside(name), src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(self._inside(temporary), dir_fd=self._descriptor)
            raise

    def _opened(self, name: str, mode: str) -> IO[bytes]:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags | _CLOSED, _FILE_MODE, dir_fd=self._descriptor)

        return open(self._inside(name), mode, opener=opener)

    def _inside(self, name: str) -> str:
        return name if _BY_DESCRIPTOR else str(self._path / name)
