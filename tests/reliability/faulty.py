"""A warm process that runs commands with faults of the system; see faults.c and fault_worker.py."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = shutil.which("cc")
NEEDS_COMPILER = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or COMPILER is None,
    reason="needs Linux, glibc and a C compiler called cc",
)

KILL, SIGNAL, FAIL, FULL, HALF, UNREADABLE = range(1, 7)  # As in faults.c.


class Worker:
    """A warm process; see fault_worker.py."""

    def __init__(self, folder: Path) -> None:
        self._log, library = folder / "log", folder / "faults.so"
        subprocess.run([COMPILER, "-O1", "-Wall", "-fPIC", "-shared", "-o", library, HERE / "faults.c"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "fault_worker.py"), str(library)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def run(self, folder, arguments, fault=None, below=None):
        """Run a command in a child, with a fault (kind, value, n) below a path, or in the warm process itself."""
        asked = {"folder": str(folder), "arguments": arguments, "log": str(self._log), "below": str(below or folder)}
        asked |= {} if fault is None else {"fault": fault}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()) | {"said": self._log.read_text()}
