"""A run that is asked to end does so, wherever it is."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from cases import slow

BEGIN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pde_video.cli.interruption import Interrupted, heeded, listen
listen()
def ask():
    os.kill(os.getpid(), {number})
"""
CASES = {
    "between two frames": """
def frames():
    for k in range(1000):
        if k == 3:
            ask()  # Nothing is raised here.
        yield k
done = []
try:
    for frame in heeded(frames()):
        done.append(frame)
except Interrupted as asked:
    print(done, asked.code)
""",
    "before the first frame": """
try:
    ask()
    time.sleep(5)
except Interrupted as asked:
    print([0, 1, 2], asked.code)
""",
    "where somebody catches all": """
try:
    ask()
except BaseException:
    pass
try:
    for frame in heeded(range(1000)):
        print("a frame")
except Interrupted as asked:
    print([0, 1, 2], asked.code)
""",
    "while it waits for a frame that does not come": """
def frames():
    yield from range(3)
    ask()
    time.sleep(60)
done = []
try:
    for frame in heeded(frames()):
        done.append(frame)
except Interrupted as asked:
    print(done, asked.code)
""",
    "twice": """
def frames():
    yield from range(3)
    ask()
    ask()
    time.sleep(60)
done = []
try:
    for frame in heeded(frames()):
        done.append(frame)
except Interrupted as asked:
    print(done, asked.code)
""",
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, *slow(signal.SIGTERM)])
@pytest.mark.parametrize("case", CASES)
def test_it_ends(case, number):
    code = BEGIN.format(number=int(number)) + CASES[case]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == (f"[0, 1, 2] {128 + number}\n", "")


def test_who_ignores_a_signal_goes_on_ignoring_it():
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + BEGIN.split("\n", 3)[3]
    code = code.format(number=int(signal.SIGINT)) + "ask(); print('still here')"
    assert subprocess.run([sys.executable, "-c", "import os\n" + code], capture_output=True, text=True).stdout
