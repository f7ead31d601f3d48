"""Regular files: neither pipes, devices, sockets nor folders are opened in their place, and none is waited for."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pde_video.errors import InputError


def status_of(path: Path, *, follow: bool = True) -> os.stat_result:
    """Return the status of an input; raise FileNotFoundError if there is none, InputError if none can be found."""
    try:
        return path.stat(follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None
    except PermissionError:
        raise
    except (OSError, ValueError) as fault:  # A name that is too long, a loop of links; a NUL in the name.
        raise InputError(f"{path}: it cannot be opened ({why_refused(fault)})") from None


def why_refused(fault: OSError | ValueError) -> str:
    """Return in plain words why the system does not take a name."""
    return (isinstance(fault, OSError) and fault.strerror) or "the name holds a character that no name can"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise InputError, with the name and the reason, for a fault of the disk or network while an input is read."""
    try:
        yield
    except OSError as fault:
        is_named = fault.filename is not None and isinstance(fault, FileNotFoundError | PermissionError)
        if is_named or fault.errno is None:
            raise
        raise InputError(f"{fault.filename or path}: it cannot be read ({fault.strerror})") from fault


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open what must be a regular file, and unless `follow` no link to one."""
    status_of(path, follow=follow)
    try:
        descriptor = open_at_once(path, os.O_RDONLY, follow=follow)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as fault:  # A socket or link; elsewhere a folder.
        raise InputError(f"{path}: not a file ({fault.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: not a file")
    return os.fdopen(descriptor, "rb")


def content_of(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most so many bytes."""
    with open_regular(path, follow=follow) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: it is larger than {most:,} bytes, the limit for such a file")
    return content


def open_at_once(
    path: str | Path, flags: int, mode: int = 0o600, *, follow: bool = False, dir_fd: int | None = None
) -> int:
    """Return a descriptor, without waiting for the other end of a pipe, and unless `follow` without following a link.

    The kind of file is still to be checked: `open_regular` does that.
    """
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", *(() if follow else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, mode, dir_fd=dir_fd)
