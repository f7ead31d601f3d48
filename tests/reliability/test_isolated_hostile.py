"""Decoders that a hostile file has taken over, and how an isolated reader ends."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import slow
from test_command_line import PROGRAM

import pde_video as pv
from pde_video.cli import main
from pde_video.video import isolation, worker_process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolated reading needs fork")
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
FILTER = False
with contextlib.suppress(ImportError, RuntimeError):
    import pyseccomp  # noqa: F401

    FILTER = True


def call(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code or 0


TAKE_OVER = "import hostile_decoders; hostile_decoders.take_over()"


@contextlib.contextmanager
def started_with(code):
    """Have isolated readers forked by another process, which runs `code` first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        patch.setenv("A_SECRET", "swordfish")
        patch.setattr(worker_process, "_START", worker_process._START.replace("; from", f"; {code}; from", 1))
        patch.setattr(worker_process, "_state", worker_process._State())
        try:
            yield patch
        finally:
            if worker_process._state.server is not None:
                worker_process._state.server.close()


@pytest.fixture(scope="module")
def taken_over():
    """Reading whose isolated process has been taken over, as `hostile_decoders` says."""
    with started_with(TAKE_OVER) as patch:
        patch.setattr(isolation, "MEMORY", 2**30)
        yield


ENDS = {
    "segfault": r"ended with signal 11 \(Segmentation fault",
    "abort": "ended with signal 6",
    "leave": "ended with code 7",
    "sleep": r"returned no frame within 0\.5 s",
    "spin": "ended with signal 24",
    "allocate": "more than the 1 GiB of memory",
    "recurse": "failed .RuntimeError: a fault of a library",
    "babble": "malformed message",
    "boast": "malformed message",
    "pickled": "malformed message",
    "huge": "larger than the .* pixels",
    "negative": "malformed message",
    "objects": "malformed message",
    "misdescribe": "malformed message.*invalid resolution",
}


@pytest.mark.parametrize("how", [pytest.param(how, marks=linux if how == "allocate" else ()) for how in ENDS])
def test_a_decoder_that_ends_badly_is_one_clear_error(tmp_path, taken_over, monkeypatch, how):
    monkeypatch.setattr(isolation, "SECONDS", 0.5 if how == "sleep" else 30)
    monkeypatch.setattr(isolation, "PROCESSOR", 1)
    path = tmp_path / f"{how}.npy"
    path.write_bytes(b"x")
    with pytest.raises(pv.InputError, match=ENDS[how]) as fault:
        pv.read(path, isolated=True)
    assert str(fault.value).startswith(f"{path}: ")
    assert sys.platform != "linux" or readers() == []
    assert call("info", path, "--isolated") == 4


@pytest.mark.parametrize(
    ("how", "text"), [("larger", "malformed message"), ("crash", "signal 11"), ("stall", "no frame")]
)
def test_a_decoder_that_ends_badly_after_a_frame_is_one_clear_error(tmp_path, taken_over, monkeypatch, how, text):
    path = tmp_path / f"{how}.npy"
    path.write_bytes(b"x")
    video = pv.read(path, isolated=True)
    monkeypatch.setattr(isolation, "SECONDS", 0.5 if how == "stall" else 30)
    frames = iter(video)
    assert next(frames).shape == (4, 5)
    with pytest.raises(pv.InputError, match=text):
        next(frames)
    assert call("heat", path, tmp_path / "out.npy", "--isolated") == 4
    video = pv.read(path, isolated=True, keep_partial=True)
    assert len(list(video)) == 1
    assert text in video.lost
    assert os.listdir(tmp_path) == [path.name]


def test_frames_that_are_not_wanted_do_not_extend_the_time_without_end(tmp_path, taken_over, monkeypatch):
    path = tmp_path / "skip.npy"
    path.write_bytes(b"x")
    video = pv.read(path, isolated=True, frames=(10**6, None))
    monkeypatch.setattr(isolation, "SKIPPING", 0.3)
    with pytest.raises(pv.InputError, match=r"skipped frames for 0\.3 s"):
        list(video)


@linux
def test_a_decoder_has_limits_and_nothing_of_the_program(tmp_path, taken_over):
    path = tmp_path / "look.npy"
    path.write_bytes(b"x")
    with socket.socket():
        seen = pv.read(path, isolated=True).details
    assert "A_SECRET" not in seen["variables"]
    assert {"PATH", "HOME"} <= set(seen["variables"]) | {"HOME"}
    assert (seen["descriptors"], seen["places"]) == ([0, 1, 2], ["/dev/null", "pipe", "/dev/null"])
    assert (seen["privileges"], seen["filter"]) == ("1", "2" if FILTER else "0")
    assert (seen["limits"], seen["written"]) == ([2**30, isolation._DESCRIPTORS], [(0, 0), (0, 0)])


@linux
@pytest.mark.parametrize("most", [-1, *slow(2**40)])  # As systems without a limit say.
def test_descriptors_are_closed_whatever_their_limit(tmp_path, most):
    path = tmp_path / "look.npy"
    path.write_bytes(b"x")
    with started_with(f"import os; os.sysconf = lambda name: {most}; {TAKE_OVER}"):
        assert pv.read(path, isolated=True).details["descriptors"] == [0, 1, 2]


FAILING = "from pde_video.video import worker; worker.confine = lambda *_: 1 / 0"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (FAILING, "ZeroDivisionError"),
        pytest.param("import os; os._exit(3)", "code 3", marks=pytest.mark.slow),
        pytest.param("import time; time.sleep(9)", "not ready after 0.4 s", marks=pytest.mark.slow),
    ],
)
def test_what_fails_before_a_file_is_opened_does_not_blame_it(tmp_path, monkeypatch, code, text):
    pv.write(tmp_path / "in.npy", np.zeros((1, 4, 4), np.uint8))
    monkeypatch.setattr(isolation, "STARTING", 0.4 if "sleep" in code else 60)
    monkeypatch.setattr(worker_process, "PATIENCE", 0.5)
    with started_with(code), pytest.raises(RuntimeError, match=text) as fault:
        pv.read(tmp_path / "in.npy", isolated=True)
    assert "could not be started" in str(fault.value)
    assert "in.npy" not in str(fault.value)


def test_a_process_that_could_not_be_confined_does_not_open_the_file(tmp_path):
    mark = tmp_path / "opened"
    pv.write(tmp_path / "in.npy", np.zeros((1, 4, 4), np.uint8))
    opening = f"worker.files.read = lambda *a, **b: open({str(mark)!r}, 'w')"
    with started_with(f"{FAILING}; {opening}"):
        with pytest.raises(RuntimeError, match="could not be started"):
            pv.read(tmp_path / "in.npy", isolated=True)
        time.sleep(0.3)
    assert not mark.exists()


def test_a_file_has_its_time_after_a_slow_start(tmp_path, monkeypatch):
    pv.write(tmp_path / "in.npy", np.zeros((2, 4, 4), np.uint8))
    monkeypatch.setattr(isolation, "SECONDS", 1.5)
    with started_with("import time; time.sleep(1.6)"):
        assert len(list(pv.read(tmp_path / "in.npy", isolated=True))) == 2


@linux
def test_a_decoder_reaches_nothing_through_the_filter(tmp_path, taken_over):
    if not FILTER:
        pytest.skip("needs the extra isolation (pyseccomp) and libseccomp")
    path, victim = tmp_path / "escape.npy", tmp_path / "victim"
    path.write_bytes(b"x")
    victim.write_bytes(b"mine")
    before = victim.stat()
    outcomes = pv.read(path, isolated=True).details
    assert {name: code for name, code in outcomes.items() if code != errno.EPERM} == {}
    assert len(outcomes) > 20
    assert (victim.read_bytes(), victim.stat().st_mtime_ns, victim.stat().st_mode) == (
        b"mine",
        before.st_mtime_ns,
        before.st_mode,
    )
    assert sorted(os.listdir(tmp_path)) == ["escape.npy", "victim"]


def test_a_decoder_writes_no_byte_to_a_file(tmp_path, taken_over):
    """Through `write`, also without the filter; through memory maps it can, as docs/security.md says."""
    path, victim = tmp_path / "escape.npy", tmp_path / "victim"
    path.write_bytes(b"x")
    victim.write_bytes(b"mine")
    with contextlib.suppress(pv.InputError):
        assert pv.read(path, isolated=True).details["write"] in (errno.EFBIG, errno.EPERM)
    assert all(file.stat().st_size <= 4 for file in tmp_path.iterdir())


# How it ends.


def children(of: int) -> list[int]:
    return list(map(int, Path(f"/proc/{of}/task/{of}/children").read_text().split()))


def readers() -> list[int]:
    """Return the isolated readers at work."""
    return children(worker_process.running()._process.pid)


@linux
def test_an_isolated_reader_that_is_not_wanted_any_more_ends_and_leaves_nothing(tmp_path):
    path = tmp_path / "in.npy"
    pv.write(path, np.zeros((50, 200, 200), np.uint8))
    video = pv.read(path, isolated=True)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        frames = iter(video)
        next(frames)
        assert len(readers()) == 1
        frames.close()
        assert readers() == []
    frames = iter(video)
    next(frames)
    del frames  # Abandoned.
    assert readers() == []
    with contextlib.suppress(RuntimeError):
        for _ in video:
            raise RuntimeError
    assert readers() == []
    two = zip(video, video, strict=True)
    assert len(readers()) == 0
    next(two)
    assert len(readers()) == 2
    del two
    assert len(list(video)) == 50
    assert readers() == []
    assert len(os.listdir("/proc/self/fd")) == before


@linux
def test_isolated_reading_after_its_process_was_killed(tmp_path):
    path = tmp_path / "in.npy"
    pv.write(path, np.zeros((1000, 200, 200), np.uint8))
    frames = iter(pv.read(path, isolated=True))
    next(frames)
    process = worker_process.running()._process
    process.kill()
    with pytest.raises(pv.InputError, match="ended"):
        list(frames)
    assert len(list(pv.read(path, isolated=True))) == 1000
    assert worker_process.running()._process.pid != process.pid


@linux
def test_isolated_readers_that_cannot_be_started_leave_no_descriptors(tmp_path, monkeypatch):
    path = tmp_path / "in.npy"
    pv.write(path, np.zeros((5, 24, 32), np.uint8))
    before = [len(os.listdir("/proc/self/fd")) for _ in pv.read(path, isolated=True)][-1]
    for name in ("socketpair", "send_fds"):
        with monkeypatch.context() as patch:
            patch.setattr(socket, name, full)
            for _ in range(3):
                with pytest.raises(OSError, match="Too many open files"):
                    pv.read(path, isolated=True)
    process = worker_process.running()._process
    process.kill()
    process.wait()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", full)
        with pytest.raises(OSError, match="Too many open files"):
            pv.read(path, isolated=True)
    assert [len(os.listdir("/proc/self/fd")) for _ in pv.read(path, isolated=True)][-1] == before


def full(*_, **__):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_isolated_reading_in_threads_and_after_a_fork(tmp_path):
    path = tmp_path / "in.npy"
    pv.write(path, np.zeros((5, 24, 32), np.uint8))
    frames = iter(pv.read(path, isolated=True))
    next(frames)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(list(pv.read(path, isolated=True))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # That pytest has threads.
        pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = 0 if len(list(pv.read(path, isolated=True))) == 5 else 2
            worker_process.running().close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(list(frames)) == 4
    assert len(list(pv.read(path, isolated=True))) == 5


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, *slow(getattr(signal, "SIGKILL", None))])
def test_a_signal_ends_a_run_and_its_isolated_reader(tmp_path, number):
    source, folder = tmp_path / "in.npy", tmp_path / "out"
    folder.mkdir()
    pv.write(source, (np.zeros((200, 200), np.uint8) for _ in range(1500)))
    command = [sys.executable, "-c", PROGRAM, "heat", str(source), str(folder / "out.npy"), "--isolated"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not os.listdir(folder):
        assert process.poll() is None
        time.sleep(0.02)
    family: list[int] = []
    while len(family) < 2:  # The reader, and what decodes for it, which may begin a little later.
        assert process.poll() is None
        servers = children(process.pid)
        family = [*servers, *(pid for server in servers for pid in children(server))]
        time.sleep(0.02)
    assert len(family) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == ((130, "") if number == signal.SIGINT else (-signal.SIGKILL, ""))
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in family):  # Whoever adopts them may take its time.
        assert time.monotonic() < end
        time.sleep(0.02)
