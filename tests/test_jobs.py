"""A run as a value: done, tried, done again, verified."""

from __future__ import annotations

import itertools
import json
import shutil
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pde_video as pv
from pde_video import __version__
from pde_video.errors import DtypeError, InputError, OutputError, ParameterError
from pde_video.jobs import trial
from pde_video.jobs.again import _identical, rerun, verify
from pde_video.jobs.recipes import planned
from pde_video.jobs.resuming import run_in_segments
from pde_video.jobs.run import Plan, sidecar_of
from pde_video.jobs.trial import dry_run
from pde_video.video.provenance import fingerprint

HEAT = [{"filter": "heat", "time": 0.5}]
CROP = {"filter": "crop", "top": 0, "left": 0, "height": 9, "width": 9}


@pytest.fixture
def clip(tmp_path, rng) -> Path:
    path = tmp_path / "in.mkv"
    pv.write(path, rng.integers(0, 256, (12, 16, 24, 3), np.uint8), rate=25, lossless=True)
    return path


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(pv.read(path)))


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_job_is_the_filters_of_its_recipe(clip, tmp_path):
    report = planned(clip, tmp_path / "out.npy", HEAT, reading={"frames": (2, 7)}).run()
    assert report["frames"] == 5
    expected = pv.framewise(pv.Heat(), pv.uniform(0.5, 0.2))(frames_of(clip)[2:7])
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize("name", ["in.npy", "in.mkv", "in.tiff", "in_%d.png", "in.y4m"])
@pytest.mark.parametrize("isolated", [False, True])
def test_frames_beyond_the_end_are_refused_with_how_many_there_are(tmp_path, name, isolated):
    pv.write(tmp_path / name, np.zeros((12, 8, 8), np.uint8))
    at = ", the last 0.44 s after the first" if name in ("in.mkv", "in.y4m") else ""
    plan = planned(tmp_path / name, tmp_path / "out.npy", HEAT, reading={"frames": (12, 20), "isolated": isolated})
    with pytest.raises(InputError) as refused:
        plan.run()
    assert str(refused.value).endswith(f"{name}: no frame is within what was asked for; it has 12 frames, 0 to 11{at}")
    if at:  # Frames have times.
        with pytest.raises(InputError, match=r"what was asked for$"):  # How many there are is not known here.
            list(pv.read(tmp_path / name, start=0.01, end=0.02, isolated=isolated))


NAN = np.zeros((4, 8, 8), np.float32)
NAN[2, 3, 3] = np.nan
FAULTS = {
    "NaN": (NAN, HEAT, InputError, "heat: frame 2 holds NaN"),
    "dtype": (np.zeros((2, 8, 8), np.int64), HEAT, DtypeError, "heat: frames have dtype int64"),
    "size": (np.zeros((2, 8, 8)), [*HEAT, CROP], ParameterError, "crop: rows 0:9, columns 0:9 do not lie inside"),
    "channels": (np.zeros((2, 8, 8, 2)), [*HEAT, {"filter": "to-gray"}], InputError, "to_gray: frames have 2 channels"),
}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_frames_names_the_file_and_the_filter(tmp_path, kind, resume):
    frames, recipe, error, said = FAULTS[kind]
    np.save(tmp_path / "in.npy", frames)
    plan = planned(tmp_path / "in.npy", tmp_path / "out.npy", recipe, resume=resume)
    with pytest.raises(error) as refused:
        (run_in_segments if resume else Plan.run)(plan)
    assert type(refused.value) is error
    assert str(refused.value).startswith(f"{tmp_path / 'in.npy'}: {said}")


def test_a_fault_of_the_source_blames_no_filter(tmp_path):
    pv.write(tmp_path / "f_%d.png", np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "f_3.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as refused:
        planned(tmp_path / "f_%d.png", tmp_path / "out.npy", HEAT).run()
    assert "heat" not in str(refused.value)
    assert "f_3.png" in str(refused.value)


def test_a_fault_in_a_recipe_names_the_file_and_the_filter(tmp_path, call):
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 8)))
    recipe, begin = tmp_path / "a.toml", '[[filter]]\nname = "heat"\n[[filter]]\nname = '
    for text, said in {
        '"denoise"\nsigma = -3': "filter 2, denoise: sigma is -3",
        '"denoize"': "filter 2, denoize: there is no filter",
        '"tv"\nkappa = 3': "filter 2, tv: tv has no option 'kappa'",
    }.items():
        recipe.write_text(begin + text)
        code, _, err = call("pipeline", recipe, tmp_path / "in.npy", tmp_path / "out.npy")
        assert code == 2
        assert err.startswith(f"pde-video: {recipe}: {said}")


def test_the_metadata_say_how_the_output_was_made(clip, tmp_path):
    target = tmp_path / "results" / "out.mkv"
    target.parent.mkdir()
    reading, encoding = {"start": Fraction(1, 25)}, {"lossless": True}
    planned(clip, target, HEAT, reading=reading, encoding=encoding, command="pde-video heat ...").run()
    made = pv.read(target).details["made"]
    assert (made["recipe"], made["reading"], made["encoding"]) == (HEAT, {"start": "1/25"}, {"lossless": True})
    assert (made["input"], made["sha256"]) == ("../in.mkv", fingerprint(clip))
    assert (made["command"], made["version"], made["nan"]) == ("pde-video heat ...", __version__, "refuse")


def test_a_sidecar_says_it_too_with_the_report_and_the_outputs_hash(clip, tmp_path):
    target = tmp_path / "out.npy"
    report = planned(clip, target, HEAT, sidecar=True).run()
    told = json.loads(sidecar_of(target).read_text())
    assert told["report"] == report
    assert (told["sha256"], told["output_sha256"]) == (fingerprint(clip), fingerprint(target))
    assert (told["input"], told["output"], told["recipe"]) == ("in.mkv", "out.npy", HEAT)


def test_a_sidecar_is_not_overwritten_unasked(clip, tmp_path):
    target = tmp_path / "out.npy"
    sidecar_of(target).write_text("mine")
    before = content(tmp_path)
    with pytest.raises(FileExistsError):
        planned(clip, target, HEAT, sidecar=True).run()
    assert content(tmp_path) == before
    planned(clip, target, HEAT, sidecar=True, force=True).run()
    assert json.loads(sidecar_of(target).read_text())["output"] == "out.npy"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"recipe": [{"filter": "blur"}]}, ParameterError),
        ({"target": "missing/out.npy"}, OutputError),
        ({"target": "in.mkv"}, FileExistsError),
        ({"target": "out.xyz"}, ParameterError),
        ({"nan": "ignore"}, ParameterError),
        ({"source": "missing.mkv"}, FileNotFoundError),
    ],
)
def test_what_will_not_do_is_known_beforehand(clip, tmp_path, change, fault):
    names = {key: tmp_path / value for key, value in change.items() if key in ("source", "target")}
    before = content(tmp_path)
    with pytest.raises(fault):
        planned(**{"source": clip, "target": tmp_path / "out.npy", "recipe": HEAT, **change, **names}, force=True)
    assert content(tmp_path) == before


def test_a_dry_run_writes_nothing_and_knows_what_to_expect(clip, tmp_path):
    planned(clip, tmp_path / "done.npy", HEAT).run()
    before = content(tmp_path)
    told = dry_run(planned(clip, tmp_path / "out.npy", HEAT))
    assert content(tmp_path) == before
    assert (told["frames"], told["tried"]) == (12, 12)
    assert told["expected_bytes"] == (tmp_path / "done.npy").stat().st_size
    assert told["expected_seconds"] > 0
    assert told["peak_bytes"] > 2**20
    assert told["free_bytes"] > 0


def test_a_dry_run_tries_few_frames_of_many_and_reads_few_more(tmp_path):
    np.save(tmp_path / "in.npy", np.zeros((500, 10, 10), np.uint8))
    told = dry_run(planned(tmp_path / "in.npy", tmp_path / "out.npy", HEAT))
    assert (told["frames"], told["tried"]) == (500, 24)
    assert told["expected_bytes"] == pytest.approx(500 * 100, rel=0.1)  # The header counts once for every trial.


def test_a_dry_run_expects_what_is_left_to_take_as_long_as_what_was_tried(clip, tmp_path, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(trial, "time", SimpleNamespace(monotonic=lambda: next(seconds)))  # A frame a second.
    np.save(tmp_path / "in.npy", frames_of(clip))
    told = dry_run(planned(tmp_path / "in.npy", tmp_path / "out.avi", HEAT))
    # Begun at 0, frames at 1 to 5, when the three seconds of a trial are over, ended at 6; seven frames are left.
    assert (told["tried"], told["expected_seconds"]) == (5, 6 + 7)


def test_a_dry_run_counts_what_there_is_if_the_source_declares_more(tmp_path):
    np.save(tmp_path / "in.npy", np.zeros((6, 8, 8), np.uint8))
    plan = planned(tmp_path / "in.npy", tmp_path / "out.npy", HEAT)
    plan.video.count = 60
    told = dry_run(plan)
    assert (told["frames"], told["tried"]) == (6, 6)
    assert told["expected_bytes"] == pytest.approx((tmp_path / "in.npy").stat().st_size, rel=0.5)


def test_a_dry_run_of_an_input_of_unknown_length(tmp_path, monkeypatch):
    np.save(tmp_path / "in.npy", np.zeros((50, 10, 10), np.uint8))
    opened = pv.read

    def without_count(*args, **kwargs):
        video = opened(*args, **kwargs)
        video.count = None
        return video

    monkeypatch.setattr("pde_video.jobs.run.read", without_count)
    told = dry_run(planned(tmp_path / "in.npy", tmp_path / "out.npy", HEAT))
    assert (told["frames"], told["expected_seconds"], told["expected_bytes"]) == (None, None, None)


def test_a_file_is_made_again_from_what_it_says(clip, tmp_path):
    out, again = tmp_path / "out.mkv", tmp_path / "again.mkv"
    reading = {"frames": (1, 9), "start": Fraction(1, 25)}
    recipe, encoding = [{"filter": "gaussian-noise", "sigma": 4.0}], {"lossless": True}
    planned(clip, out, recipe, reading=reading, encoding=encoding, command="as typed").run()
    report = rerun(out, target=again)
    assert report["frames"] == 8
    assert report["identical"]
    np.testing.assert_array_equal(frames_of(again), frames_of(out))


def test_a_file_without_metadata_is_made_again_from_its_sidecar(clip, tmp_path):
    out, again = tmp_path / "out.npy", tmp_path / "again.npy"
    planned(clip, out, HEAT, sidecar=True).run()
    assert rerun(out, target=again)["identical"]
    assert out.read_bytes() == again.read_bytes()


def test_input_and_output_may_move_together_or_the_input_be_named(clip, tmp_path):
    planned(clip, tmp_path / "out.mkv", HEAT).run()
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(clip, there)
    shutil.move(tmp_path / "out.mkv", there)
    clip.rename(tmp_path / "moved.mkv")
    assert rerun(there / "out.mkv", target=tmp_path / "a.mkv")["input"] == str(there / "in.mkv")
    (there / "in.mkv").unlink()
    with pytest.raises(FileNotFoundError, match="--input"):
        rerun(there / "out.mkv", target=tmp_path / "b.mkv")
    assert rerun(there / "out.mkv", target=tmp_path / "b.mkv", source=tmp_path / "moved.mkv")["frames"] == 12


def test_an_input_that_has_changed_is_refused(clip, tmp_path, rng):
    planned(clip, tmp_path / "out.mkv", HEAT).run()
    pv.write(clip, rng.integers(0, 256, (12, 16, 24, 3), np.uint8), force=True)
    with pytest.raises(InputError, match="has changed"):
        rerun(tmp_path / "out.mkv", target=tmp_path / "again.mkv")
    assert not (tmp_path / "again.mkv").exists()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"recipe": [{"filter": "nonsense"}]},
        {"recipe": "heat"},
        {"recipe": [1]},
        {"recipe": HEAT, "reading": {"opener": "x"}},
        {"recipe": HEAT, "reading": {"start": "1/0"}},
        {"recipe": HEAT, "reading": {"frames": [1]}},
        {"recipe": HEAT, "encoding": ["crf"]},
        {"recipe": HEAT, "input": "-"},
        [],
        "not JSON",
    ],
)
def test_a_sidecar_that_says_nonsense_is_refused(clip, tmp_path, told):
    np.save(tmp_path / "out.npy", np.zeros((2, 4, 4), np.uint8))
    facts = {"input": "in.mkv", "sha256": fingerprint(clip), **told} if isinstance(told, dict) else told
    (tmp_path / "out.npy.json").write_text(facts if isinstance(facts, str) else json.dumps(facts))
    with pytest.raises(InputError, match=r"out\.npy"):
        rerun(tmp_path / "out.npy", target=tmp_path / "again.npy")


def test_a_file_that_says_nothing_is_refused(clip, tmp_path):
    with pytest.raises(InputError, match="says how it was made"):
        rerun(clip, target=tmp_path / "again.mkv")


def test_verify_counts_and_compares(clip, tmp_path):
    planned(clip, tmp_path / "out.avi", HEAT, sidecar=True).run()
    told = verify(tmp_path / "out.avi")
    assert (told["frames"], told["sidecar"]) == (12, "agrees")
    assert told["sha256"] == fingerprint(tmp_path / "out.avi")
    assert verify(clip)["sidecar"] == "none"


def test_verify_finds_another_hash(clip, tmp_path):
    planned(clip, tmp_path / "out.npy", HEAT, sidecar=True).run()
    with (tmp_path / "out.npy").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(InputError, match="has changed since"):
        verify(tmp_path / "out.npy")


def test_verify_finds_another_number_of_frames(clip, tmp_path):
    planned(clip, tmp_path / "out.npy", HEAT, sidecar=True).run()
    np.save(tmp_path / "out.npy", np.load(tmp_path / "out.npy")[:5])
    with pytest.raises(InputError, match="12 frames were written, but it has 5"):
        verify(tmp_path / "out.npy")


@pytest.mark.parametrize("frames", [11, 13])
def test_verify_finds_one_frame_too_few_or_too_many(clip, tmp_path, frames):
    planned(clip, tmp_path / "out.npy", HEAT, sidecar=True).run()
    written = np.load(tmp_path / "out.npy")
    np.save(tmp_path / "out.npy", np.concatenate([written, written])[:frames])
    with pytest.raises(InputError, match=f"12 frames were written, but it has {frames}"):
        verify(tmp_path / "out.npy")


def test_videos_are_identical_in_frames_and_in_times(tmp_path, rng):
    frames = rng.integers(0, 256, (4, 16, 24), np.uint8)
    for name, video, rate in (("a", frames, 25), ("b", frames, 25), ("c", frames, 24), ("d", frames[:3], 25)):
        pv.write(tmp_path / f"{name}.mkv", video, rate=rate, lossless=True)
    assert [_identical(tmp_path / "a.mkv", tmp_path / f"{name}.mkv") for name in "bcd"] == [True, False, False]


def test_verify_finds_damage(clip):
    data = bytearray(clip.read_bytes())
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"in\.mkv"):
        verify(clip)


def test_nan_is_refused_or_masked(tmp_path, rng):
    video = rng.random((3, 12, 12)).astype(np.float32)
    video[1, 4, 5] = np.nan
    np.save(tmp_path / "in.npy", video)
    with pytest.raises(InputError, match="NaN"):
        planned(tmp_path / "in.npy", tmp_path / "out.npy", HEAT).run()
    assert not (tmp_path / "out.npy").exists()
    pytest.importorskip("pde_video.filters.masked")
    planned(tmp_path / "in.npy", tmp_path / "out.npy", HEAT, nan="mask").run()
    np.testing.assert_array_equal(np.isnan(np.load(tmp_path / "out.npy")), np.isnan(video))


def test_the_file_itself_is_no_place_to_make_it_again(clip, tmp_path):
    out = tmp_path / "out.avi"
    planned(clip, out, HEAT).run()
    before = out.read_bytes()
    with pytest.raises(FileExistsError, match="same file"):
        rerun(out, target=out, force=True)
    assert out.read_bytes() == before


def test_a_model_that_has_changed_is_refused(clip, tmp_path):
    model, out = tmp_path / "model.safetensors", tmp_path / "out.avi"
    model.write_bytes((Path(pv.__file__).parent / "denoisers" / "shipped.safetensors").read_bytes())
    planned(clip, out, [{"filter": "denoise", "model": str(model)}]).run()
    assert rerun(out, target=tmp_path / "again.avi")["identical"]
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(pv.InputError, match="has changed"):
        rerun(out, target=tmp_path / "again_too.avi")
    model.unlink()
    with pytest.raises(FileNotFoundError):
        rerun(out, target=tmp_path / "again_too.avi")


def test_a_recording_that_a_recipe_reads_is_no_place_to_make_it_again(clip, tmp_path, rng):
    dark, out = tmp_path / "dark.npy", tmp_path / "out.npy"
    np.save(dark, rng.integers(90, 110, (4, 16, 16), np.uint8))
    recipe = [{"filter": "denoise", "noise_from": str(dark)}]
    planned(clip, out, recipe, sidecar=True).run()
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="same file"):
        rerun(out, target=dark, force=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("wrap", [lambda one: one, pv.masking, lambda one: pv.pipeline(pv.to_gray, one)])
def test_no_output_replaces_a_recording_that_a_filter_reads(clip, tmp_path, rng, wrap):
    dark = tmp_path / "dark.npy"
    np.save(dark, rng.integers(90, 110, (4, 16, 24), np.uint8))
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="same file"):
        pv.run(clip, dark, wrap(pv.denoise(noise_from=dark)), force=True)
    assert content(tmp_path) == before
