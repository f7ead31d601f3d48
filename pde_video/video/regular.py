"""Regular files: neither pipes, devices, sockets nor folders are opened in their place, and none is waited for."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from pde_video.errors import InputError


def status_of(path: Path) -> os.stat_result:
    """Return the status of an input; raise FileNotFoundError if there is none, InputError if none can be found."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None
    except PermissionError:
        raise
    except (OSError, ValueError) as fault:  # A name that is too long, a loop of links; a NUL in the name.
        raise InputError(f"{path}: it cannot be opened ({getattr(fault, 'strerror', None) or fault})") from None


def check_input(path: Path) -> None:
    """Raise unless `path` is a regular file that is not empty, or a folder called .zarr."""
    status = status_of(path)
    if stat.S_ISDIR(status.st_mode) and path.suffix.lower() == ".zarr":
        return
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: not a file")
    if status.st_size == 0:
        raise InputError(f"{path}: the file is empty")


def open_regular(path: Path) -> BinaryIO:
    """Open an input that must be a regular file."""
    status_of(path)
    descriptor = _opened_at_once(path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: not a file")
    return os.fdopen(descriptor, "rb")


def content_of(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most so many bytes."""
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: it is larger than {most:,} bytes, the most that such a file may have")
    return content


def _opened_at_once(path: Path) -> int:
    """Open without waiting for the other end of a pipe."""
    flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
    try:
        return os.open(path, os.O_RDONLY | sum(flags))
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as fault:  # A socket; elsewhere a folder.
        raise InputError(f"{path}: not a file ({fault.strerror})") from None
