"""Denoising real pictures, and the parameters found for it."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CLIPS, slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising import other_methods


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("grey", [False, True])
def test_real_clips_gain_six_decibels(name, grey, real_frames):
    clean = pv.to_gray(real_frames[name]) if grey else real_frames[name]
    noisy = pv.gaussian_noise(clean, 20.0, rng=1)
    report = {}
    gain = pv.psnr(clean, pv.denoise(noisy, report=report)) - pv.psnr(clean, noisy)
    assert gain >= 6.0
    assert abs(report["sigma"] - 20) < 2


@pytest.mark.parametrize("name", CLIPS)
def test_edges_survive_where_the_heat_equation_blurs_them(name, real_frames):
    clean = real_frames[name]
    noisy = pv.gaussian_noise(clean, 20.0, rng=1)
    diffused = {method: pv.psnr(clean, pv.denoise(noisy, method=method)) for method in ("perona-malik", "tv", "heat")}
    gaussian = max(pv.psnr(clean, gaussian_filter(noisy, (0, s, s, 0))) for s in (0.6, 0.8, 1.0, 1.3, 1.7))
    assert min(diffused["perona-malik"], diffused["tv"]) > max(diffused["heat"], gaussian)


@pytest.mark.parametrize("sigma", [20, *slow(5, 50)])
@pytest.mark.parametrize("method", ["perona-malik", "tv"])
@pytest.mark.parametrize("name", CLIPS)
def test_denoise_stops_within_a_tenth_of_a_decibel_of_the_best(name, method, sigma, real_frames):
    clean = real_frames[name][:, -240:, -320:]
    noisy, clean = pv.gaussian_noise(clean, sigma, rng=1).astype(np.float32) / 255, clean.astype(np.float32) / 255
    report = {}
    gain = pv.psnr(clean, pv.denoise(noisy, method=method, report=report))
    term = pv.PeronaMalik(report["kappa"], report["conductance"], smoothing=report["smoothing"])
    times = pv.uniform(2 * report["time"])
    curves = [[u for _, u in pv.evolution(term, frame, times, channel_axis=-1)] for frame in noisy]
    best = max(pv.psnr(clean, np.stack(states)) for states in zip(*curves, strict=True))
    assert gain >= best - 0.1
    assert report["criterion"] == "sure"


def test_the_time_follows_the_scene():
    y, x = np.mgrid[:96, :96]
    smooth, busy = np.sin(x / 30) * np.sin(y / 30), np.sin(x * 1.3) * np.sin(y * 0.9)
    clean = np.stack([smooth] * 25 + [busy])
    noisy = (clean + np.random.default_rng(0).normal(0, 0.2, clean.shape)).astype(np.float32)
    report, report_smooth = {}, {}
    denoised = pv.denoise(noisy, method="perona-malik", report=report)
    first = pv.denoise(noisy[:25], method="perona-malik", report=report_smooth)
    np.testing.assert_array_equal(first, denoised[:25])
    assert report["time"] < report_smooth["time"] / 2


def test_the_time_is_that_of_the_least_estimated_error(rng):
    frame = np.sin(np.arange(48) / 9) + rng.normal(0, 0.3, (40, 48))
    report = {}
    found = pv.denoise(frame[np.newaxis], method="heat", sigma=0.3, report=report)[0]
    estimated = pv.stopping_time(pv.Heat(), frame, pv.uniform(4.0, dt=0.05), sigma=0.3)
    assert 0.05 < report["time"] == estimated.time < 3.9
    np.testing.assert_array_equal(
        found, pv.evolve(pv.Heat(), frame, estimated.times[estimated.times <= estimated.time])
    )


def test_the_time_is_chosen_in_the_middle_of_the_frame_and_of_its_quarters():
    places = np.stack(np.meshgrid(np.arange(400), np.arange(640), indexing="ij"), axis=-1)
    middles = {tuple(patch.reshape(-1, 2).mean(axis=0) + 0.5) for patch in other_methods._patches(places)}
    assert middles == {(200, 320), (100, 160), (100, 480), (300, 160), (300, 480)}
    assert all(patch.shape[:2] == (160, 160) for patch in other_methods._patches(places))
    [whole] = other_methods._patches(places[:100, :90])
    assert whole.shape[:2] == (100, 90)


def test_sigma_given_is_sigma_used():
    video = pv.gaussian_noise(np.full((2, 32, 32), 100, np.uint8), 10.0)
    report = {}
    pv.denoise(video, sigma=10.0, method="perona-malik", report=report)
    assert report["sigma"] == pytest.approx(10.0)
    assert report["kappa"] == pytest.approx(2.0)
    pv.denoise(np.repeat(video[..., np.newaxis], 3, axis=3), sigma=10.0, method="perona-malik", report=report)
    assert report["kappa"] == pytest.approx(2.0 * np.sqrt(3))  # Of the squares of three channels.
    report_float = {}
    pv.denoise(video / np.float32(255), sigma=10.0 / 255, method="perona-malik", report=report_float)
    assert report_float["kappa"] == pytest.approx(2.0 / 255)


@pytest.mark.parametrize("method", ["perona-malik", "tv", "heat"])
def test_a_constant_video_and_no_noise_change_nothing(method, rng):
    constant = np.full((3, 8, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(pv.denoise(constant, method=method), constant)
    video = rng.random((2, 8, 8))
    np.testing.assert_array_equal(pv.denoise(video, sigma=0.0, method=method), video)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "median"}, "method is 'median'; it must be one of heat, perona-malik, tv"),
        ({"sigma": -1.0}, "sigma is -1.0"),
        ({"sigma": float("nan")}, "sigma is nan"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.denoise(np.zeros((1, 4, 4)), **arguments)


@pytest.mark.parametrize("sigma", [1.0, 20.0])
@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 128, 128, 3), (9, 1, 4000), (9, 4000, 1)])
def test_estimated_noise_is_the_noise(sigma, shape):
    rows = np.linspace(0, 100, shape[1]).reshape(1, -1, *(1,) * (len(shape) - 2))
    noisy = rows + np.random.default_rng(0).normal(0, sigma, shape)
    assert abs(pv.estimate_sigma(noisy) / sigma - 1) < 0.03


def test_noise_of_nothing_is_an_error_and_of_one_pixel_is_none():
    with pytest.raises(pv.InputError, match="no frame"):
        pv.estimate_sigma([])
    with pytest.raises(pv.InputError, match="frame 0 has shape"):
        pv.estimate_sigma([np.zeros(5)])
    assert pv.estimate_sigma(np.ones((3, 1, 1))) == 0


def test_psnr_and_ssim_follow_their_definitions(rng):
    a, b = rng.random((2, 20, 24, 3))
    assert pv.psnr(a, b) == pytest.approx(-10 * np.log10(((a - b) ** 2).mean()))
    assert pv.psnr(a, a) == np.inf
    bytes_a, bytes_b = (a * 255).astype(np.uint8), (b * 255).astype(np.uint8)
    expected = 10 * np.log10(255**2 / ((bytes_a.astype(float) - bytes_b) ** 2).mean())
    assert pv.psnr(bytes_a, bytes_b) == pytest.approx(expected)
    assert pv.ssim(bytes_a, bytes_a) == 1.0
    # One window, summed by hand at one pixel.
    w = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(w, w) / np.outer(w, w).sum()
    x, y = a[:11, :11, 0], b[:11, :11, 0]
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, vxy = (w * x * x).sum() - mx**2, (w * y * y).sum() - my**2, (w * x * y).sum() - mx * my
    by_hand = (2 * mx * my + 1e-4) * (2 * vxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert pv.ssim(x, y) == pytest.approx(by_hand)


def test_compare_pairs_frames(rng):
    a, b = rng.random((2, 3, 16, 16))
    figures = pv.compare(a, iter(b))
    assert figures["psnr"] == pytest.approx(pv.psnr(a, b))
    assert figures["ssim"] == pytest.approx(np.mean([pv.ssim(x, y) for x, y in zip(a, b, strict=True)]))
    with pytest.raises(pv.InputError, match="the other video ends after 2 frames"):
        pv.compare(a, b[:2])
    with pytest.raises(pv.InputError, match="dtypes differ"):
        pv.compare(a, b.astype(np.float32))
    with pytest.raises(pv.InputError, match="no frame"):
        pv.compare([], [])


def test_equal_videos_differ_by_nothing(rng):
    video = rng.random((2, 16, 16))
    figures = pv.compare(video, video)
    assert (figures["psnr"], figures["ssim"], figures["frames"]) == (np.inf, pytest.approx(1), 2)
    assert np.isnan(figures["whiteness"])  # Of a residual that is nothing.


def test_a_black_introduction_does_not_hide_the_noise():
    lively = pv.gaussian_noise(np.full((10, 32, 32), 128, np.uint8), 20.0)
    video = np.concatenate([np.zeros((7, 32, 32), np.uint8), lively])
    report = {}
    result = pv.denoise(video, report=report)
    assert abs(report["sigma"] - 20) < 1.5
    assert result[8].std() < 5
    expected = pv.estimate_sigma(lively[:5])
    assert report["sigma"] == pytest.approx(expected, rel=1e-6)  # Five frames, no more and no less.


@pytest.mark.parametrize("method", ["perona-malik", "tv", "heat"])
@pytest.mark.parametrize("unit", [1e-25, 1e-20, 1e-6, 1e6, 1e15])
def test_values_of_any_unit_are_denoised_alike(method, unit, rng):
    noisy = rng.normal(1.0, 0.1, (2, 24, 24)).astype(np.float32)
    expected = pv.denoise(noisy, method=method)
    assert expected.std() < 0.05
    np.testing.assert_allclose(pv.denoise(noisy * np.float32(unit), method=method) / unit, expected, rtol=1e-3)
