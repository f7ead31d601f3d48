"""Commit of finished outputs: a file or folder atomically, a sequence with a journal that can be replayed.

A process that is killed at any point leaves the old output, the new one, or a journal. While there is a journal, the
output is not read; the next run that writes it, or ``pde-video doctor --clean``, finishes the commit or rolls it back.
"""

import contextlib
import errno
import os
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from pde_video.errors import OutputError
from pde_video.video import zarr_keys
from pde_video.video.disk import exchange, flush, flush_all, is_same, move
from pde_video.video.own_pictures import check_surplus, is_own
from pde_video.video.sequences import numbered
from pde_video.video.signals import held_back
from pde_video.video.staging import Journal, Staging, with_journal_of

_ATTEMPTS, _WAIT = 50, 0.1  # Seconds: others put a sequence in place in less.
_SAME_TIME = 2_000_000_000  # Nanoseconds: the steps of the coarsest file systems.


def commit(staging: Staging, path: Path, many: bool, force: bool) -> None:
    """Commit the content of `staging`: the `many` members of the sequence `path`, or one file or folder."""
    made = staging.new / path.name
    members = numbered(made) if many else {1: made}  # Whatever others put beside them stays there.
    flush_all(*members.values())
    with held_back(), _newcomers_reported(path):
        if many:
            new = range(1, len(members) + 1)
            _by_journal(staging, path, new, (lambda: list(numbered(path))) if force else list)
        elif force and path.is_dir():
            _replace_folder(staging, path)
        else:
            (os.replace if force else move)(made, path)
            _flush_folder_of(path)


@contextlib.contextmanager
def _newcomers_reported(path: Path) -> Iterator[None]:
    """Report a file that appeared during the run."""
    try:
        yield
    except FileExistsError as fault:
        if fault.strerror != os.strerror(errno.EEXIST):
            raise  # It has been reported already.
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
        _by_journal(staging, path, [1], lambda: [1] if _is_there(path) else [])
        return
    try:
        zarr_keys.check_array(new)  # The old one: something may have been put into it meanwhile.
        flush(path.parent)
    except BaseException as fault:
        _exchange_back(staging, path, fault)
        raise


def _exchange_back(staging: Staging, path: Path, fault: BaseException) -> None:
    """Exchange the old folder back; if that fails, keep it: with a journal, or with nothing that names it."""
    journal = Journal(path.name, {1: 0}, {1: 0})  # The old one counts as the new one now.
    with contextlib.suppress(OSError):
        staging.begin(journal)
    try:
        exchange(staging.new / path.name, path)
        staging.end()
    except OSError as second:
        if staging.has_journal():
            raise _stuck(staging, journal, second.errno, _named(second)) from fault
        old, then = (
            f"the old folder is {staging.new / path.name} ({_named(second)})",
            "it stays there until you move it",
        )
        try:
            staging.disown()
        except OSError:  # The file system may be read-only by now.
            then = f"move it away before another run writes to {path.parent}, which would remove it"
        raise OutputError(second.errno, f"{path} is the new array, and {old}; {then}") from fault


def _by_journal(staging: Staging, path: Path, new: Collection[int], find_old: Callable[[], list[int]]) -> None:
    """Replace the members that are found by those with the numbers `new`, or roll back."""
    journal = _journal_written(staging, path, new, find_old)
    try:
        for name in journal.names(journal.old):
            move(path.parent / name, staging.old / name)
            if (staging.old / name).is_dir():
                zarr_keys.check_array(staging.old / name)
        _put_in_place(staging, journal)
    except BaseException as fault:
        try:
            for name in journal.names(journal.new):
                if not os.path.lexists(staging.new / name):
                    move(path.parent / name, staging.new / name)
            _put_back(staging, journal)
        except OSError as second:
            raise _stuck(staging, journal, second.errno, _named(second)) from fault
        raise


def _journal_written(staging: Staging, path: Path, new: Collection[int], find_old: Callable[[], list[int]]) -> Journal:
    """Write the journal; while another run has one for the same output, withdraw it and wait."""
    made = _times(path, staging.new, new)
    for _ in _attempts():
        try:
            old = find_old()
            check_surplus(path, new, old)
            journal = Journal(path.name, made, _times(path, path.parent, old))
        except FileNotFoundError:  # Another run has moved it aside.
            continue
        try:
            staging.begin(journal)
            others = [other for other in with_journal_of(path) if other.folder != staging.folder]
            if not others and find_old() == old:  # From here on, others wait.
                return journal
        except BaseException:
            staging.end()
            raise
        staging.end()
    raise FileExistsError(errno.EEXIST, "another run is at work on this output", str(path))


def _attempts() -> Iterator[None]:
    for _ in range(_ATTEMPTS):
        yield
        time.sleep(random.uniform(0.0, _WAIT))


def settle(staging: Staging, journal: Journal) -> str:
    """Finish the commit of a dead run, or roll it back; return which. Raise OutputError if neither is possible.

    It is undone if the new members have been removed since. Either way files are moved only to names that nothing has,
    and only those that the journal knows; only replaced files are removed.
    """
    folder, new, old = staging.folder.parent, journal.names(journal.new), journal.names(journal.old)
    waiting = {name: time for name, time in old.items() if _is_still_at(folder / name, staging.old / name)}
    gone = {name: time for name, time in new.items() if not _is_there(staging.new / name)}
    placed = {name: time for name, time in gone.items() if _is_there(folder / name) and name not in waiting}
    for name, changed in (waiting | placed).items():
        removed = name in waiting and name not in new and not (folder / name).is_dir()
        if not _is_known(folder / name, changed) or (removed and not is_own(folder / name)):
            raise _stuck(staging, journal, errno.EEXIST, f"{name} has been changed since")
    for path in (folder / name if name in waiting else staging.old / name for name in old):
        if path.is_dir():  # Something may have been put into it since.
            zarr_keys.check_array(path)
    lost = [name for name in gone if name not in placed]
    if lost and placed:
        raise _stuck(staging, journal, errno.ENOENT, f"{lost[0]} has been removed since")
    try:
        if lost:
            _put_back(staging, journal)
            return "undone"
        for name in waiting:
            move(folder / name, staging.old / name)
        _put_in_place(staging, journal)
        return "finished"
    except OSError as fault:
        raise _stuck(staging, journal, fault.errno, _named(fault)) from fault


def _is_still_at(path: Path, elsewhere: Path) -> bool:
    """Tell whether a file has not been moved elsewhere yet, or only half, by a second name."""
    return _is_there(path) and (not _is_there(elsewhere) or is_same(elsewhere, path))


def _is_known(path: Path, time: int) -> bool:
    """Tell whether a file was last changed at that time; a folder changes with what is in it."""
    return path.is_dir() or abs(path.lstat().st_mtime_ns - time) <= _SAME_TIME


def _put_in_place(staging: Staging, journal: Journal) -> None:
    for name in journal.names(journal.new):
        if _is_there(staging.new / name):
            move(staging.new / name, staging.folder.parent / name)
    flush(staging.folder.parent)
    staging.end()


def _put_back(staging: Staging, journal: Journal) -> None:
    for name in journal.names(journal.old):
        if _is_there(staging.old / name):
            move(staging.old / name, staging.folder.parent / name)
    with contextlib.suppress(OSError):  # All is as it was, whether or not the disk knows already.
        flush(staging.folder.parent)
    staging.end()


def _times(path: Path, folder: Path, numbers: Iterable[int]) -> dict[int, int]:
    """Return when the members of a sequence, or the one that has the name `path`, were changed last."""
    named = Journal(path.name, dict.fromkeys(numbers, 0), {})
    times = [(folder / name).lstat().st_mtime_ns for name in named.names(named.new)]
    return dict(zip(named.new, times, strict=True))


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _named(fault: OSError) -> str:
    """Return the reason of an error, with the name of the file."""
    return f"{fault.filename2 or fault.filename}: {fault.strerror}"


def _stuck(staging: Staging, journal: Journal, code: int | None, reason: str) -> OutputError:
    return OutputError(
        code,
        f"{journal.name} is only partly in place, and the rest is in {staging.folder} ({reason}); if a file is in the "
        f"way, move it, and run pde-video doctor --clean --folder {staging.folder.parent}; if nothing there is needed, "
        "remove that folder",
    )
