"""Atomic outputs: written completely or not at all."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pde_video.access.opening import why_refused
from pde_video.errors import OutputError
from pde_video.video import zarr_keys
from pde_video.video.commit import commit
from pde_video.video.disk import can_exchange
from pde_video.video.leftovers import NOT_OF_A_RUN, check_unfinished, remove_dead, settle_unfinished, shortened
from pde_video.video.own_pictures import check_surplus
from pde_video.video.permissions import folder_mode, hand_down
from pde_video.video.seal import why_no_key
from pde_video.video.sequences import is_pattern, is_pattern_name, member_name, numbered
from pde_video.video.signals import held_back
from pde_video.video.staging import Staging, hidden_name


def check_output(path: Path, force: bool, settle: bool = True) -> None:
    """Raise, before any work, if `path` cannot be written or would be overwritten without `force`.

    An interrupted commit under this name is finished or rolled back first, unless `settle` is False.
    """
    _check_names(path)
    if not path.parent.is_dir():
        raise OutputError(errno.ENOENT, f"the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(errno.EACCES, f"the folder {path.parent} cannot be written to")
    (settle_unfinished if settle else check_unfinished)(path)
    found = existing(path)
    for file in found:
        _check_kind(file)
    if not force and found:
        raise FileExistsError(errno.EEXIST, "the output exists; pass --force (force=True) to overwrite", str(found[0]))


def check_count(path: Path, count: int) -> None:
    """Raise, before any work, if a sequence of `count` frames would remove pictures of others."""
    if is_pattern(path):
        check_surplus(path, range(1, count + 1))


def warning_if_killed(path: Path, force: bool) -> str | None:
    """Return a warning, if a run that is killed while it replaces `path` leaves what no later run can settle."""
    in_steps = is_pattern(path) or (path.suffix.lower() == ".zarr" and not can_exchange())
    if not (force and in_steps) or (why := why_no_key()) is None or not existing(path):
        return None
    by_hand = "you must repair it by hand, because there is no usable key"
    return f"if this run is killed while it replaces {path}, {by_hand} ({why})"


def check_distinct(target: Path, sources: Iterable[Path]) -> None:
    """Raise if writing `target` would overwrite a file of one of the sources, under any name, even with ``force``."""
    _check_names(target)
    files = [file for file in existing(target) if os.path.exists(file)]
    for source in sources if files else ():
        if os.path.isdir(target) and os.path.exists(source) and target.resolve() in source.resolve().parents:
            inside = f"an input is in this folder, which would be replaced: {source.name}"
            raise FileExistsError(errno.EEXIST, inside, str(target))
        others = [file for file in existing(source) if os.path.exists(file)]
        for file in files:
            if any(file.samefile(other) for other in others):
                same = "input and output are the same file; name another output"
                raise FileExistsError(errno.EEXIST, same, str(file))


def _check_names(path: Path) -> None:
    """Raise for a name, or one that is derived from it, that the file system does not take."""
    name = member_name(path, 1) if is_pattern_name(path.name) else path.name
    for needed in (path.with_name(name), Staging(path.with_name(hidden_name())).new / name):
        try:
            needed.lstat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass
        except (OSError, ValueError) as fault:  # A name that is too long, a loop of links; a NUL in the name.
            raise OutputError(errno.EINVAL, f"{name:.80}: {why_refused(fault)}; name another output") from fault


def _check_kind(path: Path) -> None:
    """Raise for what is never replaced: a folder that is no zarr array, a named pipe, a socket, a device."""
    if path.suffix.lower() == ".zarr" and (path.is_symlink() or not path.is_dir()):
        raise OutputError(errno.ENOTDIR, f"{path} is not a folder, as a zarr array is; remove it, or name another")
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # A link that leads nowhere.
    if stat.S_ISDIR(mode):
        if path.suffix.lower() != ".zarr":
            raise OutputError(errno.EISDIR, f"{path} is a folder; name a file in it")
        zarr_keys.check_array(path)
    elif not stat.S_ISREG(mode):
        raise OutputError(errno.EINVAL, f"{path} is a named pipe, a socket or a device; name a file, or - for a pipe")


def existing(path: Path) -> list[Path]:
    """Return the files of an output that are there: it, or the members of the sequence."""
    return list(numbered(path).values()) if is_pattern(path) else [path] if os.path.lexists(path) else []


@contextlib.contextmanager
def whole(path: Path, force: bool) -> Iterator[Path]:
    """Yield a temporary path, what is written to which becomes `path` on success, and is removed on any error.

    It may become a file, a folder, or the numbered sequence of that pattern. All is on disk when this ends. What dead
    runs of this user were making in the same folder is removed first.
    """
    many, staging = is_pattern(path), None
    remove_dead(path.parent)
    try:
        with _of_output(path), held_back():
            staging = Staging.beside(path, folder_mode(existing(path) if force else ()))
        yield staging.new / path.name
        check_output(path, force)  # It may have been created meanwhile.
        with _of_output(path):
            hand_down(existing(path) if force else (), existing(staging.new / path.name))
            commit(staging, path, many, force)
    except BaseException:
        with contextlib.suppress(OSError), held_back():
            if staging is not None:
                staging.remove()
        raise
    try:
        with held_back():
            staging.remove()
    except OSError as fault:
        left = f"the temporary folder {staging.folder} could not be removed: {fault.strerror}"
        raise OutputError(fault.errno, f"{path} is complete, but {left}") from fault
    if strangers := staging.strangers():
        stays = f"{staging.folder} stays, since it holds what {NOT_OF_A_RUN}: {shortened(strangers)}"
        raise OutputError(errno.ENOTEMPTY, f"{path} is complete, but {stays}")


@contextlib.contextmanager
def reported(name: object) -> Iterator[None]:
    """Raise OutputError, with the reason, for an error while `name` is written."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, OutputError):
        raise
    except OSError as fault:
        raise OutputError(fault.errno, f"{name} could not be written: {fault.strerror or fault}") from fault


@contextlib.contextmanager
def _of_output(name: object) -> Iterator[None]:
    """Raise as `reported` does, also for a folder that was removed meanwhile."""
    try:
        with reported(name):
            yield
    except FileNotFoundError as fault:
        raise OutputError(fault.errno, f"{name} could not be written: {fault.filename}: {fault.strerror}") from fault
