"""What `denoise` promises: quality on real clips with the noise unknown, nothing lost by motion, photons, patterns."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache
from itertools import islice

import numpy as np
import pytest
from cases import CLIP_SETS, CLIPS, NAMES, marked_slow, slow

import pde_video as pv
from pde_video.denoising import along_motion, recursive
from pde_video.denoising.denoise import PRESETS
from pde_video.solvers import shrinkage

# Frames of the clips, and whether they are halved; the least PSNR at σ = 20/255, over all and of the smallest.
PARTS = {"bikes": (100, False), "bigbuckbunny": (60, True), "carphone_pristine": (20, False)}
LEAST = {"fast": 31.8, "balanced": 34.3, "best": 36.4}
LEAST_OF_ONE = {"fast": 31.8, "balanced": 34.0, "best": 34.9}
SIGMA = 20 / 255


@pytest.fixture(scope="module")
def clean(clips):
    """Sixteen grey frames of each clip, float32 in [0, 1]; bigbuckbunny at half its size by area averaging."""

    def read(name):
        first, halved = PARTS[name]
        video = np.stack(list(islice(pv.read(clips[name]), first, first + 16))).astype(np.float32) / 255
        if halved:
            video = video.reshape(16, video.shape[1] // 2, 2, video.shape[2] // 2, 2, 3).mean((2, 4))
        return pv.to_gray(video)

    return {name: read(name) for name in PARTS}


def with_noise(video, sigma=SIGMA, seed=1):
    return (video + sigma * np.random.default_rng(seed).standard_normal(video.shape)).astype(np.float32)


def frames_psnr(expected, actual):
    return np.array([pv.psnr(a, b) for a, b in zip(expected, actual, strict=True)])


def alone(video, preset, sigma=SIGMA):
    """Every frame denoised by the same preset as if there were no other."""
    return np.concatenate([pv.denoise(frame[None], preset=preset, sigma=sigma) for frame in video])


@pytest.mark.parametrize("names", CLIP_SETS, ids=len)
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "fast", "best"))
def test_real_clips_reach_what_is_promised_with_the_noise_unknown(preset, names, clean):
    reached = [frames_psnr(clean[name], pv.denoise(with_noise(clean[name]), preset=preset)).mean() for name in names]
    assert np.mean(reached) >= (LEAST_OF_ONE if len(names) == 1 else LEAST)[preset]


@pytest.mark.parametrize("sigma", [2 / 255, *slow(1 / 255, 5 / 255, 10 / 255, 40 / 255)])
def test_best_is_above_balanced_however_weak_the_noise(sigma, clean):
    # Where little noise is, guides keep much of it: they differ even where all is found right.
    video = clean["bigbuckbunny"][:9, 60:160, 60:220]
    balanced, best = (pv.denoise(with_noise(video, sigma), preset=one, sigma=sigma) for one in ("balanced", "best"))
    assert pv.psnr(video, best) > pv.psnr(video, balanced) + 0.1


TOLD = [(preset, NAMES[:1], 40 / 255) for preset in PRESETS]
TOLD += [("fast", NAMES, 10 / 255), ("balanced", NAMES, 40 / 255)]


@pytest.mark.parametrize("case", [*TOLD[:2], *slow(*TOLD[2:])], ids=str)
def test_knowing_the_noise_is_worth_little(case, clean):
    (preset, names, sigma), unknown, told = case, [], []
    for name in names:
        video = clean[name][:8]
        noisy = with_noise(video, sigma)
        unknown.append(frames_psnr(video, pv.denoise(noisy, preset=preset)).mean())
        told.append(frames_psnr(video, pv.denoise(noisy, preset=preset, sigma=sigma)).mean())
    assert np.mean(unknown) >= np.mean(told) - 0.3
    assert np.mean(unknown) > 10 + np.mean([20 * math.log10(1 / sigma)]) - 4


def test_the_average_of_a_still_scene_gains_as_theory_says(clean, monkeypatch):
    monkeypatch.setattr(along_motion, "diffuse", lambda mean, variance, **_: mean)  # The average alone.
    still = np.repeat(clean["bikes"][:1, :160, :256], 17, axis=0)
    noisy = with_noise(still)
    for radius in (1, 2, 4, 8):
        some = noisy[max(0, 7 - radius) : 10 + radius]  # One more on each side, which must not count.
        denoised = pv.denoise(some, radius=radius, sigma=SIGMA)[min(8, radius + 1)]
        gain = pv.psnr(still[8], denoised) - pv.psnr(still[8], noisy[8])
        assert gain == pytest.approx(10 * math.log10(2 * radius + 1), abs=0.5)


def test_a_still_scene_gains_with_every_frame(clean):
    still = np.repeat(clean["bigbuckbunny"][:1, :128, :160], 17, axis=0)
    noisy = with_noise(still)
    reached = [
        pv.psnr(still[8], pv.denoise(noisy[max(0, 7 - r) : 10 + r], radius=r, sigma=SIGMA)[min(8, r + 1)])
        for r in (0, 1, 2, 4, 8)
    ]
    assert (np.diff(reached) > 1).all()


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_a_repeated_frame_counts_once(preset, clean):
    # Its noise is the same; only where motion is sought may the nearer frames differ.
    still = np.repeat(clean["bikes"][:1, :160, :256], 7, axis=0)
    noisy = with_noise(still)
    once = pv.denoise(noisy, preset=preset, sigma=SIGMA)
    if preset == "fast":
        twice = pv.denoise(np.repeat(noisy, 2, axis=0), preset=preset, sigma=SIGMA)
        np.testing.assert_array_equal(twice, np.repeat(once, 2, axis=0))
    else:
        same = pv.denoise(np.repeat(noisy[:1], 7, axis=0), preset=preset, sigma=SIGMA)
        np.testing.assert_array_equal(same[3:4], pv.denoise(noisy[:1], preset=preset, sigma=SIGMA))


def test_what_stands_still_is_not_moved(clean, monkeypatch):
    still = np.repeat(clean["bigbuckbunny"][:1, :160, :256], 13, axis=0)
    noisy = with_noise(still)
    reached = pv.psnr(still[6], pv.denoise(noisy, sigma=SIGMA)[6])
    monkeypatch.setattr(along_motion, "flow_between", lambda a, b, smoothness: np.zeros((2, *a[0].shape), np.float32))
    assert reached > pv.psnr(still[6], pv.denoise(noisy, sigma=SIGMA)[6]) - 0.4  # Trembling would cost 0.8 dB.


@pytest.mark.parametrize(("preset", "room"), [("balanced", along_motion), ("fast", recursive)])
def test_what_is_said_to_be_left_of_the_noise_is_left(preset, room, clean, monkeypatch):
    # Shrinkage goes by the variance of the average, which must not be promised lower than it is.
    still = np.repeat(clean["bikes"][:1, :160, :256], 9, axis=0)
    seen, keep = [], room.diffuse
    monkeypatch.setattr(room, "diffuse", lambda mean, v, **how: seen.append((mean, v)) or keep(mean, v, **how))
    list(pv.denoise(iter(with_noise(still)), preset=preset, sigma=SIGMA, causal=True))  # In order, so that 8 is last.
    for k in (1, 8):
        mean, left = seen[k]
        error = (mean[0] - still[k] / SIGMA) ** 2
        assert 0.7 < error.mean() / left.mean() < 1.1
        assert left.mean() < (0.8 if k == 1 else 0.3)


def bar(speed, ground):
    """A bright bar, 12 pixels wide, that moves to the right over a ground, and back in on the left."""
    frames = np.repeat(ground[np.newaxis], 14, axis=0)
    for k, frame in enumerate(frames):
        left = (10 + speed * k) % (ground.shape[1] - 12)
        frame[20:76, left : left + 12] = 0.9
    return frames


@pytest.mark.parametrize("textured", [True, *slow(False)])
@pytest.mark.parametrize("speed", [5, *slow(40)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_a_moving_bar_leaves_no_ghost(preset, speed, textured, clean):
    ground = clean["bikes"][0, :96, :200] if textured else np.full((96, 200), 0.3, np.float32)
    video = bar(speed, ground)
    denoised = pv.denoise(with_noise(video), preset=preset, sigma=SIGMA)
    loss = frames_psnr(video, alone(with_noise(video), preset)) - frames_psnr(video, denoised)
    assert loss.max() <= 0.1
    for apart in (-2, -1, 1, 2):
        for k in range(2, 12):
            ghost = (video[k + apart] != ground) & (video[k] == ground)
            # The bar is 0.6 above the flat ground; what would stay of it at random is 2 % of that.
            assert abs((denoised[k] - video[k])[ghost].mean()) < 0.03


@pytest.mark.parametrize("speed", [12, *slow(1, 4)])
@pytest.mark.parametrize("textured", [True, *slow(False)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_a_faint_bar_in_motion_keeps_its_contrast(preset, textured, speed, clean):
    ground = clean["bikes"][0, :96, :200] if textured else np.full((96, 200), 0.3, np.float32)
    scene = np.repeat(ground[np.newaxis], 14, axis=0)
    where = bar(speed, np.zeros((96, 200), np.float32)) / np.float32(0.9)
    with_bar, without = (with_noise(scene + SIGMA / 2 * one) for one in (where, 0 * where))
    change = pv.denoise(with_bar, preset=preset) - pv.denoise(without, preset=preset)
    # Without the correction of the averages, 0.5 ("fast"), 0.35 and 0.25 ("best") at 12 pixels a frame.
    assert (change * where)[5:9].sum() / (SIGMA / 2 * where[5:9].sum()) > 0.65


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "fast", "best"))
def test_cuts_and_fast_motion_cost_nothing(preset, clean, clips):
    cut = np.concatenate([clean["bikes"][:6, :160, :240], clean["bigbuckbunny"][:6, :160, :240]])
    frames = np.stack(list(islice(pv.read(clips["bikes"]), 20, 60, 4)))[:, 40:280, 80:480].astype(np.float32) / 255
    for video, cuts in ((cut, [6]), (pv.to_gray(frames), [3])):
        noisy, report = with_noise(video), {}
        denoised = pv.denoise(noisy, preset=preset, sigma=SIGMA, report=report)
        assert report["cuts"] == cuts
        allowed = 0.2 if preset == "best" else 0.1  # The first frame after the cut loses 0.17 dB.
        assert (frames_psnr(video, denoised) >= frames_psnr(video, alone(noisy, preset)) - allowed).all()


def test_nothing_passes_a_cut(clean):
    bikes, bunny = clean["bikes"][:3, :96, :128], clean["bigbuckbunny"][:3, :96, :128]
    noisy = with_noise(np.concatenate([bikes, bunny]))
    for preset in PRESETS:
        joined = pv.denoise(noisy, preset=preset, sigma=SIGMA)
        apart = [pv.denoise(part, preset=preset, sigma=SIGMA) for part in (noisy[:3], noisy[3:])]
        np.testing.assert_array_equal(joined, np.concatenate(apart))


@pytest.mark.parametrize("peak", [10, *slow(50)])
@pytest.mark.parametrize("name", CLIPS)
def test_photon_noise_is_stabilised(name, peak, clean):
    video = clean[name][:8]
    counts = (np.random.default_rng(1).poisson(video * peak) / peak).astype(np.float32)
    report = {}
    denoised = pv.denoise(counts, report=report)
    assert report["noise"] == "poisson-gaussian"
    assert report["slope"] == pytest.approx(1 / peak, rel=0.1)
    assert denoised.mean() == pytest.approx(video.mean(), rel=0.005)
    uniform = pv.denoise(counts, sigma=pv.estimate_sigma(counts))  # As if it were the same everywhere.
    assert pv.psnr(video, denoised) > pv.psnr(video, uniform) + 1


@pytest.mark.parametrize("names", CLIP_SETS, ids=len)
def test_photon_noise_is_worth_more_than_a_decibel_over_its_deviation(names, clean):
    gains = []
    for name in names:
        video = clean[name][:8]
        counts = (np.random.default_rng(1).poisson(video * 10) / 10).astype(np.float32)
        deviation = math.sqrt(float(video.mean()) / 10)  # The true one, over the whole picture.
        gains.append(pv.psnr(video, pv.denoise(counts)) - pv.psnr(video, pv.denoise(counts, sigma=deviation)))
    assert min(gains) > 0
    assert np.mean(gains) > 1


@pytest.mark.parametrize("moving", [True, *slow(False)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
def test_a_fixed_pattern_is_noise_that_averaging_does_not_remove(preset, moving, clean, rng):
    video = clean["bikes"][:, :160, :256] if moving else np.repeat(clean["bikes"][:1, :160, :256], 12, axis=0)
    pattern = 0.7 * SIGMA * rng.standard_normal(video.shape[1:])
    noisy = (video + pattern + 0.7 * SIGMA * rng.standard_normal(video.shape)).astype(np.float32)
    report = {}
    denoised = pv.denoise(noisy, preset=preset, report=report)
    assert report["fixed"] == pytest.approx(0.5, abs=0.1)
    assert frames_psnr(video, denoised).mean() > frames_psnr(video, alone(noisy, preset)).mean() + 0.5


@pytest.mark.parametrize("told", [0.7, 1.3, 2.0])
def test_noise_told_wrong_is_no_fixed_pattern(told, clean):
    report = {}
    next(pv.denoise(iter(with_noise(clean["carphone_pristine"])), sigma=told * SIGMA, report=report))
    assert report["fixed"] == 0


@pytest.mark.parametrize("name", CLIPS)
def test_clips_without_noise_come_back(name, clean):
    for first, dtype in ((0, np.float32), (8, np.uint8)):
        part = clean[name][first : first + 8]
        part = part if dtype == np.float32 else np.rint(255 * part).astype(dtype)
        for preset in ("fast", "balanced"):
            assert pv.psnr(part, pv.denoise(part, preset=preset)) > 45


def test_a_report_of_another_video_is_forgotten(rng):
    report = {}
    for _ in range(2):
        pv.denoise(np.repeat(rng.random((2, 32, 32), np.float32), 2, axis=0), report=report, sigma=0.01)
        assert report["cuts"] == [2]
    pv.denoise(rng.random((3, 32, 32), np.float32), report=report, noise=(0.1, 0.0))
    assert "sigma" not in report


@pytest.mark.parametrize("preset", PRESETS)
def test_less_noise_than_rounding_is_none(preset, rng):
    video = rng.random((3, 24, 24)).astype(np.float32)
    for sigma in (1e-30, 1e-20, 1e-9):
        np.testing.assert_array_equal(pv.denoise(video, preset=preset, sigma=sigma), video)


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_a_small_thing_on_a_flat_ground_is_no_cut(preset):
    video = np.full((8, 96, 128), 0.2, np.float32)
    for k, frame in enumerate(video):
        frame[40:56, 8 + 12 * k : 24 + 12 * k] = 0.8
    report = {}
    denoised = pv.denoise(with_noise(video), preset=preset, sigma=SIGMA, report=report)
    assert report["cuts"] == []
    assert pv.psnr(video, denoised) > pv.psnr(video, alone(with_noise(video), preset)) + 1


def test_motion_and_cuts_are_seen_in_any_channel(clean):
    flat = np.full_like(clean["bikes"][:6, :96, :128], 0.5)
    cut = np.concatenate([clean["bikes"][:3, :96, :128], clean["bigbuckbunny"][:3, :96, :128]])
    for pair in ((flat, cut), (cut, flat)):
        report = {}
        pv.denoise(with_noise(np.stack(pair, axis=-1)), sigma=SIGMA, report=report)
        assert report["cuts"] == [3]


def test_a_fixed_pattern_is_seen_on_a_flat_ground(rng):
    # Nothing but noise in it: its frames have no picture that a cut could end.
    noisy = 0.5 + SIGMA * (0.65 * rng.standard_normal((96, 128)) + rng.standard_normal((6, 96, 128)))
    report = {}
    pv.denoise(noisy.astype(np.float32), report=report)
    assert report["fixed"] == pytest.approx(0.65**2 / (1 + 0.65**2), abs=0.1)


@pytest.mark.parametrize(("share", "told"), [(0.04, 0.0), (0.16, 0.16)])
def test_a_fixed_share_is_told_where_it_is_more_than_an_error_of_estimation(share, told, rng):
    fixed, new = rng.normal(0, 5, (128, 128)), rng.normal(0, 5, (6, 128, 128))
    assert pv.measure_noise(np.sqrt(share) * fixed + np.sqrt(1 - share) * new).fixed == pytest.approx(told, abs=0.03)


@pytest.mark.parametrize("name", CLIPS)
def test_independent_noise_is_no_fixed_pattern(name, clean):
    report = {}
    next(pv.denoise(iter(with_noise(clean[name])), report=report))
    assert report["fixed"] == 0


@pytest.mark.parametrize(
    "kind", [("f4", True), *slow(("f4", False), ("u1", True), ("u2", False), ("f8", True))], ids=str
)
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_stream_and_array_and_threads_agree_bit_for_bit(preset, kind, threads, real_frames):
    dtype, colour = np.dtype(kind[0]), kind[1]
    video = np.concatenate([real_frames["bikes"][:, :70, :90]] * 3)
    video = pv.gaussian_noise(video if colour else pv.to_gray(video), 20.0)
    video = video.astype(dtype) * (257 if dtype == np.uint16 else 1) / (1 if dtype.kind == "u" else 255)
    video = video.astype(dtype)
    whole = pv.denoise(video, preset=preset)
    assert (whole.dtype, whole.shape) == (video.dtype, video.shape)
    assert np.isfinite(whole).all()
    for n in (1, 3):
        threads(n)
        np.testing.assert_array_equal(np.stack(list(pv.denoise(iter(video), preset=preset))), whole)


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_causal_gives_each_frame_back_before_the_next(preset, clean):
    noisy = with_noise(clean["carphone_pristine"])
    drawn = []

    def camera():
        for k, frame in enumerate(noisy):
            drawn.append(k)
            yield frame

    results = pv.denoise(camera(), preset=preset, sigma=SIGMA, causal=True)
    kept = []
    for k in range(8):
        kept.append(next(results))
        assert len(drawn) == k + 1
    np.testing.assert_array_equal(np.stack(kept), pv.denoise(noisy[:8], preset=preset, sigma=SIGMA, causal=True))
    reached = frames_psnr(clean["carphone_pristine"][:8], kept)
    assert reached[-1] > reached[0] + 1


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_results_depend_on_no_more_frames_than_the_latency_says(preset, clean):
    noisy, report = with_noise(clean["carphone_pristine"][:, :72, :88]), {}
    whole = pv.denoise(noisy, preset=preset, sigma=SIGMA, report=report)
    shorter = pv.denoise(noisy[: 2 + report["latency"]], preset=preset, sigma=SIGMA)
    np.testing.assert_array_equal(shorter[:2], whole[:2])


@pytest.mark.parametrize("shape", [(4, 32, 40), (4, 33, 41, 3), (3, 1, 1), (3, 1, 9), (2, 5, 3), (3, 7, 2, 2)])
@pytest.mark.parametrize("preset", PRESETS)
def test_constant_videos_stay_as_they_are(preset, shape):
    for value in (0.3, -100.7):
        constant = np.full(shape, value, np.float32)
        for sigma in (None, 0.1):
            np.testing.assert_array_equal(pv.denoise(constant, preset=preset, sigma=sigma), constant)
    constant = np.full(shape, 0.5, np.float32)
    np.testing.assert_array_equal(pv.denoise(constant, preset=preset, noise=(0.1, 0.0)), constant)


@pytest.mark.parametrize("unit", [1e-25, 1e15, *slow(1e-6, 1e6)])
@pytest.mark.parametrize("preset", PRESETS)
def test_any_unit_is_denoised_alike(preset, unit, rng):
    noisy = rng.normal(1.0, 0.1, (4, 24, 24)).astype(np.float32)
    expected = pv.denoise(noisy, preset=preset)
    assert expected.std() < 0.05
    np.testing.assert_allclose(pv.denoise(noisy * np.float32(unit), preset=preset) / unit, expected, rtol=1e-3)


def test_colour_gains_more_than_its_channels_alone(real_frames):
    video = real_frames["bikes"].astype(np.float32) / 255
    noisy = with_noise(video)
    channels = [pv.denoise(np.ascontiguousarray(noisy[..., c]), sigma=SIGMA) for c in range(3)]
    assert pv.psnr(video, pv.denoise(noisy, sigma=SIGMA)) > pv.psnr(video, np.stack(channels, axis=-1)) + 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "good"}, "preset is 'good'; it must be one of fast, balanced, best"),
        ({"preset": "fast", "method": "tv"}, "takes no preset"),
        ({"method": "tv", "causal": True}, "takes no preset, radius, causal"),
        ({"method": "tv", "noise": "poisson-gaussian"}, "Gaussian noise"),
        ({"preset": "fast", "radius": 2}, "'fast' averages recursively"),
        ({"radius": -1}, "radius is -1"),
        ({"radius": 1.5}, "radius is 1.5"),
        ({"noise": "salt"}, "noise is 'salt'"),
        ({"noise": (0.1, 0.0), "sigma": 1.0}, "give one of them"),
        ({"noise": "poisson-gaussian", "sigma": 1.0}, "sigma is for Gaussian noise"),
        ({"noise": (-0.1, 0.0)}, "slope"),
        ({"noise": (0.1,)}, "pair"),
        ({"noise": 0.1}, "pair"),
        ({"noise": (math.nan, 0.0)}, "finite"),
        ({"noise": (0.1, -1.0)}, "a variance below 0"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.denoise(np.random.default_rng(0).random((2, 8, 8)), **arguments)


def test_a_value_that_is_not_finite_is_refused_by_its_frame(rng):
    video = rng.random((12, 16, 16), np.float32)
    video[9, 3, 3] = np.nan
    for preset in PRESETS:
        with pytest.raises(pv.InputError, match="frame 9"):
            pv.denoise(video, preset=preset)


SCRIPT = """
import sys
import numpy as np, pde_video as pv
from pde_video.jobs.trial import peak_memory
rng = np.random.default_rng(0)
frames = (rng.random((96, 128), np.float32) for _ in range(int(sys.argv[2])))
for _ in pv.denoise(frames, preset=sys.argv[1], sigma=0.3):
    pass
print(peak_memory() / 1e6)
"""


@cache
def peak_of(preset, frames):
    command = [sys.executable, "-c", SCRIPT, preset, str(frames)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["fast", "best"])  # "best" does all that "balanced" does.
def test_memory_does_not_grow_with_the_frames(preset):
    assert peak_of(preset, 250) < peak_of(preset, 50) + 6  # MB; 200 more frames, kept once, would be 10.


def test_a_told_line_of_noise_is_the_one_used(clean):
    counts = (np.random.default_rng(1).poisson(clean["bikes"][:4] * 20) / 20).astype(np.float32)
    report = {}
    told = pv.denoise(counts, noise=(0.05, 0.0), report=report)
    assert (report["slope"], report["offset"]) == (pytest.approx(0.05), 0)
    assert pv.psnr(clean["bikes"][:4], told) > pv.psnr(clean["bikes"][:4], counts) + 10
    bytes_ = np.rint(255 * np.clip(counts, 0, 1)).astype(np.uint8)
    report = {}
    pv.denoise(bytes_, noise=(0.05 * 255, 0.0), report=report)
    assert report["slope"] == pytest.approx(0.05 * 255)


def test_shrinking_alone_is_what_radius_nothing_leaves(clean):
    noisy = with_noise(clean["carphone_pristine"][:1])
    planes = noisy / np.float32(SIGMA)
    expected = noisy + np.float32(SIGMA) * (shrinkage.diffuse(planes, np.ones_like(planes[0])) - planes)
    np.testing.assert_allclose(pv.denoise(noisy, radius=0, sigma=SIGMA), expected, atol=1e-6)


def noise_of_a_camera(shape, rng):
    """Noise that went through a codec: one for all colours, and a weaker one of each, shared by blocks of 2 × 2."""
    frames, height, width, _ = shape
    brightness = rng.normal(0, 1, (frames, height, width, 1))
    blocks = rng.normal(0, 0.8, (frames, height // 2, width // 2, 3))
    return brightness + blocks.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
@pytest.mark.parametrize("kind", ["as from a camera", *slow("brightness alone")])
def test_noise_that_differs_between_brightness_and_colour_is_seen(kind, preset, clips, rng):
    video = np.stack(list(islice(pv.read(clips["bikes"]), 100, 110))).astype(np.float32)[:, :160, :256] / 255
    noise = noise_of_a_camera(video.shape, rng) if kind != "brightness alone" else rng.normal(0, 1, video.shape[:3])
    noisy = (video + 0.07 * (noise if noise.ndim == 4 else noise[..., np.newaxis])).astype(np.float32)
    report = {}
    seen = pv.psnr(video, pv.denoise(noisy, preset=preset, report=report))
    told = pv.psnr(video, pv.denoise(noisy, preset=preset, sigma=report["sigma"]))  # As if it were alike everywhere.
    assert seen > told + 1.5
    assert report["colours"][0] > 1.4
    if noise.ndim == 4:
        assert [one * report["sigma"] for one in report["colours"][1:]] == pytest.approx([0.8 * 0.07] * 2, rel=0.1)
        # Means of four pixels that share their noise have all of its variance, four times that of white noise.
        assert report["correlation"][1:] == pytest.approx([2, 2], rel=0.15)


@pytest.mark.parametrize("name", CLIPS)
def test_noise_that_is_alike_in_all_colours_stays_so(name, real_frames):
    for sigma in (5.0, 20.0):
        report = {}
        pv.denoise(pv.gaussian_noise(real_frames[name], sigma), report=report)
        assert "colours" not in report


@pytest.mark.parametrize("channels", [2, *slow(4)])
def test_channels_with_noise_of_different_strength_have_their_own(channels, clean):
    part = clean["bikes"][:6, :160, :240]
    video = np.stack([part, part**2] * (channels // 2), axis=-1)
    strength = np.array([0.5, 1.5, 1.0, 0.5][:channels])
    noisy = (video + SIGMA * strength * np.random.default_rng(1).standard_normal(video.shape)).astype(np.float32)
    report = {}
    seen = pv.denoise(noisy, report=report)
    assert [one * report["sigma"] for one in report["colours"]] == pytest.approx(SIGMA * strength, rel=0.08)
    single = pv.measure_noise(noisy[:1])  # Within a frame.
    assert [one * single.sigma for one in single.colours] == pytest.approx(SIGMA * strength, rel=0.1)
    alone = [pv.denoise(np.ascontiguousarray(noisy[..., c])) for c in range(channels)]
    assert pv.psnr(video, seen) > pv.psnr(video, np.stack(alone, axis=-1))
    told = pv.denoise(noisy, sigma=float(np.sqrt(np.square(SIGMA * strength).mean())))  # As if it were alike in all.
    assert pv.psnr(video, seen) > pv.psnr(video, told) + 1


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_with_the_same_noise_are_even(channels, clean):
    part = clean["bikes"][:8, :200, :320]
    noisy = with_noise(np.stack([part, part**2] * (channels // 2), axis=-1))
    assert pv.measure_noise(noisy).colours is None
