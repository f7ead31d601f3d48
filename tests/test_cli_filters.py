"""The commands that filter: options in, a recipe out, several files, progress, and what is printed where."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from fractions import Fraction
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.cli.filter_command import _click_option
from pde_video.cli.main import cli
from pde_video.cli.options import closed_range, open_range, seconds
from pde_video.cli.progress import duration, shown_progress, told_by_the_minute
from pde_video.filters.declarations import declared
from pde_video.jobs.recipes import build
from pde_video.jobs.registry import filter_called, names


@pytest.fixture(autouse=True)
def threads_as_before():
    before = pv.num_threads()
    yield
    pv.set_num_threads(before)


@pytest.fixture
def asked(call, monkeypatch):
    """Call the command line and return what it asks for, which is not done."""

    def run_it(*arguments):
        plans = []

        def remember(source, target, recipe, **options):
            plans.append(SimpleNamespace(source=source, target=target, recipe=recipe, **options))
            return SimpleNamespace(run=run, beforehand=())

        def run(progress):
            plans[-1].progress = progress
            return {"frames": 0}

        monkeypatch.setattr("pde_video.jobs.recipes.planned", remember)
        assert call(*arguments)[0] == 0
        return plans[0]

    return run_it


@pytest.fixture
def clip(tmp_path, rng) -> Path:
    path = tmp_path / "in.avi"
    pv.write(path, rng.integers(0, 256, (6, 24, 32), np.uint8), rate=25)
    return path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


RECIPES = {
    "denoise --preset best --sigma 12": {"filter": "denoise", "preset": "best", "sigma": 12.0},
    "denoise --noise 0.5,3 --radius 2 --causal": {
        "filter": "denoise",
        "noise": [0.5, 3.0],
        "radius": 2,
        "causal": True,
    },
    "heat": {"filter": "heat"},
    "heat --time 2 --dt 0.5 --step implicit-euler": {
        "filter": "heat",
        "time": 2.0,
        "dt": 0.5,
        "step": "implicit-euler",
    },
    "heat --spacetime": {"filter": "heat", "spacetime": True},
    "perona-malik --kappa 12 --conductance tukey --smoothing 0": {
        "filter": "perona-malik",
        "kappa": 12.0,
        "conductance": "tukey",
        "smoothing": 0.0,
    },
    "tv --time 20 --epsilon 1": {"filter": "tv", "time": 20.0, "epsilon": 1.0},
    "eed --kappa 9 --integration 1 --step fed": {"filter": "eed", "kappa": 9.0, "integration": 1.0, "step": "fed"},
    "ced --alpha 0.01 --smoothing 1": {"filter": "ced", "alpha": 0.01, "smoothing": 1.0},
    "frame-difference": {"filter": "frame-difference"},
    "frame-difference --alpha 0.5 --kappa 9": {"filter": "frame-difference", "alpha": 0.5, "kappa": 9.0},
    "extrapolate --count 3": {"filter": "extrapolate", "count": 3},
    "extrapolate --method motion": {"filter": "extrapolate", "method": "motion"},
    "interpolate --factor 5/2 --duplicates replace": {
        "filter": "interpolate",
        "factor": "5/2",
        "duplicates": "replace",
    },
    "interpolate --rate 59.94 --cuts ignore": {"filter": "interpolate", "rate": 59.94, "cuts": "ignore"},
}


@pytest.mark.parametrize("words", RECIPES)
def test_options_become_a_recipe_that_can_be_built(asked, words):
    job = asked(*shlex.split(words), "in.mp4", "out.mp4")
    assert job.recipe == [RECIPES[words]]
    assert len(build(job.recipe)) == 1
    assert (job.source, job.target, job.nan) == (Path("in.mp4"), Path("out.mp4"), "refuse")
    assert (job.reading, job.encoding) == ({}, {})
    assert job.command == shlex.join(["pde-video", *shlex.split(words), "in.mp4", "out.mp4"])


def test_every_option_has_its_place(asked):
    words = (
        "heat in.mkv out.mkv --start 1:02.5 --end 70 --frames 3: --stream 1 --keep-partial --max-pixels 999 --nan mask "
    )
    words += "--codec ffv1 --crf 3 --lossless --sidecar --force --raw 4x4:gray --raw-output --threads 1"
    job = asked(*words.split())
    reading = {"start": Fraction(125, 2), "end": 70, "frames": (3, None), "stream": 1, "keep_partial": True}
    assert job.reading == {**reading, "max_pixels": 999, "raw": "4x4:gray"}
    assert job.encoding == {"codec": "ffv1", "crf": 3, "lossless": True, "raw": True}
    assert job.nan == "mask"
    assert (job.force, job.sidecar, job.progress) == (True, True, shown_progress)
    assert pv.num_threads() == 1


def test_a_dash_is_standard_input_and_output_and_a_path_is_a_file(asked):
    job = asked("heat", "-", "-")
    assert (job.source, job.target) == ("-", "-")
    assert isinstance(job.source, str)
    job = asked("heat", "./-", "./-.mp4")
    assert (job.source, job.target) == (Path("-"), Path("-.mp4"))


def test_figures_go_to_standard_error_when_standard_output_is_the_video(call, monkeypatch):
    plan = SimpleNamespace(run=lambda progress: {"frames": 3}, beforehand=())
    monkeypatch.setattr("pde_video.jobs.recipes.planned", lambda *names, **options: plan)
    code, out, err = call("heat", "in.mp4", "-")
    assert (code, out) == (0, "")
    assert "frames" in err


@pytest.mark.parametrize("option", ["--dry-run", "--resume"])
@pytest.mark.parametrize("names", [("-", "out.npy"), ("in.npy", "-")])
def test_what_needs_files_refuses_standard_input_and_output(call, option, names):
    code, _, err = call("heat", *names, option)
    assert code == 2
    assert "name files" in err


@pytest.mark.parametrize("name", ["heat", "perona-malik", "tv", "eed", "ced", "frame-difference", "extrapolate"])
def test_commands_do_as_the_library(call, clip, tmp_path, name):
    code, out, err = call(name, clip, tmp_path / "out.npy", "--json", "--quiet")
    assert (code, err) == (0, "")
    recipe = {"filter": name, **({"alpha": -0.5} if name == "frame-difference" else {})}
    expected = pv.pipeline(*build([recipe]))(np.stack(list(pv.read(clip))))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    assert json.loads(out)["frames"] == len(expected)


def test_a_pipeline_from_a_file(call, clip, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[[filter]]\nname = "heat"\ntime = 0.5\n[[filter]]\nname = "crop"\ntop=1\nleft=2\nheight=3\nwidth=4'
    )
    assert call("pipeline", recipe, clip, tmp_path / "out.npy")[0] == 0
    expected = pv.framewise(pv.Heat(), pv.uniform(0.5, 0.2))(np.stack(list(pv.read(clip))))[:, 1:4, 2:6]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_a_pipeline_of_nothing_changes_nothing(call, clip, tmp_path):
    (tmp_path / "nothing.toml").touch()
    assert call("pipeline", tmp_path / "nothing.toml", clip, tmp_path / "out.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.stack(list(pv.read(clip))))


@pytest.mark.parametrize(("text", "code"), [("[[filter]", 2), ("[[filter]]\nname='blur'", 2), (None, 4)])
def test_a_bad_pipeline_is_refused_in_one_line(call, clip, tmp_path, text, code):
    if text is not None:
        (tmp_path / "recipe.toml").write_text(text)
    found, _, err = call("pipeline", tmp_path / "recipe.toml", clip, tmp_path / "out.npy")
    assert found == code
    assert err.startswith("pde-video: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("there", [True, False])
def test_several_inputs_and_an_output_folder(call, clip, tmp_path, there):
    stack, folder = tmp_path / "b.tif", tmp_path / "results"
    pv.write(stack, np.zeros((2, 9, 9), np.uint16))
    if there:
        folder.mkdir()
    code, out, _ = call("heat", clip, stack, f"{folder}/", "--json")
    assert code == 0
    assert sorted(content(folder)) == ["b.tif", "in.avi"]
    assert next(iter(pv.read(folder / "b.tif"))).dtype == np.uint16
    assert [json.loads(line)["output"] for line in out.splitlines()] == [str(folder / n) for n in ("in.avi", "b.tif")]


def test_one_input_and_a_folder_that_is_there(call, clip, tmp_path):
    (tmp_path / "results").mkdir()
    assert call("heat", clip, tmp_path / "results")[0] == 0
    assert sorted(content(tmp_path / "results")) == ["in.avi"]


def test_all_inputs_and_outputs_are_looked_at_before_any_work(call, clip, tmp_path):
    before = content(tmp_path)
    for arguments, code in [
        ((clip, tmp_path / "missing.avi", f"{tmp_path}/results/"), 4),
        ((clip, clip, f"{tmp_path}/results/"), 2),
        ((clip, "-", f"{tmp_path}/results/"), 2),
        ((clip, tmp_path / "other.avi", tmp_path / "no_folder"), 2),
        ((clip, f"{tmp_path}/missing/results/"), 5),
        ((clip, f"{tmp_path}/"), 3),
        ((clip, tmp_path / "other.avi", clip), 2),
        ((clip,), 2),
        ((), 2),
    ]:
        found, _, err = call("heat", *arguments)
        assert found == code, (arguments, err)
        assert content(tmp_path) == before


def test_an_existing_output_stops_before_the_first(call, clip, tmp_path):
    pv.write(tmp_path / "b.avi", np.zeros((2, 16, 16), np.uint8))
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "b.avi").write_bytes(b"mine")
    assert call("heat", clip, tmp_path / "b.avi", folder)[0] == 3
    assert content(folder) == {"b.avi": b"mine"}


def test_a_fault_in_one_leaves_those_that_were_finished(call, clip, tmp_path):
    video = np.zeros((3, 9, 9), np.float32)
    video[2, 4, 4] = np.nan
    np.save(tmp_path / "bad.npy", video)
    np.save(tmp_path / "late.npy", np.zeros((3, 9, 9), np.float32))
    code, _, err = call("heat", clip, tmp_path / "bad.npy", tmp_path / "late.npy", f"{tmp_path}/results/")
    assert code == 4
    assert "frame 2" in err
    assert sorted(content(tmp_path / "results")) == ["in.avi"]


def test_dry_run_writes_nothing(call, clip, tmp_path):
    before = content(tmp_path)
    code, out, _ = call("heat", clip, tmp_path / "out.avi", "--dry-run", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["frames"] == 6
    assert {"expected_seconds", "expected_bytes", "peak_bytes", "free_bytes"} <= set(facts)
    assert content(tmp_path) == before
    code, out, _ = call("heat", clip, f"{tmp_path}/results/", "--dry-run")
    assert code == 0
    assert re.search(r"^expected time +[\d.]+ s\nexpected size +[\d.]+ MB\nfree space +[\d,.]+ MB\n", out, re.MULTILINE)
    assert content(tmp_path) == before


def test_rerun_and_verify(call, clip, tmp_path):
    out, again = tmp_path / "out.mkv", tmp_path / "again.mkv"
    assert call("heat", clip, out, "--lossless", "--sidecar")[0] == 0
    code, text, _ = call("rerun", out, again, "--json")
    assert code == 0
    assert json.loads(text)["identical"]
    code, text, _ = call("verify", out, "--json")
    assert code == 0
    assert json.loads(text)["sidecar"] == "agrees"
    assert json.loads(call("info", again, "--json")[1])["made"]["command"].startswith("pde-video heat ")
    out.write_bytes(out.read_bytes()[:-100])
    code, _, err = call("verify", out)
    assert code == 4
    assert str(out) in err


@pytest.mark.parametrize("name", ["heat", "tv", "to-gray", "denoise", "denoise --preset fast", "denoise --sigma 0.1"])
def test_the_fault_of_nan_names_the_remedy(call, tmp_path, name):
    video = np.random.default_rng(0).random((3, 16, 16, 3)).astype(np.float32)
    video[2, 4, 5, 1] = np.nan
    np.save(tmp_path / "in.npy", video)
    command, *options = name.split()
    code, _, err = call(command, tmp_path / "in.npy", tmp_path / "out.npy", *options)
    assert code == 4
    assert "masking(filter), on the command line --nan mask" in err
    if command == "heat":
        assert call(command, tmp_path / "in.npy", tmp_path / "out.npy", *options, "--nan", "mask")[0] == 0


def test_quiet_prints_nothing_but_errors(call, tmp_path):
    pv.write(tmp_path / "flat.avi", np.full((3, 16, 16), 9, np.uint8))
    assert call("perona-malik", tmp_path / "flat.avi", tmp_path / "out.avi", "--quiet") == (0, "", "")
    code, out, err = call("perona-malik", tmp_path / "flat.avi", tmp_path / "out.avi", "--quiet")
    assert (code, out) == (3, "")
    assert "exists" in err


def test_a_run_that_is_repeated_quietly_prints_nothing_but_errors(call, tmp_path, rng):
    source, out, again = tmp_path / "in.avi", tmp_path / "out.npy", tmp_path / "again.npy"
    pv.write(source, rng.integers(0, 256, (6, 24, 32), np.uint8))
    assert call("heat", source, out, "--sidecar", "--quiet") == (0, "", "")
    assert call("rerun", out, again, "--quiet") == (0, "", "")
    code, _, err = call("rerun", out, again, "--quiet")
    assert (code, err.count("\n")) == (3, 1)
    code, text, err = call("rerun", out, again, "--quiet", "--force", "--json")
    assert (code, err, json.loads(text)["identical"]) == (0, "", True)
    assert "repeating: " in call("rerun", out, again, "--force")[2]


def test_what_was_lost_is_told_even_quietly(call, tmp_path, rng):
    source, out, again = tmp_path / "in.avi", tmp_path / "out.npy", tmp_path / "again.npy"
    pv.write(source, rng.integers(0, 256, (6, 24, 32), np.uint8))
    source.write_bytes(source.read_bytes()[:-1500])
    for arguments in (["heat", source, out, "--sidecar", "--keep-partial"], ["rerun", out, again]):
        code, text, err = call(*arguments, "--quiet")
        assert (code, text, err.count("\n")) == (0, "", 1)
        assert err.startswith("only a part was kept: ")


@pytest.mark.parametrize("name", ["heat", "pipeline", "bench"])
def test_the_help_writes_a_range_as_the_error_does(call, name):
    _, text, _ = call(name, "--help")
    assert "--frames START:END" in text


def test_a_flat_video_is_told_to_be_one(call, tmp_path):
    pv.write(tmp_path / "flat.avi", np.full((3, 16, 16), 9, np.uint8))
    code, _, err = call("perona-malik", tmp_path / "flat.avi", tmp_path / "out.avi")
    assert code == 0
    assert "--kappa" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--time -1", "time is -1"),
        ("--time nan", "time is nan"),
        ("--time 1e300", "more than 10,000,000"),
        ("--time 1e9", "implicit_euler"),
        ("--dt 0", "dt is 0"),
        ("--time 9 --dt 3", "stable"),
        ("--step leapfrog", "explicit-euler, heun"),
        ("--threads 0", "whole number of threads"),
        ("--max-pixels 0", "max_pixels is 0"),
        ("--frames 5:2", "frames are"),
        ("--start 9 --end 3", "end must be after start"),
        ("--nan zero", "refuse, mask"),
        ("--start 1:75", "1:75"),
        ("--frames 3", "START:END"),
        ("--sidecar --sigma 3", "--sigma"),
    ],
)
def test_numbers_out_of_range_exit_2_and_leave_nothing(call, clip, tmp_path, options, says):
    before = content(tmp_path)
    code, out, err = call("heat", clip, tmp_path / "out.avi", *options.split())
    assert (code, out) == (2, "")
    assert says in err
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "kappa"),
    [*product(["perona-malik", "eed", "ced", "frame-difference"], ["1e-40", "1e-300"]), ("frame-difference", "1e-18")],
)
def test_a_contrast_that_the_frames_cannot_hold_is_refused_in_one_line(call, clip, tmp_path, name, kappa):
    code, out, err = call(name, clip, tmp_path / "out.avi", "--kappa", kappa, "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    if (name, kappa) == ("ced", "1e-300"):  # Whose fourth power is 0 already.
        assert "contrast is 0.0; it must be positive" in err
    else:
        assert f"{clip}: {name.replace('-', '_')}: kappa" in err
        assert f"is {float(kappa) / 255:.3g} in units of the state (integers: of the full scale)" in err
        least = "2.2e-19" if name == "frame-difference" else "4.7e-38"
        assert f"float32 needs at least {least}: give a larger one" in err


def difference_from_zero(kappa, dtype):
    return pv.FrameDifference(np.zeros((9, 9), dtype), kappa=kappa)


@pytest.mark.parametrize("name", ["Perona-Malik", "difference", "edge-enhancing"])
@pytest.mark.parametrize("dtype", [np.float32, *slow(np.float64)])
def test_a_contrast_needs_the_range_of_the_dtype_alone(name, dtype, rng):
    least, of_square = (4.8e-38, 2.2e-19) if dtype == np.float32 else (9e-308, 3e-154)
    y = rng.standard_normal((9, 9)).astype(dtype)
    term, kappa = {
        "Perona-Malik": (pv.PeronaMalik, least),
        "difference": (partial(difference_from_zero, dtype=dtype), of_square),
        "edge-enhancing": (pv.EdgeEnhancing, least),
    }[name]
    assert np.isfinite(pv.evolve(term(kappa), dtype(100 * kappa) * y, [0, 1e-3])).all()
    with pytest.raises(pv.ParameterError, match="give a larger one"):
        pv.evolve(term(kappa / 2), y, [0, 0.1])
    if name == "Perona-Malik":
        with pytest.raises(pv.ParameterError, match="temporal_kappa is"):
            pv.evolve(pv.PeronaMalik(1.0, temporal_kappa=least / 2), y[None].repeat(3, 0), [0, 0.1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.5", Fraction(5, 2)),
        ("0", 0),
        ("1:02.125", Fraction(497, 8)),
        ("01:00:00", 3600),
        ("90:00", 5400),
        ("1/3", Fraction(1, 3)),
    ],
)
def test_times_are_exact(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", ":", "1:", "1:2:3:4", "1:60", "-1:30", "1:-3", "a", "1.5:3", "1/0", "1e400:1"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter):
        seconds(text)


def test_ranges_may_be_open():
    assert list(map(open_range, ("3:9", "3:", ":9", ":"))) == [(3, 9), (3, None), (0, 9), (0, None)]
    assert closed_range("3:9") == (3, 9)
    for text in ("3:", ":9", "3", "3:9:12"):
        with pytest.raises(click.BadParameter):
            closed_range(text)


def test_progress_in_a_log_is_a_line_a_minute(capsys):
    now = [0.0]

    def frames():
        for number in range(50):
            now[0] += 5.0
            yield number

    passed = list(told_by_the_minute(frames(), 100, clock=lambda: now[0]))
    assert passed == list(range(50))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4  # 250 s.
    assert lines[0] == "pde-video: 12 of 100 frames, 0.2 frames/s, 7 min 20 s left"
    assert lines[1] == "pde-video: 24 of 100 frames, 0.2 frames/s, 6 min 20 s left"


def test_progress_of_an_unknown_number_tells_no_time_left(capsys):
    now = iter([0.0, 10.0, 20.0, 90.0])
    list(told_by_the_minute([0, 1], None, clock=lambda: next(now)))
    assert capsys.readouterr().err == "pde-video: 2 frames, 0.0125 frames/s\n"


def test_progress_of_the_first_frame_tells_no_rate(capsys):
    """Most of its time went into compiling."""
    now = iter([0.0, 250.0, 250.1])
    list(told_by_the_minute([0], 8, clock=lambda: next(now)))
    assert capsys.readouterr().err == "pde-video: 1 of 8 frames\n"


@pytest.mark.parametrize(
    ("span", "text"), [(4.4, "4 s"), (59.7, "1 min 0 s"), (165, "2 min 45 s"), (7384, "2 h 3 min")]
)
def test_durations(span, text):
    assert duration(span) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_has_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(shown_progress(range(6), 6)) == list(range(6))
    shown = sys.stderr.getvalue()
    assert "0/6" in shown
    assert "frames/s" in shown


def test_an_unknown_fault_is_one_line_and_with_debug_a_traceback(call, clip, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise KeyError("unheard of")

    monkeypatch.setattr("pde_video.jobs.run.Plan.run", broken)
    code, out, err = call("heat", clip, tmp_path / "out.avi")
    assert (code, out) == (1, "")
    assert err == "pde-video: internal fault (KeyError: 'unheard of'): run again with --debug\n"
    code, _, err = call("--debug", "heat", clip, tmp_path / "out.avi")
    assert code == 1
    assert "Traceback" in err
    assert "in broken" in err


def test_a_known_fault_with_debug_keeps_its_code(call):
    code, _, err = call("--debug", "info", "missing.mp4")
    assert code == 4
    assert "Traceback" in err
    assert err.endswith("pde-video: missing.mp4: no such file\n")


def test_too_little_memory_is_told(call, clip, tmp_path, monkeypatch):
    def hungry(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("pde_video.jobs.run.Plan.run", hungry)
    code, _, err = call("heat", clip, tmp_path / "out.avi")
    assert code == 1
    assert "not enough memory" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(call, shell):
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert f"_PDE_VIDEO_COMPLETE={shell}_complete" in out


def completed(words: list[str], incomplete: str) -> set[str]:
    from click.shell_completion import ShellComplete

    found = ShellComplete(cli, {}, "pde-video", "_PDE_VIDEO_COMPLETE").get_completions(words, incomplete)
    return {item.value for item in found}


def test_completion_knows_commands_options_and_names():
    assert completed([], "pe") == {"perona-malik"}
    assert completed(["denoise"], "--pre") == {"--preset"}
    assert completed(["denoise", "--preset"], "b") == {"balanced", "best"}
    assert completed(["eed", "--step"], "f") == {"fed", "fsi"}


def test_names_that_complete_are_those_of_the_library():
    from pde_video.denoising.denoise import PRESETS
    from pde_video.denoising.other_methods import BY_DENOISER, BY_EVOLUTION
    from pde_video.filters.evolving import STEPS
    from pde_video.terms.perona_malik import CONDUCTANCES

    assert completed(["denoise", "--preset"], "") == set(PRESETS)
    assert completed(["denoise", "--method"], "") == {*BY_EVOLUTION, *BY_DENOISER}
    assert completed(["heat", "--step"], "") == set(STEPS)
    assert completed(["perona-malik", "--conductance"], "") == set(CONDUCTANCES)


def test_bash_completes(tmp_path):
    environment = {
        **os.environ,
        "_PDE_VIDEO_COMPLETE": "bash_complete",
        "COMP_WORDS": "pde-video ver",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pde_video"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert "verify" in done.stdout


def test_a_run_that_ends_early_says_where_finished_frames_are(call, tmp_path, rng):
    video = rng.random((70, 8, 9), np.float32)
    video[60, 3, 3] = np.nan
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, video)
    code, _, err = call("heat", source, target, "--resume", "--quiet")
    assert code == 4
    assert f"50 finished frames are in {target}.segments; run the same command again" in err
    assert not target.exists()
    video[60, 3, 3] = 0.5
    np.save(source, video)
    code, _, err = call("heat", source, target, "--resume", "--quiet")
    assert code == 3
    assert "another input" in err
    assert "finished frames" not in err


@pytest.mark.parametrize("name", names())
def test_the_examples_in_the_help_are_understood(name):
    command, examples = cli.commands[name], filter_called(name).examples
    assert examples
    for line in examples:
        command.make_context(name, shlex.split(line), obj={"command": ""})  # Raises if an option is unknown.


def test_an_option_that_is_on_by_default_can_be_switched_off(monkeypatch):
    @pv.video_filter
    def brighten(frames, *, gently: bool = True):
        return frames

    option = _click_option(declared(brighten.function)["gently"])
    command = click.Command("brighten", params=[option])
    assert command.make_context("brighten", []).params == {"gently": True}
    assert command.make_context("brighten", ["--no-gently"]).params == {"gently": False}
