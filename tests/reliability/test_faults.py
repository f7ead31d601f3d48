"""A fault at every call that changes a file: nothing is lost, and nothing partial lies under a final name.

`faults.c` counts the calls of a run that create, write, sync, rename, link or remove below its folder, and at the n-th
kills or signals the process or lets the call fail. `fault_worker.py` forks a child for every run.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest
from faulty import FAIL, FULL, HALF, KILL, NEEDS_COMPILER, SIGNAL

import pde_video as pv

pytestmark = NEEDS_COMPILER
FAULTS = {
    "kill -9": (KILL, signal.SIGKILL),  # Right after the call; before it is right after the one before.
    "SIGTERM": (SIGNAL, signal.SIGTERM),
    "SIGINT": (SIGNAL, signal.SIGINT),
    "ENOSPC": (FULL, errno.ENOSPC),
    "EIO": (FAIL, errno.EIO),
    "EINTR": (FAIL, errno.EINTR),  # Once.
    "short write": (HALF, 0),
}
SIGNALS = (signal.SIGTERM, signal.SIGINT)  # In turn: both are handled alike.
OUTPUTS = {
    "npy": "out.npy",
    "png": "out_%04d.png",
    "mkv": "out.mkv",
    "mp4": "out.mp4",
    "tiff": "out.tiff",
    "y4m": "out.y4m",
    "zarr": "out.zarr",
}
FRAMES = 4
EVERY = "PDE_VIDEO_EVERY_FAULT" in os.environ  # For a night; else faults take turns.
TEMPORARY = re.compile(r"(.*/)?\.pde-video-[0-9a-f]{16}[^/]*(/.*)?")
SEGMENTS = re.compile(r"out[^/]*\.segments(/(\d{6}\.(npy|avi)|lock|notes\.json(\.[0-9a-f]{16})?))?")
FOREIGN = {
    "out": b"a neighbour",
    "out_1.png": b"one more digit",
    "out_00001.png": b"too many digits",
    "other.npy.segments/000000.npy": b"of somebody",
    ".pde-video-mine/kept.npy": b"of somebody",
}


@dataclass(frozen=True)
class Setting:
    """A command, and whether its output exists before."""

    format: str
    force: bool = False
    resume: bool = False
    exists: bool = False

    def __str__(self) -> str:
        return "-".join([self.format, *(name for name in ("exists", "force", "resume") if getattr(self, name))])

    @property
    def output(self) -> str:
        return OUTPUTS[self.format]

    @property
    def arguments(self) -> list[str]:
        options = [f"--{name}" for name in ("force", "resume") if getattr(self, name)]
        return ["heat", "in.npy", self.output, "--quiet", *options]

    def of_output(self, state):
        """Return what of the folder lies under the output's name."""
        name = re.compile(r"out_\d{4}\.png" if self.format == "png" else re.escape(self.output) + "(/.*)?")
        return {path: data for path, data in state.items() if name.fullmatch(path)}


def filled(folder, state):
    """Make a folder that holds what `state` says: files, and folders as None."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in state.items():
        place = folder / path
        if data is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return folder


def state_of(folder):
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


class Matrix:
    """The runs of one setting."""

    def __init__(self, setting, worker, folder) -> None:
        self.setting, self._worker, self._folder = setting, worker, folder / "case"
        frames = np.random.default_rng(3).integers(0, 255, (FRAMES, 16, 16), np.uint8)
        self.clean = state_of(filled(self._folder, FOREIGN))
        np.save(self._folder / "in.npy", frames)
        self.clean = state_of(self._folder)
        warmed = worker.run(self._folder, setting.arguments)
        assert warmed["code"] == 0, warmed
        filled(self._folder, self.clean)
        if setting.exists:
            pv.write(self._folder / setting.output, np.repeat(frames, 2, axis=0)[: FRAMES + 2])
        self.before = state_of(self._folder)
        self.faultless = self._run(0, 0, 0)
        self.after = state_of(self._folder)
        self.old, self.new = setting.of_output(self.before), setting.of_output(self.after)
        self.calls = self.faultless["kinds"]
        self.cases = Counter()

    def _run(self, *fault):
        return self._worker.run(self._folder, self.setting.arguments, fault)

    def faults_of(self, name, n):
        """Return what is wrong after a run in which a fault hit the n-th call."""
        kind, value = FAULTS[name]
        if (kind == HALF and self.calls[n - 1] != "w") or (kind == SIGNAL and value != SIGNALS[n % 2]):
            return
        filled(self._folder, self.before)
        self.cases[name] += 1
        ran = self._run(kind, value, n)
        here = f"{self.setting}: {name} at {n} of {len(self.calls)} ({ran['hit']}), code {ran['code']}: "
        for fault in self._found(name, ran):
            yield here + fault
        if kind not in ((KILL, SIGNAL) if self.setting.resume else (KILL,)):
            return
        left = state_of(self._folder)
        again = self._run(0, 0, 0)
        for fault in self._found_again(left, again):
            yield f"{here}the same command again, code {again['code']}: {fault}"

    def _found(self, name, ran):
        kind, value = FAULTS[name]
        killed, now = kind == KILL, state_of(self._folder)
        under = self.setting.of_output(now)
        cleaning = ran["hit"].startswith(("unlink", "rmdir")) and kind in (FAIL, FULL)
        if not self._whole(under):
            refused = killed and self.setting.format == "png" and self._refused()
            if not refused and (under or self.old):
                yield f"neither the old output nor the new one: {sorted(under)}"
        if ran["code"] == 0 and not self._equal(under, self.new):
            yield "not the new output"
        allowed = {KILL: (-9,), SIGNAL: (128 + value, 0)}.get(kind, (5, 0))
        if ran["code"] not in (*allowed, *((0,) if not ran["hit"] else ())):
            yield f"the code is {ran['code']}; {ran['said']!r}"
        if any(word in ran["said"] for word in ("Traceback", "internal fault", "Exception ignored")):
            yield ran["said"]
        yield from self._strangers(now, temporary=killed or cleaning, segments=ran["code"] != 0 or cleaning)

    def _found_again(self, left, again):
        now = state_of(self._folder)
        under = self.setting.of_output(now)
        # Nothing tells any more that the output is complete: as after a run that was not killed.
        done = self._equal(under, self.new) and f"{self.setting.output}.segments/notes.json" not in left
        refused = again["code"] == 3 and done and not self.setting.force
        if again["code"] != 0 and not refused:
            yield again["said"]
        if not self._equal(under, self.new):
            yield "not the new output"
        new = {path for path in set(now) - set(left) if TEMPORARY.fullmatch(path)}
        if new:
            yield f"temporary files: {sorted(new)}"
        if refused:  # A run that writes removes what a dead one has left; this one wrote nothing.
            cleaned = self._worker.run(self._folder, ["doctor", "--clean"], (0, 0, 0))
            now = state_of(self._folder)
            if cleaned["code"] != 0 or not self._equal(self.setting.of_output(now), self.new):
                yield f"doctor --clean: {cleaned}"
        yield from self._strangers(now, temporary=False, segments=False)

    def _strangers(self, now, *, temporary, segments):
        """Yield what was lost of others, and what was left of the run's own."""
        for path, data in self.before.items():
            if path not in self.old and (path not in now or now[path] != data):
                yield f"{path} was changed or lost"
        for path in set(now) - set(self.before) - set(self.setting.of_output(now)):
            inside = path.startswith(f"{self.setting.output}.segments/")
            if TEMPORARY.fullmatch(path) and temporary and (segments or not inside):
                continue
            if not (segments and self.setting.resume and SEGMENTS.fullmatch(path)):
                yield f"{path} was left"

    def _whole(self, under):
        return (bool(under) and under == self.old) or (not under and not self.old) or self._equal(under, self.new)

    def _equal(self, under, other):
        if under == other or self.setting.format != "mp4" or not under:
            return under == other
        return np.array_equal(*(np.stack(list(pv.read(self._written(each)))) for each in (under, other)))

    def _written(self, state):  # x264 does not always write the same bytes.
        path = self._folder.with_name(self.setting.output)
        path.write_bytes(state[self.setting.output])
        return path

    def _refused(self):
        try:
            list(pv.read(self._folder / self.setting.output))
        except pv.InputError:
            return True
        return False


def settings(formats):
    """Yield all settings of a file and of a folder of files, and of other formats two, in turn."""
    for number, name in enumerate(formats):
        for resume in (False, True):
            each = Setting(name, resume=resume), Setting(name, force=True, resume=resume, exists=True)
            yield from each if name in ("npy", "png") or EVERY else each[(number + resume) % 2 :][:1]


def needing_zarr(setting):
    return pytest.mark.skipif(setting.format == "zarr" and find_spec("zarr") is None, reason="needs the extra zarr")


ALL = [
    pytest.param(number, one, id=str(one), marks=[pytest.mark.slow, needing_zarr(one)])
    for number, one in enumerate(settings(OUTPUTS))
]
THIN = [Setting("npy"), Setting("png", force=True, exists=True)]


def check(matrix, names, turns=None):
    assert matrix.faultless["code"] == 0
    assert len(matrix.new) >= 1
    calls = range(1, len(matrix.calls) + 1)
    each = [(n, name) for n in calls for k, name in enumerate(names) if turns is None or (n + turns) % len(names) == k]
    found = [fault for n, name in each for fault in matrix.faults_of(name, n)]
    print(f"{matrix.setting}: {matrix.cases.total()} faults at {len(matrix.calls)} calls")
    assert not found, "\n".join([f"{len(found)} are wrong", *found[:40]])


@pytest.mark.parametrize("setting", THIN, ids=str)
def test_killed_or_without_room_at_any_call(setting, worker, folder_in_memory):
    check(Matrix(setting, worker, folder_in_memory), ("kill -9", "ENOSPC"), turns=0)


@pytest.mark.parametrize(("number", "setting"), ALL)
def test_any_fault_at_any_call(number, setting, worker, folder_in_memory):
    check(Matrix(setting, worker, folder_in_memory), FAULTS, turns=None if EVERY else number)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("format", ["npy", "png"])
def test_an_output_that_exists_is_refused_before_any_call(format, resume, worker, folder_in_memory):
    matrix = Matrix(Setting(format, resume=resume, exists=True), worker, folder_in_memory)
    assert (matrix.faultless["code"], matrix.calls, matrix.after) == (3, "", matrix.before)


def test_the_calls_of_python_ffmpeg_and_numpy_are_seen(worker, folder_in_memory):
    for name, writes in (("npy", 2), ("mkv", 1), ("tiff", FRAMES)):
        calls = Matrix(Setting(name), worker, folder_in_memory).calls
        assert calls.count("w") >= writes
        assert calls.count("m") == 1
        assert calls.count("s") >= 2
