"""What is finished is put in place: a file or folder in one step, a sequence by a journal that can be followed again.

A process that is killed at any point leaves the old output, the new one, or a journal. While there is a journal, the
output is not read; the next run that writes it, or ``pde-video doctor --clean``, finishes or undoes what has begun.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from pde_video.errors import OutputError
from pde_video.video import zarr_keys
from pde_video.video.disk import exchange, flush, flush_all, is_same, move
from pde_video.video.sequences import numbered
from pde_video.video.signals import held_back
from pde_video.video.staging import Journal, Staging


def commit(staging: Staging, path: Path, members: int | None, force: bool) -> None:
    """Put what is in `staging` in place: `members` of the sequence `path`, or one file or folder (None)."""
    flush_all(staging.new)
    with held_back(), _told(path):
        if members is not None:
            old = tuple(numbered(path)) if force else ()
            _by_journal(staging, Journal(path.name, members, old))
        elif force and path.is_dir():
            _replace_folder(staging, path)
        else:
            (os.replace if force else move)(staging.new / path.name, path)
            _flush_folder_of(path)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of a file in the way that it was not there before."""
    try:
        yield
    except FileExistsError as fault:
        name = fault.filename2 or fault.filename or path
        kept = "another program created it during the run; it is kept: pass --force (force=True) to overwrite it"
        raise FileExistsError(errno.EEXIST, kept, str(name)) from fault


def _flush_folder_of(path: Path) -> None:
    try:
        flush(path.parent)
    except OSError as fault:
        unsure = f"is in place, but may be lost in a power failure, since its folder was not flushed: {fault.strerror}"
        raise OutputError(fault.errno, f"{path} {unsure}") from fault


def _replace_folder(staging: Staging, path: Path) -> None:
    new = staging.new / path.name
    if not exchange(new, path):
        _by_journal(staging, Journal(path.name, 1, (1,)))
        return
    try:
        zarr_keys.check_array(new)  # The old one: something may have been put into it meanwhile.
        flush(path.parent)
    except BaseException:
        exchange(new, path)
        raise


def _by_journal(staging: Staging, journal: Journal) -> None:
    try:
        staging.begin(journal)
        for name in journal.old_names:
            move(staging.folder.parent / name, staging.old / name)
            if (staging.old / name).is_dir():
                zarr_keys.check_array(staging.old / name)
        _finish(staging, journal)
    except BaseException as fault:
        try:
            _undo(staging, journal)
        except OSError as second:
            raise _stuck(staging, journal, second.errno, _reason(second)) from fault
        raise


def settle(staging: Staging, journal: Journal) -> str:
    """Finish, or undo, the commit of a run that has died; return which. Raise OutputError if neither is possible.

    It is undone if it was still moving the old members aside. Either way files are moved only to names that nothing
    has, and none is removed but what has been replaced.
    """
    folder = staging.folder.parent
    moved_aside = all(
        _exists(name, staging.old) and not is_same(staging.old / name, folder / name) for name in journal.old_names
    )
    lost = [name for name in journal.new_names if not _exists(name, staging.new, *([folder] if moved_aside else []))]
    if lost:
        raise _stuck(staging, journal, errno.ENOENT, f"{lost[0]} is neither there nor in place")
    try:
        (_finish if moved_aside else _undo)(staging, journal)
    except OSError as fault:
        raise _stuck(staging, journal, fault.errno, _reason(fault)) from fault
    return "finished" if moved_aside else "undone"


def _finish(staging: Staging, journal: Journal) -> None:
    folder = staging.folder.parent
    for name in journal.new_names:
        _move_if_there(staging.new / name, folder / name)
    flush(folder)
    staging.end()


def _undo(staging: Staging, journal: Journal) -> None:
    folder = staging.folder.parent
    for name in journal.new_names:
        if not os.path.lexists(staging.new / name):
            _move_if_there(folder / name, staging.new / name)
    for name in journal.old_names:
        _move_if_there(staging.old / name, folder / name)
    with contextlib.suppress(OSError):  # As before, whether or not the disk already knows.
        flush(folder)
    staging.end()


def _move_if_there(source: Path, target: Path) -> None:
    if os.path.lexists(source):
        move(source, target)


def _exists(name: str, *folders: Path) -> bool:
    return any(os.path.lexists(folder / name) for folder in folders)


def _reason(fault: OSError) -> str:
    return f"{fault.filename2 or fault.filename}: {fault.strerror}"


def _stuck(staging: Staging, journal: Journal, code: int | None, reason: str) -> OutputError:
    return OutputError(
        code,
        f"{journal.name} is only partly in place, and the rest is in {staging.folder} ({reason}); if a file is in the "
        f"way, move it; then run pde-video doctor --clean --folder {staging.folder.parent}",
    )
