"""Durable and atomic operations on files: flush, rename without replacing, exchange."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from pde_video.access.opening import open_at_once
from pde_video.video.signals import held_back

_NO_REPLACE, _EXCHANGE = 1, 2  # Of Linux's renameat2.
_HERE = -100  # AT_FDCWD: names are relative to the current folder.
_AT_ONCE = 16  # Files: a disk flushes several in one go.
_BETWEEN_SIGNALS = 8 * _AT_ONCE  # Files that are flushed between two points at which signals are handled.
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_NO_LINKS = (*_NOT_SUPPORTED, errno.EPERM, errno.EACCES, errno.EMLINK)


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    writable = sys.platform == "win32"  # Windows flushes no file that is open for reading only.
    try:
        descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return  # Windows opens no folders.
        raise
    try:
        _flush(descriptor)
    except OSError as fault:
        if fault.errno not in (errno.EBADF, *_NOT_SUPPORTED):  # Not every file system supports it.
            raise
    finally:
        os.close(descriptor)


def _flush(descriptor: int) -> None:
    """Flush, including the cache of the drive, which needs a separate call on macOS."""
    with contextlib.suppress(ImportError):  # Not on Windows.
        import fcntl

        fully = getattr(fcntl, "F_FULLFSYNC", None)
        if fully is not None:
            with contextlib.suppress(OSError):  # Not every file system supports it; fsync then reports errors.
                fcntl.fcntl(descriptor, fully)
                return
    os.fsync(descriptor)


def flush_all(*paths: Path) -> None:
    """Flush files, and folders with everything in them, to disk."""
    if len(paths) == 1 and not paths[0].is_dir():
        flush(paths[0])
        return
    each = [one for path in paths for one in _with_content(path)]
    for first in range(0, len(each), _BETWEEN_SIGNALS):
        # A signal handler that raises while threads are started can leave one of the pool's locks held for ever.
        with held_back(), ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(flush, each[first : first + _BETWEEN_SIGNALS]):
                pass


def _with_content(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for place, _, files in os.walk(path):  # Of a file, nothing.
        yield from (Path(place, name) for name in ("", *files))


def write_durably(path: Path, content: bytes, part: Path, *, replace: bool = True, mode: int = 0o666) -> None:
    """Write a file that is whole and on disk as soon as it has its name; until then it is `part`, beside it.

    Unless `replace`, a file that is there already stays, which raises FileExistsError.
    """
    descriptor = open_at_once(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        flush(part)
        (os.replace if replace else move)(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    flush(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder without replacing anything, or raise FileExistsError; atomically where possible."""
    try:
        if _rename(source, target, _NO_REPLACE) or _linked(source, target):
            return
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.rename(source, target)  # A folder replaces at most an empty one; on Windows nothing is ever replaced.
    except FileExistsError:
        if not is_same(source, target):
            raise
        os.unlink(source)  # A process was killed between the two steps of `_linked`.


def remove_if_empty(folder: str | Path) -> None:
    """Remove a folder, unless something is in it or it is gone already."""
    try:
        os.rmdir(folder)
    except OSError as fault:
        if fault.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def is_same(one: Path, other: Path) -> bool:
    """Return whether two names are the same file or folder; symlinks are not followed."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically; return False where the system cannot."""
    return _rename(one, other, _EXCHANGE)


def can_exchange() -> bool:
    """Tell whether the system exchanges names; a file system may still refuse."""
    return _renameat2() is not None


def _linked(source: Path, target: Path) -> bool:
    """Rename a file by a hard link and unlink, or return False where that is impossible."""
    if os.name == "nt" or source.is_dir():
        return False
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as fault:
        if fault.errno in _NO_LINKS:
            return False
        raise
    try:
        os.unlink(source)
    except OSError:
        os.unlink(target)
        raise
    return True


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename with `flag`, or return False where the system, or this file system, cannot."""
    function = _renameat2()
    code = function(source, target, flag) if function else errno.ENOSYS
    if code and code not in _NOT_SUPPORTED:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    return code == 0


@cache
def _renameat2() -> Callable[[Path, Path, int], int] | None:
    """Return Linux's rename with flags, which Python does not offer, or None where there is none."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # Another C library, or an old one.
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]

    def rename(source: Path, target: Path, flag: int) -> int:
        """Return 0, or the number of the error."""
        sys.audit("os.rename", source, target, -1, -1)  # As os.rename does.
        failed = function(_HERE, os.fsencode(source), _HERE, os.fsencode(target), flag)
        return ctypes.get_errno() if failed else 0

    return rename
