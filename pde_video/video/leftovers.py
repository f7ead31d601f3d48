"""What interrupted runs have left in a folder: sequences partly in place, and hidden folders."""

import contextlib
import errno
import os
import re
from pathlib import Path

from pde_video.errors import InputError, OutputError
from pde_video.video.commit import settle
from pde_video.video.staging import Journal, Staging, beside, with_journal_of

_OF_EARLIER_VERSIONS = re.compile(r"\.pde-video-[0-9a-f]{16}\..+")
_CLEAN = "pde-video doctor --clean --folder"
NOT_OF_A_RUN = "is not known to be of its run"
_NAMED = 20  # Of the files that are removed; a sequence may have any number.


def refuse_unfinished(path: Path) -> None:
    """Raise InputError for a sequence or zarr folder that is only partly in place."""
    for staging in with_journal_of(path):
        raise InputError(
            f"{_which_is(staging, path)} only partly in place (the rest is in {staging.folder.name}): a run is "
            f"committing it, or was killed while it did; wait, or run {_CLEAN} {path.parent}"
        )


def _which_is(staging: Staging, path: Path) -> str:
    """Return whether it is this output that a journal is of, or another one that may share pictures with it."""
    try:
        journal, _ = staging.journal()
    except (OSError, ValueError):
        return f"{path} may be"
    if journal is None or journal.name == path.name:
        return f"{path} is"
    return f"{path} may share pictures with {journal.name}, which is"


def settle_unfinished(path: Path) -> None:
    """Finish or undo what a dead run has begun with a sequence or zarr folder; raise if a run is still at it."""
    for staging in with_journal_of(path):
        with contextlib.suppress(FileNotFoundError):  # Another run was faster.
            _settle(staging)


def check_unfinished(path: Path) -> list[str]:
    """Raise as `settle_unfinished` does, but change nothing; return a line on each thing that it would settle."""
    lines = []
    for staging in with_journal_of(path):
        with contextlib.suppress(FileNotFoundError):  # It has just been settled.
            if (journal := _look_at(staging)) is not None:
                part = f"{journal.name} is only partly in place ({staging.folder.name} holds the rest), since a run was"
                lines.append(f"{part} killed; a run that writes {path.name} will finish or undo that first")
    return lines


def remove_dead(folder: Path) -> None:
    """Remove the hidden folders of dead runs of this user in a folder, but those that have begun a commit.

    Only a folder whose name was made with this user's key is known to be of such a run; others are left to `clean_up`.
    """
    for staging in beside(folder):
        if staging.is_own() and not staging.has_journal():
            with contextlib.suppress(OSError):  # It may be of a run at work. `clean_up` tells of others.
                _settle(staging)


def left_in(folder: Path) -> list[str]:
    """Return a line on each thing that interrupted runs have left in a folder."""
    lines = (_described(staging) for staging in _sorted(folder))
    return [line for line in lines if line is not None] + _of_earlier_versions(folder)


def clean_up(folder: Path) -> tuple[list[str], list[str]]:
    """Finish or undo what dead runs have begun in a folder, remove what else they left, and describe both.

    Returns a line on each thing that was done, and on each that is left, with the reason.
    """
    done, left = [], []
    for staging in _sorted(folder):
        try:
            done += [f"{staging.folder}: {said}" for said in _settle(staging)]
            if strangers := staging.strangers():
                left.append(f"{staging.folder}: it stays, since it holds what {NOT_OF_A_RUN}: {shortened(strangers)}")
        except (FileExistsError, FileNotFoundError):
            pass  # A run is at work, or has ended just now.
        except OSError as fault:
            left.append(_line(staging, fault))
    return done, left + _of_earlier_versions(folder)


def _of_earlier_versions(folder: Path) -> list[str]:
    names = sorted(filter(_OF_EARLIER_VERSIONS.fullmatch, os.listdir(folder)))
    return [f"{folder / name}: of a run of an earlier version; remove it if none is at work" for name in names]


def _settle(staging: Staging) -> list[str]:
    """Finish or undo what a dead run has begun, and remove its folder; return what was done, or raise."""
    try:
        journal, done, what = _journal_of_dead(staging), [], "an unfinished output"
        if journal is not None:
            outcome = settle(staging, journal)
            what = {"finished": "what it replaced", "undone": "what was to replace it"}[outcome]
            done.append(f"{journal.name} was {outcome}")
        if removed := staging.content():
            done.append(f"removed {what}: {shortened(removed)}")
        staging.remove()
    finally:
        staging.lock.give_back()
    return done if done or staging.folder.is_dir() else ["removed; it was empty"]


def shortened(names: list[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _described(staging: Staging) -> str | None:
    """Return a line on what a hidden folder is, and what can be done; None for that of a run at work, or just ended."""
    try:
        journal = _look_at(staging)
    except (FileExistsError, FileNotFoundError):
        return None
    except OSError as fault:
        return _line(staging, fault)
    if journal is None and staging.output is None and staging.strangers():
        return f"{staging.folder}: it holds what {NOT_OF_A_RUN}; check its content, then remove it"
    if journal is None:
        return f"{staging.folder}: an unfinished output; --clean removes it"
    return f"{staging.folder}: {journal.name} is only partly in place; --clean finishes or undoes it"


def _line(staging: Staging, fault: OSError) -> str:
    text = fault.strerror or str(fault)
    return text if str(staging.folder) in text else f"{staging.folder}: {text}"


def _look_at(staging: Staging) -> Journal | None:
    """Do the same as `_journal_of_dead`, but change nothing on disk, and give the lock back."""
    try:
        return _journal_of_dead(staging, create=False)
    finally:
        staging.lock.give_back()


def _journal_of_dead(staging: Staging, create: bool = True) -> Journal | None:
    """Lock a dead run's folder, and return its journal; raise FileExistsError if the run lives."""
    if not staging.is_trusted():
        whose = "is another user's, or others can write to it, so it is left alone"
        raise OutputError(errno.EPERM, f"{staging.folder} {whose}; {_advice(staging)}")
    free = staging.lock.take(create=create)
    if free is None:
        unknown = "this file system has no locks, so it is unknown whether its run is still alive; if it is not:"
        raise OutputError(errno.ENOTSUP, f"{staging.folder}: {unknown} {_advice(staging)}")
    if not free:
        staging.folder.lstat()  # FileNotFoundError if it has just been removed.
        raise FileExistsError(errno.EEXIST, "a run is at work on this output; wait for it", str(staging.folder))
    try:
        journal, ours = staging.journal()
        if journal is not None and not ours:
            planted = "its journal is not sealed by a run of this user on this system, so it is ignored"
            raise OutputError(errno.EPERM, f"{staging.folder}: {planted}; {_advice(staging)}")
        if journal is not None and (astray := staging.astray()):
            not_followed = f"its subfolder {astray}/ is a link or a file, so nothing was done"
            raise OutputError(errno.EPERM, f"{staging.folder}: {not_followed}; {_advice(staging)}")
        staging.find_output(journal)
        return journal
    except ValueError as fault:
        damaged = f"its journal is damaged ({fault}); move its files where they belong, and remove it"
        raise OutputError(errno.EIO, f"{staging.folder}: {damaged}") from fault


def _advice(staging: Staging) -> str:
    """Return what to do by hand with a folder that this program does not settle."""
    if not staging.has_journal():
        return "check its content, then remove it"
    both = "its old/ holds the old output and its new/ the new one, as far as they were moved"
    return f"{both}; complete one of the two in {staging.folder.parent}, then remove the folder"


def _sorted(folder: Path) -> list[Staging]:
    return sorted(beside(folder), key=lambda staging: staging.folder)
