"""Long jobs: what was finished before an interruption is not done again, and the result is the same.

Files of lossless formats are compared byte for byte.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cases import marked_slow, slow
from interrupted import Stop, changed_notes, stopping_after
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import pde_video as pv
from pde_video.filters.extent import Extent
from pde_video.jobs.recipes import planned
from pde_video.jobs.resuming import LENGTH, _skipped, run_in_segments
from pde_video.jobs.run import prepared
from pde_video.jobs.segment_folder import folder_of

FRAMES = 180
SHIPPED = Path(pv.__file__).parent / "denoisers" / "shipped.safetensors"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, rng_of_module):
    """A moving pattern under noise, with a cut, as a stack of 16 bits and as a lossless video of 8."""
    rows, columns = np.mgrid[:24, :32]
    moving = np.stack([np.sin((columns + k) / 4) * np.cos((rows + k / 2) / 3) for k in range(FRAMES)])
    moving[:120] *= np.linspace(1, 0, 120)[:, None, None]  # What is smooth is diffused longer.
    moving[120:] = 0.6 * np.sin(columns / 7) * np.sign(np.sin(rows / 2)) - 0.6
    values = 0.5 + 0.3 * moving + rng_of_module.normal(0, 0.05, moving.shape)
    folder = tmp_path_factory.mktemp("noisy")
    pv.write(folder / "wide.tif", np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16))
    pv.write(folder / "small.avi", np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8), rate=50)
    pv.write(folder / "float.npy", values.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def rng_of_module():
    return np.random.default_rng(7)


def run_filters(source, target, *filters, made, progress=None):
    return run_in_segments(prepared(source, target, *filters, made=made, resume=True), progress)


steadied = partial(pv.frame_difference, alpha=-0.25)
fast = partial(pv.denoise, preset="fast")
FILTERS = {
    "balanced": pv.denoise,
    "best": partial(pv.denoise, preset="best"),
    "fast": fast,
    "perona-malik": partial(pv.denoise, method="perona-malik"),
    "after another": pv.pipeline(steadied, partial(pv.denoise, method="perona-malik", sigma=2000.0)),
    "frame difference": partial(pv.frame_difference, alpha=-0.5),
    "noise that saturates": partial(pv.gaussian_noise, sigma=20000.0),
    "more frames": partial(pv.extrapolate, frames=70),
}


@pytest.mark.parametrize(
    "name", marked_slow(FILTERS, *(name for name in FILTERS if name not in ("fast", "more frames")))
)
def test_an_interrupted_job_goes_on_to_the_same_file(tmp_path, noisy, name):
    a_filter = FILTERS[name]
    source = noisy / "wide.tif"
    pv.run(source, tmp_path / "at_once.tif", a_filter, made={"name": name})
    target = tmp_path / "resumed.tif"
    go_on = partial(run_filters, source, target, a_filter, made={"name": name})
    for frames in (70, 30, 75):
        with pytest.raises(Stop):
            go_on(progress=stopping_after(frames))
        assert not target.exists()
    report = go_on()
    assert target.read_bytes() == (tmp_path / "at_once.tif").read_bytes()
    assert not folder_of(target).exists()
    assert report["frames"] == FRAMES + 70 * (name == "more frames")


@pytest.mark.parametrize("first", [0, 1, 40, 50])
@pytest.mark.parametrize("period", [1, 7, 25])
@pytest.mark.parametrize("before", [0, 1, 14])
def test_as_many_whole_periods_are_skipped_as_nothing_depends_on(first, period, before):
    for done in range(0, 300, 13):
        skipped, surplus = _skipped(done, Extent(before=before, period=period, first=first))
        assert surplus + len(skipped) == done
        assert skipped.start % period == len(skipped) % period == 0
        if skipped:
            assert first <= skipped.start < first + period
            assert done - before - period < skipped.stop <= done - before


def test_what_was_finished_is_not_filtered_again(tmp_path, noisy):
    seen = []

    @pv.video_filter(extent=pv.Extent(first=50))
    def watched(frames):
        for frame in frames:
            seen.append(1)
            yield frame

    go_on = partial(run_filters, noisy / "wide.tif", tmp_path / "out.tif", watched, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(3 * LENGTH + 1))
    seen.clear()
    go_on()
    assert len(seen) == FRAMES - 2 * LENGTH  # The first 50 once more, for what is estimated there.


def test_the_report_of_a_resumed_job_is_that_of_one_at_once(tmp_path, noisy):
    noise = partial(pv.gaussian_noise, sigma=20000.0)
    at_once = pv.run(noisy / "wide.tif", tmp_path / "at_once.tif", fast, noise)
    target = tmp_path / "resumed.tif"
    go_on = partial(run_filters, noisy / "wide.tif", target, fast, noise, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(130))
    assert go_on() == at_once | {"continued": "after frame 100 of 180"}
    assert at_once["saturated"] > 1000


def test_what_was_said_before_an_interruption_is_said_still(tmp_path, noisy):
    @pv.video_filter(extent=pv.Extent(first=2))
    def doubting(frames):
        for k, frame in enumerate(frames):
            if k in (1, 140):
                frames.report.setdefault("warnings", []).append(f"{k} frames were odd")
            yield frame

    at_once = pv.run(noisy / "wide.tif", tmp_path / "at_once.tif", doubting)
    go_on = partial(run_filters, noisy / "wide.tif", tmp_path / "resumed.tif", doubting, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(155))
    assert go_on()["warnings"] == at_once["warnings"] == ["1 frames were odd", "140 frames were odd"]


@pytest.mark.parametrize("name", ["mask", *slow("guide")])
def test_what_lies_beside_the_frames_stays_beside_them(tmp_path, noisy, rng, name):
    shape = next(iter(pv.read(noisy / "wide.tif"))).shape
    if name == "mask":
        np.save(tmp_path / "mask.npy", rng.random((FRAMES, *shape[:2])) < 0.1)
        a_filter = pv.inpaint(mask=tmp_path / "mask.npy", method="heat")
    else:
        np.save(tmp_path / "guide.npy", rng.random((FRAMES, 2 * shape[0], 2 * shape[1]), np.float32))
        a_filter = pv.fuse(guide=tmp_path / "guide.npy")
    pv.run(noisy / "wide.tif", tmp_path / "at_once.tif", a_filter)
    go_on = partial(run_filters, noisy / "wide.tif", tmp_path / "resumed.tif", a_filter, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(130))
    go_on()
    assert np.array_equal(
        np.stack(list(pv.read(tmp_path / "resumed.tif"))), np.stack(list(pv.read(tmp_path / "at_once.tif")))
    )


def test_cuts_are_those_of_the_whole_video(tmp_path, noisy):
    go_on = partial(run_filters, noisy / "small.avi", tmp_path / "out.avi", pv.denoise, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(105))
    assert go_on()["cuts"] == [120]


@pytest.mark.parametrize(("source", "target"), [("small.avi", "out.avi"), ("float.npy", "out.npy")])
def test_rate_timestamps_and_values_are_kept(tmp_path, noisy, source, target):
    go_on = partial(run_filters, noisy / source, tmp_path / target, steadied, made={})
    with pytest.raises(Stop):
        go_on(progress=stopping_after(60))
    go_on()
    pv.run(noisy / source, tmp_path / f"at_once_{target}", steadied)
    assert (tmp_path / target).read_bytes() == (tmp_path / f"at_once_{target}").read_bytes()


def test_a_job_interrupted_while_it_is_joined_goes_on(tmp_path, noisy, monkeypatch):
    target = tmp_path / "out.avi"
    go_on = partial(run_filters, noisy / "small.avi", target, steadied, made={})
    with monkeypatch.context() as patch:
        patch.setattr("pde_video.jobs.segment_folder.Segments.frames", lambda self: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            go_on()
    go_on()
    pv.run(noisy / "small.avi", tmp_path / "at_once.avi", steadied)
    assert target.read_bytes() == (tmp_path / "at_once.avi").read_bytes()


@pytest.mark.parametrize("change", ["another input", "other parameters", "another version"])
def test_segments_of_another_job_are_refused_and_kept(tmp_path, noisy, change):
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    frames = np.load(noisy / "float.npy")[:60]
    np.save(source, frames)
    with pytest.raises(Stop):
        run_filters(source, target, pv.denoise, made={"a": 1}, progress=stopping_after(55))
    if change == "another input":
        np.save(source, frames + 1)
    if change == "another version":
        changed_notes(folder_of(target), lambda notes: notes["job"].update(version="0.0"))
    before = sorted(folder_of(target).iterdir())
    with pytest.raises(FileExistsError, match=change):
        run_filters(source, target, pv.denoise, made={"a": 2 if change == "other parameters" else 1})
    assert sorted(folder_of(target).iterdir()) == before


def test_two_processes_do_not_work_on_the_same_segments(tmp_path, noisy):
    def again(results, count):
        with pytest.raises(FileExistsError, match="another process"):
            run_filters(noisy / "float.npy", tmp_path / "out.npy", steadied, made={})
        yield from results

    run_filters(noisy / "float.npy", tmp_path / "out.npy", steadied, made={}, progress=again)
    assert (tmp_path / "out.npy").exists()


RECIPES = {
    "several": [
        {"filter": "frame-difference", "alpha": -0.25},
        {"filter": "denoise", "method": "tv"},
    ],
    "estimated": [{"filter": "normalize"}, {"filter": "perona-malik"}],
    "in spacetime": [{"filter": "heat", "spacetime": True}],
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("nan", ["mask", *slow("refuse")])
def test_an_interrupted_recipe_goes_on_to_the_same_file(tmp_path, noisy, name, nan):
    source = tmp_path / "in.npy"
    frames = np.load(noisy / "float.npy")
    if nan == "mask":
        frames[::7, 3:5, 4] = np.nan
        frames[130:140] = np.nan
    np.save(source, frames)
    plan = partial(planned, source, recipe=RECIPES[name], nan=nan, sidecar=True, resume=True)
    with pytest.raises(Stop):
        run_in_segments(plan(tmp_path / "out.npy"), stopping_after(120))
    report = run_in_segments(plan(tmp_path / "out.npy"))
    at_once = plan(tmp_path / "at_once.npy").run()
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "at_once.npy").read_bytes()
    assert report == at_once | {"continued": "after frame 100 of 180"}
    assert (tmp_path / "out.npy.json").exists()


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path, noisy):
    seen = []

    def count(results, number):
        for result in results:
            seen.append(1)
            yield result

    plan = partial(planned, noisy / "small.avi", tmp_path / "out.mp4", RECIPES["in spacetime"])
    with pytest.raises(pv.ParameterError, match="crf"):
        run_in_segments(plan(encoding={"crf": 99}), count)
    assert len(seen) == 1
    report = run_in_segments(plan(encoding={"crf": 20}))  # How it is encoded is open to the end.
    assert report["frames"] == FRAMES


def test_another_model_is_another_job(tmp_path, noisy):
    model = tmp_path / "model.safetensors"
    model.write_bytes(SHIPPED.read_bytes())
    recipe = [{"filter": "denoise", "model": str(model)}]
    with pytest.raises(Stop):
        run_in_segments(planned(noisy / "small.avi", tmp_path / "out.avi", recipe), stopping_after(LENGTH + 1))
    tensors = load_file(model)
    with safe_open(model, "np") as file:
        metadata = file.metadata()
    save_file({name: 1.01 * value for name, value in tensors.items()}, model, metadata)
    with pytest.raises(FileExistsError, match="other parameters"):
        run_in_segments(planned(noisy / "small.avi", tmp_path / "out.avi", recipe))
