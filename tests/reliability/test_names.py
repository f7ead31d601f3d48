"""Names that are no names, and what is no file: every command ends at once with the code that is promised."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cases import marked_slow

import pde_video as pv
from pde_video.cli.text import printable
from pde_video.jobs.recipes import planned

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links as POSIX has them")

HOSTILE = "a\x1b[31m\x07\u202eb\nc\x9b"  # Colour, bell, text from right to left, a line, a one-byte control sequence.
SHOWN = r"a\x1b[31m\x07\u202eb\nc\x9b"
MODEL = Path(pv.__file__).parent / "denoisers" / "shipped.safetensors"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, with a clip, what is made of it, a model and an empty recipe."""
    monkeypatch.chdir(tmp_path)
    pv.write("in.avi", np.random.default_rng(0).integers(0, 256, (3, 16, 24), np.uint8))
    planned("in.avi", "made.mkv", [{"filter": "heat"}]).run()
    Path("nothing.toml").touch()
    shutil.copy(MODEL, "model.safetensors")
    return tmp_path


@pytest.fixture
def call(here, call) -> Callable[..., tuple[int, str, str]]:
    return call


def made(kind: str, name: str) -> str:
    """Return the name of such an input, made if it is to be there."""
    stem, ending = os.path.splitext(name)
    if kind == "pipe":
        os.mkfifo(name)
    elif kind == "link to a pipe":
        os.mkfifo(f"a_{name}")
        os.symlink(f"a_{name}", name)
    elif kind == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
            bound.bind(name)
    elif kind == "device":
        os.symlink("/dev/zero", name)
    elif kind == "folder":
        os.mkdir(name)
    elif kind == "loop of links":
        os.symlink(name, name)
    names = {
        "too long": "x" * 300 + ending,
        "too long a path": "a/" * 3000 + name,
        "through a file": f"in.avi/{name}",
        "of no user": f"~nobody/{name}",
        "not UTF-8": f"{stem}\udcff{ending}",
        "hostile": f"{HOSTILE}{ending}",
        "empty": "",
        "NUL": f"a\0b{ending}",
    }
    return names.get(kind, name)


THERE = ("pipe", "link to a pipe", "socket", "device", "folder", "loop of links")
NOT_THERE = ("too long", "too long a path", "through a file", "of no user", "not UTF-8", "hostile", "empty")
INPUTS = {
    "info": ("clip.avi", "info", "{}"),
    "info of a picture": ("clip.png", "info", "{}"),
    "info of a stack": ("clip.tif", "info", "{}"),
    "info of an array": ("clip.npy", "info", "{}"),
    "info of y4m": ("clip.y4m", "info", "{}"),
    "info of no format": ("clip", "info", "{}"),
    "verify": ("clip.avi", "verify", "{}"),
    "verify of no format": ("clip", "verify", "{}"),
    "compare": ("clip.avi", "compare", "{}", "in.avi"),
    "compare with": ("clip.avi", "compare", "in.avi", "{}"),
    "rerun": ("clip.mkv", "rerun", "{}", "out.mkv"),
    "rerun --input": ("clip.avi", "rerun", "made.mkv", "out.mkv", "--input", "{}"),
    "demo": ("clip.avi", "demo", "{}", "-o", "results"),
    "bench": ("clip.avi", "bench", "{}", "--frames", "0:2", "--method", "space-time"),
    "a filter": ("clip.avi", "heat", "{}", "out.avi"),
    "one of several": ("clip.avi", "heat", "in.avi", "{}", "results/"),
    "--noise-from": ("clip.avi", "denoise", "in.avi", "out.avi", "--noise-from", "{}"),
    "--dark": ("clip.avi", "denoise", "in.avi", "out.avi", "--dark", "{}"),
    "--noise": ("noise.json", "denoise", "in.avi", "out.avi", "--noise", "{}"),
    "--model": ("net.safetensors", "denoise", "in.avi", "out.avi", "--model", "{}"),
    "pipeline": ("recipe.toml", "pipeline", "{}", "in.avi", "out.avi"),
}


@pytest.mark.parametrize("what", INPUTS)
def test_what_is_no_file_is_bad_input_at_once(call, here, what):
    name, *command = INPUTS[what]
    for kind in THERE + NOT_THERE:
        given = made(kind, name)
        code, out, err = call(*(word.format(given) for word in command))
        found = f"{what}, {kind}: {code} {err}"
        # A name without an ending is one of usage; the output's name is made of the input's.
        allowed = {"empty": (2, 4), "too long": (4, 5), "too long a path": (4, 5)}.get(kind, (4,))
        assert code in allowed, found
        assert (out, err.count("\n")) == ("", 1), found
        assert err.isascii() or err.rstrip().isprintable(), found
        for file in (Path(name), Path(f"a_{name}")):
            if os.path.lexists(file):
                file.rmdir() if file.is_dir() else file.unlink()
    left = {"in.avi", "made.mkv", "nothing.toml", "model.safetensors"}
    assert {path.name for path in here.iterdir()} == left


def test_a_nul_in_an_argument_is_a_fault_of_usage(call):
    code, out, err = call("info", made("NUL", "clip.avi"))
    assert (code, out) == (2, "")
    assert "NUL" in err


@pytest.mark.parametrize("name", ["a\0b.avi", "x" * 300 + ".avi"])
def test_names_that_no_file_can_have_are_errors_of_the_library(here, name):
    with pytest.raises(pv.InputError):
        pv.read(name)
    with pytest.raises(pv.OutputError):
        pv.write(name, np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(pv.InputError):
        pv.load_denoiser(name.replace(".avi", ".safetensors"))


@pytest.mark.parametrize("name", ["frame_%04d.png", "data.zarr"])
def test_a_pipe_among_pictures_and_in_place_of_a_header_does_not_hang(call, here, name):
    if name.endswith(".png"):
        pv.write("frame_0001.png", np.zeros((1, 8, 8), np.uint8))
        os.mkfifo("frame_0002.png")
    else:
        Path(name).mkdir()
        os.mkfifo(f"{name}/zarr.json")
    assert call("verify", name)[0] == 4


OUTPUTS = {
    "a filter": ("out.avi", "heat", "in.avi", "{}"),
    "several inputs": ("folder", "heat", "in.avi", "made.mkv", "{}/"),
    "--sidecar": ("out.avi", "heat", "in.avi", "{}", "--sidecar"),
    "--dry-run": ("out.avi", "heat", "in.avi", "{}", "--dry-run"),
    "pictures": ("out_%02d.png", "heat", "in.avi", "{}"),
    "rerun": ("out.mkv", "rerun", "made.mkv", "{}"),
    "sample": ("out.avi", "sample", "{}", "--shape", "2", "8", "8", "--steps", "2"),
    "demo": ("folder", "demo", "in.avi", "-o", "{}"),
    "compare": ("out.avi", "compare", "in.avi", "in.avi", "-o", "{}"),
    "compare --picture": ("out.png", "compare", "in.avi", "in.avi", "--picture", "{}"),
    "bench": ("out.md", "bench", "in.avi", "--method", "space-time", "-o", "{}"),
}


@pytest.mark.parametrize("what", marked_slow(OUTPUTS, "demo"))
def test_names_that_no_output_can_have_are_output_faults(call, here, what):
    name, *command = OUTPUTS[what]
    Path("loop").symlink_to("loop")
    before = {path.name for path in here.iterdir()}
    for kind in ("too long", "too long a path", "through a file", "through a loop"):
        given = f"loop/{name}" if kind == "through a loop" else made(kind, name)
        for options in ([], ["--force"]):
            code, out, err = call(*(word.format(given) for word in command), *options)
            assert (code, out, err.count("\n")) == (5, "", 1 + err.startswith("repeating")), f"{what}, {kind}: {err}"
    assert {path.name for path in here.iterdir()} == before


def test_text_is_printable_whatever_it_is():
    assert printable(HOSTILE) == SHOWN
    assert printable("żółć 名 \xa0 ±") == "żółć 名 \xa0 ±"
    assert printable("okay\udcff\ud800\u2028\U000e0041") == r"okay\xff\ud800\u2028\U000e0041"
    assert all(printable(chr(code)).isprintable() or chr(code).isspace() for code in range(0x3000))


def hostile_comment(path: Path, text: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        container.metadata["comment"] = text
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
        for packet in (*stream.encode(av.VideoFrame(16, 16, "gray")), *stream.encode()):
            container.mux(packet)


def test_names_and_metadata_cannot_steer_a_terminal(call, here):
    """In `info`, errors, usage errors, notes, the log and warnings; through the channel that a terminal reads."""
    hostile_comment(here / "said.mkv", HOSTILE)
    shutil.move("said.mkv", f"{HOSTILE}.mkv")
    code, out, err = call("info", f"{HOSTILE}.mkv")
    assert (code, err) == (0, "")
    assert f"{SHOWN}.mkv" in out
    lines = out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert SHOWN in next(line for line in lines if line.startswith("comment"))
    for arguments in (
        ["info", f"{HOSTILE}.avi"],
        ["heat", "in.avi", f"{HOSTILE}/out.avi"],
        [HOSTILE],
        ["heat", "in.avi", "out.avi", f"--{HOSTILE}"],
        ["heat", "in.avi", "out.avi", "--time", HOSTILE],
        ["completion", HOSTILE],
        ["denoise", "in.avi", "out.avi", "--method", HOSTILE],
        ["--debug", "info", f"{HOSTILE}.avi"],
    ):
        code, out, err = call(*arguments)
        assert code in (2, 4, 5), err
        assert all(line.isprintable() for line in err.split("\n")), err
        assert r"\x1b" in err


def test_a_terminal_gets_no_control_characters(here):
    """Where standard error is a terminal, click leaves what it strips elsewhere."""
    leader, follower = pty.openpty()
    done = subprocess.run([sys.executable, "-m", "pde_video", "info", f"{HOSTILE}.avi"], stderr=follower, timeout=60)
    os.close(follower)
    said = os.read(leader, 4096).decode()
    os.close(leader)
    assert done.returncode == 4
    assert f"{SHOWN}.avi" in said
    assert said.rstrip("\r\n").isprintable()


def test_the_log_is_printable(call, monkeypatch):
    def loud(*_args, **_kwargs):
        logging.getLogger("pde_video.kernels").warning("cache in %s", HOSTILE)
        raise pv.InputError("done")

    monkeypatch.setattr("pde_video.read", loud)
    assert call("info", "in.avi")[2] == f"pde-video: cache in {SHOWN}\npde-video: done\n"


def test_a_name_that_is_not_utf_8_is_shown_and_written_as_json(call):
    shutil.copy("in.avi", "okay\udcff.avi")
    code, out, _ = call("info", "okay\udcff.avi")
    assert code == 0
    assert r"okay\xff.avi" in out
    assert json.loads(call("info", "okay\udcff.avi", "--json")[1])["file"] == "okay\udcff.avi"
    assert call("heat", "okay\udcff.avi", "out\udcff.mkv", "--sidecar")[0] == 0
    assert call("rerun", "out\udcff.mkv", "again.mkv")[0] == 0


def test_json_has_no_nan_however_deep(call, monkeypatch):
    monkeypatch.setattr("pde_video.cli.commands.info.callback.__wrapped__", None, raising=False)
    from pde_video.cli.options import _finite

    assert _finite({"a": [float("nan"), {"b": float("inf")}], "c": 1.5}) == {"a": [None, {"b": None}], "c": 1.5}


PROGRAM = [sys.executable, "-m", "pde_video"]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ("stdout", 0),
        pytest.param("stderr", 4, marks=pytest.mark.slow),
        pytest.param("stdin", 4, marks=pytest.mark.slow),
    ],
)
def test_a_standard_stream_that_is_closed(here, stream, code):
    number = {"stdin": 0, "stdout": 1, "stderr": 2}[stream]
    command = {0: ["heat", "-", "out.avi"], 1: ["heat", "in.avi", "out.avi"], 2: ["info", "none.avi"]}[number]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {number}{"<" if number == 0 else ">"}&-', "sh", *PROGRAM, *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 0:
        assert pv.read("out.avi").count == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize(
    ("arguments", "code"), [(["info", "none.avi"], 4), pytest.param(["none"], 2, marks=pytest.mark.slow)]
)
def test_standard_error_that_is_full_leaves_the_exit_code(here, arguments, code):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, *arguments], stderr=full, timeout=60)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [("PYTHONIOENCODING", "latin-1", 0), pytest.param("PDE_VIDEO_NUM_THREADS", "abc", 2, marks=pytest.mark.slow)],
)
def test_the_environment_may_be_anything(here, variable, value, code):
    shutil.copy("in.avi", "żółć.avi")
    environment = os.environ | {variable: value, "PYTHONUTF8": "1"}
    done = subprocess.run([*PROGRAM, "heat", "żółć.avi", "out.avi"], env=environment, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert variable != "PYTHONIOENCODING" or b"\\u017c\xf3\\u0142\\u0107.avi" in done.stdout


@pytest.mark.parametrize("time", ["1e999999999", "1e-999999999", "9" * 5000, "1e400"])
def test_times_that_would_take_the_memory_of_their_digits_are_refused(call, time):
    assert call("heat", "in.avi", "out.avi", "--start", time)[0] == 2


@pytest.mark.parametrize(
    "options",
    [
        ["heat", "--threads"],
        ["heat", "--max-pixels"],
        ["heat", "--crf"],
        ["heat", "--stream"],
        ["denoise", "--radius"],
        ["denoise", "--sigma"],
        ["crop", "--top", "0", "--left", "0", "--height", "4", "--width"],
        ["resize", "--height", "4", "--width"],
        ["extrapolate", "--count"],
        ["heat", "--frames"],
    ],
)
def test_whole_numbers_that_no_machine_holds_are_no_internal_fault(call, options):
    name, *rest = options
    for digits in (30, 400):
        value = "9" * digits + ":" * (rest[-1] == "--frames")
        code, _, err = call(name, "in.avi", "out.avi", *rest, value, "--dry-run")
        assert code in (0, 2, 4), err
        assert len(err) < 5000
