"""Finished segments of a run, in a folder beside its output, and notes by which each is verified.

The folder is used only if it belongs to this user, nobody else can write to it, and its notes are sealed by a run of
this user: an archive that was unpacked there cannot have made them. No file is read that is not as the notes say, and
none is removed that this program has not written. What is being written has a name that nobody else can make.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.access.opening import content_of
from pde_video.access.owners import why_not_ours
from pde_video.errors import OutputError
from pde_video.jobs.notes import Notes, Segment, parsed
from pde_video.protocols import Array
from pde_video.video.disk import write_durably
from pde_video.video.leftovers import remove_dead
from pde_video.video.locks import Lock
from pde_video.video.outputs import existing, reported
from pde_video.video.provenance import fingerprint
from pde_video.video.seal import DIGITS, are_own_digits, own_digits, place_of_key, sealed, unsealed, why_no_key
from pde_video.video.source import FileVideo
from pde_video.video.staging import hidden_name

NOTES, CONTEXT = "notes.json", "notes on segments"
_ENDING, _LOCK = ".segments", "lock"
_LONGEST = 2**24  # Bytes of notes: some 100,000 segments.
_SUFFIXES = (".avi", ".npy")


def _read(path: Path) -> FileVideo:
    from pde_video.video.files import read  # Here, so that `doctor` works where PyAV does not.

    return read(path)


def folder_of(target: Path) -> Path:
    """Return where the segments of an output are kept until it is whole."""
    return target.with_name(target.name + _ENDING)


def finished_frames(target: Path) -> int:
    """Return how many frames of an output are in finished segments."""
    notes = _notes_of(target)
    return notes.done if notes else 0


def is_complete(target: Path) -> bool:
    """Tell whether an output is as its run has made it, which was killed before it removed its segments."""
    notes = _notes_of(target)
    return notes is not None and is_that_of(notes, target)


def is_that_of(notes: Notes, target: Path) -> bool:
    """Tell whether an output is the complete one of which notes tell."""
    with reported(target):
        return notes.output is not None and notes.output == fingerprint(target)


def segments_in(folder: Path) -> list[str]:
    """Return a line on each folder of segments in a folder, and what can be done with it; none on those in use."""
    each = (path for path in _folders_in(folder) if os.path.isfile(path / NOTES) or _is_empty(path))
    lines = ((path, _described(path)) for path in each)
    return [f"{path}: {text}" for path, text in lines if text is not None]


def remove_empty(folder: Path) -> list[str]:
    """Remove the folders of dead runs that hold no segments in a folder, and return a line on each."""
    removed = []
    for path in filter(_is_empty, _folders_in(folder)):
        with contextlib.suppress(OSError), _locked(path, create=False) as lock:  # Else it is in use, and stays.
            _remove_parts(path)
            lock.remove()
            path.rmdir()
            removed.append(f"{path}: removed; it held no finished frames")
    return removed


def _folders_in(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(_ENDING)]


def _is_empty(folder: Path) -> bool:
    """Tell whether a folder of this user is as a run leaves it before its first notes, or after they are removed."""
    try:
        _check_ours(folder)
        return all(_may_be_new(folder / name) for name in os.listdir(folder))
    except OSError:
        return False


def _described(folder: Path) -> str | None:
    target = folder.with_name(folder.name.removesuffix(_ENDING))
    try:
        if not os.path.lexists(folder / NOTES):
            with _locked(folder, create=False):
                return "no finished frames of a run that was killed; --clean removes it"
        notes = _looked_up(target)
    except _InUseError:
        return None
    except OSError as fault:
        return fault.strerror or str(fault)
    frames = f"{notes.done} finished frames of a run"
    if not existing(target):
        return f"{frames}; the same command with --resume continues from there"
    try:
        complete = is_that_of(notes, target)
    except OSError as fault:
        return f"{frames}, and it is not known whether its output is complete: {fault.strerror}"
    if complete:
        return f"{frames} whose output is complete; the same command with --resume says so and removes them"
    return (
        f"{frames} that has not written {target.name}, which is there; the same command with --resume continues from "
        "there, and needs --force to replace it"
    )


def _notes_of(target: Path) -> Notes | None:
    try:
        return _looked_up(target)
    except OSError:
        return None


def _looked_up(target: Path) -> Notes:
    """Return the notes on the segments of an output, of which nothing is changed."""
    folder = folder_of(target)
    _check_ours(folder)
    with _locked(folder, create=False):
        return _read_notes(folder)


class Segments:
    """The segments of one run, in a folder that is locked."""

    def __init__(self, folder: Path, notes: Notes, lock: Lock) -> None:
        self.folder, self.notes, self._lock = folder, notes, lock

    def begin(self) -> None:
        """Remove what a run was writing here when it was killed."""
        with reported(self.folder):
            self._remove_unfinished()

    def verify(self) -> str | None:
        """Forget the segments from the first one on that is not as it was written; return a line on that."""
        for index, segment in enumerate(self.notes.segments):
            if fault := self._fault_of(segment):
                with reported(self.folder / segment.name):
                    self._remove(*self.notes.segments[index:])
                self.note(self.notes.before_segment(index))
                return f"{self.folder / segment.name} {fault}: frames from {self.notes.done} on were made again"
        return None

    def write(self, frames: Iterator[Array]) -> Segment:
        """Write one more segment, which is still to be noted."""
        from pde_video.video.files import write_checked  # Here, so that `doctor` works where PyAV does not.
        from pde_video.video.formats import checked_output

        head = next(frames)
        by_ffv1 = head.dtype in (np.uint8, np.uint16) and (head.ndim == 2 or head.shape[2] == 3)
        path = self._next(".avi" if by_ffv1 else ".npy")
        if os.path.lexists(path):
            raise refused(self.folder, f"it holds {path.name!r}, which is not of this run; move it away")

        def note_pending(temporary: Path) -> None:
            with reported(path):
                pending = fingerprint(temporary)
            self.note(replace(self.notes, pending=pending))

        length = write_checked(checked_output(path), chain([head], frames), before_commit=note_pending)
        return Segment(path.name, length, str(self.notes.pending))

    def frames(self) -> Iterator[Array]:
        """Yield the frames of all segments, each of which is verified once more."""
        for segment in self.notes.segments:
            path = self.folder / segment.name
            if fault := self._fault_of(segment):
                raise OutputError(errno.EIO, f"{path} {fault}, after it was verified; run the same command again")
            yield from _read(path)

    def note(self, notes: Notes) -> None:
        """Write down how things are."""
        self.notes, part = notes, self.folder / _part_of_notes(own_digits())
        with reported(self.folder):
            write_durably(self.folder / NOTES, sealed(notes.as_text(), CONTEXT).encode("ascii"), part)

    def remove(self) -> list[str]:
        """Remove what was written here, and then the folder; return a line if it stays."""
        try:
            self._remove_unfinished()
            self._remove(*self.notes.segments)
            self._lock.remove()
            (self.folder / NOTES).unlink()  # Last: they say that the output is complete.
            self.folder.rmdir()
        except FileNotFoundError:
            pass  # The same command, given again just now, has removed them.
        except OSError as fault:
            others = fault.errno in (errno.ENOTEMPTY, errno.EEXIST)
            why = "it holds files that are not of this run" if others else fault.strerror
            return [f"{self.folder} is no longer needed, but stays: {why}"]
        return []

    def _remove_unfinished(self) -> None:
        _remove_parts(self.folder)
        for path in map(self._next, _SUFFIXES):  # Put in place, but not noted as a segment any more.
            if path.is_file() and fingerprint(path) == self.notes.pending:
                path.unlink()

    def _next(self, suffix: str) -> Path:
        return self.folder / f"{len(self.notes.segments):06d}{suffix}"

    def _remove(self, *segments: Segment) -> None:
        for segment in segments:
            (self.folder / segment.name).unlink(missing_ok=True)

    def _fault_of(self, segment: Segment) -> str | None:
        path = self.folder / segment.name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return "is not a file"
            if fingerprint(path) != segment.sha256:
                return "was damaged"
            return None if _read(path).count == segment.frames else "has another number of frames"
        except FileNotFoundError:
            return "is missing"
        except (OSError, ValueError) as fault:
            return f"cannot be read ({_reason(fault)})"


@contextlib.contextmanager
def opened(folder: Path, job: dict[str, Any]) -> Iterator[Segments]:
    """Give the segments of a job; refuse those of another one, those of one at work, and a folder that is not ours."""
    job = json.loads(json.dumps(job))  # As notes return it.
    if why := why_no_key():
        raise OutputError(
            errno.EACCES, f"--resume seals its notes with a key of yours, but {why}, or leave out --resume"
        )
    with reported(folder), contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    _found(folder, job)  # Before anything is put into a folder that may be somebody's.
    with _locked(folder) as lock:
        kept = Segments(folder, _found(folder, job) or Notes(job), lock)
        kept.begin()
        if not kept.notes.segments and not os.path.lexists(folder / NOTES):
            kept.note(kept.notes)
        yield kept


def _found(folder: Path, job: dict[str, Any]) -> Notes | None:
    """Return the notes in a folder of segments; refuse those of another job, and a folder that is not ours."""
    _check_ours(folder)
    if not os.path.lexists(folder / NOTES):
        if others := [name for name in os.listdir(folder) if not _may_be_new(folder / name)]:
            raise refused(folder, f"it holds {min(others)!r}, and is not a folder of segments; move it away")
        return None
    notes = _read_notes(folder)
    names = {"input": "another input", "parameters": "other parameters", "version": "another version"}
    if another := " and ".join(said for name, said in names.items() if notes.job.get(name) != job[name]):
        raise refused(folder, f"its segments are of {another}; give the same command as before, or remove that folder")
    return notes


def _may_be_new(path: Path) -> bool:
    """Tell whether a run of this user may have put it into a folder before the first notes."""
    name = path.name
    lock = name == _LOCK and path.is_file() and not path.lstat().st_size
    hidden = name == hidden_name(name[-DIGITS:]) and are_own_digits(name[-DIGITS:])
    return lock or hidden or _is_part_of_notes(name)


def _part_of_notes(digits: str) -> str:
    return f"{NOTES}.{digits}"


def _is_part_of_notes(name: str) -> bool:
    return name == _part_of_notes(name[-DIGITS:]) and are_own_digits(name[-DIGITS:])


def _remove_parts(folder: Path) -> None:
    """Remove what runs of this user were writing in a folder when they were killed."""
    remove_dead(folder)
    for name in filter(_is_part_of_notes, os.listdir(folder)):
        (folder / name).unlink()


def _check_ours(folder: Path) -> None:
    """Refuse what is not a folder that only this user can write to."""
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise refused(folder, "it is a link, or not a folder; move it away")
    if why := why_not_ours(facts):
        remedy = "name another output, remove it, or if it is yours and you trust what is in it: chmod go-w"
        raise refused(folder, f"it {why}; {remedy}")


@contextlib.contextmanager
def _locked(folder: Path, create: bool = True) -> Iterator[Lock]:
    """Lock a folder of segments; refuse one that another run has locked, or that cannot be locked."""
    lock = Lock(folder / _LOCK)
    with reported(folder):
        free = lock.take(create=create)
    if free is None:
        if create and not os.path.lexists(folder / NOTES):
            with contextlib.suppress(OSError):
                lock.remove()
                folder.rmdir()
        unknown = "this file system does not tell whether another process is using these segments"
        raise refused(folder, f"{unknown}; name an output on one that has locks, or leave out --resume")
    if not free:
        raise _InUseError(errno.EEXIST, "another process is using these segments; wait for it", str(folder))
    try:
        yield lock
    finally:
        lock.give_back()


def _read_notes(folder: Path) -> Notes:
    try:
        text, ours = unsealed(content_of(folder / NOTES, _LONGEST, follow=False), CONTEXT)
        notes = parsed(text) if ours else None
    except (OSError, ValueError) as fault:
        raise refused(folder, f"its {NOTES} cannot be used ({_reason(fault)}); remove that folder") from fault
    if notes is None:
        why = f"its {NOTES} is not sealed with the key of your runs, {place_of_key()}; it may be somebody else's"
        remedy = "if it is yours, continue where it was made, or with its XDG_STATE_HOME; else remove that folder"
        raise refused(folder, f"{why}; {remedy}")
    return notes


def _reason(fault: OSError | ValueError) -> str:
    return (isinstance(fault, OSError) and fault.strerror) or str(fault)


class _InUseError(FileExistsError):
    """Another run is at work on a folder of segments."""


def refused(folder: Path, why: str) -> FileExistsError:
    """Return the error that says why a folder of segments is not used."""
    return FileExistsError(errno.EEXIST, why, str(folder))
