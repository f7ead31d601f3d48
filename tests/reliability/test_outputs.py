"""Outputs that are put in place whole, whatever happens at whichever step, and touch nothing of others."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv
from pde_video.video import disk
from pde_video.video.leftovers import clean, found, refuse_unfinished
from pde_video.video.outputs import check_output, whole
from pde_video.video.staging import Staging

posix = pytest.mark.skipif(os.name == "nt", reason="as POSIX systems do it")
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="a child process is interrupted at every step")
PATTERN = "f_%03d.png"


def content(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, whose hidden folders are left out."""
    paths = (path for path in sorted(folder.rglob("*")) if ".pde-video-" not in str(path))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".pde-video-")]


def make_array(folder: Path, frames: int, value: int, **header) -> None:
    """Make a zarr 3 array by hand, so that this needs no package."""
    folder.mkdir(parents=True)
    facts = {"zarr_format": 3, "node_type": "array", "shape": [frames, 2, 2]}
    encoding = {"name": "default", "configuration": {"separator": "/"}}
    (folder / "zarr.json").write_text(json.dumps({**facts, "chunk_key_encoding": encoding, **header}))
    for frame in range(frames):
        (folder / "c" / str(frame) / "0").mkdir(parents=True)
        (folder / "c" / str(frame) / "0" / "0").write_bytes(bytes([value] * 4))


def make_pictures(folder: Path, frames: int, value: bytes) -> None:
    for number in range(1, frames + 1):
        (folder / f"f_{number:03d}.png").write_bytes(value)


# Each: what there is before, and what `whole` writes: the name, and a function that fills the temporary path.
def no_sequence(folder: Path) -> str:
    return PATTERN


def longer_sequence(folder: Path) -> str:
    make_pictures(folder, 4, b"old")
    return PATTERN


def shorter_sequence(folder: Path) -> str:
    make_pictures(folder, 2, b"old")
    return PATTERN


def no_array(folder: Path) -> str:
    return "v.zarr"


def another_array(folder: Path) -> str:
    make_array(folder / "v.zarr", 2, 10)
    return "v.zarr"


def another_file(folder: Path) -> str:
    (folder / "v.bin").write_bytes(b"old")
    return "v.bin"


def fill(path: Path) -> None:
    if path.suffix == ".bin":
        path.write_bytes(b"new")
    elif path.suffix == ".zarr":
        make_array(path, 1, 200)
    else:  # The folder of a sequence.
        make_pictures(path, 3, b"new")


BEFORE = [no_sequence, longer_sequence, shorter_sequence, no_array, another_array, another_file]
RENAMES = ["renameat2", "links", "plain"]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder in memory where the system has such: hundreds of outputs are written there."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def renames(request, monkeypatch) -> None:
    """Let the system rename as others do."""
    if request.param == "renameat2":
        if disk._renameat2() is None:
            pytest.skip("this system has no renameat2")
        return
    monkeypatch.setattr(disk, "_renameat2", lambda: None)
    if request.param == "plain":
        monkeypatch.setattr(os, "link", raising(PermissionError(errno.EPERM, "no links")))


def raising(fault: BaseException):
    def fail(*arguments, **options):
        raise fault

    return fail


class Killed(BaseException):
    """Raised at every step from a certain one on: nothing changes on disk any more, as if the process were killed."""


class Steps:
    """Counts what changes a disk, and calls `stop` before each step from the chosen one on, or at that one alone."""

    def __init__(self, monkeypatch, chosen: int, stop, once: bool = False) -> None:
        self.done, self._locks = 0, []
        rename, opened = disk._renameat2(), os.open

        def before(function):
            def step(*arguments, **options):
                self.done += 1
                if self.done == chosen or (self.done > chosen and not once):
                    stop()
                return function(*arguments, **options)

            return step

        def noted(path, *arguments, **options):
            descriptor = opened(path, *arguments, **options)
            self._locks += [descriptor] if str(path).endswith("lock") else []
            return descriptor

        for name in ("rename", "replace", "link", "unlink", "mkdir", "rmdir", "fsync"):
            monkeypatch.setattr(os, name, before(getattr(os, name)))
        monkeypatch.setattr(os, "open", noted)
        if rename is not None:
            monkeypatch.setattr(disk, "_renameat2", lambda: before(rename))

    def give_back(self) -> None:
        """Close the locks that a process gives back when it is killed."""
        for descriptor in self._locks:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def killed_at(number: int, write) -> bool:
    """Write until the process is killed, or to the end; tell which."""
    with pytest.MonkeyPatch.context() as patched:
        steps = Steps(patched, number, raising(Killed()))
        try:
            write()
        except Killed:
            steps.give_back()
            return True
    return False


def really_killed_at(number: int, write) -> bool:
    """Do the same with a process of its own."""
    child = os.fork()
    if child == 0:
        Steps(pytest.MonkeyPatch(), number, lambda: os._exit(9))
        write()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def failing_at(number: int, write) -> bool:
    """Write with an error at one step, if there are so many; tell whether one was reported."""
    with pytest.MonkeyPatch.context() as patched:
        Steps(patched, number, raising(OSError(errno.EIO, os.strerror(errno.EIO))), once=True)
        try:
            write()
        except OSError as fault:
            assert isinstance(fault, pv.OutputError) or fault.filename is None  # The latter while it is filled.
            return True
    return False


def written(folder: Path, name: str):
    def write() -> None:
        with whole(folder / name, force=True) as temporary:
            fill(temporary)

    return write


def states(folder: Path, before) -> tuple[str, list[dict]]:
    """Return the name of the output, and what is in the folder before it is written, and after."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    name = before(folder / "a")
    before(folder / "b")
    written(folder / "b", name)()
    return name, [content(folder / "a"), content(folder / "b")]


KILLS = [killed_at, pytest.param(really_killed_at, marks=[pytest.mark.slow, forking])]


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("renames", RENAMES, indirect=True)
@pytest.mark.parametrize("before", BEFORE)
def test_killed_at_any_step_the_old_output_is_there_or_the_new_one_or_it_is_refused(place, before, renames, kill):
    name, allowed = states(place, before)
    for number in itertools.count(1):
        folder = place / str(number)
        folder.mkdir()
        before(folder)
        if not kill(number, written(folder, name)):
            break
        try:
            refuse_unfinished(folder / name)
            assert content(folder) in allowed, number
        except pv.InputError as refused:
            assert "only a part of it is in place" in str(refused)
        check_output(folder / name, force=True)  # As the next run that writes it begins.
        refuse_unfinished(folder / name)
        assert content(folder) in allowed, number
        clean(folder)
        assert hidden(folder) == []
        assert content(folder) in allowed, number
    assert number > 8
    assert content(folder) == allowed[1]
    assert hidden(folder) == []


@pytest.mark.parametrize("renames", RENAMES, indirect=True)
@pytest.mark.parametrize("before", BEFORE)
def test_an_error_at_any_step_leaves_what_was_there(place, before, renames):
    name, allowed = states(place, before)
    for number in itertools.count(1):
        folder = place / str(number)
        folder.mkdir()
        before(folder)
        failed = failing_at(number, written(folder, name))
        refuse_unfinished(folder / name)
        assert content(folder) in allowed, number
        assert hidden(folder) == [] or content(folder) == allowed[1], number
        if not failed:
            break
    assert number > 8
    assert content(folder) == allowed[1]
    assert hidden(folder) == []
