"""Gives each file to each command in a process of its own, which is forked from this one to save the start.

Started by test_bombs.py: `bomb_worker.py all:FILE last:FILE...`, with all commands or the last alone; prints a line of
JSON for each: name, command, exit code, seconds of work, the most memory in bytes, and what was said.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import imageio.v3  # noqa: F401  # What readers import when they are needed, once for all children.

from pde_video.cli.main import main
from pde_video.jobs.trial import peak_memory

if importlib.util.find_spec("zarr"):
    import zarr.codecs
    import zarr.storage  # noqa: F401

ADDRESSES, SECONDS = 12 * 2**30, 30  # Of a child; it is killed after these seconds.


def tried(path: Path, by: str) -> None:
    """Give the file to each command, or to the last, and say what became of it."""
    out = path.with_name("out.npy")
    commands = [["info", str(path)], ["verify", str(path)], ["to-gray", str(path), str(out), "--quiet"]]
    for command in commands if by == "all" else commands[-1:]:
        sys.stderr, begun, code = io.StringIO(), time.process_time(), 0
        try:
            main(command)
        except SystemExit as ended:
            code = ended.code
        found = [path.name, command[0], code, time.process_time() - begun, peak_memory(), sys.stderr.getvalue()]
        print(json.dumps(found), file=sys.__stdout__, flush=True)
        out.unlink(missing_ok=True)


if __name__ == "__main__":
    for by, _, name in (argument.partition(":") for argument in sys.argv[1:]):
        if not (child := os.fork()):
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            with contextlib.redirect_stdout(io.StringIO()):
                tried(Path(name), by)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print(json.dumps([Path(name).name, "all", -1, SECONDS, ADDRESSES, "killed"]), flush=True)
