"""Inputs that shrink, grow or change while they are read."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv
from pde_video.jobs import again
from pde_video.jobs.run import prepared
from pde_video.video import npy

VIDEO = np.random.default_rng(4).integers(0, 256, (6, 24, 32), np.uint8)
NAMES = ["v.npy", "v.y4m", "v.avi", "v.mp4", "v.gif", "v.tiff", "v.png", "v_%02d.png"]


def written(path: Path, video: np.ndarray = VIDEO) -> Path:
    pv.write(path, video[:1] if path.name == "v.png" else video)
    return path


def a_file_of(path: Path) -> Path:
    """The file, or one in the middle of a sequence."""
    return path.with_name("v_03.png") if "%" in path.name else path


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def touch(path: Path) -> None:
    now = path.stat()
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns + 1000))


def replace(path: Path) -> None:
    """Put another file of the same size in its place."""
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    touch(new)
    new.replace(path)


CHANGES = [append, shorten, touch, replace, Path.unlink]


SHRINKS = """
import os
import pde_video as pv
from pde_video.video import npy
npy._BLOCK = 3 * 512 * 512 * 8  # Of an array in Fortran order, three frames are read at once.
for name in ("C.npy", "F.npy"):
    stream = iter(pv.read(name))
    next(stream)
    os.truncate(name, 4096)
    try:
        list(stream)
    except pv.InputError as fault:
        print(fault)
"""


def test_an_array_that_shrinks_while_it_is_read_is_an_error_and_no_crash(tmp_path):
    for order in ("C", "F"):
        np.save(tmp_path / f"{order}.npy", np.zeros((8, 512, 512), order=order))
    ran = subprocess.run([sys.executable, "-c", SHRINKS], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    for line, frame in zip(ran.stdout.splitlines(), (1, 3), strict=True):
        assert f"frame {frame} is truncated: the file became shorter while it was read" in line
        assert f"it had {128 + 8 * 2**21} bytes, and now has 4096" in line


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, name, change):
    path = written(tmp_path / name)
    stream = iter(pv.read(path))
    next(stream)
    change(a_file_of(path))
    with pytest.raises(pv.InputError, match=r"v.*: it changed while it was read \(.*\); read it again"):
        list(stream)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_has_changed_since_it_was_opened_is_not_read(tmp_path, name):
    path = written(tmp_path / name)
    video = pv.read(path)
    assert len(list(video)) == len(list(video))  # Reading twice changes nothing.
    (tmp_path / "other").mkdir()
    written(tmp_path / "other" / name, VIDEO[::-1])
    for new in (tmp_path / "other").iterdir():
        new.replace(tmp_path / new.name)
    with pytest.raises(pv.InputError, match="it changed after it was opened"):
        next(iter(video))
    assert list(pv.read(path))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_file_that_changes_says_so(tmp_path, name):
    path = written(tmp_path / name)
    video = pv.read(path, keep_partial=True)
    stream = iter(video)
    next(stream)
    append(a_file_of(path))
    rest = list(stream)
    assert len(rest) <= (0 if name == "v.png" else 5)
    assert "it changed while it was read" in video.lost


def test_only_contents_count(tmp_path):
    path = written(tmp_path / "v.avi")
    video = pv.read(path)
    stream = iter(video)
    next(stream)
    path.chmod(0o600)
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    os.link(path, tmp_path / "link.avi")
    written(tmp_path / "neighbour.avi")
    assert len(list(stream)) == 5


@pytest.mark.parametrize(("frames", "noticed"), [(None, True), ((0, 8), True), ((0, 6), False), ((2, 5), False)])
def test_a_sequence_that_grows_is_noticed_unless_the_frames_that_are_read_stay(tmp_path, frames, noticed):
    path = written(tmp_path / "v_%02d.png")
    stream = iter(pv.read(path, frames=frames))
    next(stream)
    (tmp_path / "v_07.png").write_bytes((tmp_path / "v_01.png").read_bytes())
    if noticed:
        with pytest.raises(pv.InputError, match="it had 6 files, and now has 7"):
            list(stream)
    else:
        assert list(stream)


@pytest.mark.parametrize("where", ["zarr.json", "c/4/0/0", "c/9/0/0"])
@pytest.mark.parametrize("change", [append, touch, Path.unlink])
def test_a_zarr_array_that_changes_while_it_is_read_is_noticed(tmp_path, where, change):
    pytest.importorskip("zarr")
    path = written(tmp_path / "v.zarr")
    if not (path / where).exists():
        (path / where).parent.mkdir(parents=True)
        (path / where).touch()
    stream = iter(pv.read(path))
    next(stream)
    change(path / where)
    with pytest.raises(pv.InputError, match=r"v\.zarr: it changed while it was read"):
        list(stream)


@pytest.mark.parametrize("out", ["out.npy", "out.avi", "out_%02d.png"])
def test_a_run_whose_input_changes_writes_nothing(tmp_path, out):
    path = written(tmp_path / "v.avi")

    def disturbed(frames, report=None):
        for frame in frames:
            yield frame
            touch(path)

    with pytest.raises(pv.InputError, match="it changed while it was read"):
        pv.run(path, tmp_path / out, disturbed)
    assert [one.name for one in tmp_path.iterdir()] == ["v.avi"]
    kept = pv.run(path, tmp_path / out, disturbed, reading={"keep_partial": True})
    assert kept["frames"] == 6
    assert "it changed while it was read" in kept["lost"]


def test_a_fingerprint_is_that_of_the_frames(tmp_path):
    path = written(tmp_path / "v.avi")
    plan = prepared(path, tmp_path / "out.npy")
    touch(path)
    with pytest.raises(pv.InputError, match="it changed after it was opened"):
        plan.facts()
    plan = prepared(path, tmp_path / "out.npy")
    facts = plan.facts()
    written(tmp_path / "other.avi", VIDEO[::-1]).replace(path)
    assert facts["sha256"]
    with pytest.raises(pv.InputError, match="it changed after it was opened"):
        list(plan.video)


def test_verify_does_not_mix_two_states(tmp_path, monkeypatch):
    path = written(tmp_path / "v.avi")
    taken = again.fingerprint_of_input
    monkeypatch.setattr(again, "fingerprint_of_input", lambda path: (taken(path), touch(path))[0])
    with pytest.raises(pv.InputError, match="it changed"):
        again.verify(path)


@pytest.mark.parametrize("block", [1, 24 * 32 * 2 * 2, 10**9])
@pytest.mark.parametrize("piece", [1, 100, 10**9])
def test_arrays_in_fortran_order_are_read_in_blocks(tmp_path, monkeypatch, block, piece):
    original = np.asfortranarray(np.random.default_rng(1).integers(0, 2**16, (5, 24, 32, 2), np.uint16))
    np.save(tmp_path / "v.npy", original)
    monkeypatch.setattr(npy, "_BLOCK", block)
    monkeypatch.setattr(npy, "_PIECE", piece)
    assert np.array_equal(list(pv.read(tmp_path / "v.npy")), original)
    assert np.array_equal(list(pv.read(tmp_path / "v.npy", frames=(1, 4))), original[1:4])


@pytest.mark.parametrize("shape", [(64, 128, 128), (2**20, 1, 1)])
def test_arrays_in_fortran_order_are_never_held_whole(tmp_path, monkeypatch, shape):
    np.save(tmp_path / "v.npy", np.zeros(shape, np.uint8, order="F"))
    monkeypatch.setattr(npy, "_BLOCK", 2**16)
    monkeypatch.setattr(npy, "_PIECE", 2**16)
    tracemalloc.start()
    try:
        assert len([frame.shape for frame in islice(pv.read(tmp_path / "v.npy"), 500)]) == min(shape[0], 500)
        assert tracemalloc.get_traced_memory()[1] < 2**19  # The file has 2**20 bytes.
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "isolated", [False, pytest.param(True, marks=pytest.mark.skipif(os.name == "nt", reason="fork"))]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_relative_name_in_another_current_folder_is_told_as_that(tmp_path, monkeypatch, name, isolated):
    monkeypatch.chdir(tmp_path)
    written(Path(name))
    Path("sub").mkdir()
    relative, absolute = pv.read(name, isolated=isolated), pv.read(tmp_path / name, isolated=isolated)
    before = os.getcwd()
    monkeypatch.chdir("sub")
    with pytest.raises(pv.InputError) as refused:
        list(relative)
    folders = f"which was {before} and is now {os.getcwd()}"
    remedy = "open it by an absolute path"
    assert str(refused.value) == f"{name}: its name is relative to the current folder, {folders}; {remedy}"
    assert len(list(absolute)) == (1 if name == "v.png" else 6)
    (tmp_path / a_file_of(tmp_path / name)).unlink()
    with pytest.raises(pv.InputError, match="it changed after it was opened"):
        list(absolute)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pv.InputError, match="it changed after it was opened"):
        list(relative)
