"""The benchmark: noise as it says, metrics against closed forms, tables that agree, and refusals before any work."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import pde_video as pv
from pde_video.bench import clips, ffmpeg, measuring, methods, tables
from pde_video.bench.measuring import Motion
from pde_video.bench.methods import METHODS, OURS, Method
from pde_video.bench.scenarios import Noise
from pde_video.errors import InputError, ParameterError


@pytest.fixture
def clip() -> clips.Clip:
    row, column = np.mgrid[:32, :40]
    frames = [0.5 + 0.3 * np.sin((column + k) / 5) * np.cos(row / 7) for k in range(4)]
    return clips.Clip("waves", np.stack(frames).astype(np.float32), "made up")


@pytest.fixture
def quick(monkeypatch):
    """One method of ours, a peer whose strength has a known best, one that fails, one that is not there."""

    def blend(video, strength):
        # Toward the mean of the frames' truth; best where the strength is the noise itself.
        return video if abs(strength - blend.best) > 1e-9 else video * 0 + np.float32(0.5)

    def broken(video, strength):
        raise ValueError("it\nbroke")

    def nan(video, strength):
        return video * np.nan

    ours = Method("same", OURS, lambda video: video)
    peer = Method("blend", "numpy", blend, (0.5, 1.0, 2.0), "s", white=255)
    found = [
        ours,
        peer,
        Method("broken", "numpy", broken, (1.0,), "s"),
        Method("nan", "numpy", nan, (1.0,), "s"),
        Method("absent", "no_such_package", nan, (1.0,), "s"),
    ]
    monkeypatch.setattr(measuring, "first_call", lambda method, video: 1.5)
    monkeypatch.setattr(ffmpeg, "lacks", lambda name: "it was taken away")
    return SimpleNamespace(methods=found, blend=blend)


def flat(frames: int = 4) -> clips.Clip:
    return clips.Clip("flat", np.full((frames, 24, 24), 0.5, np.float32), "made up")


# Clips


def test_halving_is_the_mean_of_two_by_two():
    video = np.random.default_rng(0).random((3, 6, 8, 3))
    expected = video.reshape(3, 3, 2, 4, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(clips.reduced(video, 0.5), expected, rtol=1e-14)


def test_area_averaging_of_cut_pixels_keeps_a_plane_and_the_mean():
    row, column = np.mgrid[:7, :10] + 0.5
    small = clips.reduced((row + 2 * column)[None], 0.6)[0]  # 4 × 6 cells of 7/4 × 10/6 pixels.
    assert small.shape == (4, 6)
    assert small.mean() == pytest.approx((row + 2 * column).mean())
    # By hand: the first cell holds row 0 and three quarters of row 1, column 0 and two thirds of column 1.
    assert small[0, 0] == pytest.approx((0.5 + 0.75 * 1.5) / 1.75 + 2 * (0.5 + 2 / 3 * 1.5) / (5 / 3))


def test_a_clip_is_the_frames_asked_for_in_grey_and_hashed(tmp_path):
    video = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), np.uint8)
    pv.write(tmp_path / "in.npy", video)
    clip = clips.load(tmp_path / "in.npy", frames=(2, 5), gray=True)
    expected = (video[2:5] / 255 @ [0.299, 0.587, 0.114]).astype(np.float32)
    np.testing.assert_allclose(clip.frames, expected, atol=1e-7)
    assert clip.frames.dtype == np.float32
    assert clip.described["sha256"] == hashlib.sha256(clip.frames.tobytes()).hexdigest()
    assert [c.name for c in clips.load_all([tmp_path / "in.npy"] * 3, frames=(0, 2))] == ["in", "in (2)", "in (3)"]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"frames": (4, 9)}, "at most 6 frames"),
        ({"frames": (3, 4)}, "two frames"),
        ({"frames": (-1, 4)}, "START"),
        ({"scale": 0.0, "frames": (0, 4)}, "scale"),
        ({"scale": 2.0, "frames": (0, 4)}, "scale"),
    ],
)
def test_bad_selections_are_refused(tmp_path, options, fault):
    pv.write(tmp_path / "in.npy", np.zeros((6, 8, 10), np.uint8))
    with pytest.raises(ParameterError, match=fault):
        clips.load(tmp_path / "in.npy", **options)


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan])
def test_clean_floats_must_be_in_the_unit_range(tmp_path, value):
    np.save(tmp_path / "in.npy", np.full((3, 8, 8), value, np.float32))
    with pytest.raises(InputError):
        clips.load(tmp_path / "in.npy", frames=(0, 3))


# Noise


def test_gaussian_noise_is_the_generators_own(clip):
    expected = clip.frames + np.random.default_rng(1).normal(0, 20 / 255, clip.frames.shape)
    np.testing.assert_array_equal(Noise("white:sigma=20").on(clip.frames, 1)[0], expected.astype(np.float32))


@pytest.mark.parametrize("peak", [10, 50])
def test_poisson_gaussian_noise_has_its_mean_and_variance(peak):
    clean = np.full((4, 200, 200), 0.3, np.float32)
    noisy = Noise(f"poisson:peak={peak},sigma=2.55").on(clean, 3)[0].astype(np.float64)
    variance = 0.3 / peak + 0.01**2
    assert noisy.mean() == pytest.approx(0.3, abs=4 * np.sqrt(variance / clean.size))
    assert noisy.var() == pytest.approx(variance, rel=0.03)


def test_clipped_noise_has_only_values_of_eight_bits(clip):
    noisy = Noise("white:sigma=80", clipped=True).on(clip.frames, 1)[0]
    np.testing.assert_array_equal(noisy, np.rint(noisy * 255).astype(np.uint8).astype(np.float64).astype("f4") / 255)
    assert {noisy.min(), noisy.max()} == {0, 1}


# Metrics


def moving(flow):
    """Motion that is known: every pixel goes by whole pixels, and what leaves the frame is out of sight."""
    rows, columns = flow

    def optical_flow(first, second):
        ahead = np.array_equal(second[rows:, columns:], first[:-rows, :-columns])
        assert ahead or np.array_equal(first[rows:, columns:], second[:-rows, :-columns])
        return np.multiply.outer((rows, columns), np.full(first.shape, 1.0 if ahead else -1.0))

    def warp(frame, flow):
        return np.roll(frame, -flow[:, 0, 0].astype(int), (0, 1))

    def occluded(forward, backward):
        assert (forward == -backward).all()
        assert (forward[:, 0, 0] == flow).all()
        gone = np.zeros(forward.shape[1:], bool)
        gone[-rows:], gone[:, -columns:] = True, True
        return gone

    return SimpleNamespace(warp=warp, occluded=occluded, optical_flow=optical_flow)


def panned(channels=()):
    wide = np.random.default_rng(5).random((40, 60, *channels)).astype(np.float32)
    return np.stack([wide[10 - k : 34 - k, 20 - 2 * k : 52 - 2 * k] for k in range(4)])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_what_moves_with_the_clip_has_no_warped_error(channels):
    clean = panned(channels)
    motion = Motion(clean, moving((1, 2)))
    assert motion.warped_error(clean) == 0
    assert motion.warped_error(0.5 * clean + 0.2) == pytest.approx(0, abs=1e-4)


def test_flicker_and_noise_have_the_warped_error_of_their_size():
    clean = panned()
    motion = Motion(clean, moving((1, 2)))
    flicker = clean + np.array([0.1, -0.1, 0.1, -0.1], np.float32)[:, None, None]
    assert motion.warped_error(flicker) == pytest.approx(255 * 0.2, rel=1e-5)
    noisy = clean + np.random.default_rng(6).normal(0, 0.1, clean.shape).astype(np.float32)
    # Each difference is of two independent values: σ √2, known to 1/√(2n) of itself.
    count = 3 * 23 * 30
    assert motion.warped_error(noisy) == pytest.approx(255 * 0.1 * np.sqrt(2), rel=4 / np.sqrt(count))


def test_vmaf_ranks_a_clip_above_a_blurred_one():
    if ffmpeg.lacks("libvmaf"):
        pytest.skip("the bundled ffmpeg has no libvmaf")
    clean = np.random.default_rng(0).random((3, 64, 96, 3)).astype(np.float32)
    same, blurred = ffmpeg.vmaf(clean, clean), ffmpeg.vmaf(clean, np.full_like(clean, 0.5))
    assert blurred < same - 20
    assert 0 <= blurred <= same <= 100


# Peers


@pytest.mark.parametrize("shape", [(3, 33, 47), (3, 32, 48, 3)])
@pytest.mark.parametrize("name", ["hqdn3d", "nlmeans", "atadenoise", "bm3d"])
def test_frames_pass_through_ffmpeg_unharmed(name, shape):
    peer = next(method for method in METHODS if method.name == f"ffmpeg {name}")
    if peer.missing():
        pytest.skip(peer.missing())
    video = np.random.default_rng(0).random(shape).astype(np.float32)
    through = ffmpeg.Filter(name, "null", peer.run.depth, peer.run.gray)
    steps = 255 if through.depth == 8 else 65535
    # Of a colour, three planes are rounded: blue is luma and 1.772 times a colour difference; those saturate never.
    atol = 0.51 / steps if video.ndim == 3 else 1.5 / steps
    np.testing.assert_allclose(through(video, 1.0), video, atol=atol + 1e-6)


def test_a_filter_of_ffmpeg_that_refuses_says_why():
    if ffmpeg.lacks("nlmeans"):
        pytest.skip("no ffmpeg")
    with pytest.raises(RuntimeError, match="out of range"):
        ffmpeg.Filter("nlmeans", "nlmeans=s={0}", 8, True)(np.zeros((2, 16, 16)), 1000.0)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("peer", [m for m in METHODS if not m.ours], ids=lambda m: m.name)
def test_every_peer_that_is_there_takes_noise_away(peer, channels):
    if peer.missing():
        pytest.skip(peer.missing())
    row, column = np.mgrid[:32, :40]
    clean = np.stack([0.5 + 0.3 * np.sin((column + row + k) / 9) for k in range(8)]).astype(np.float32)
    clean = np.stack([clean, 1 - clean, clean], axis=-1) if channels else clean
    noisy = Noise("white:sigma=20").on(clean, 1)[0]
    strength = peer.white * peer.factors[len(peer.factors) // 2] * 20 / 255
    result = np.asarray(peer.run(noisy, min(strength, peer.most)), np.float32)
    assert pv.psnr(clean, result) > pv.psnr(clean, noisy) + 2


def test_the_peers_say_which_package_is_missing():
    method = Method("x", "no_such_package", methods.tv, (1.0,), "s")
    assert method.missing() == "the package no_such_package is not installed"


# Running


def test_the_strength_nearest_to_the_truth_is_taken_and_told(quick):
    quick.blend.best = None
    clip, noise = flat(), Noise("white:sigma=20")
    noisy, _ = noise.on(clip.frames, 1)
    quick.blend.best = 2.0 * 255 * float(np.sqrt(np.mean(np.square(noisy - clip.frames, dtype=np.float64))))
    found = measuring.run([clip], [noise], [quick.methods[1]])
    row = found.rows[-1]
    assert row.strength == f"s = {quick.blend.best:.3g}"
    assert (row.psnr, row.ssim, row.kind) == (None, 1.0, "peer")  # The truth itself: PSNR is infinite.


def test_who_fails_or_is_missing_is_named_and_the_others_are_measured(quick):
    quick.blend.best = 0.0
    found = measuring.run([flat()], [Noise("white:sigma=20")], quick.methods)
    assert [row.method for row in found.rows] == ["clean clip", "noisy clip", "same", "blend"]
    notes = "\n".join(found.notes)
    assert "broken: failed on flat, σ = 20: it broke" in notes
    assert "nan: failed on flat, σ = 20" in notes
    assert "absent: not measured, the package no_such_package is not installed" in notes
    assert "not selected: " in notes
    assert "BM4D on the volume" in notes
    assert "VMAF: not measured, it was taken away" in notes
    noisy, same = found.rows[1:3]
    assert (same.psnr, same.ssim) == (noisy.psnr, noisy.ssim)
    assert noisy.psnr == pytest.approx(-20 * np.log10(20 / 255), abs=0.3)
    assert found.first_calls == {"same": 1.5}


def test_a_fault_of_our_own_is_not_hidden(quick):
    def fault(video):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measuring.run([flat()], [Noise("white:sigma=20")], [Method("bad", OURS, fault)])


def test_methods_are_chosen_by_part_of_their_name():
    assert [method.name for method in methods.chosen(["bm4d"])] == ["BM4D on the volume"]
    assert methods.chosen([]) == METHODS
    with pytest.raises(ParameterError, match="there is no method nonsense"):
        methods.chosen(["TV", "nonsense"])


@pytest.mark.parametrize("method", [m for m in METHODS if m.ours], ids=lambda m: m.name)
def test_methods_of_this_library_are_told_nothing_and_take_noise_away(method, clip):
    noisy = Noise("white:sigma=20").on(clip.frames, 1)[0]
    assert not method.factors
    assert pv.psnr(clip.frames, np.asarray(method.run(noisy))) > pv.psnr(clip.frames, noisy) + 3


# Tables


@pytest.fixture
def benchmark(quick) -> measuring.Benchmark:
    quick.blend.best = 0.0
    second = clips.Clip("other_flat", np.full((3, 24, 24), 0.25, np.float32), "made up")
    return measuring.run([flat(), second], [Noise("white:sigma=20"), Noise("white:sigma=10")], quick.methods)


def test_means_and_deviations_are_over_the_clips(benchmark):
    values = [row.psnr for row in benchmark.rows if (row.noise, row.method) == ("σ = 10", "same")]
    mean, deviation = tables.means(benchmark.rows)["σ = 10", "same"]["psnr"]
    assert (mean, deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    fewer = [row for row in benchmark.rows if (row.method, row.clip) != ("same", "flat")]
    assert tables.means(fewer)["σ = 10", "same"]["psnr"] == (None, None)  # A mean over other clips would mislead.


def test_the_tables_say_where_peers_win(benchmark):
    rows = [row for row in benchmark.rows if row.noise == "σ = 10"]
    benchmark.facts["noise"] = ["σ = 10"]
    make = measuring.Row
    for name, kind, level, time in (("mine", "pde-video", 30.0, 10.0), ("theirs", "peer", 30.5, 4912.0)):
        rows += [make("σ = 10", clip, name, kind, level, None, None, None, time) for clip in ("flat", "other_flat")]
    benchmark.rows = [row for row in rows if row.method != "same"]
    assert tables.where_peers_win(benchmark) == ["σ = 10: ahead of “mine” are theirs by 0.50 dB at 490 times the time."]
    benchmark.rows = [row for row in benchmark.rows if row.method != "theirs"]
    assert tables.where_peers_win(benchmark) == ["σ = 10: no peer in the table is ahead."]


def test_every_format_holds_every_row_and_what_it_depends_on(benchmark, tmp_path):
    paths = [tmp_path / f"table{ending}" for ending in (".md", ".csv", ".json", ".tex")]
    tables.check(paths, force=False)
    tables.write(benchmark, paths, force=False)
    markdown, comma, text, latex = (path.read_text(encoding="utf-8") for path in paths)
    shas = {clip["sha256"] for clip in benchmark.facts["clips"].values()}
    assert len(shas) == 2
    for page in (markdown, comma, text, latex):
        assert all(sha in page for sha in shas)
        assert f"numpy {np.__version__}" in page or f'"numpy": "{np.__version__}"' in page
    row = next(row for row in benchmark.rows if row.clip == "flat" and row.method == "same")
    cells = f"{row.psnr:.2f} | {row.ssim:.4f} | {row.warped_error:.2f} | – | {row.ms_per_frame:.1f}"
    assert f"| flat | same | {cells} |" in markdown
    assert "broken: failed on flat, σ = 20: it broke" in markdown
    read = list(csv.DictReader(comma.splitlines()))
    assert len(read) == len(benchmark.rows) + 2 * len(tables.means(benchmark.rows))
    assert float(read[2]["psnr"]) == row.psnr
    loaded = json.loads(text)
    assert loaded["rows"][2]["psnr"] == row.psnr
    assert loaded["facts"]["seed"] == 1
    assert loaded["rows"][0]["psnr"] is None
    tabulars = latex.split(r"\begin{tabular}")[1:]
    assert len(tabulars) == 5
    for tabular in tabulars:
        columns = len(re.match(r"\{([lr]+)\}", tabular)[1])
        body = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert {line.count(" & ") for line in body} == {columns - 1}
    assert r"other\_flat" not in latex.split("tabular")[0]
    assert r"other\_flat & same" in latex


# Command line


@pytest.fixture
def call(call, monkeypatch):
    monkeypatch.setattr(measuring, "first_call", lambda method, video: 1.5)
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    return partial(call, "bench")


@pytest.fixture
def unmeasured(monkeypatch):
    """Nothing may be measured."""
    monkeypatch.setattr(measuring, "run", lambda *arguments, **options: pytest.fail("something was measured"))


def test_the_made_up_scene_is_measured_by_default(call, tmp_path):
    options = ("--frames", "0:2", "--scale", "0.2", "--sigma", "20", "--method", "denoise, heat")
    code, out, _ = call(*options, "--clipped", "--peak", "10")
    assert code == 0
    for label in ("σ = 20", "σ = 20, clipped to 8 bits", "Poisson, peak 10, σ = 2.55", "σ = 2.55, clipped to 8 bits"):
        assert f"{label}: mean of 1 clip\n" in out
    assert out.count("| moving scene | denoise, heat |") == 4
    assert call(*options, "-o", tmp_path / "t.json")[:2] == (0, "")
    row = json.loads((tmp_path / "t.json").read_text())["rows"][-1]
    assert json.loads(call(*options, "--json")[1])["rows"][-1]["psnr"] == row["psnr"]
    assert f"| moving scene | denoise, heat | {row['psnr']:.2f} |" in out  # The same seed, the same figures.


def test_each_scenario_has_a_table_and_replaces_the_levels_of_white_noise(call):
    options = ("--frames", "0:2", "--scale", "0.2", "--method", "denoise, heat")
    code, out, _ = call(*options, "--noise", "rows:amplitude=4", "--noise", "blurred")
    assert code == 0
    found = [label for label in re.findall("## (.*): mean of 1 clip\n", out)]
    assert found == ["row noise of 4, σ = 10", "blurred by 0.7 pixels, σ = 20"]
    out = call(*options, "--noise", "white:sigma=30", "--noise", "blurred", "--sigma", "30")[1]
    assert re.findall("## (.*): mean of 1 clip\n", out) == ["σ = 30", "blurred by 0.7 pixels, σ = 20"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("missing.mp4",), 4),
        (("--noise", "snow"), 2),
        (("--noise", "blurred:radius=-1"), 2),
        (("text.mp4",), 4),
        (("--frames", "3"), 2),
        (("--frames", "9:4"), 2),
        (("--frames", "0:1000"), 2),
        (("--scale", "3"), 2),
        (("--sigma", "a,b"), 2),
        (("--sigma", "-1"), 2),
        (("--sigma", "nan"), 2),
        (("--peak", "0"), 2),
        (("--sigma", ""), 2),
        (("--method", "nonsense"), 2),
        (("--seed", "-1"), 2),
        (("-o", "table.xyz"), 2),
        (("-o", "a.md", "-o", "a.md"), 2),
        (("-o", "there.md"), 3),
        (("-o", "nowhere/table.md"), 5),
        (("-o", "folder.md"), 5),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_measured(
    call, unmeasured, tmp_path, monkeypatch, arguments, code
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.md").write_text("mine")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "text.mp4").write_text("Only text.\n" * 50)
    before = sorted(tmp_path.rglob("*"))
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.md").read_text() == "mine"


def test_help_names_the_formats(call):
    assert "md, csv, json or tex" in call("--help")[1]
