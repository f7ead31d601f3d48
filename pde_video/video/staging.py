"""The hidden folder beside an output in which it is made, with the journal of what is being put in place.

``.pde-video-<16 hex digits>/`` holds ``new/`` (what is written), ``old/`` (what is replaced, moved aside), ``lock``
(locked while the run lives; it says the name of the output) and, where a commit takes several steps, ``journal.json``.
By that name what a run has made is told from anything else in ``new/`` and ``old/``: only the output, the members of
the sequence and the files of the zarr array of that name are ever removed.
"""

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of
from pde_video.access.owners import why_not_ours
from pde_video.errors import OutputError
from pde_video.video import zarr_keys
from pde_video.video.disk import flush, remove_if_empty, write_durably
from pde_video.video.locks import Lock
from pde_video.video.provenance import values_in
from pde_video.video.seal import DIGITS, are_own_digits, own_digits, sealed, unsealed
from pde_video.video.sequences import is_pattern, is_pattern_name, may_share, member_name, number_in

_PREFIX = ".pde-video-"
_NAME = re.compile(re.escape(_PREFIX) + f"[0-9a-f]{{{DIGITS}}}")
_MODE = 0o755  # Nobody else may write there, whatever the umask.
_FORMAT = 1
_LONGEST_NAME = 255
_LONGEST_JOURNAL, _LONGEST_UNSEALED = 2**26, 2**20  # Bytes.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Journal:
    """What a commit in several steps replaces: members of a sequence, or one folder, which counts as number 1.

    Members are given by their numbers, with the time of their last change, by which they are known again.
    """

    name: str  # A pattern, or the name of a folder ending in .zarr.
    new: dict[int, int]
    old: dict[int, int]

    def names(self, members: dict[int, int]) -> dict[str, int]:
        """Return names of members instead of their numbers."""
        pattern = is_pattern_name(self.name)
        return {member_name(Path(self.name), n) if pattern else self.name: time for n, time in members.items()}

    def as_text(self) -> str:
        """Return what `parsed` takes."""
        pairs = {"new": list(self.new.items()), "old": list(self.old.items())}
        return json.dumps({"format": _FORMAT, "name": self.name, **pairs})

    @classmethod
    def parsed(cls, data: bytes) -> "Journal":
        """Return the journal in a file, or raise ValueError."""
        found = values_in(data)
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise ValueError("not a journal of this version")
        name = found.get("name")
        if not isinstance(name, str) or not _may_be_replaced(name):
            raise ValueError(f"{name!r:.80} is neither a sequence nor a .zarr folder")
        return cls(name, _members(found.get("new")), _members(found.get("old")))


def _members(pairs: Any) -> dict[int, int]:
    try:
        members = dict(pairs)
    except TypeError:
        members = {None: None}
    if not all(isinstance(part, int) and part >= 0 for pair in members.items() for part in pair):
        raise ValueError("the numbers of its members are damaged")
    return members


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name == os.path.basename(name) and "\0" not in name


def _may_be_replaced(name: str) -> bool:
    if not _is_name(name):
        return False
    return name.lower().endswith(".zarr") or is_pattern_name(name)


class Staging:
    """A hidden folder in which an output is made."""

    def __init__(self, folder: Path, output: str | None = None) -> None:
        self.folder, self.output = folder, output  # The name of the output, if it is known.
        self.new, self.old = folder / "new", folder / "old"
        self._journal, self._part = folder / "journal.json", folder / "journal.part"
        self.lock = Lock(folder / "lock")

    @classmethod
    def beside(cls, path: Path, mode: int = _MODE) -> "Staging":
        """Make such a folder, with a mode, beside an output, and lock it."""
        for _ in range(_ATTEMPTS):
            staging = cls(path.with_name(hidden_name(own_digits())), path.name)
            try:
                staging.folder.mkdir(mode)
            except FileExistsError:
                continue
            try:
                if staging.lock.take(wait=True) is not False:  # Else it was taken for a dead run's, and removed.
                    staging.lock.write(os.fsencode(path.name))
                    staging.new.mkdir(_MODE)
                    return staging
            except OSError:
                staging.remove()
                raise
        raise OSError(f"{path.parent}: another program keeps removing the hidden folder of the output")

    def is_own(self) -> bool:
        """Tell whether a run of this user has made it, by its name; without a key that is not known."""
        return are_own_digits(self.folder.name.removeprefix(_PREFIX))

    def is_trusted(self) -> bool:
        """Tell whether it is a folder of this user that nobody else can write to."""
        found = self.folder.lstat()
        return stat.S_ISDIR(found.st_mode) and why_not_ours(found) is None

    def has_journal(self) -> bool:
        """Tell whether a commit has begun that has not ended."""
        return os.path.lexists(self._journal)

    def journal(self) -> tuple[Journal | None, bool]:
        """Return the journal, if there is one, and whether a run of this user wrote it in this folder.

        Raise ValueError if it is damaged, OSError if it is unreadable.
        """
        try:
            content = content_of(self._journal, _LONGEST_JOURNAL, follow=False)
            text, ours = unsealed(content, self._context())
        except (FileNotFoundError, NotADirectoryError):
            return None, False
        except PermissionError:
            raise
        except OSError as fault:
            raise OutputError(fault.errno, f"{self._journal}: it cannot be read ({fault.strerror})") from fault
        if not ours and len(text) > _LONGEST_UNSEALED:
            raise ValueError("it is long, and not by a run of this user")
        return Journal.parsed(text), ours

    def _context(self) -> str:
        """Return in which folder a journal is sealed, of which no copy can be made."""
        return f"{self.folder.name} {self.folder.lstat().st_ino}"

    def begin(self, journal: Journal) -> None:
        """Write down, durably, what is about to be moved."""
        text = sealed(journal.as_text(), self._context())
        if len(text) > _LONGEST_JOURNAL:
            raise OutputError(
                errno.EFBIG, f"{journal.name}: too many pictures to be replaced at once; name another output"
            )
        self.old.mkdir(_MODE, exist_ok=True)
        flush(self.new)
        write_durably(self._journal, text.encode("ascii"), self._part)
        flush(self.folder.parent)

    def end(self) -> None:
        """Remove the journal: all is in place, or as it was."""
        self._journal.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Else it is back after a power failure, and what it names is not.
            flush(self.folder)

    def astray(self) -> str | None:
        """Return which of its folders is something else: a link, which is never followed, or a file; None if none."""
        parts = (part for part in (self.new, self.old) if os.path.lexists(part) and not _is_folder(part))
        return next((part.name for part in parts), None)

    def find_output(self, journal: Journal | None) -> None:
        """Look up the name of the output, while the lock is held: in the lock or, if that was lost, in the journal."""
        name = os.fsdecode(self.lock.content(_LONGEST_NAME))
        self.output = name if _is_name(name) else journal.name if journal else None

    def disown(self) -> None:
        """Forget the name of the output, without which neither this run nor a later one removes anything in it."""
        self.output = None
        self.lock.remove()
        flush(self.folder)

    def content(self) -> list[str]:
        """Return the names of the outputs, or members of one, that are in the folder and go with it."""
        return sorted(path.name for path in self._made())

    def strangers(self) -> list[str]:
        """Return what is in the folder after its removal, which is not known to be of its run."""
        paths = [Path(place, name) for place, *names in os.walk(self.folder) for name in chain(*names)]
        parents = {path.parent for path in paths} | {self.lock.path}
        return sorted(str(path.relative_to(self.folder)) for path in paths if path not in parents)

    def remove(self) -> None:
        """Remove the folder with what its run has made, or only let go of it if a commit has begun that has not ended.

        What else is in it stays, and the folder with that.
        """
        if self.has_journal():
            self.lock.give_back()
            return
        for path in self._made():
            if _is_folder(path):
                zarr_keys.remove_array(path)
            else:
                path.unlink()
        if not _is_folder(self._part):
            self._part.unlink(missing_ok=True)
        for part in filter(_is_folder, (self.new, self.old)):
            remove_if_empty(part)
        self.lock.remove()
        remove_if_empty(self.folder)  # Somebody who cleans up may have begun with it, as soon as the lock was free.

    def _made(self) -> Iterator[Path]:
        """Yield what is in the folder and has the name of the output, or of a member of it."""
        if self.output is None:
            return
        is_pattern = is_pattern_name(self.output)
        for part in filter(_is_folder, (self.new, self.old)):
            for path in list(part.iterdir()):
                is_member = is_pattern and number_in(path.name, self.output) is not None
                if _is_folder(path):
                    is_array = path.name == self.output and path.suffix.lower() == ".zarr"
                    if is_array:
                        yield path
                elif is_member or path.name == self.output:
                    yield path


def hidden_name(digits: str = "0" * DIGITS) -> str:
    """Return the name of a hidden folder."""
    return _PREFIX + digits


def beside(folder: Path) -> Iterator[Staging]:
    """Yield the hidden folders of runs, living or dead, in a folder."""
    try:
        names = os.listdir(folder)
    except OSError:  # Reported by whatever uses the folder.
        return
    for name in names:  # Of a sequence there may be very many others.
        if name.startswith(_PREFIX) and _NAME.fullmatch(name) and _is_folder(folder / name):
            yield Staging(folder / name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def with_journal_of(path: Path) -> list[Staging]:
    """Return the hidden folders whose journal may be of this output."""
    if path.suffix.lower() != ".zarr" and not is_pattern(path):
        return []  # Put in place in one step.
    return [staging for staging in beside(path.parent) if _concerns(staging, path)]


def _concerns(staging: Staging, path: Path) -> bool:
    try:
        journal, _ = staging.journal()
    except PermissionError:  # Another user's, whose files are as little readable.
        return False
    except (OSError, ValueError):  # It may be of any output.
        return True
    return journal is not None and may_share(journal.name, path.name)
