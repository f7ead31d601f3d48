"""Outputs that are written completely or not at all."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from pde_video.errors import OutputError
from pde_video.video import stills


def check_output(path: Path, force: bool) -> None:
    """Raise, before any work, if `path` cannot be written or would be overwritten without `force`."""
    _check_name(path)
    if not path.parent.is_dir():
        raise OutputError(errno.ENOENT, f"the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(errno.EACCES, f"the folder {path.parent} cannot be written to")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise OutputError(errno.EISDIR, f"{path} is a folder; name a file in it")
    if path.is_dir() and not (path / "zarr.json").is_file():  # All of it would be replaced.
        raise OutputError(errno.EISDIR, f"{path} is a folder that holds no zarr array; name another, or remove it")
    if not force and (existing := _existing(path)):
        raise FileExistsError(
            errno.EEXIST, "the output exists; pass --force (force=True) to overwrite", str(existing[0])
        )


def _check_name(path: Path) -> None:
    """Raise if no file can have this name: the rename at the end would fail."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as fault:  # A name that is too long, a loop of links; a NUL in the name.
        reason = getattr(fault, "strerror", None) or fault
        raise OutputError(errno.EINVAL, f"{path} cannot be written: {reason}") from None


def check_distinct(source: Path, target: Path) -> None:
    """Raise if writing `target` would overwrite a file of `source`, under any name, even with ``force``."""
    if os.path.isdir(target) and os.path.exists(source) and target.resolve() in source.resolve().parents:
        raise FileExistsError(errno.EEXIST, "the input is in this folder, which would be replaced", str(target))
    sources = _existing(source)
    for file in _existing(target):
        if os.path.exists(file) and any(file.samefile(other) for other in sources if os.path.exists(other)):
            raise FileExistsError(errno.EEXIST, "input and output are the same file; name another output", str(file))


def _existing(path: Path) -> list[Path]:
    return list(stills.numbered(path).values()) if stills.is_pattern(path) else [path] if os.path.lexists(path) else []


@contextlib.contextmanager
def whole(path: Path, force: bool) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` on success and removed on any error.

    It may become a file or a folder; for a numbered sequence it is a folder already. It is synced before the rename.
    """
    temporary = path.with_name(f".pde-video-{secrets.token_hex(8)}{path.suffix}")
    try:
        if stills.is_pattern(path):
            temporary.mkdir()
        yield temporary
        files = [temporary] if temporary.is_file() else [file for file in temporary.rglob("*") if file.is_file()]
        for file in files:
            _to_disk(file)
        check_output(path, force)  # The file may have been created meanwhile.
        if stills.is_pattern(path):
            _move_members(temporary, path)
        elif path.is_dir():  # A folder cannot be replaced in one step.
            outdated = temporary.with_name(f"{temporary.name}.outdated")
            path.replace(outdated)
            temporary.replace(path)
            shutil.rmtree(outdated)
        else:
            temporary.replace(path)
        _to_disk(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def reported(name: object) -> Iterator[None]:
    """Raise OutputError, with the reason, for an error while `name` is written."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, OutputError):
        raise
    except OSError as fault:
        raise OutputError(fault.errno, f"{name} could not be written: {fault.strerror or fault}") from fault


def _move_members(folder: Path, pattern: Path) -> None:
    replaced = set(_existing(pattern))
    for file in sorted(folder.iterdir()):
        file.replace(pattern.with_name(file.name))
        replaced.discard(pattern.with_name(file.name))
    for surplus in replaced:  # Left over from a longer sequence, they would be read as part of this one.
        surplus.unlink()


def _to_disk(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return  # Not every system can open a folder.
    try:
        with reported(path):
            os.fsync(descriptor)
    except OutputError as fault:
        if fault.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # Not every file system supports it.
            raise
    finally:
        os.close(descriptor)
