"""A warm process that runs commands in children of its own, each with one fault by `faults.c`, which is loaded first.

Started by test_faults.py: `fault_worker.py LIBRARY`. A line of JSON on standard input names the folder, the arguments,
the fault and the file for messages; the answer is a line with what became of it. Without a fault the command is run
in this process, so that its children find modules and kernels loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time

from pde_video.cli.main import main as run_command
from pde_video.jobs import resuming

HANGS = 20  # Seconds after which a command hangs.
ENDS = 10  # Seconds in which threads end that were told to.


class Seen(ctypes.Structure):
    """The record in faults.c."""

    _fields_ = (("count", ctypes.c_int), ("kinds", ctypes.c_char * 4096), ("hit", ctypes.c_char * (4096 + 32)))


def main() -> None:
    resuming.LENGTH = 2  # A few frames make several segments.
    library = ctypes.CDLL(sys.argv[1])
    library.faults_seen.restype = ctypes.POINTER(Seen)
    seen = library.faults_seen().contents
    for line in sys.stdin:
        asked = json.loads(line)
        if "fault" not in asked:
            code = run(asked)
            settle()
        else:
            code = run_in_child(asked, library)
        print(json.dumps({"code": code, "kinds": seen.kinds.decode(), "hit": seen.hit.decode()}), flush=True)


def run(asked) -> int:
    """Run a command in this process, and return its exit code."""
    os.chdir(asked["folder"])
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 2)
    os.close(log)
    try:
        run_command(asked["arguments"])
    except SystemExit as end:
        sys.stderr.flush()
        return end.code


def run_in_child(asked, library) -> int | None:
    """Return the exit code, or minus the signal that ended it, or None if it hung."""
    until = time.monotonic() + ENDS
    while (threads := len(os.listdir("/proc/self/task"))) > 1:  # Those of FFmpeg may still be ending.
        if time.monotonic() > until:
            raise RuntimeError(f"a fork with {threads} threads")
        time.sleep(0.001)
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Standard output is for answers.
        library.faults_arm(asked["below"].encode(), *asked["fault"])
        os._exit(run(asked))
    descriptor = os.pidfd_open(child)
    ended, _, _ = select.select([descriptor], [], [], HANGS)
    os.close(descriptor)
    if not ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if ended else None


def settle() -> None:
    """End the threads that a command has left, and keep what is there out of the children's searches for garbage."""
    if "zarr" in sys.modules:
        from zarr.core.sync import cleanup_resources

        cleanup_resources()
    gc.collect()
    gc.freeze()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
