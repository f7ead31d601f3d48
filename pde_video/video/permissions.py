"""Permissions of an output that replaces another: it is as private as that was."""

import contextlib
import os
import stat
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import Path


def folder_mode(old: Iterable[Path]) -> int:
    """Return the mode of the folder in which the successor of old files is made: who can read them may look into it."""
    read = _common(_statuses(old)) & 0o044
    return 0o700 | read | read >> 2


def hand_down(old: Iterable[Path], new: Collection[Path]) -> None:
    """Give new files, and all in new folders, the permissions to read and write that all old files have in common.

    If one of these is of another user, who may have chosen them, none are added. Nothing changes without old files, nor
    on Windows.
    """
    found = _statuses(old)
    if not found or not hasattr(os, "geteuid"):
        return
    common, ours = _common(found), all(facts.st_uid == os.geteuid() for facts in found)
    inside = (Path(place, name) for top in new for place, _, names in os.walk(top) for name in ("", *names))
    for path in chain(filter(os.path.isfile, new), inside):
        facts = path.lstat()
        before = stat.S_IMODE(facts.st_mode)
        of_folder, of_file = common | 0o700 | before & 0o7000, common & 0o666 | 0o400 | before & 0o7111
        mode = of_folder if stat.S_ISDIR(facts.st_mode) else of_file
        mode = mode if ours else mode & before
        if mode != before and not stat.S_ISLNK(facts.st_mode):
            path.chmod(mode)


def _statuses(paths: Iterable[Path]) -> list[os.stat_result]:
    """Return the status of files; of a link that of the file it leads to, if there is one."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):  # A link that leads nowhere; or another run is at work on it.
            found.append(path.stat())
    return found


def _common(found: Iterable[os.stat_result]) -> int:
    """Return the permissions that all have in common: neither set-user-ID nor others of that kind."""
    mode = 0o777
    for facts in found:
        mode &= facts.st_mode
    return mode
