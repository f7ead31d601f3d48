"""Training: it learns, it can be resumed, and what it makes runs the same everywhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import slow

import pde_video as pv

torch = pytest.importorskip("torch", reason="training needs the extra `torch`")

from safetensors import safe_open  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from pde_video import learn  # noqa: E402
from pde_video.learn.footage import Footage, load, pieces  # noqa: E402
from pde_video.learn.model import SpatioTemporal, load_model  # noqa: E402
from pde_video.learn.training import Settings, _Run, train, validated  # noqa: E402

SMALL = {"batch": 2, "frames": 3, "size": 16, "width": 8, "decay": 0.9}


def footage(frames=12, height=32, width=40):
    i, j = np.mgrid[:height, :width]
    video = [0.5 + 0.3 * np.sin((j + k) / 4) * np.cos(i / 5) for k in range(frames)]
    return Footage("waves", np.array(video, np.float32))


@pytest.fixture(scope="module", params=["gru", "rnn"])
def trained(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model.safetensors"
    record = train([footage()], path, validation=[footage()], settings=Settings(steps=150, cell=request.param, **SMALL))
    return path, record


@pytest.fixture(scope="module")
def exported(trained):
    """What was trained as ONNX, which takes seconds to write, in place of another file, and what was said."""
    pytest.importorskip("onnxscript", reason="writing ONNX needs the extra `torch`")
    path = trained[0].with_suffix(".onnx")
    path.write_bytes(b"mine")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        learn.export_onnx(trained[0], path, force=True)
    return path, said.getvalue()


def test_it_learns(trained):
    record = trained[1]
    untrained = validated(SpatioTemporal(Settings(**SMALL).config), [footage()])
    assert record["psnr"]["mean"] > untrained["mean"] + 0.2


def test_the_record_is_in_the_file(trained):
    path, record = trained
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["record"]) == json.loads(json.dumps(record))
    assert record["settings"]["steps"] == 150
    assert record["footage"] == {"waves": 12}


@pytest.mark.parametrize("shape", [(5, 20, 24), (3, 21, 27)])
def test_pytorch_and_kernels_agree(trained, shape):
    path, _ = trained
    video, sigma = np.random.default_rng(0).random((*shape, 1), np.float32), 0.1
    even = np.pad(video[..., 0], [(0, 0), (0, shape[1] % 2), (0, shape[2] % 2)], mode="edge")
    guide = np.pad(pv.cosine_diffusion(video, sigma)[..., 0], [(0, 0), (0, shape[1] % 2), (0, shape[2] % 2)], "edge")
    with torch.inference_mode():
        tensors = (torch.from_numpy(x)[None] for x in (even, guide))
        by_torch = load_model(path).along(*tensors, torch.tensor([sigma]))[0].numpy()
    by_torch = by_torch[:, : shape[1], : shape[2], np.newaxis]
    np.testing.assert_allclose(pv.load_denoiser(path)(video, sigma), by_torch, atol=1e-4)


@pytest.mark.parametrize("trained", ["gru", *slow("rnn")], indirect=True)
def test_onnx_and_kernels_agree(trained, exported):
    pytest.importorskip("onnxruntime", reason="running ONNX needs the extra `onnx`")
    for shape in ((5, 20, 24, 1), (3, 21, 27, 1), (3, 11, 13, 3)):
        video = np.random.default_rng(1).random(shape, np.float32)
        np.testing.assert_allclose(*(pv.load_denoiser(p)(video, 0.1) for p in (trained[0], exported[0])), atol=1e-4)


def test_one_step_at_a_time_is_the_whole_video(trained):
    net = load_model(trained[0])
    video, guide, sigma = torch.rand(2, 4, 16, 20), torch.rand(2, 4, 16, 20), torch.tensor([0.1, 0.3])
    state = torch.zeros(2, 8, 8, 10)
    with torch.inference_mode():
        whole = net.along(video, guide, sigma)
        for k in range(4):
            estimate, state = net(video[:, k : k + 1], guide[:, k : k + 1], state, sigma)
            torch.testing.assert_close(estimate[:, 0], whole[:, k], atol=1e-5, rtol=0)


def test_the_past_alone_is_seen(trained):
    net = pv.load_denoiser(trained[0])
    video = np.random.default_rng(0).random((5, 16, 16, 1), np.float32)
    changed = video.copy()
    changed[3:] += 0.5
    before, after = net(video, 0.1), net(changed, 0.1)
    np.testing.assert_array_equal(before[:3], after[:3])
    assert not np.allclose(before[4], after[4] - 0.5, atol=1e-3)


def interrupt_at(step, by=KeyboardInterrupt, act=lambda: None):
    def progress(steps, count):
        for number in steps:
            if number == step:
                act()
                raise by
            yield number

    return progress


def resumed(path, settings):
    """Go on, and return which steps were taken."""
    done = []
    train([footage()], path, settings=settings, resume=True, progress=lambda steps, count: done.extend(steps) or steps)
    return done


def assert_same(path, other):
    found, wanted = (load_model(p).state_dict() for p in (path, other))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=0, rtol=0)


@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit])
def test_interrupted_or_killed_and_resumed_it_ends_where_it_would_have(by, tmp_path):
    settings = Settings(steps=20, **SMALL)
    train([footage()], tmp_path / "whole.safetensors", settings=settings)
    path, checkpoint, aside = tmp_path / "m.safetensors", tmp_path / "m.safetensors.checkpoint", tmp_path / "aside"
    with pytest.raises(by):
        train(
            [footage()],
            path,
            settings=settings,
            every=8,
            progress=interrupt_at(13, by, lambda: shutil.copy(checkpoint, aside)),
        )
    assert not path.exists()
    with pytest.raises(FileExistsError, match="resume"):
        train([footage()], path, settings=settings)
    with pytest.raises(pv.ParameterError, match="other settings"):
        train([footage()], path, settings=Settings(steps=21, **SMALL), resume=True)
    assert resumed(path, settings) == list(range(13, 20))
    assert_same(path, tmp_path / "whole.safetensors")
    path.unlink()
    shutil.move(aside, checkpoint)  # What a kill that nothing can answer would have left.
    assert resumed(path, settings) == list(range(8, 20))
    assert_same(path, tmp_path / "whole.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "whole.safetensors"]


def test_interrupted_within_a_step_the_last_checkpoint_stays(tmp_path, monkeypatch):
    settings, path = Settings(steps=12, **SMALL), tmp_path / "m.safetensors"
    with monkeypatch.context() as patch:
        taken, step = [], torch.optim.AdamW.step

        def halfway(self):
            step(self)
            taken.append(1)
            if len(taken) == 7:  # The weights are of the next step, their average is not.
                raise KeyboardInterrupt

        patch.setattr(torch.optim.AdamW, "step", halfway)
        with pytest.raises(KeyboardInterrupt):
            train([footage()], path, settings=settings, every=4)
    assert resumed(path, settings) == list(range(4, 12))


def test_interrupted_before_a_first_step_nothing_is_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train([footage()], tmp_path / "m.safetensors", settings=Settings(**SMALL), progress=interrupt_at(0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_training_and_the_last_checkpoint_stays(what, tmp_path, monkeypatch):
    settings, path = Settings(steps=12, **SMALL), tmp_path / "m.safetensors"
    of, name = (_Run, "_loss") if what == "loss" else (torch.nn.utils, "clip_grad_norm_")
    taken, finite = [], getattr(of, name)

    def spoiled(*arguments):
        taken.append(1)
        return finite(*arguments) * (np.nan if len(taken) == 7 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(of, name, spoiled)
        with pytest.raises(pv.SolverError, match=rf"the {what} is not finite at step 6.*rate below 0.002"):
            train([footage()], path, settings=settings, every=4)
    assert not path.exists()
    assert resumed(path, settings) == list(range(4, 12))


@pytest.mark.parametrize("rate", [1e20, 1e38, 1e39])
def test_a_rate_far_too_high_leaves_nothing_that_is_not_finite(rate, tmp_path):
    with pytest.raises(pv.SolverError, match=r"is not finite at step .* rate below"):
        train([footage()], tmp_path / "m.safetensors", settings=Settings(steps=60, rate=rate, **SMALL), every=1)
    for path in tmp_path.iterdir():
        with safe_open(path, "np") as file:
            assert all(np.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118


@pytest.fixture
def interrupted(tmp_path):
    """Return an output that is not there yet, its checkpoint, and the tensors and metadata in that."""
    output = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train([footage()], output, settings=Settings(steps=12, **SMALL), progress=interrupt_at(5))
    checkpoint = tmp_path / "m.safetensors.checkpoint"
    with safe_open(checkpoint, "np") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    return output, checkpoint, tensors, about


def other_clips():
    clip = footage()
    values = clip.frames.copy()
    values[3, 4, 5] += 0.1
    return {
        "values": [Footage("waves", values)],
        "fewer frames": [Footage("waves", clip.frames[:11])],
        "another name": [Footage("sea", clip.frames)],
        "one more": [clip, Footage("sea", clip.frames)],
    }


@pytest.mark.parametrize(
    ("name", "says"),
    {
        "values": r"with \[waves: 12 frames of 32 × 40, SHA-256 \w{16}\], now given are \[waves: 12 frames",
        "fewer frames": r"with \[waves: 12 frames.*now given are \[waves: 11 frames",
        "another name": r"with \[waves: .*now given are \[sea: ",
        "one more": r"with \[\], now given are \[sea: ",
    }.items(),
)
def test_other_clips_are_not_gone_on_with(name, says, interrupted):
    output, checkpoint, _, _ = interrupted
    before = checkpoint.read_bytes()
    with pytest.raises(pv.ParameterError, match=f"other clips, {says}"):
        train(other_clips()[name], output, settings=Settings(steps=12, **SMALL), resume=True)
    assert checkpoint.read_bytes() == before


def test_clips_in_another_order_are_other_clips(tmp_path):
    clips, settings = [footage(), Footage("sea", footage(9).frames)], Settings(steps=12, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        train(clips, tmp_path / "m.safetensors", settings=settings, progress=interrupt_at(5))
    with pytest.raises(pv.ParameterError, match="other clips, in another order"):
        train(clips[::-1], tmp_path / "m.safetensors", settings=settings, resume=True)


DEEP = "[" * 100000 + "]" * 100000
NAN = np.full(8, np.nan, np.float32)
DAMAGE = {
    "no settings": ({}, {"settings": None}, "no settings"),
    "no clips": ({}, {"clips": None}, "does not name the clips"),
    "clips too deep": ({}, {"clips": DEEP}, "does not name the clips"),
    "clips that are none": ({}, {"clips": "[1, {}]"}, "does not name the clips"),
    "no number": ({}, {"done": None}, "steps done is None"),
    "too many": ({}, {"done": "13"}, "steps done is '13'.*0 to 12"),
    "less than none": ({}, {"done": "-1"}, "steps done is '-1'"),
    "half a step": ({}, {"done": "5.5"}, r"steps done is '5\.5'"),
    "another number": ({}, {"done": "6"}, "step has values that training cannot"),
    "endless": ({}, {"done": "9" * 5000}, "steps done is"),
    "none done": ({}, {"done": "0"}, "do not belong there: optimiser"),
    "a missing tensor": ({"net.head.bias": None}, {}, "missing.* net.head.bias"),
    "no average": ({"average.head.bias": None}, {}, "missing.* average.head.bias"),
    "no memory": ({"optimiser.0.exp_avg": None}, {}, "missing.* optimiser.0.exp_avg"),
    "a tensor left over": ({"net.tail": NAN}, {}, "do not belong there: net.tail"),
    "a misshapen tensor": ({"net.entry.bias": NAN[:7]}, {}, r"net.entry.bias is \(7,\).*must be \(8,\)"),
    "halves": ({"net.entry.bias": NAN.astype(np.float16)}, {}, "float16"),
    "NaN": ({"net.entry.bias": NAN}, {}, "net.entry.bias has values that are not finite"),
    "NaN on average": ({"average.entry.bias": NAN}, {}, "average.entry.bias has values that are not finite"),
    "NaN in memory": ({"optimiser.1.exp_avg": NAN}, {}, "optimiser.1.exp_avg has .* not finite"),
    "negative squares": ({"optimiser.1.exp_avg_sq": -np.ones(8, np.float32)}, {}, "optimiser.1.exp_avg_sq has values"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_says_what_is_wrong(name, interrupted):
    output, checkpoint, tensors, about = interrupted
    changed, told, says = DAMAGE[name]
    tensors, about = (
        {k: v for k, v in (a | b).items() if v is not None} for a, b in ((tensors, changed), (about, told))
    )
    save_file(tensors, checkpoint, about)
    with pytest.raises(pv.InputError, match=rf"m\.safetensors\.checkpoint.*{says}"):
        train([footage()], output, settings=Settings(steps=12, **SMALL), resume=True)


@pytest.mark.parametrize("length", [0, 7, 50, 5000, -1])
def test_a_checkpoint_cut_off_is_refused(length, interrupted):
    output, checkpoint, _, _ = interrupted
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    with pytest.raises(pv.InputError, match=r"m\.safetensors\.checkpoint: it cannot be read"):
        train([footage()], output, settings=Settings(steps=12, **SMALL), resume=True)


def test_without_what_the_optimiser_remembers_nothing_is_gone_on_from(interrupted):
    output, checkpoint, tensors, about = interrupted
    save_file({name: value for name, value in tensors.items() if not name.startswith("opt")}, checkpoint, about)
    with pytest.raises(pv.InputError, match=r"missing.* optimiser\.0"):
        train([footage()], output, settings=Settings(steps=12, **SMALL), resume=True)


def test_pieces_are_pieces():
    clip = Footage("numbers", np.arange(6 * 40 * 50, dtype=np.float32).reshape(6, 40, 50) / 12000)
    found = pieces([clip], np.random.default_rng(0), batch=40, frames=4, size=16)
    assert found.shape == (40, 4, 16, 16)
    assert found.dtype == np.float32
    for piece in found:  # Whatever was mirrored, halved or inverted: a linear clip has constant differences in time.
        steps = np.diff(piece, axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[:1, :1, :1], steps.shape), atol=2e-5)
        across, down = np.ptp(np.diff(piece, axis=1)), np.ptp(np.diff(piece, axis=2))
        assert max(across, down) < 2e-5
    assert len({piece.tobytes() for piece in found}) == 40


def test_a_still_picture_moves():
    picture = Footage("still", np.random.default_rng(0).random((1, 64, 64), np.float32))
    found = pieces([picture], np.random.default_rng(0), batch=20, frames=4, size=16)
    moved = [not np.array_equal(piece[0], piece[3]) for piece in found]
    assert any(moved)
    assert not all(moved)


def test_files_are_split_into_what_is_trained_on_and_what_is_measured(tmp_path):
    video = (255 * np.repeat(footage(40).frames[..., None], 3, axis=-1)).astype(np.uint8)
    pv.write(tmp_path / "clip.avi", video)
    record = learn.train_on_files([tmp_path / "clip.avi"], tmp_path / "m.safetensors", steps=2, width=8, size=16)
    assert record["footage"] == {"clip.avi": 24}
    assert set(record["psnr"]) == {"10", "25", "50", "mean"}
    assert load(tmp_path / "clip.avi", 3, 7).frames.shape == (4, 32, 40)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.1, 1.1])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_footage_with_wrong_values_is_refused(bad, channels, tmp_path):
    video = np.full((5, 8, 8, *channels), 0.5, np.float32)
    video[3, 2, 2] = bad
    np.save(tmp_path / "clip.npy", video)
    with pytest.raises(pv.InputError, match=r"clip.npy: values must be in \[0, 1\]"):
        load(tmp_path / "clip.npy")
    if not np.isfinite(bad):
        with pytest.raises(pv.InputError, match="made up: values are NaN or infinite"):
            Footage("made up", video.reshape(5, 8, -1))
    assert load(tmp_path / "clip.npy", end=3).frames.shape == (3, 8, 8)
    with pytest.raises(pv.InputError, match="no frame from 5"):
        load(tmp_path / "clip.npy", start=5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_footage_is_the_grey_of_the_whole_clip(dtype, channels, tmp_path):
    video = np.random.default_rng(0).random((4, 9, 11, *channels))
    scale = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    video = (video * scale).astype(dtype)
    np.save(tmp_path / "clip.npy", video)
    found = load(tmp_path / "clip.npy").frames
    whole = video / np.float32(scale)
    np.testing.assert_array_equal(found, (pv.to_gray(whole) if channels else whole).astype(np.float32))
    assert found.dtype == np.float32


def test_loading_needs_one_grey_plane_for_each_frame(tmp_path):
    np.save(tmp_path / "clip.npy", np.zeros((200, 96, 96, 3), np.uint8))
    load(tmp_path / "clip.npy")
    tracemalloc.start()
    try:
        grey = load(tmp_path / "clip.npy").frames
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * grey.nbytes


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"steps": 0}, pv.ParameterError, "steps is 0"),
        ({"size": 18}, pv.ParameterError, "multiple of 4"),
        ({"size": 64}, pv.ParameterError, "pieces are 64"),
        ({"sigma": (0.0, 50.0)}, pv.ParameterError, "sigma"),
        ({"cell": "lstm"}, pv.InputError, "gru or rnn"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(kwargs, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train([footage()], tmp_path / "m.safetensors", settings=Settings(**{**SMALL, **kwargs}))
    assert not list(tmp_path.iterdir())


def test_outputs_are_not_overwritten_and_must_be_safetensors(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        train([footage()], tmp_path / "m.safetensors", settings=Settings(steps=1, **SMALL))
    with pytest.raises(pv.ParameterError, match=r"\.safetensors"):
        train([footage()], tmp_path / "m.pt", settings=Settings(steps=1, **SMALL))
    with pytest.raises(pv.InputError, match="resume"):
        train([footage()], tmp_path / "n.safetensors", settings=Settings(steps=1, **SMALL), resume=True)
    with pytest.raises(pv.ParameterError, match="no clip"):
        train([], tmp_path / "n.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == b"mine"


def test_the_command_trains_and_the_model_denoises(call, threads, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = (255 * np.repeat(footage(40, 64, 64).frames[..., None], 3, axis=-1)).astype(np.uint8)
    pv.write("clip.avi", video)
    small = ("--steps", "2", "--width", "8", "--threads", "1")
    made = call("train", "clip.avi", "-o", "m.safetensors", *small, "--json")
    assert made[0] == 0, made[2]
    assert json.loads(made[1])["psnr_mean"] > 0
    used = call("denoise", "clip.avi", "out.avi", "--model", "m.safetensors", "--sigma", "10", "--json")
    assert used[0] == 0, used[2]
    assert json.loads(used[1])["method"] == "learned"
    assert call("denoise", "clip.avi", "out2.avi", "--model", "m.pt")[0] == 4


def test_a_missing_onnx_file_is_missing_even_without_onnxruntime(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(pv.InputError, match=r"none.onnx cannot be read: No such file"):
        pv.load_denoiser(tmp_path / "none.onnx")


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_mode_that_other_files_get(mask, tmp_path):
    found = []

    def progress(steps, count):
        yield from steps
        found.append((tmp_path / "m.safetensors.checkpoint").stat().st_mode & 0o777)

    before = os.umask(mask)
    try:
        train([footage()], tmp_path / "m.safetensors", settings=Settings(steps=2, **SMALL), every=1, progress=progress)
    finally:
        os.umask(before)
    found.append((tmp_path / "m.safetensors").stat().st_mode & 0o777)
    assert found == [0o666 & ~mask] * 2


@pytest.mark.parametrize("trained", ["gru"], indirect=True)
def test_an_export_is_whole_or_not_there(trained, exported, tmp_path, monkeypatch):
    output = tmp_path / "model.onnx"
    output.write_bytes(b"mine")
    with monkeypatch.context() as patch:

        def half(model, inputs, path, **options):
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt

        patch.setattr(torch.onnx, "export", half)
        with pytest.raises(KeyboardInterrupt):
            learn.export_onnx(trained[0], output, force=True)
    assert output.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [output]
    path, said = exported
    assert path.stat().st_size > 1000
    assert sorted(path.parent.iterdir()) == [path, trained[0]]
    assert said == ""


def test_a_file_that_came_to_be_while_it_trained_is_kept_and_so_is_what_was_learned(tmp_path):
    path, settings = tmp_path / "m.safetensors", Settings(steps=3, **SMALL)

    def progress(steps, count):
        for number in steps:
            path.write_bytes(b"mine")
            yield number

    with pytest.raises(FileExistsError):
        train([footage()], path, settings=settings, progress=progress)
    assert path.read_bytes() == b"mine"
    path.unlink()
    train([footage()], path, settings=settings, resume=True)
    train([footage()], tmp_path / "whole.safetensors", settings=settings)
    resumed, whole = (load_model(p).state_dict() for p in (path, tmp_path / "whole.safetensors"))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, atol=0, rtol=0)
