"""The command line: exit codes, one line on standard error, and nothing written when refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv

FILTERS = ("denoise", "heat", "perona-malik", "tv", "eed", "ced", "frame-difference", "extrapolate", "pipeline")
OTHERS = ("demo", "info", "compare", "verify", "rerun", "warmup", "doctor", "bench", "sample", "train", "export")
COMMANDS = (*FILTERS, *OTHERS)


@pytest.fixture(autouse=True, scope="module")
def compiled_already():
    # With nothing in the cache a run says on standard error what it waits for: tests/test_doctor.py holds that.
    for channels in ((), (3,)):
        clip = np.random.default_rng(0).random((2, 24, 32, *channels), np.float32)
        methods = ("perona-malik", "tv", "heat", "ddpm", "learned")
        for chosen in [{"method": name} for name in methods] + [{}, {"preset": "fast"}]:
            for video in (clip, (255 * clip).astype(np.uint8), (255 * clip).astype(np.uint16)):
                list(pv.denoise(iter(video), **chosen))  # As from a file, which is a stream.


@pytest.fixture
def noisy(tmp_path) -> Path:
    """Six colour frames of 60 × 80 with noise of deviation 20."""
    t, row, column = np.mgrid[:6, :60, :80]
    clean = np.stack([128 + 60 * np.sin((column + t) / 15), 100 + row, 90 + 40 * np.cos(row / 12)], axis=-1)
    video = clean + np.random.default_rng(1).normal(0, 20, clean.shape)
    path = tmp_path / "noisy.avi"
    pv.write(path, np.clip(np.rint(video), 0, 255).astype(np.uint8))
    return path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def strict_json(text: str) -> dict:
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def one_line(err: str) -> str:
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith("pde-video: ")
    return err


def make_input(folder: Path, kind: str) -> Path:
    video = np.random.default_rng(0).random((4, 20, 30)).astype(np.float32)
    path = folder / {"text": "in.mp4", "empty": "in.mp4", "missing": "in.mp4", "folder": "in.mp4"}.get(kind, "in.npy")
    if kind == "text":
        path.write_text("Only text.\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind in ("nan", "infinite"):
        path = folder / "in.tiff"
        video[2, 3, 4] = np.nan if kind == "nan" else np.inf
        pv.write(path, video)
    elif kind == "cut":
        path = folder / "in.tiff"
        pv.write(path, video)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "complex":
        np.save(path, video.astype(np.complex64))
    elif kind == "boolean":
        np.save(path, video > 0.5)
    elif kind == "two axes":
        np.save(path, video[0])
    elif kind == "five axes":
        np.save(path, video[None, None])
    return path


def test_denoise_writes_every_frame_with_less_noise(call, noisy, tmp_path):
    code, out, err = call("denoise", noisy, tmp_path / "out.avi")
    assert (code, err) == (0, "")
    told = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert list(told) == ["input", "output", "kind of noise", "noise level (sigma)", "preset", "frames"]
    assert float(told["noise level (sigma)"]) == pytest.approx(20, abs=5)
    before, after = (np.stack(list(pv.read(path))).astype(float) for path in (noisy, tmp_path / "out.avi"))
    assert before.shape == after.shape
    assert np.diff(after, axis=2).std() < 0.5 * np.diff(before, axis=2).std()


def test_scenes_and_clipped_values_are_told_in_words_where_there_are_any(call, noisy, tmp_path):
    scenes = list(pv.read(noisy))
    pv.write(tmp_path / "two.avi", [*scenes, *(255 - frame for frame in scenes)])
    _, out, _ = call("denoise", tmp_path / "two.avi", tmp_path / "out.avi", "--preset", "fast")
    assert re.search("^scenes begin at frames +6$", out, re.MULTILINE)
    _, out, _ = call("gaussian-noise", noisy, tmp_path / "noisier.avi", "--sigma", "99")
    assert re.search(r"^values clipped to the range +\d+$", out, re.MULTILINE)


def test_denoise_json_says_what_was_estimated_and_done(call, noisy, tmp_path):
    code, out, _ = call("denoise", noisy, tmp_path / "out.avi", "--json")
    facts = strict_json(out)
    assert code == 0
    assert 15 < facts["sigma"] < 25
    assert facts["noise"] == "gaussian"
    assert facts["frames"] == 6
    assert (facts["preset"], facts["latency"]) == ("balanced", 6)
    assert facts["version"] == pv.__version__
    assert facts["output"] == str(tmp_path / "out.avi")


@pytest.mark.parametrize("method", ["perona-malik", "tv", "heat"])
def test_denoise_uses_the_method_and_the_noise_it_is_told(call, noisy, tmp_path, method):
    code, out, _ = call("denoise", noisy, tmp_path / "out.avi", "--method", method, "--sigma", "12.5", "--json")
    facts = strict_json(out)
    assert code == 0
    assert (facts["method"], facts["sigma"]) == (method, pytest.approx(12.5))


def test_denoise_equals_the_library(call, noisy, tmp_path):
    assert call("denoise", noisy, tmp_path / "out.avi", "--sigma", "20")[0] == 0
    expected = list(pv.denoise(pv.read(noisy), sigma=20))
    assert np.array_equal(np.stack(list(pv.read(tmp_path / "out.avi"))), np.stack(expected))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--method", "nonsense"], "nonsense"),
        (["--sigma", "-1"], "-1"),
        (["--sigma", "nan"], "nan"),
        (["--sigma", "inf"], "inf"),
    ],
)
def test_a_bad_parameter_exits_2(call, noisy, tmp_path, options, named):
    before = content(tmp_path)
    code, out, err = call("denoise", noisy, tmp_path / "out.avi", *options)
    assert (code, out) == (2, "")
    assert named in one_line(err)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["denoise", "in.avi", "out.avi", "--bogus"], "--bogus"),
        (["denoise", "in.avi"], "OUT"),
        (["denoise", "in.avi", "out.avi", "--sigma", "much"], "much"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_usage_exits_2(call, arguments, named):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.xyz", "out.png"])
def test_an_output_format_that_does_not_hold_the_frames_exits_2(call, tmp_path, name):
    pv.write(tmp_path / "in.tiff", np.random.default_rng(0).random((3, 20, 30)).astype(np.float32))
    before = content(tmp_path)
    code, _, err = call("denoise", tmp_path / "in.tiff", tmp_path / name)
    assert code == 2
    assert Path(name).suffix in one_line(err)
    assert content(tmp_path) == before


def test_an_existing_output_exits_3_and_force_replaces_it(call, noisy, tmp_path):
    target = tmp_path / "out.avi"
    target.write_bytes(b"mine")
    code, out, err = call("denoise", noisy, target)
    assert (code, out) == (3, "")
    assert "out.avi" in one_line(err)
    assert "--force" in err
    assert target.read_bytes() == b"mine"
    assert call("denoise", noisy, target, "--force")[0] == 0
    assert len(list(pv.read(target))) == 6


@pytest.mark.parametrize(
    "kind",
    ["missing", "text", "empty", "folder", "cut", "nan", "infinite", "complex", "boolean", "two axes", "five axes"],
)
def test_bad_input_exits_4(call, tmp_path, kind):
    source = make_input(tmp_path, kind)
    before = content(tmp_path)
    code, out, err = call("denoise", source, tmp_path / f"out{source.suffix}")
    assert (code, out) == (4, "")
    one_line(err)
    assert content(tmp_path) == before


@pytest.mark.parametrize("target", ["no/such/out.avi", "folder.avi"])
def test_an_output_that_cannot_be_exits_5(call, noisy, tmp_path, target):
    (tmp_path / "folder.avi").mkdir()
    before = content(tmp_path)
    code, out, err = call("denoise", noisy, tmp_path / target)
    assert (code, out) == (5, "")
    assert str(Path(target).parent if "/" in target else target) in one_line(err)
    assert content(tmp_path) == before


def test_info_says_what_the_file_holds(call, noisy):
    code, out, _ = call("info", noisy, "--json")
    facts = strict_json(out)
    assert code == 0
    assert (facts["height"], facts["width"], facts["channels"], facts["frames"]) == (60, 80, 3, 6)
    assert (facts["dtype"], facts["rate"], facts["codec"]) == ("uint8", "25", "ffv1")
    code, out, _ = call("info", noisy)
    assert code == 0
    assert ["height", "60"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize("kind", ["missing", "text", "folder"])
@pytest.mark.parametrize("command", ["info", "compare"])
def test_reading_bad_input_exits_4(call, noisy, tmp_path, command, kind):
    source = make_input(tmp_path, kind)
    code, out, err = call(*([command, source] if command == "info" else [command, noisy, source]))
    assert (code, out) == (4, "")
    assert str(source) in one_line(err)


def test_compare_of_a_file_with_itself_is_perfect(call, noisy):
    code, out, err = call("compare", noisy, noisy)
    assert (code, err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert facts["psnr"] == "inf dB"
    assert facts["ssim"] == "1"


def test_compare_json_is_valid_when_the_psnr_is_infinite(call, noisy):
    code, out, _ = call("compare", noisy, noisy, "--json")
    facts = strict_json(out)
    assert code == 0
    assert facts["psnr"] is None  # JSON has no number for it.
    assert (facts["ssim"], facts["frames"]) == (1.0, 6)


def test_compare_gives_the_figures_of_the_library(call, noisy, tmp_path):
    frames = np.stack(list(pv.read(noisy)))
    other = np.where(frames < 250, frames + 5, frames).astype(np.uint8)
    pv.write(tmp_path / "other.avi", other)
    code, out, _ = call("compare", noisy, tmp_path / "other.avi", "--json")
    facts = strict_json(out)
    assert code == 0
    assert facts["psnr"] == pytest.approx(pv.psnr(frames, other))
    assert facts["psnr"] == pytest.approx(20 * np.log10(255 / 5), abs=0.5)
    assert 0 < facts["ssim"] < 1


def test_compare_writes_videos_side_by_side_and_a_place_enlarged(call, noisy, tmp_path):
    video, picture = tmp_path / "both.mp4", tmp_path / "crop.png"
    arguments = ["compare", noisy, noisy, "-o", video, "--picture", picture, "--crop", 0, 8, 16, 32]
    code, out, err = call(*arguments, "--json")
    facts = strict_json(out)
    assert (code, err) == (0, "")
    assert facts["files"] == {"video": str(video), "picture": str(picture)}
    assert (facts["crop_place"], facts["whiteness"]) == ([0, 8, 16, 32], None)
    assert (pv.read(video).size, pv.read(picture).size) == ((60, 2 * 80 + 2), (4 * 16, 3 * 4 * 32 + 2 * 8))
    assert call(*arguments)[0] == 3
    assert call(*arguments, "--force")[0] == 0


def test_compare_of_videos_that_differ_in_length_exits_4(call, noisy, tmp_path):
    pv.write(tmp_path / "short.avi", islice(pv.read(noisy), 5))
    code, _, err = call("compare", noisy, tmp_path / "short.avi")
    assert code == 4
    assert "length" in one_line(err)


@pytest.mark.slow
def test_demo_writes_its_files_and_tells_the_gain(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("demo")
    assert (code, err) == (0, "")
    assert sorted(content(tmp_path)) == [
        "pde-video-demo",
        "pde-video-demo/crop.png",
        "pde-video-demo/denoised.mp4",
        "pde-video-demo/noisy.mp4",
        "pde-video-demo/picture.png",
        "pde-video-demo/side_by_side.mp4",
    ]
    facts = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert "cuts" not in facts  # There are none.
    assert facts["noisy"].endswith("noisy.mp4")
    gain, unit = facts["gain"].split()
    assert float(gain) >= 6
    assert unit == "dB"
    noisy, denoised = (len(list(pv.read(tmp_path / "pde-video-demo" / f"{n}.mp4"))) for n in ("noisy", "denoised"))
    assert noisy == denoised == 48
    (panels,) = pv.read(tmp_path / "pde-video-demo" / "picture.png")
    assert panels.shape == (16 + 240, 3 * 320, 3)
    assert float(facts["whiteness of what was removed (1: pure noise)"]) > 0.95
    assert re.fullmatch(r"\d+, \d+, 96, 96", facts["detail enlarged (top, left, height, width)"])


@pytest.mark.parametrize(
    ("name", "frames"),
    [  # The first and the last are too slow whole; the last is four times as large, too.
        ("bikes", 6),
        pytest.param("carphone_pristine", None, marks=pytest.mark.slow),
        pytest.param("bigbuckbunny", 6, marks=pytest.mark.slow),
    ],
)
def test_demo_gains_6_db_on_a_real_clip(call, clips, tmp_path, name, frames):
    clip = clips[name]
    if frames is not None:
        clip = tmp_path / "trimmed.avi"
        pv.write(clip, (frame[-240:, -400:] for frame in islice(pv.read(clips[name]), frames)))
    code, out, _ = call("demo", clip, "--sigma", "20", "-o", tmp_path / "results", "--json")
    facts = strict_json(out)
    assert code == 0
    assert facts["frames"] == (frames or 120)
    assert facts["gain"] == pytest.approx(facts["psnr_denoised"] - facts["psnr_noisy"])
    assert facts["gain"] >= 6
    assert facts["sigma"] == pytest.approx(20, rel=0.25)
    assert sorted(Path(path).name for path in facts["files"].values()) == sorted(os.listdir(tmp_path / "results"))


def test_demo_refuses_to_overwrite(call, noisy, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "denoised.mp4").write_bytes(b"mine")
    code, _, err = call("demo", noisy, "-o", folder)
    assert code == 3
    assert "denoised.mp4" in one_line(err)
    assert content(folder) == {"denoised.mp4": b"mine"}


def test_demo_refuses_its_own_input_even_with_force(call, noisy, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    pv.run(noisy, folder / "noisy.mp4")
    before = content(folder)
    code, _, err = call("demo", folder / "noisy.mp4", "-o", folder, "--force")
    assert code == 3
    one_line(err)
    assert content(folder) == before


@pytest.mark.parametrize("options", [["--sigma", "-1"], ["--method", "nonsense"]])
def test_demo_with_a_bad_parameter_exits_2_and_leaves_nothing(call, noisy, tmp_path, options):
    before = content(tmp_path)
    code, _, err = call("demo", noisy, "-o", tmp_path / "results", *options)
    assert code == 2
    one_line(err)
    assert content(tmp_path) == before


def test_demo_on_a_missing_clip_exits_4_and_leaves_nothing(call, tmp_path):
    code, _, err = call("demo", tmp_path / "missing.mp4", "-o", tmp_path / "results")
    assert code == 4
    assert "missing.mp4" in one_line(err)
    assert content(tmp_path) == {}


def test_demo_into_a_file_exits_5(call, noisy, tmp_path):
    code, _, err = call("demo", noisy, "-o", noisy)
    assert code == 5
    assert str(noisy) in one_line(err)


def test_demo_into_a_folder_that_cannot_be_made_exits_5(call, noisy, tmp_path):
    before = content(tmp_path)
    code, _, err = call("demo", noisy, "-o", noisy / "results")
    assert code == 5
    assert str(noisy / "results") in one_line(err)
    assert content(tmp_path) == before


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_demo_on_a_stack_writes_all_or_nothing(call, tmp_path, dtype):
    video = np.tile(np.linspace(0.2, 0.8, 80), (6, 60, 1))
    video = video.astype(np.float32) if dtype == "float32" else (video * 65535).astype(np.uint16)
    pv.write(tmp_path / "in.tiff", video)
    sigma = 0.05 if dtype == "float32" else 3000
    code, _, _ = call("demo", tmp_path / "in.tiff", "--sigma", sigma, "-o", tmp_path / "results")
    written = [name for name in content(tmp_path) if name.startswith("results/")]
    assert len(written) == (5 if code == 0 else 0)


def test_demo_without_noise_gives_valid_json(call, noisy, tmp_path):
    code, out, err = call("demo", noisy, "--sigma", "0", "-o", tmp_path / "results", "--json")
    if code == 2:  # Refusing is as good as an answer.
        one_line(err)
    else:
        assert code == 0
        assert strict_json(out)["frames"] == 6


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_every_command(call, command, flag):
    code, out, err = call(command, flag)
    assert (code, err) == (0, "")
    assert "Usage:" in out
    assert "Example: pde-video" in out
    assert "--json" in out


def test_help_names_the_commands_and_exit_codes(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "Exit codes" in out


def test_the_module_runs_as_a_program():
    command = [sys.executable, "-m", "pde_video", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert pv.__version__ in done.stdout
    assert done.stderr == ""


def test_bad_input_is_told_in_one_line_also_where_libraries_log(tmp_path):
    source = make_input(tmp_path, "cut")
    before = content(tmp_path)
    command = [sys.executable, "-m", "pde_video", "denoise", str(source), str(tmp_path / "out.tiff")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (4, "")
    assert str(source) in one_line(done.stderr)
    assert content(tmp_path) == before


@pytest.mark.parametrize("method", ["ddpm", "learned"])
def test_denoisers_denoise_files(call, noisy, tmp_path, method):
    code, out, err = call("denoise", noisy, tmp_path / "out.avi", "--method", method, "--sigma", 20, "--json")
    assert (code, err) == (0, "")
    report = strict_json(out)
    assert report["method"] == method
    before, after = (np.stack(list(pv.read(path))).astype(float) for path in (noisy, tmp_path / "out.avi"))
    assert after.shape == before.shape
    assert pv.estimate_sigma(after / 255) < 0.3 * pv.estimate_sigma(before / 255)


def test_clouds_are_drawn_and_the_same_again(call, tmp_path):
    shape = ("--shape", 3, 16, 24, "--steps", 10)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        code, out, err = call("sample", tmp_path / f"{name}.npy", *shape, "--seed", seed, "--json")
        assert (code, err) == (0, "")
        assert strict_json(out)["frames"] == 3
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert a.shape == (3, 16, 24)
    assert a.dtype == np.uint8
    assert a.std() > 5
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("denoise", "in.avi", "out.avi", "--model", "model.pt"), 4, "safetensors"),
        (("denoise", "in.avi", "out.avi", "--model", "model.safetensors"), 4, "cannot be read"),
        (("denoise", "in.avi", "out.avi", "--model", "model.zip"), 4, "neither"),
        (("denoise", "in.avi", "out.avi", "--steps", "2"), 2, "steps are for"),
        (("denoise", "in.avi", "out.avi", "--method", "ddpm", "--steps", "0"), 2, "steps is 0"),
        (("denoise", "in.avi", "out.avi", "--method", "tv", "--model", "model.pt"), 4, "safetensors"),
        (("sample", "out.nonsense"), 2, "out.nonsense"),
        (("sample", "in.avi"), 3, "exists"),
        (("sample", "out.avi", "--shape", "0", "16", "16"), 2, "shape"),
        (("train", "missing.mp4", "-o", "model.txt"), 2, "torch|safetensors"),
    ],
)
def test_bad_calls_of_learned_things_write_nothing(call, noisy, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    noisy.rename(tmp_path / "in.avi")
    before = content(tmp_path)
    found, _, err = call(*arguments)
    assert found == code, err
    assert re.search(says, one_line(err))
    assert content(tmp_path) == before
