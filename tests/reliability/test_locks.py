"""Locks that tell whether a run is at work."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from pde_video.video.locks import Lock


@pytest.fixture(params=["as it is here", "as on Windows"])
def system(request, monkeypatch):
    """Locks as the system has them, or as Windows has: on bytes, by another call."""
    if request.param == "as on Windows" and os.name == "posix":
        held: dict[tuple[int, int], int] = {}

        def locking(descriptor: int, mode: int, count: int) -> None:
            facts = os.fstat(descriptor)
            place = (facts.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
            if held.get(place, descriptor) != descriptor:
                raise OSError(errno.EACCES, "locked")
            held[place] = descriptor

        def closed(descriptor: int) -> None:
            for place in [place for place, holder in held.items() if holder == descriptor]:
                del held[place]
            close(descriptor)

        close = os.close
        monkeypatch.setattr(os, "close", closed)
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))


@pytest.mark.usefixtures("system")
def test_a_lock_is_held_by_one_and_tells_the_next_what_was_written(tmp_path):
    one, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert one.take()
    one.write(b"out.npy")
    assert one.content(100) == b"out.npy"
    assert other.take() is False
    one.give_back()
    assert other.take(create=False)
    assert other.content(100) == b"out.npy"
    other.remove()
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_was_removed_while_it_was_waited_for_is_not_taken(tmp_path, monkeypatch):
    opened = os.open

    def removed(path, *arguments, **options):
        descriptor = opened(path, *arguments, **options)
        os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", removed)
    assert Lock(tmp_path / "lock").take() is False


def test_nobody_is_at_work_where_there_is_no_lock(tmp_path):
    assert Lock(tmp_path / "lock").take(create=False) is True
    assert not (tmp_path / "lock").exists()
    assert Lock(tmp_path / "gone" / "lock").take() is False
    assert Lock(tmp_path / "gone" / "lock").take(create=False) is False


@pytest.mark.skipif(os.name == "nt", reason="as POSIX systems have them")
def test_a_file_system_without_locks_does_not_tell(tmp_path, monkeypatch):
    import fcntl

    def fail(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    assert Lock(tmp_path / "lock").take() is None


def test_a_lock_goes_with_the_process(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from pde_video.video.locks import Lock
lock = Lock(Path({str(tmp_path)!r}, "lock"))
print(lock.take(), flush=True)
input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert Lock(Path(tmp_path, "lock")).take() is False
        process.kill()
        process.wait()
        assert Lock(Path(tmp_path, "lock")).take() is True
