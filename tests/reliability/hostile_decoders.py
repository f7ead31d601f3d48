"""Decoders that a file has taken over, for test_isolated_hostile.py: what each does is the name of the file.

`take_over` puts them in place of the library's own reading, in the process that forks isolated readers.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pde_video.video import files, messages
from pde_video.video.source import FileVideo

real = files.read


def segfault(path):
    ctypes.string_at(0)


def abort(path):
    os.abort()


def leave(path):
    os._exit(7)


def sleep(path):
    time.sleep(60)


def spin(path):
    while True:
        pass


def allocate(path):
    return [np.empty(2**28, np.uint8) for _ in range(64)]


def recurse(path):
    raise RuntimeError("a fault of a library")


def babble(path):
    os.write(1, b"\0\0\0\5hello")
    sleep(path)


def boast(path):
    os.write(1, b"\xff\xff\xff\xff")
    sleep(path)


def pickled(path):
    os.write(1, messages.encoded({"fault": "SystemExit", "arguments": [0], "file": None}))
    sleep(path)


def huge(path):
    return FileVideo(path, (60000, 60000), 3, np.dtype("u1"), frames)


def negative(path):
    return FileVideo(path, (4, -5), 1, np.dtype("u1"), frames)


def objects(path):
    return FileVideo(path, (4, 5), 1, np.dtype("O"), frames)


def misdescribe(path):
    return FileVideo(path, (4, 5), 1, np.dtype("u1"), frames, details={"resolution": 5, "resolution_unit": "INCH"})


def frames(video):
    yield np.zeros((4, 5), np.uint8), None
    if "larger" in video.path.name:
        yield np.zeros((4, 500), np.uint8), None
    if "crash" in video.path.name:
        segfault(video.path)
    if "stall" in video.path.name:
        sleep(video.path)


def larger(path):
    return FileVideo(path, (4, 5), 1, np.dtype("u1"), frames)


crash = stall = larger


def skip(path):
    return FileVideo(path, (4, 5), 1, np.dtype("u1"), nothing)


def nothing(video):
    while True:
        yield None, None
        time.sleep(0.01)


def look(path):
    """Say what is within reach."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    details = {
        "variables": sorted(os.environ),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],  # The last one lists them.
        "places": [os.readlink(f"/proc/self/fd/{number}").partition(":")[0] for number in range(3)],
        "privileges": status["NoNewPrivs"].strip(),
        "filter": status["Seccomp"].strip(),
        "limits": [resource.getrlimit(one)[1] for one in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)],
        "written": [resource.getrlimit(one) for one in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)],
    }
    return FileVideo(path, (4, 5), 1, np.dtype("u1"), frames, details=details)


def escape(path):
    """Try to reach out; say what came of each."""
    victim, other = path.with_name("victim"), path.with_name("other")
    library = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(library, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    def socketed():
        with socket.socket() as one:
            one.connect(("127.0.0.1", 9))

    tries = {
        "write": lambda: other.write_bytes(b"content"),
        "append": lambda: victim.open("ab").write(b"content"),
        "truncate by open": lambda: os.open(victim, os.O_RDONLY | os.O_TRUNC),
        "truncate": lambda: os.truncate(victim, 0),
        "unlink": lambda: victim.unlink(),
        "rename": lambda: victim.rename(other),
        "link": lambda: os.link(victim, other),
        "symlink": lambda: other.symlink_to(victim),
        "mkdir": lambda: other.mkdir(),
        "chmod": lambda: victim.chmod(0o777),
        "times": lambda: os.utime(victim),
        "socket": socketed,
        "program": lambda: subprocess.run(["/bin/true"], check=True),
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "fork": lambda: os.fork() or os._exit(0),
        "signal": lambda: os.kill(os.getppid(), 0),
        "limit another": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
        "limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)),
        "trace": lambda: call("ptrace", 16, os.getppid(), 0, 0),
        "shared memory": lambda: call("shmget", 0, 4096, 0o1666),
        "namespace": lambda: call("unshare", 0x10000000),
        "signal by a descriptor": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid()),
        "typing": lambda: call("ioctl", 0, ctypes.c_ulong(2**32 + 0x5412), b"a"),
        "processors of another": lambda: os.sched_setaffinity(os.getppid(), {0}),
        "keys": lambda: call("syscall", 250, 0, 0, 0, 0),
    }
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        del tries["keys"]
    outcomes = {}
    for name, attempt in tries.items():
        try:
            attempt()
            outcomes[name] = 0
        except OSError as fault:
            outcomes[name] = fault.errno
        except ValueError:  # Of a limit.
            outcomes[name] = errno.EPERM
    return FileVideo(path, (4, 5), 1, np.dtype("u1"), frames, details=outcomes)


def read(path, **options):
    behaviour = globals().get(Path(path).stem)
    return behaviour(Path(path)) if callable(behaviour) else real(path, **options)


def take_over():
    files.read = read
