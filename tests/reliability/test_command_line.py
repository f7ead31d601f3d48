"""Cases of the command line: what may not be written, disks that fill up, signals, places that cannot be written to."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cases import slow

import pde_video as pv

# A test run started in the background ignores SIGINT, and its children inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from pde_video.cli import main; main()"
)


@pytest.fixture(autouse=True)
def sigterm_as_before():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "in.avi"
    pv.write(path, np.random.default_rng(0).integers(0, 256, (6, 24, 32), np.uint8))
    return path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def drop_the_right_to_write_anywhere() -> None:
    """In a child: be bound by permissions even if it is root (PR_CAPBSET_DROP of CAP_DAC_OVERRIDE)."""
    ctypes.CDLL(None, use_errno=True).prctl(24, 1, 0, 0, 0)


@pytest.fixture
def without_rights(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the program so that it may write only where permissions let it."""
    if sys.platform != "linux":
        pytest.skip("permissions are dropped as Linux does it")

    def run_it(command: list[str], **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, preexec_fn=drop_the_right_to_write_anywhere, **options
        )

    probe = tmp_path / "probe"
    probe.mkdir(mode=0o555)
    if run_it(["touch", str(probe / "file")]).returncode == 0:
        pytest.skip("this user may write everywhere, and cannot give that up")
    return run_it


def test_output_unwritable(without_rights, clip, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = without_rights([sys.executable, "-m", "pde_video", "heat", str(clip), str(folder / "out.avi")])
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("pde-video: ")
    assert str(folder) in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_output_a_directory(call, clip, tmp_path, options):
    (tmp_path / "out.avi").mkdir()
    before = content(tmp_path)
    code, _, err = call("heat", clip, tmp_path / "out.avi", *options)
    assert code == 5
    assert "is a folder" in err
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["out.avi", "out.npy", "out_%02d.png"])
def test_output_exists(call, clip, tmp_path, name):
    existing = tmp_path / name.replace("%02d", "07")
    existing.write_bytes(b"mine")
    before = content(tmp_path)
    code, _, err = call("heat", clip, tmp_path / name)
    assert code == 3
    assert str(existing) in err
    assert "--force" in err
    assert content(tmp_path) == before


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("how", ["the same name", "another name", "a symlink", "a hard link"])
def test_input_is_output_or_a_symlink_to_input(call, clip, tmp_path, how, options):
    target = {"the same name": clip, "another name": tmp_path / "folder" / ".." / "in.avi"}.get(
        how, tmp_path / "out.avi"
    )
    (tmp_path / "folder").mkdir()
    if how == "a symlink":
        target.symlink_to(clip)
    elif how == "a hard link":
        target.hardlink_to(clip)
    before = content(tmp_path)
    code, _, err = call("heat", clip, target, *options)
    assert code == 3
    assert "same file" in err
    assert content(tmp_path) == before


BESIDES = {
    "noise": ["denoise", "--noise-from", "dark.avi", "in.avi", "dark.avi"],
    "dark frames": ["denoise", "--dark", "dark.avi", "in.avi", "dark.avi"],
    "noise by a hard link": ["denoise", "--noise-from", "dark.avi", "in.avi", "link.avi"],
    "pictures": ["denoise", "--noise-from", "dark_%d.png", "in.avi", "dark_%d.png"],
    "one of the pictures": ["denoise", "--noise-from", "dark_%d.png", "in.avi", "dark_1.png"],
    "an estimate by the sidecar": ["denoise", "--noise", "out.npy.json", "in.avi", "out.npy", "--sidecar"],
    "a model by a symlink": ["denoise", "--method", "learned", "--model", "model.safetensors", "in.avi", "model.avi"],
    "a recipe": ["pipeline", "recipe.avi", "in.avi", "recipe.avi"],
    "the input by the sidecar": ["heat", "in.avi", "by.npy", "--sidecar"],
    "another input": ["heat", "in.avi", "dark.avi", "folder/"],
}


@pytest.mark.parametrize("options", [[], ["--force"], ["--force", "--resume"], ["--force", "--dry-run"]])
@pytest.mark.parametrize("kind", BESIDES)
def test_no_output_replaces_a_file_that_the_run_reads(call, clip, tmp_path, monkeypatch, kind, options):
    monkeypatch.chdir(tmp_path)
    still = np.random.default_rng(1).integers(0, 256, (4, 24, 32), np.uint8)
    for name in ("dark.avi", "dark_%d.png"):
        pv.write(name, still)
    Path("link.avi").hardlink_to("dark.avi")
    Path("out.npy.json").write_text(pv.NoiseEstimate(0.0, 4.0, unit=255.0).to_json())
    shutil.copy(Path(pv.__file__).parent / "denoisers" / "shipped.safetensors", "model.safetensors")
    Path("model.avi").symlink_to("model.safetensors")
    Path("recipe.avi").write_text('[[filter]]\nname = "heat"\n')
    Path("by.npy.json").hardlink_to("in.avi")
    Path("folder").mkdir()
    Path("folder", "in.avi").symlink_to(Path("dark.avi").absolute())
    before = content(tmp_path)
    code, _, err = call(*BESIDES[kind], *options)
    assert code == 3
    assert "same file" in err
    assert content(tmp_path) == before


# Every format that is written without an extra, with a video that it holds.
FORMATS = ["mp4", "mov", "mkv", "avi", "webm", "gif", "y4m", "png", "jpg", "%02d.png", "%02d.jpg", "tif", "npy"]
HAS_ZARR = importlib.util.find_spec("zarr") is not None
FILLING_UP = """
import contextlib, io, json, os, resource, signal, sys
from pathlib import Path
from pde_video.cli import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # A write beyond the limit then fails, as on a full disk.
folder, formats, outcomes = Path(sys.argv[1]), sys.argv[2:], {}

def run(source, target):
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main(["pipeline", str(folder / "nothing.toml"), str(source), str(target)])
        except SystemExit as end:
            return end.code or 0, said.getvalue()

for ending in formats:
    source = folder / ("one.npy" if ending in ("png", "jpg") else "many.npy")
    whole = folder / f"whole_{ending}" / f"x.{ending}"
    whole.parent.mkdir()
    assert run(source, whole)[0] == 0, ending
    sizes = [file.stat().st_size for file in whole.parent.rglob("*") if file.is_file()]
    for moment, limit in {"early": 20, "at the last flush": max(sizes) - 1}.items():
        place = folder / f"{moment}_{ending}"
        place.mkdir()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        code, said = run(source, place / f"x.{ending}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        outcomes[f"{moment} {ending}"] = [code, said, os.listdir(place)]
print(json.dumps(outcomes))
"""


def test_a_folder_with_anything_but_an_array_is_never_replaced(tmp_path, clip):
    """A zarr array is a folder, and would be replaced as a whole."""
    folder = tmp_path / "data.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(pv.OutputError, match="no zarr array"):
        pv.run(clip, folder, force=True)
    (folder / "zarr.json").write_text("{}")
    inside = folder / "in.avi"
    inside.write_bytes(clip.read_bytes())
    with pytest.raises(FileExistsError, match="input is in this folder"):
        pv.run(inside, folder, force=True)
    assert sorted(path.name for path in folder.iterdir()) == ["in.avi", "thesis.txt", "zarr.json"]


def test_a_link_that_leads_nowhere_is_not_replaced_unasked(tmp_path, clip):
    link = tmp_path / "out.avi"
    link.symlink_to(tmp_path / "elsewhere.avi")
    with pytest.raises(FileExistsError):
        pv.run(clip, link)
    pv.run(clip, link, force=True)
    assert not link.is_symlink()


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory) -> dict[str, list]:
    """What became of every format on a disk that is full early, and at the last flush."""
    pytest.importorskip("resource")
    folder = tmp_path_factory.mktemp("full")
    (folder / "nothing.toml").touch()
    video = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), np.uint8)
    np.save(folder / "many.npy", video)
    np.save(folder / "one.npy", video[:1])
    command = [sys.executable, "-c", FILLING_UP, str(folder), *FORMATS, *(["zarr"] if HAS_ZARR else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "ending",
    [*FORMATS, pytest.param("zarr", marks=pytest.mark.skipif(not HAS_ZARR, reason="the extra zarr is not installed"))],
)
@pytest.mark.parametrize("moment", ["early", "at the last flush"])
def test_disk_full_early_and_at_the_last_flush(full_disk, moment, ending):
    code, said, left = full_disk[f"{moment} {ending}"]
    assert code == 5, said
    assert said.startswith("pde-video: ")
    assert said.count("\n") == 1
    assert left == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_disk_full_when_figures_are_printed(clip):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pde_video", "info", str(clip)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_disk_full_below_a_video_on_standard_output(clip, tmp_path):
    (tmp_path / "nothing.toml").touch()
    command = [sys.executable, "-m", "pde_video", "pipeline", str(tmp_path / "nothing.toml"), str(clip), "-"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert done.stderr.startswith("pde-video: ")
    assert "No space left" in done.stderr


@pytest.fixture
def endless(tmp_path) -> Path:
    path = tmp_path / "endless.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (3000, 240, 320, 3))  # Sparse: it takes no room on disk.
    return path


def signalled(command: list[str], folder: Path, number: int) -> tuple[int, str, str]:
    """Send a signal as soon as there is something in the folder; check that no process is left."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    try:
        begun = time.monotonic()
        while not os.listdir(folder) and process.poll() is None and time.monotonic() - begun < 60:
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be interrupted"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(ProcessLookupError):  # Of its session nobody is there any more.
        os.killpg(process.pid, 0)
    return process.returncode, out, err


SIGNALS = [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ["out.mp4", *slow("out.npy", "out_%04d.png")])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_sigint_and_sigterm_leave_neither_child_nor_temporary_file(endless, tmp_path, number, code, name):
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, "denoise", str(endless), str(folder / name), "--sigma", "20"]
    found, out, err = signalled(command, folder, number)
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert os.listdir(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.npy", "out.mp4", "out_%04d.png"])
def test_sigkill_leaves_no_file_under_the_final_name(endless, tmp_path, name):
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, "heat", str(endless), str(folder / name)]
    assert signalled(command, folder, signal.SIGKILL)[0] == -signal.SIGKILL
    assert all(left.startswith(".pde-video-") for left in os.listdir(folder))


@pytest.mark.slow
def test_read_only_install_and_home_unset(without_rights, clip, tmp_path):
    package = tmp_path / "installed" / "pde_video"
    shutil.copytree(pv.__path__[0], package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [package.parent, *package.parent.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent), "TMPDIR": str(package)}
    done = without_rights(
        [sys.executable, "-m", "pde_video", "heat", str(clip), str(tmp_path / "out.avi")], env=environment, cwd="/"
    )
    for path in [package.parent, *package.parent.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)  # So that it can be removed.
    assert done.returncode == 0, done.stderr
    expected = pv.framewise(pv.Heat(), pv.uniform(1.0, 0.2))(np.stack(list(pv.read(clip))))
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "out.avi"))), expected)
