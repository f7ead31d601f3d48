"""Outputs that are put in place whole, whatever happens at whichever step, and touch nothing of others."""

from __future__ import annotations

import contextlib
import errno
import gc
import hmac
import itertools
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv
from pde_video.jobs.run import prepared
from pde_video.video import disk, seal, staging
from pde_video.video.leftovers import clean_up, left_in, refuse_unfinished
from pde_video.video.locks import Lock
from pde_video.video.outputs import check_output, whole
from pde_video.video.own_pictures import with_digest
from pde_video.video.sequences import may_share, member_name, numbered
from pde_video.video.signals import held_back
from pde_video.video.staging import Journal, Staging

posix = pytest.mark.skipif(os.name == "nt", reason="as POSIX systems do it")
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="a child process is interrupted at every step")
PATTERN = "f_%03d.png"
OLD, NEW = (with_digest(b"\xff\xd8" + word * 10) for word in (b"old", b"new"))  # By this program.


def content(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, whose hidden folders are left out."""
    paths = (path for path in sorted(folder.rglob("*")) if ".pde-video-" not in str(path.relative_to(folder)))
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
    make_pictures(folder, 4, OLD)
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
    else:  # The pattern of a sequence.
        make_pictures(path.parent, 3, NEW)


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
        gc.disable()  # Codecs of other tests, which it would close, wait for threads that a child does not have.
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
        except OSError:
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
        with contextlib.suppress(pv.InputError):
            refuse_unfinished(folder / name)
            assert content(folder) in allowed, number
        check_output(folder / name, force=True)  # As the next run that writes it begins.
        refuse_unfinished(folder / name)
        assert content(folder) in allowed, number
        clean_up(folder)
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


def test_a_zarr_group_is_never_replaced(tmp_path):
    make_array(tmp_path / "v.zarr", 2, 10, node_type="group")
    make_array(tmp_path / "v.zarr" / "0", 2, 10)
    before = content(tmp_path)
    with pytest.raises(pv.OutputError, match=r"v\.zarr is a zarr group"):
        check_output(tmp_path / "v.zarr", force=True)
    assert content(tmp_path) == before


FOREIGN = ["thesis.txt", "c/notes.txt", "c/0/0/0.bak", "c/0/0/1/0", "c/01/0/0", "c/0/extra", ".zattrs", "0/zarr.json"]


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_of_the_array_in_its_folder_is_named_and_kept(tmp_path, name):
    make_array(tmp_path / "v.zarr", 2, 10)
    check_output(tmp_path / "v.zarr", force=True)
    foreign = tmp_path / "v.zarr" / name
    if foreign.parent.is_file():
        foreign.parent.unlink()
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_bytes(b"years of work")
    before = content(tmp_path)
    with pytest.raises(pv.OutputError, match="no part of its zarr array") as refused:
        check_output(tmp_path / "v.zarr", force=True)
    assert name.split("/")[0] in str(refused.value)
    assert content(tmp_path) == before


@pytest.mark.parametrize(("name", "why"), [(".DS_Store", "macOS"), (".nfs000000000000abcd00000001", "still open")])
def test_what_systems_put_into_an_array_is_named(tmp_path, name, why):
    make_array(tmp_path / "v.zarr", 2, 10)
    (tmp_path / "v.zarr" / "c" / name).touch()
    with pytest.raises(pv.OutputError, match=rf"{name} \(.*{why}.*\), which is no part of its zarr array"):
        check_output(tmp_path / "v.zarr", force=True)


@pytest.mark.parametrize("renames", RENAMES, indirect=True)
def test_what_is_put_into_the_array_during_the_run_is_kept(tmp_path, renames, monkeypatch):
    make_array(tmp_path / "v.zarr", 2, 10)
    before = {**content(tmp_path), "v.zarr/thesis.txt": b"years of work"}
    writing = whole(tmp_path / "v.zarr", force=True)
    fill(writing.__enter__())
    (tmp_path / "v.zarr" / "thesis.txt").write_bytes(b"years of work")
    with pytest.raises(pv.OutputError, match=r"thesis\.txt"):
        writing.__exit__(None, None, None)
    assert content(tmp_path) == before
    monkeypatch.setattr("pde_video.video.outputs.check_output", lambda path, force: None)  # As if it came later still.
    with pytest.raises(pv.OutputError, match=r"thesis\.txt"):
        written(tmp_path, "v.zarr")()
    assert content(tmp_path) == before
    assert hidden(tmp_path) == []


@pytest.mark.skipif(disk._renameat2() is None, reason="this system exchanges no names")
@pytest.mark.parametrize("fails", ["the exchange", "the journal too", "all"])
def test_an_array_that_cannot_be_exchanged_back_is_kept_with_what_was_put_into_it(tmp_path, monkeypatch, fails):
    make_array(tmp_path / "v.zarr", 2, 10)
    (tmp_path / "v.zarr" / "thesis.txt").write_bytes(b"years of work")
    before, exchanges = content(tmp_path), iter([disk.exchange, raising(OSError(errno.EIO, "EIO", "v.zarr"))])
    with monkeypatch.context() as patched:
        patched.setattr("pde_video.video.outputs.check_output", lambda path, force: None)
        patched.setattr("pde_video.video.commit.exchange", lambda one, other: next(exchanges)(one, other))
        if fails != "the exchange":
            patched.setattr(Staging, "begin", raising(OSError(errno.ENOSPC, "full")))
        if fails == "all":
            patched.setattr(Lock, "remove", raising(OSError(errno.EROFS, "read-only")))
        told = {
            "the exchange": "v.zarr is only partly in place, and the rest is in",
            "the journal too": "the old folder is .*new.v.zarr .*; it stays there until you move it",
            "all": "the old folder is .*new.v.zarr .*; move it away before another run writes to",
        }
        with pytest.raises(pv.OutputError, match=told[fails]):
            written(tmp_path, "v.zarr")()
    kept = tmp_path / hidden(tmp_path)[0] / "new"
    assert content(kept) == before
    if fails == "all":
        return
    pv.write(tmp_path / "other.npy", np.zeros((1, 2, 2), np.uint8))  # The next run in this folder.
    (tmp_path / "other.npy").unlink()
    assert content(kept) == before
    if fails == "the exchange":
        assert "v.zarr was finished" in clean_up(tmp_path)[0][0]
        assert content(tmp_path) == before
        assert hidden(tmp_path) == []
    else:
        assert "check its content, then remove it" in left_in(tmp_path)[0]
        done, left = clean_up(tmp_path)
        assert done == []
        assert "new/v.zarr/thesis.txt" in left[0]
        assert content(kept) == before


def test_a_link_in_place_of_a_chunk_is_not_of_the_array(tmp_path):
    make_array(tmp_path / "v.zarr", 2, 10)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "v.zarr" / "c" / "2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(pv.OutputError, match=r"holds c.2, which is no part"):
        check_output(tmp_path / "v.zarr", force=True)


@pytest.mark.parametrize(
    ("encoding", "chunk"),
    [
        ({"name": "default", "configuration": {"separator": "/"}}, "c/1/0/0"),
        ({"name": "default", "configuration": {"separator": "."}}, "c.1.0.0"),
        ({"name": "v2", "configuration": {"separator": "."}}, "1.0.0"),
        ({"name": "v2", "configuration": {"separator": "/"}}, "1/0/0"),
        ({"name": "v2"}, "1.0.0"),
        ({"name": "default"}, "c/1/0/0"),
        ("default", "c/1/0/0"),
    ],
)
def test_chunks_under_every_kind_of_key_are_of_the_array(tmp_path, encoding, chunk):
    make_array(tmp_path / "v.zarr", 0, 10, chunk_key_encoding=encoding)
    path = tmp_path / "v.zarr" / chunk
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    check_output(tmp_path / "v.zarr", force=True)
    path.rename(path.with_name("d.1.0.0"))
    with pytest.raises(pv.OutputError, match=r"d\.1\.0\.0"):
        check_output(tmp_path / "v.zarr", force=True)


HEADERS = ['{"node_type": "array"}', "[]", "no JSON", "[" * 10**6, '{"node_type": "array", "shape": 3}']
HEADERS += [
    json.dumps({"node_type": "array", "shape": [1], "chunk_key_encoding": {"name": kind}}) for kind in ("x", [])
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_folder_whose_header_does_not_tell_its_chunks_is_not_replaced(tmp_path, header):
    (tmp_path / "v.zarr").mkdir()
    (tmp_path / "v.zarr" / "zarr.json").write_text(header)
    with pytest.raises(pv.OutputError, match=r"v\.zarr is a (folder that holds no zarr array|zarr array whose)"):
        check_output(tmp_path / "v.zarr", force=True)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["a link to an array", "a file", "a link that leads nowhere"])
def test_what_is_no_folder_is_not_replaced_by_an_array(tmp_path, kind, force):
    path = tmp_path / "v.zarr"
    if kind == "a link to an array":
        make_array(tmp_path / "other.zarr", 2, 10)
        path.symlink_to(tmp_path / "other.zarr")
    elif kind == "a file":
        path.write_bytes(b"mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    before = content(tmp_path)
    with pytest.raises(pv.OutputError, match="is not a folder, as a zarr array is"):
        check_output(path, force)
    assert content(tmp_path) == before


@posix
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["v.npy", "f_%03d.png"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "link to a device"])
def test_pipes_sockets_and_devices_are_never_replaced(tmp_path, monkeypatch, kind, name, force):
    monkeypatch.chdir(tmp_path)  # Names of sockets are short.
    path = Path(name.replace("%03d", "002"))
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            server.bind(str(path))
        else:
            path.symlink_to("/dev/null")
        mode = path.lstat().st_mode
        with pytest.raises(pv.OutputError, match="is a named pipe, a socket or a device"):
            pv.write(name, np.zeros((3, 2, 2), np.uint8), force=force)
    assert path.lstat().st_mode == mode
    assert os.listdir() == [str(path)]


@pytest.mark.parametrize("name", ["x" * 252 + ".npy", "x" * 250 + "_%03d.png", "x" * 251 + ".zarr"])
def test_names_that_are_too_long_are_refused_before_any_work(tmp_path, name):
    def frames():
        raise AssertionError("it has begun")
        yield

    with pytest.raises(pv.OutputError, match="File name too long; name another output"):
        pv.write(tmp_path / name, frames())
    with pytest.raises(pv.OutputError, match="File name too long; name another output"):
        pv.run(tmp_path / "in.avi", tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("renames", RENAMES, indirect=True)
@pytest.mark.parametrize("name", ["v.npy", "v.avi", PATTERN])
def test_an_output_that_another_program_creates_during_the_run_is_kept(tmp_path, name, renames, monkeypatch):
    theirs = tmp_path / name.replace("%03d", "002")

    def frames(then):
        yield from np.zeros((3, 2, 2), np.uint8)
        then()

    def created():
        theirs.write_bytes(b"theirs")

    with pytest.raises(FileExistsError, match=f"--force.*{theirs.name}"):
        pv.write(tmp_path / name, frames(created))
    assert content(tmp_path) == {theirs.name: b"theirs"}
    theirs.unlink()
    # The same after the last look at the folder.
    monkeypatch.setattr("pde_video.video.outputs.check_output", lambda path, force: created())
    with pytest.raises(FileExistsError, match=f"another program created it during the run.*{theirs.name}"):
        pv.write(tmp_path / name, frames(lambda: None))
    assert content(tmp_path) == {theirs.name: b"theirs"}
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("before", [no_array, no_sequence, another_file, another_array])
def test_everything_is_flushed_before_it_is_put_in_place_and_the_folder_after(tmp_path, monkeypatch, before):
    flushed, name = [], before(tmp_path)
    monkeypatch.setattr(disk, "_renameat2", lambda: None)  # So that an array is replaced with a journal.
    for module in ("disk", "commit", "staging"):
        monkeypatch.setattr(f"pde_video.video.{module}.flush", flushed.append)

    def noted(rename):
        def step(source, target):
            rename(source, target)
            flushed.append(Path(target))

        return step

    monkeypatch.setattr("pde_video.video.commit.move", noted(disk.move))
    monkeypatch.setattr(os, "replace", noted(os.replace))
    with whole(tmp_path / name, force=before in (another_file, another_array)) as temporary:
        fill(temporary)
        made = set(temporary.parent.rglob("*"))
    placed = flushed.index(tmp_path / name.replace("%03d", "001"))
    assert made <= set(flushed[:placed])
    assert [path for path in flushed if ".pde-video-" not in path.name][-1] == tmp_path
    if before in (no_sequence, another_array):  # So that what a journal tells is true, and it is there first.
        hidden = temporary.parent.parent
        journal = flushed.index(hidden / "journal.json")
        assert temporary.parent in flushed[:journal]
        assert flushed[journal + 1 : journal + 3] == [hidden, tmp_path]


@posix
@pytest.mark.parametrize("supported", [False, True])
def test_where_flushing_leaves_the_cache_of_the_drive_that_is_flushed_too(tmp_path, monkeypatch, supported):
    import fcntl

    calls = []

    def control(descriptor, command):
        calls.append(command)
        if not supported:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    disk.flush(tmp_path)
    assert calls == ([51] if supported else [51, "fsync"])


def test_files_are_opened_such_that_the_system_flushes_them(tmp_path, monkeypatch):
    opened, flags = os.open, []
    (tmp_path / "f").touch()
    monkeypatch.setattr(os, "open", lambda path, flag: flags.append(flag) or opened(path, flag))
    monkeypatch.setattr("sys.platform", "win32")
    disk.flush(tmp_path / "f")
    assert flags == [os.O_RDWR]


@posix
@pytest.mark.parametrize("name", [PATTERN, "v.npy"])
def test_signals_wait_for_the_end_of_a_commit(tmp_path, monkeypatch, name):
    arrived = []
    rename, put_in_place = disk._rename, os.replace

    def interrupted(function):
        def step(*arguments):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGALRM)
            assert not arrived
            return function(*arguments)

        return step

    monkeypatch.setattr(disk, "_rename", interrupted(rename))
    monkeypatch.setattr(os, "replace", interrupted(put_in_place))
    before = signal.signal(signal.SIGALRM, lambda number, frame: arrived.append(number))
    on_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)  # A run of a command leaves its own.
    try:
        with pytest.raises(KeyboardInterrupt):
            pv.write(tmp_path / name, np.zeros((3, 2, 2), np.uint8))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, on_interrupt)
    assert len(list(pv.read(tmp_path / name))) == 3
    assert hidden(tmp_path) == []


@posix
def test_a_held_signal_is_not_dropped_when_the_handler_of_another_raises():
    arrived = []

    def both():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, lambda number, frame: arrived.append(number))
    on_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            both()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, on_interrupt)
    assert arrived == [signal.SIGALRM]


def test_the_removal_of_a_journal_is_flushed_before_what_was_replaced_is_removed(tmp_path, monkeypatch):
    make_pictures(tmp_path, 4, OLD)
    states, flush = [], staging.flush

    def noted(path: Path) -> None:
        flush(path)
        if path.name.startswith(".pde-video-"):
            states.append(((path / "journal.json").exists(), len(list((path / "old").iterdir()))))

    for module in (disk, staging):
        monkeypatch.setattr(module, "flush", noted)
    written(tmp_path, PATTERN)()
    assert states == [(True, 0), (False, 4)]


def test_a_journal_that_would_be_too_long_to_be_read_is_not_begun(tmp_path, monkeypatch):
    make_pictures(tmp_path, 4, OLD)
    before = content(tmp_path)
    monkeypatch.setattr(staging, "_LONGEST_JOURNAL", 50)
    with pytest.raises(pv.OutputError, match="too many pictures to be replaced at once; name another output"):
        written(tmp_path, PATTERN)()
    assert content(tmp_path) == before
    assert hidden(tmp_path) == []


def test_signals_are_no_concern_of_other_threads(tmp_path):
    faults = []

    def write():
        try:
            pv.write(tmp_path / "v.npy", np.zeros((3, 2, 2), np.uint8))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert faults == []


def unfinished(folder: Path, moves: int) -> Path:
    """Leave a sequence of 4 pictures, half replaced by one of 3, and return the hidden folder."""
    make_pictures(folder, 4, OLD)
    left = iter(range(moves))

    def dying(source: Path, target: Path) -> None:
        if next(left, None) is None:
            raise Killed
        disk.move(source, target)

    write = written(folder, PATTERN)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pde_video.video.commit.move", dying)
        with pytest.raises(Killed):
            write()
    (name,) = hidden(folder)
    return folder / name


ASIDE, PLACING = 2, 5  # Moves after which old members are still moved aside, and new ones put in place.


@pytest.mark.parametrize("step", [ASIDE, PLACING])
@pytest.mark.parametrize("name", [PATTERN, "f_%d.png", "f_0%02d.png", "f_00%d.png"])
def test_a_sequence_half_in_place_is_not_read_under_any_pattern(tmp_path, step, name):
    unfinished(tmp_path, step)
    before = content(tmp_path)
    assert 0 < len(before) < 4
    with pytest.raises(pv.InputError, match=r"only partly in place .* pde-video doctor --clean --folder"):
        pv.read(tmp_path / name)
    assert content(tmp_path) == before


def test_of_a_sequence_half_in_place_that_may_share_pictures_its_own_name_is_told(tmp_path):
    unfinished(tmp_path, PLACING)
    with pytest.raises(pv.InputError, match=rf"f_00%d\.png may share pictures with {PATTERN}, which is only partly"):
        pv.read(tmp_path / "f_00%d.png")
    with pytest.raises(pv.InputError, match=rf"{PATTERN} is only partly"):
        pv.read(tmp_path / PATTERN)


def test_sequences_that_may_share_a_picture_are_known():
    parts = itertools.product(("f_", "f_0", "f_1", "f_1_", "g_"), ("%d", "%02d"), (".png", "0.png", "1.png", "_1.png"))
    members = {"".join(part): {member_name(Path("".join(part)), n) for n in range(120)} for part in parts}
    shared = {pair for pair in itertools.product(members, members) if members[pair[0]] & members[pair[1]]}
    assert ("f_%d_1.png", "f_1_%d.png") in shared
    assert [pair for pair in shared if not may_share(*pair)] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cam1%04d.png", "cam2%04d.png"),
        ("2024%04d.png", "2025%04d.png"),
        ("take1%d.png", "take2%d.png"),
        ("f_%d1.png", "f_%d2.png"),
        ("f_%d.png", "f_a%d.png"),
        ("f_%d.png", "f_%da.png"),
        ("f_%d.png", "f_%d.jpg"),
    ],
)
def test_a_sequence_beside_one_half_in_place_that_shares_no_name_is_read_and_written(tmp_path, one, other):
    for first, second in ((one, other), (other, one)):
        folder = tmp_path / first
        folder.mkdir()
        staging = Staging.beside(folder / first)
        staging.begin(Journal(first, {1: 0}, {1: 0}))
        staging.lock.give_back()
        for frames in (3, 4):
            pv.write(folder / second, np.zeros((frames, 2, 2), np.uint8), force=True)
            assert len(list(pv.read(folder / second))) == frames
        with pytest.raises(pv.InputError, match="only partly in place"):
            pv.read(folder / first)


def test_a_folder_half_in_place_is_not_called_missing(place, monkeypatch):
    monkeypatch.setattr(disk, "_renameat2", lambda: None)
    for number in range(1, 40):
        make_array(place / str(number) / "v.zarr", 2, 10)
        killed_at(number, written(place / str(number), "v.zarr"))
    (missing, *_) = [folder for folder in place.iterdir() if not (folder / "v.zarr").exists()]
    with pytest.raises(pv.InputError, match="only partly in place"):
        pv.read(missing / "v.zarr")


def test_what_is_put_into_an_array_after_its_run_was_killed_is_kept(place, monkeypatch):
    monkeypatch.setattr(disk, "_renameat2", lambda: None)
    for number in range(1, 40):
        folder = place / str(number)
        make_array(folder / "v.zarr", 2, 10)
        killed_at(number, written(folder, "v.zarr"))
        arrays = [path for path in folder.rglob("v.zarr") if path.parent.name != "new"]
        for array in arrays:
            (array / "thesis.txt").write_bytes(b"years of work")
        with contextlib.suppress(pv.OutputError):
            check_output(folder / "v.zarr", force=True)
        assert len(list(folder.rglob("thesis.txt"))) == len(arrays), number


def test_sequences_beside_one_half_in_place_are_read_and_written(tmp_path):
    unfinished(tmp_path, PLACING)
    for name in ("g_%03d.png", "f_%03d.jpg", "ff_%03d.png"):
        pv.write(tmp_path / name, np.zeros((3, 2, 2), np.uint8))
        assert len(list(pv.read(tmp_path / name))) == 3
    assert len(hidden(tmp_path)) == 1


@pytest.mark.parametrize("step", [ASIDE, PLACING])
def test_the_next_run_on_a_sequence_half_in_place_settles_it_first(tmp_path, step):
    unfinished(tmp_path, step)
    with pytest.raises(FileExistsError, match="--force"):
        pv.write(tmp_path / PATTERN, np.zeros((2, 2, 2), np.uint8))
    assert hidden(tmp_path) == []
    assert set(content(tmp_path).values()) == {NEW}
    pv.write(tmp_path / PATTERN, np.zeros((2, 2, 2), np.uint8), force=True)
    assert len(list(pv.read(tmp_path / PATTERN))) == 2


LOOKS = ["heat in.npy f_%03d.png --force --dry-run", "info f_%03d.png", "verify f_%03d.png"]


@pytest.mark.parametrize("command", LOOKS)
@pytest.mark.parametrize("step", [ASIDE, PLACING])
def test_what_only_looks_settles_nothing(tmp_path, monkeypatch, call, step, command):
    folder = unfinished(tmp_path, step)
    (folder / "lock").unlink()  # As after a power failure.
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 9), np.uint8))
    monkeypatch.chdir(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, _, said = call(*command.split())
    assert "only" in said
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    if "--dry-run" in command:
        assert code == 0
        assert f"f_%03d.png is only partly in place ({folder.name} holds the rest)" in said
    else:
        assert code == 4


@posix
def test_a_dry_run_refuses_what_a_run_would_not_settle(tmp_path):
    folder = unfinished(tmp_path, PLACING)
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 9), np.uint8))
    plan = partial(prepared, tmp_path / "in.npy", tmp_path / PATTERN, force=True, settle=False)
    other = Staging(folder)
    assert other.lock.take()
    with pytest.raises(FileExistsError, match="a run is at work on this output"):
        plan()
    other.lock.give_back()
    (folder / "journal.json").write_text("{}")
    with pytest.raises(pv.OutputError, match="its journal is damaged"):
        plan()


def test_what_is_removed_with_what_was_undone_is_named(tmp_path):
    folder = unfinished(tmp_path, PLACING + 1)
    for number in (1, 2):
        (tmp_path / f"f_{number:03d}.png").unlink()
    done, left = clean_up(tmp_path)
    said = [f"{PATTERN} was undone", "removed what was to replace it: f_003.png"]
    assert done == [f"{folder}: {line}" for line in said]
    assert left == []


def test_of_many_files_that_are_removed_some_are_named_and_the_rest_counted(tmp_path):
    staging = Staging.beside(tmp_path / PATTERN)
    for number in range(1, 31):
        (staging.new / f"f_{number:03d}.png").touch()
    staging.lock.give_back()
    (line,) = clean_up(tmp_path)[0]
    assert "f_020.png and 10 more" in line
    assert "f_021.png" not in line


@pytest.mark.parametrize("step", [ASIDE, PLACING])
def test_a_file_in_the_way_of_what_is_half_in_place_is_kept(tmp_path, step):
    folder = unfinished(tmp_path, step)
    theirs = tmp_path / ("f_001.png" if step == ASIDE else "f_003.png")
    theirs.write_bytes(b"theirs")
    with pytest.raises(pv.OutputError, match=f"only partly in place.*{theirs.name}.*move it"):
        pv.write(tmp_path / PATTERN, np.zeros((2, 2, 2), np.uint8), force=True)
    assert theirs.read_bytes() == b"theirs"
    kept = theirs.rename(tmp_path / "theirs.bin")
    assert clean_up(tmp_path)[0][0].endswith(f"{PATTERN} was finished")
    kept.unlink()
    assert set(content(tmp_path).values()) == {NEW}
    assert not folder.exists()


def test_a_picture_that_was_changed_since_and_kept_its_time_is_not_removed(tmp_path):
    unfinished(tmp_path, ASIDE)
    surplus = tmp_path / "f_004.png"
    time = surplus.stat().st_mtime_ns
    surplus.write_bytes(surplus.read_bytes() + b"a note")
    os.utime(surplus, ns=(time, time))
    before = content(tmp_path)
    with pytest.raises(pv.OutputError, match=r"f_004\.png has been changed since"):
        pv.write(tmp_path / PATTERN, np.zeros((2, 2, 2), np.uint8), force=True)
    assert clean_up(tmp_path)[0] == []
    assert content(tmp_path) == before


@pytest.mark.parametrize(("step", "number"), [(ASIDE, 3), (PLACING, 1)])
def test_members_that_were_changed_since_are_not_mixed_with_others(tmp_path, step, number):
    unfinished(tmp_path, step)
    changed = tmp_path / f"f_{number:03d}.png"
    changed.write_bytes(b"theirs")
    os.utime(changed, (0, 0))
    before = content(tmp_path)
    with pytest.raises(pv.OutputError, match=f"{changed.name} has been changed since"):
        check_output(tmp_path / PATTERN, force=True)
    assert content(tmp_path) == before


def test_members_that_were_removed_since_are_not_passed_over(tmp_path):
    unfinished(tmp_path, PLACING + 1)
    (tmp_path / "f_001.png").unlink()
    with pytest.raises(pv.OutputError, match=r"f_001\.png has been removed since"):
        check_output(tmp_path / PATTERN, force=True)
    (tmp_path / "f_002.png").unlink()  # Of the new sequence nothing is left in place.
    check_output(tmp_path / PATTERN, force=True)
    assert content(tmp_path) == {f"f_{number:03d}.png": OLD for number in range(1, 5)}


JOURNALS = {
    "no JSON": b"{",
    "deep": b"[" * 10**6,
    "other version": b'{"format": 2}',
    "a path": b'{"format": 1, "name": "../f_%03d.png", "new": [[1, 0]], "old": []}',
    "no sequence": b'{"format": 1, "name": "thesis.txt", "new": [[1, 0]], "old": [[1, 0]]}',
    "huge width": b'{"format": 1, "name": "f_%0999999999d.png", "new": [[1, 0]], "old": []}',
    "a count": b'{"format": 1, "name": "f_%03d.png", "new": 3, "old": []}',
    "no numbers": b'{"format": 1, "name": "f_%03d.png", "new": [["../x", 0]], "old": []}',
    "no times": b'{"format": 1, "name": "f_%03d.png", "new": [[1, "x"]], "old": []}',
    "a seal of other bytes": b'{"format": 1, "name": "f_%03d.png", "new": [], "old": []}\n\xff\xfe',
    "no pairs": b'{"format": 1, "name": "f_%03d.png", "new": [1], "old": []}',
}


@pytest.mark.parametrize("journal", JOURNALS.values(), ids=JOURNALS)
def test_a_damaged_journal_is_not_followed_and_nothing_beside_it_is_read(tmp_path, journal):
    folder = unfinished(tmp_path, PLACING)
    (folder / "journal.json").write_bytes(journal)
    before = content(tmp_path)
    with pytest.raises(pv.InputError, match="only partly in place"):
        pv.read(tmp_path / PATTERN)
    planted = journal == JOURNALS["a seal of other bytes"]
    told = f"its journal is {'not sealed by a run of this user' if planted else 'damaged'}"
    with pytest.raises(pv.OutputError, match=told):
        check_output(tmp_path / PATTERN, force=True)
    assert clean_up(tmp_path)[0] == []
    assert told in left_in(tmp_path)[0]
    assert content(tmp_path) == before
    assert (folder / "old").is_dir()


@posix
@pytest.mark.parametrize("kind", ["writable by its group", "writable by others", "a link", "another user's"])
def test_a_journal_that_others_may_have_written_is_not_followed(tmp_path, monkeypatch, kind):
    (tmp_path / "x").mkdir()
    folder = unfinished(tmp_path / "x", PLACING)
    if kind.startswith("writable"):
        folder.chmod(0o775 if kind == "writable by its group" else 0o757)
    elif kind == "a link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: folder.lstat().st_uid + 1)
    before = content(tmp_path / "x")
    if kind == "a link":  # Not looked at.
        assert left_in(tmp_path / "x") == []
    else:
        with pytest.raises(pv.OutputError, match="others can write to it"):
            check_output(tmp_path / "x" / PATTERN, force=True)
        assert "others can write to it" in left_in(tmp_path / "x")[0]
    assert clean_up(tmp_path / "x")[0] == []
    assert content(tmp_path / "x") == before


@posix
@pytest.mark.parametrize("kind", ["writable by its group", "without locks"])
def test_members_that_are_only_in_a_hidden_folder_are_not_advised_to_be_removed(tmp_path, monkeypatch, kind):
    folder = unfinished(tmp_path, PLACING)
    if kind == "without locks":
        monkeypatch.setattr(Lock, "take", lambda self, **options: None)
    else:
        folder.chmod(0o775)
    with pytest.raises(pv.OutputError, match=r"old/ holds .* new/ .* complete one of the two"):
        check_output(tmp_path / PATTERN, force=True)
    (folder / "journal.json").unlink()
    assert "check its content, then remove it" in left_in(tmp_path)[0]


@posix
def test_a_named_pipe_in_place_of_a_journal_does_not_hang(tmp_path):
    folder = tmp_path / ".pde-video-0123456789abcdef"
    folder.mkdir()
    os.mkfifo(folder / "journal.json")
    with pytest.raises(pv.InputError, match="only partly in place"):
        pv.read(tmp_path / PATTERN)


@posix
def test_the_folder_of_a_run_at_work_is_left_alone(tmp_path):
    with whole(tmp_path / "v.bin", force=False) as temporary:
        temporary.write_bytes(b"new")
        assert clean_up(tmp_path)[0] == []
        assert left_in(tmp_path) == []
        assert temporary.read_bytes() == b"new"
    assert content(tmp_path) == {"v.bin": b"new"}


@posix
def test_a_run_that_is_putting_a_sequence_in_place_is_waited_for(tmp_path, monkeypatch):
    seen = []
    rename = disk._rename

    def looked(source, target, flag):
        for look in (lambda: pv.read(tmp_path / PATTERN), lambda: check_output(tmp_path / PATTERN, force=True)):
            with pytest.raises((pv.InputError, FileExistsError)) as refused:
                look()
            seen.append(str(refused.value))
        return rename(source, target, flag)

    monkeypatch.setattr(disk, "_rename", looked)
    written(tmp_path, PATTERN)()
    assert len(seen) == 6
    assert "a run is committing it, or was killed while it did" in seen[0]
    assert "a run is at work on this output" in seen[1]


@pytest.mark.parametrize("ends", [False, True])
def test_two_runs_do_not_put_the_same_sequence_in_place_at_once(tmp_path, monkeypatch, ends):
    make_pictures(tmp_path, 4, OLD)
    before = content(tmp_path)
    other = Staging.beside(tmp_path / PATTERN)
    other.begin(Journal("f_%d.png", {1: 0}, {}))
    # As if the other had begun after the last look, and ended while this one waits.
    monkeypatch.setattr("pde_video.video.outputs.check_output", lambda path, force: None)
    monkeypatch.setattr("pde_video.video.commit._WAIT", 0.0)
    monkeypatch.setattr("time.sleep", lambda seconds: other.end() if ends else None)
    if ends:
        written(tmp_path, PATTERN)()
        assert set(content(tmp_path).values()) == {NEW}
    else:
        with pytest.raises(FileExistsError, match="at work on this output"):
            written(tmp_path, PATTERN)()
        assert content(tmp_path) == before
    other.end()
    other.remove()
    assert hidden(tmp_path) == []


def test_the_folder_that_an_output_is_made_in_is_closed_to_others(tmp_path):
    before = os.umask(0)
    try:
        with whole(tmp_path / "v.bin", force=False) as temporary:
            assert Staging(tmp_path / hidden(tmp_path)[0]).is_trusted()
            temporary.write_bytes(b"")
    finally:
        os.umask(before)
    assert (tmp_path / "v.bin").stat().st_mode & 0o777 == 0o666


REPLACED = {"v.npy": ["v.npy"], PATTERN: ["f_001.png", "f_002.png"], "v.zarr": ["v.zarr"]}


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
@pytest.mark.parametrize("name", REPLACED)
def test_what_replaces_an_output_has_its_permissions(tmp_path, name, mode):
    """A third picture has the permissions of the others, and what is in a folder those of the folder."""
    of_folder = 0o700 | mode | (mode & 0o444) >> 2  # Who can read it may enter it.
    before = os.umask(0o022)
    try:
        with whole(tmp_path / name, force=False) as temporary:
            make(temporary, 2)
        for old in map(tmp_path.joinpath, REPLACED[name]):
            assert old.stat().st_mode & 0o7777 == (0o755 if old.is_dir() else 0o644)
            old.chmod((of_folder if old.is_dir() else mode) | 0o6000)  # Set-user-ID and the like are not kept.
        with whole(tmp_path / name, force=True) as temporary:
            assert Path(tmp_path, hidden(tmp_path)[0]).stat().st_mode & 0o7777 == of_folder & 0o755
            make(temporary, 3)
    finally:
        os.umask(before)
    paths = list(tmp_path.rglob("*"))
    assert len(paths) == {"v.npy": 1, PATTERN: 3}.get(name, 12)
    for path in paths:
        of_file = of_folder & 0o666 if name == "v.zarr" else mode
        assert path.stat().st_mode & 0o7777 == (of_folder if path.is_dir() else of_file)


def make(temporary: Path, frames: int) -> None:
    """Write what `whole` is to put in place."""
    if temporary.name == PATTERN:
        make_pictures(temporary.parent, frames, NEW)
    elif temporary.suffix == ".zarr":
        make_array(temporary, frames, 2)
    else:
        temporary.write_bytes(b"new")


@posix
@pytest.mark.parametrize(("old", "umask", "new"), [(0o600, 0o022, 0o600), (0o666, 0o022, 0o644), (0o644, 0o077, 0o600)])
def test_permissions_that_another_user_chose_are_only_taken_away(tmp_path, monkeypatch, old, umask, new):
    (tmp_path / "v.bin").write_bytes(b"old")
    (tmp_path / "v.bin").chmod(old)
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "v.bin").stat().st_uid + 1)
    before = os.umask(umask)
    try:
        with whole(tmp_path / "v.bin", force=True) as temporary:
            temporary.write_bytes(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "v.bin").stat().st_mode & 0o7777 == new


@posix
def test_a_link_is_replaced_by_a_file_with_the_permissions_of_what_it_leads_to_and_without_further_bits(tmp_path):
    for number, name in enumerate(("private", "nothing")):
        (tmp_path / f"{number}.bin").symlink_to(tmp_path / name)
    (tmp_path / "private").write_bytes(b"of somebody")
    (tmp_path / "private").chmod(0o4700)
    for number, mode in enumerate((0o600, 0o644)):
        with whole(tmp_path / f"{number}.bin", force=True) as temporary:
            temporary.write_bytes(b"new")
            temporary.chmod(0o644)
        assert (tmp_path / f"{number}.bin").lstat().st_mode & 0o7777 == mode
    assert (tmp_path / "private").stat().st_mode & 0o7777 == 0o4700


def test_a_journal_that_was_unpacked_with_its_folder_is_not_followed(tmp_path):
    """A folder of this user may still be by somebody else: out of an archive, for one."""
    make_pictures(tmp_path, 3, b"years of work")
    planted = Staging(tmp_path / ".pde-video-0123456789abcdef")
    (planted.folder / "new").mkdir(parents=True)
    (planted.folder / "new" / "f_001.png").write_bytes(b"theirs")
    old = {number: path.stat().st_mtime_ns for number, path in numbered(tmp_path / PATTERN).items()}
    journal = Journal(PATTERN, {1: 0}, old)
    planted.begin(journal)
    before = content(tmp_path)
    elsewhere = planted.folder.with_name("copied")
    shutil.copytree(planted.folder, elsewhere)
    shutil.rmtree(planted.folder)
    elsewhere.rename(planted.folder)  # With the seal of a run of this user, in a folder that is another.
    for force in (False, True):
        with pytest.raises(pv.OutputError, match=r"not sealed by a run of this user.*old/ holds"):
            check_output(tmp_path / PATTERN, force)
    assert clean_up(tmp_path)[0] == []
    (planted.folder / "journal.json").write_text(journal.as_text())
    with pytest.raises(pv.OutputError, match="not sealed by a run of this user"):
        check_output(tmp_path / PATTERN, force=True)
    assert content(tmp_path) == before


def test_of_a_journal_what_is_checked_is_what_is_followed(tmp_path, monkeypatch):
    folder = unfinished(tmp_path, PLACING)
    sealed = (folder / "journal.json").read_bytes()
    planted = Journal(PATTERN, {9: 0}, {}).as_text().encode()
    before = content(tmp_path)
    contents = itertools.chain([sealed, planted], itertools.repeat(sealed))  # As it is found, looked at, and later.
    monkeypatch.setattr(staging, "content_of", lambda path, most, follow: next(contents))
    with pytest.raises(pv.OutputError, match="not sealed by a run of this user"):
        check_output(tmp_path / PATTERN, force=True)
    assert content(tmp_path) == before


def test_a_signal_while_files_are_flushed_waits_until_no_thread_is_being_started(tmp_path, monkeypatch):
    """An exception in the midst of starting one leaves a lock taken, and the program waits for it for ever."""
    for k in range(300):
        (tmp_path / str(k)).touch()
    flushed, heard = [], []

    def flush(path):
        flushed.append(path)
        if len(flushed) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(number, frame):
        heard.append(len(flushed))
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "flush", flush)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            disk.flush_all(tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [128]


def test_why_a_key_is_not_used_is_told_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert seal.why_no_key() is None
    key = tmp_path / "pde_video" / "key"
    key.chmod(0o644)
    assert seal.why_no_key() == f"others can read or write {key}: chmod 600 it"
    key.chmod(0o600)
    assert seal.why_no_key() is None
    key.write_bytes(b"")
    assert seal.why_no_key() == f"{key} is damaged: remove it"
    key.unlink()
    key.mkdir()
    assert "set XDG_STATE_HOME" in seal.why_no_key()


def test_a_relative_place_of_the_key_is_told(monkeypatch):
    name = "LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME"
    monkeypatch.setenv(name, "state")
    assert seal.why_no_key() == f"{name} is 'state'; it must be an absolute path"
    assert seal.seal(b"data") == ""


@pytest.mark.parametrize("length", [0, 1, 31, 33])
def test_a_key_of_another_length_seals_nothing(tmp_path, monkeypatch, length):
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", str(tmp_path))
    assert seal.seal(b"data")
    cut = bytes(length)
    (tmp_path / "pde_video" / "key").write_bytes(cut)
    assert not seal.is_sealed(b"data", hmac.new(cut, b"data", "sha256").hexdigest().encode())
    assert not seal.are_own_digits("012345" + hmac.new(cut, b"name 012345", "sha256").hexdigest()[:10])
    assert seal.seal(b"data") == ""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other rules")
def test_a_key_of_another_user_seals_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made, digits, user = seal.seal(b"data").encode(), seal.own_digits(), os.geteuid()
    assert seal.is_sealed(b"data", made)
    assert seal.are_own_digits(digits)
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert not seal.is_sealed(b"data", made)
    assert not seal.are_own_digits(digits)
    assert seal.seal(b"data") == ""


def test_a_key_that_others_can_read_seals_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = seal.seal(b"data").encode()
    assert seal.is_sealed(b"data", made)
    assert not seal.is_sealed(b"other", made)
    (key,) = (tmp_path / "pde_video").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    assert not seal.is_sealed(b"data", made)
    assert seal.seal(b"data") == ""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "key" / "nothing"))
    (tmp_path / "key").touch()
    assert seal.seal(b"data") == ""
