"""An input that fails while it is read is bad input, by its name, and what lies before the bad sector is kept."""

from __future__ import annotations

import errno
import json
import os
from importlib.util import find_spec

import click
import numpy as np
import pytest
from faulty import NEEDS_COMPILER, UNREADABLE

import pde_video as pv
from pde_video.jobs.again import rerun
from pde_video.video import staging
from pde_video.video.leftovers import left_in, settle_unfinished

SECTOR, FRAMES, PART = 4096, 48, 3
VIDEO = np.random.default_rng(5).integers(0, 256, (FRAMES, 64, 64), np.uint8)
# Files with a bad sector in their middle, and members that are bad from their beginning.
FILES = ["in.npy", "in.mp4", "in.mkv", "in.webm", "in.avi", "in.gif", "in.tif", "in.y4m"]
MEMBERS = {"in_%03d.png": "in_024.png", "in.zarr": "in.zarr/c/23/0/0"}
ERRORS = [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES]
zarr = pytest.mark.skipif(find_spec("zarr") is None, reason="needs the extra zarr")
FAST = ("in.npy", "in.mp4", "in.tif", *MEMBERS)  # One of each kind of reader.
INPUTS = [
    pytest.param(name, marks=[zarr] * name.endswith("zarr") + [pytest.mark.slow] * (name not in FAST))
    for name in (*FILES, *MEMBERS)
]


class Run:
    """Commands in a folder with an input that has a bad sector."""

    def __init__(self, worker, folder, name) -> None:
        self._worker, self.folder, self.name = worker, folder, name
        self.output = folder / "out.npy"
        pv.write(folder / name, VIDEO)
        (folder / "nothing.toml").touch()
        bad = folder / MEMBERS.get(name, name)
        self.bad, self.place = bad, 0 if name in MEMBERS else bad.stat().st_size // 2 // SECTOR * SECTOR

    def __call__(self, *arguments, error=errno.EIO, place=None, bad=None):
        fault = (UNREADABLE, error, self.place if place is None else place)
        ran = self._worker.run(self.folder, [*map(str, arguments)], fault, self.bad if bad is None else bad)
        assert ran["hit"], "no sector was bad"
        return ran["code"], ran["said"]

    def copy(self, *options, **fault):
        """Copy the input to an array without a filter, and tell in a sidecar how."""
        return self("pipeline", "nothing.toml", self.name, self.output.name, "--sidecar", *options, **fault)

    def sidecar(self):
        return json.loads((self.folder / "out.npy.json").read_text())


@pytest.fixture
def run(worker, folder_in_memory):
    return lambda name: Run(worker, folder_in_memory, name)


def is_told(said, name, error):
    faults = [line for line in said.splitlines() if line.startswith("pde-video: ") and "compiling kernels" not in line]
    return len(faults) == 1 and name in faults[0] and os.strerror(error) in faults[0]


@NEEDS_COMPILER
@pytest.mark.parametrize("name", INPUTS)
def test_a_bad_sector_of_an_input_is_bad_input_with_its_name(run, name):
    copying = run(name)
    told = MEMBERS[name] if "%" in name else name
    for error in ERRORS:
        code, said = copying.copy(error=error)
        assert (code, is_told(said, told, error)) == (4, True), said
        assert not copying.output.exists()
    code, said = copying("verify", name)
    assert (code, is_told(said, told, errno.EIO)) == (4, True), said


@NEEDS_COMPILER
@pytest.mark.parametrize("name", INPUTS)
def test_an_input_whose_beginning_cannot_be_read_is_bad_input_with_its_name(run, name):
    copying = run(name)
    bad = {"in.zarr": "in.zarr/zarr.json", "in_%03d.png": "in_001.png"}.get(name, name)
    for command, error in [("verify", errno.EIO), *(("info", error) for error in ERRORS)]:
        code, said = copying(command, name, error=error, place=0, bad=copying.folder / bad)
        assert (code, is_told(said, bad, error)) == (4, True), said


@NEEDS_COMPILER
@pytest.mark.parametrize("name", INPUTS)
def test_what_lies_before_a_bad_sector_is_kept(run, name):
    copying = run(name)
    whole = np.stack(list(pv.read(copying.folder / name)))
    code, said = copying.copy("--keep-partial")
    kept = np.load(copying.output)
    assert (code, "only a part was kept: " in said) == (0, True), said
    assert FRAMES // 4 < len(kept) < FRAMES
    assert np.array_equal(kept, whole[: len(kept)])
    assert copying.sidecar()["sha256"] is None
    assert name.partition("%")[0] in copying.sidecar()["report"]["lost"]


@NEEDS_COMPILER
@pytest.mark.parametrize("name", FILES)
def test_a_part_before_a_bad_sector_is_read_without_keep_partial(run, name):
    copying = run(name)
    code, said = copying.copy("--frames", f"0:{PART}")
    assert (code, "so its SHA-256 is not recorded" in said) == (0, True), said
    assert np.array_equal(np.load(copying.output), list(pv.read(copying.folder / name, frames=(0, PART))))
    assert copying.sidecar()["sha256"] is None
    with pytest.raises(pv.InputError, match=r"out\.npy: the SHA-256 of its input was not recorded"):
        rerun(copying.output, target=copying.folder / "again.npy")


@NEEDS_COMPILER
@pytest.mark.parametrize("option", [["--keep-partial"], ["--frames", "0:3"]])
def test_segments_of_an_input_with_a_bad_sector_are_refused(run, option):
    copying = run("in.npy")
    code, said = copying.copy("--resume", *option)
    assert (code, is_told(said, "in.npy", errno.EIO)) == (4, True), said
    assert "--resume knows the input by its SHA-256" in said
    assert not copying.output.exists()


@NEEDS_COMPILER
def test_other_inputs_with_a_bad_sector_are_bad_input_with_their_names(run):
    copying = run("in.npy")
    others = {
        "bad.toml": ["pipeline", "bad.toml", "in.npy", "out.npy"],
        "bad.json": ["denoise", "in.npy", "out.npy", "--noise", "bad.json"],
        "in.npy.json": ["verify", "in.npy"],
        "bad.safetensors": ["denoise", "in.npy", "out.npy", "--model", "bad.safetensors"],
        "bad.npy": ["denoise", "in.npy", "out.npy", "--noise-from", "bad.npy"],
        "dark.npy": ["denoise", "in.npy", "out.npy", "--dark", "dark.npy"],
    }
    for name, command in others.items():
        (copying.folder / name).write_bytes((copying.folder / "in.npy").read_bytes())
        for error in ERRORS[:2]:
            code, said = copying(*command, error=error, place=0, bad=copying.folder / name)
            assert (code, is_told(said, name, error)) == (4, True), said


@NEEDS_COMPILER
@pytest.mark.parametrize("options", [["--sidecar"], ["--resume"]])
def test_an_output_that_cannot_be_read_again_is_an_output_fault_with_its_name(run, options):
    copying = run("in.npy")
    command = ["pipeline", "nothing.toml", "in.npy", "out.npy", *options]
    for error in (errno.EIO, errno.ESTALE):
        bad = "out.npy" if options == ["--sidecar"] else "out.npy.segments/000000.avi"
        code, said = copying(*command, "--force", error=error, place=0, bad=copying.folder / bad)
        assert (code, is_told(said, bad, error)) == (5, True), said


def test_a_journal_that_cannot_be_read_is_an_output_fault_with_its_name(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    made = staging.Staging.beside(tmp_path / "out.zarr")
    (made.folder / "journal.json").touch()
    made.lock.give_back()
    monkeypatch.setattr(staging, "content_of", fail)
    said = rf"journal\.json: it cannot be read \({os.strerror(errno.ESTALE)}\)"
    with pytest.raises(pv.OutputError, match=said):
        settle_unfinished(tmp_path / "out.zarr")
    assert os.strerror(errno.ESTALE) in left_in(tmp_path)[0]


def test_a_standard_stream_that_fails_is_an_output_fault(tmp_path, call, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    np.save(tmp_path / "in.npy", VIDEO)
    with monkeypatch.context() as failing:
        failing.setattr(click, "echo", fail)
        code, *_ = call("info", tmp_path / "in.npy")
    assert code == 5
