"""A lock that a process holds on a file, and that goes with the process, however that ends."""

import os
import sys
import time
from pathlib import Path

from pde_video.access.opening import open_at_once

_FAR = 2**30  # Where Windows locks a byte: others cannot read what is locked there.
_WAIT = 0.05  # Seconds between two tries, where a lock cannot be waited for.


class Lock:
    """The lock on one file, which is made for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self, *, wait: bool = False, create: bool = True) -> bool | None:
        """Take it; return False if another process has it, or None where the file system does not tell.

        With create=False, a missing lock file means that no run is alive.
        """
        try:
            descriptor = open_at_once(self.path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            return not create and self.path.parent.is_dir()  # Else the folder is gone.
        try:
            taken = _locked(descriptor, wait)
        except BaseException:
            os.close(descriptor)
            raise
        if taken and os.fstat(descriptor).st_nlink == 0:  # It was removed just before.
            taken = False
        if taken:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return taken

    def write(self, content: bytes) -> None:
        """Write into the file, while the lock is held, what whoever takes it later is to know."""
        while content and self._descriptor is not None:
            content = content[os.write(self._descriptor, content) :]

    def content(self, most: int) -> bytes:
        """Return what was written into the file, if the lock is held and there is one."""
        if self._descriptor is None:
            return b""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, most)

    def give_back(self) -> None:
        """Let others take it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the file, and give the lock back."""
        self.give_back()  # Before its removal: network file systems keep an open file under another name.
        self.path.unlink(missing_ok=True)


def _locked(descriptor: int, wait: bool) -> bool | None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                break
            except OSError:
                if not wait:
                    return False
                time.sleep(_WAIT)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as fault:
        return False if isinstance(fault, BlockingIOError) else None
    return True
