"""A folder of executable files: it and they are used only if nobody but this user and root can write to them.

Both are checked on open file descriptors, so that nothing can be swapped after the check. The folders above therefore
need no check: whoever can write to those can only hide this one.
"""

import contextlib
import os
from pathlib import Path
from typing import IO, Self

from pde_video.access.opening import open_at_once
from pde_video.access.owners import why_not_ours

_BY_DESCRIPTOR = os.open in os.supports_dir_fd
FOLDER_MODE, _FILE_MODE = 0o755, 0o644  # Whatever the umask allows beyond.


class NotOursError(PermissionError):
    """Somebody else can write to a file or folder."""


def check_owner(path: Path, facts: os.stat_result) -> None:
    """Raise NotOursError unless only this user and root can write to what has these facts."""
    if why := why_not_ours(facts, or_roots=True):
        raise NotOursError(f"{path} {why}")


class GuardedFolder:
    """An open folder whose content may be run; raises OSError, or NotOursError if somebody else can write to it."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, None
        if _BY_DESCRIPTOR:
            self._descriptor = open_at_once(path, os.O_RDONLY | os.O_DIRECTORY)
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
            return open_at_once(path, flags, _FILE_MODE, dir_fd=self._descriptor)

        return open(self._inside(name), mode, opener=opener)

    def _inside(self, name: str) -> str:
        return name if _BY_DESCRIPTOR else str(self._path / name)
