"""Noise, contrast and stopping time, against what is known of synthetic and real frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import CLIPS, slow
from scipy.signal import correlate2d

import pde_video as pv
from pde_video.estimate.blocks import _parts, _sides, _taps, extremes, measure, remaining_deviation
from pde_video.estimate.noise import _typical


def noisy_float(clean, sigma, seed=1):
    return clean + np.random.default_rng(seed).normal(0, sigma, clean.shape).astype(np.float32)


@pytest.mark.parametrize("sigma", [5, 20, 50, *slow(10, 30)])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("name", CLIPS)
def test_sigma_is_within_five_percent_on_real_clips(name, grey, sigma, real_frames):
    clean = pv.to_gray(real_frames[name]) if grey else real_frames[name]
    cut_off = pv.gaussian_noise(clean, sigma, rng=1)
    assert pv.estimate_sigma(cut_off) == pytest.approx(sigma, rel=0.05)
    assert pv.estimate_sigma(noisy_float(clean.astype(np.float32), sigma)) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 256, 256, 3), (9, 1, 4000), (9, 4000, 1)])
def test_sigma_is_unbiased_on_noise(shape):
    found = [pv.estimate_sigma(np.random.default_rng(seed).normal(7, 3, shape)) for seed in range(8)]
    assert np.mean(found) == pytest.approx(3, rel=0.01)
    assert np.std(found) < 0.04


def test_sigma_does_not_see_slopes_stripes_or_edges():
    y, x = np.mgrid[:256, :256]
    for picture in (5.0 * x - 3.0 * y, 80.0 * (x // 31 % 2), 100.0 * (x + y > 256), 50.0 * np.sin(x / 6)):
        found = pv.estimate_sigma(noisy_float(picture[None], 2.0))
        assert found == pytest.approx(2, rel=0.05)


def test_sigma_of_many_tiny_frames_is_not_far_off():
    assert pv.estimate_sigma(np.random.default_rng(0).normal(5, 2, (600, 3, 3))) == pytest.approx(2, rel=0.15)


def test_sigma_does_not_see_black_bars_nor_a_burnt_out_sky():
    video = noisy_float(np.full((3, 120, 160), 128.0), 10.0)
    video[:, :24], video[:, -24:] = 60, 90
    assert pv.estimate_sigma(video) == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("level", [0, 10, 128, 245, 255])
def test_sigma_allows_for_values_that_are_cut_off(level):
    cut_off = pv.gaussian_noise(np.full((5, 160, 160), level, np.uint8), 20.0)
    assert pv.estimate_sigma(cut_off) == pytest.approx(20, rel=0.04)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 4096.0, 1e9])
def test_sigma_has_the_units_of_the_input(scale):
    video = noisy_float(np.zeros((2, 64, 64)), 1.0)
    assert pv.estimate_sigma(video * scale) == pytest.approx(scale * pv.estimate_sigma(video))
    assert pv.estimate_sigma(video + 1000) == pytest.approx(pv.estimate_sigma(video))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, *slow(np.uint16, np.int16, np.float16, np.float64)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 9), (7, 1), (2, 2), (3, 3, 3), (4, 5), (5, 1, 3), (33, 20)])
def test_nothing_is_too_small_and_a_constant_has_no_noise(shape, dtype, rng):
    constant = np.full((2, *shape), 77, dtype)
    some = (rng.random((2, *shape)) * 100).astype(dtype)
    assert pv.estimate_sigma(constant) == 0
    assert pv.estimate_poisson_gaussian(constant) == (0, 0)
    for method in ("mad", "quantile", "noise"):
        assert pv.estimate_kappa(constant, method=method) == 0
        assert 0 <= pv.estimate_kappa(some, method=method) < math.inf
    assert 0 <= pv.estimate_sigma(some) < 200
    assert np.isfinite(pv.estimate_poisson_gaussian(some)).all()


@pytest.mark.parametrize("estimate", [pv.estimate_sigma, pv.estimate_poisson_gaussian, pv.estimate_kappa])
def test_what_cannot_be_measured_is_refused(estimate):
    for bad, error, message in (
        ([], pv.InputError, "the video is empty"),
        (np.zeros((0, 4, 4)), pv.InputError, "the video is empty"),
        ([np.zeros(5)], pv.InputError, r"frame 0 has shape \(5,\)"),
        (np.zeros((2, 0, 4)), pv.InputError, r"frame 0 has shape \(0, 4\)"),
        ([np.zeros((4, 4)), np.full((4, 4), np.nan)], pv.InputError, "frame 1 holds NaN"),
        (np.full((1, 4, 4), np.inf), pv.InputError, "frame 0 holds NaN or infinite"),
        (np.zeros((1, 4, 4), complex), TypeError, "dtype complex128"),
    ):
        with pytest.raises(error, match=message):
            estimate(bad)


def test_the_bands_keep_the_energy_of_noise_and_the_mean(rng):
    blocks = measure([rng.normal(40, 3, (256, 256))[..., None]])
    assert blocks.mean.mean() == pytest.approx(40, abs=0.1)
    assert blocks.energy.mean() == pytest.approx(9, rel=0.03)
    assert blocks.structure.mean() == pytest.approx(27 * 61 / 64 + 27 * 2 / 3 * 3 / 64, rel=0.03)  # A plane takes 3.


@pytest.mark.parametrize("n", [3, 24])
def test_halving_keeps_the_energy_of_an_impulse(n):
    for place in range(2):  # Even and odd pixels meet every other tap.
        assert np.square(_taps(n)[:, place::2]).sum() == pytest.approx(1)


@pytest.mark.parametrize(("shape", "taps"), [((40, 56, 1), (4, 4)), ((37, 51, 3), (4, 2)), ((1, 90, 2), (1, 4))])
def test_blocks_have_the_energies_of_their_bands_off_a_plane(shape, taps, rng):
    frame = rng.normal(40, 3, shape)
    down, across = (rng.standard_normal((2, n)) for n in taps)
    found, count = _parts(frame, 4, down, across)
    expected = []
    for c in range(shape[2]):
        bands = [correlate2d(frame[..., c], np.outer(y, x), "valid")[::2, ::2] for y in down for x in across]
        tall, wide = _sides(*bands[0].shape, 4)
        assert count == tall * wide
        rows, columns = np.mgrid[:tall, :wide].reshape(2, -1)
        plane = np.stack([np.ones(count), rows, columns], axis=1)
        for i in range(0, bands[0].shape[0] - tall + 1, tall):
            for j in range(0, bands[0].shape[1] - wide + 1, wide):
                coarse, *others = (band[i : i + tall, j : j + wide].ravel() for band in bands)
                off = coarse - plane @ np.linalg.lstsq(plane, coarse, rcond=None)[0]
                expected.append([coarse.mean(), *(np.square(one).mean() for one in (off, *others))])
    by_channel = found.reshape(5, -1, shape[2]).transpose(2, 1, 0).reshape(-1, 5)
    np.testing.assert_allclose(by_channel, expected, rtol=1e-9)


@pytest.mark.parametrize(("count", "least"), [(1, 0.8), (4, 0.95), (64, 0.99)])
def test_a_typical_energy_is_the_mean_of_a_chi_square_law_but_for_its_tail(count, least):
    energies = np.random.default_rng(0).chisquare(count, 100_000) / count
    assert least < _typical(energies, count) < 1


@pytest.mark.parametrize(("part", "sigma"), [(0.4, 0), (0.7, 10)])
def test_a_picture_that_is_mostly_flat_has_no_noise_to_measure(part, sigma, rng):
    video, width = np.full((2, 160, 160), 100.0), int(160 * part)
    video[:, :, :width] += rng.normal(0, 10, (2, 160, width))
    assert pv.estimate_sigma(video) == pytest.approx(sigma, rel=0.05)


def test_cut_off_deviations_are_those_of_a_normal_distribution(rng):
    for mu in (-1.0, 0.0, 0.5, 2.0):
        cut = np.maximum(rng.normal(mu, 1, 400_000), 0)
        assert remaining_deviation(cut.mean()) == pytest.approx(cut.std(), rel=0.01)
    assert extremes([np.clip(rng.normal(0, 1, 10_000), -1, 2)]).clipped() == (-1, 2)
    assert extremes([rng.normal(0, 1, 10_000).round(1)]).clipped() == (-math.inf, math.inf)


@pytest.mark.parametrize(("slope", "offset"), [(0.5, 4.0), (3.0, 100.0), (2.0, -150.0), (0.0, 30.0)])
def test_the_line_of_photon_noise_is_found(slope, offset):
    rng = np.random.default_rng(2)
    light = np.linspace(100, 400, 256) * np.ones((4, 256, 1))
    deviation = np.sqrt(slope * light + offset)
    found = pv.estimate_poisson_gaussian(light + deviation * rng.standard_normal(light.shape))
    at = np.array([120.0, 250.0, 380.0])
    np.testing.assert_allclose(found[0] * at + found[1], slope * at + offset, rtol=0.06)
    assert found[0] == pytest.approx(slope, rel=0.1, abs=0.03)


def test_the_line_does_not_see_texture():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:256, :256]
    light = 100 + x + np.where(y > 100, 1.2 * np.sqrt(100 + x), 0) * np.sin(1.4 * x) * np.sin(1.4 * y)
    found = pv.estimate_poisson_gaussian(light + np.sqrt(light) * rng.standard_normal((4, 256, 256)))
    at = np.array([120.0, 220.0, 340.0])
    np.testing.assert_allclose(found[0] * at + found[1], at, rtol=0.06)


@pytest.mark.parametrize(("slope", "offset"), [(0.5, 4.0), (1.0, 25.0), (3.0, 100.0)])
@pytest.mark.parametrize("name", ["bikes", *slow("bigbuckbunny")])
def test_the_line_is_within_five_percent_on_real_clips(name, slope, offset, real_frames):
    rng, clean = np.random.default_rng(3), real_frames[name].astype(np.float32)
    noisy = slope * rng.poisson(clean / slope) + rng.normal(0, math.sqrt(offset), clean.shape)
    for video in (noisy, np.clip(np.rint(noisy), 0, 255).astype(np.uint8)):
        a, b = pv.estimate_poisson_gaussian(video)
        for mean in (40, 128, 200):
            assert math.sqrt(a * mean + b) == pytest.approx(math.sqrt(slope * mean + offset), rel=0.05)


def test_kappa_follows_its_formulas(rng):
    video = rng.random((2, 9, 11, 3))
    d = np.diff(video, axis=1)[:, :, :-1] ** 2 + np.diff(video, axis=2)[:, :-1] ** 2
    s = np.sqrt(d.sum(-1)).ravel()
    assert pv.estimate_kappa(video) == pytest.approx(1.4826 * np.median(np.abs(s - np.median(s))))
    assert pv.estimate_kappa(video, method="quantile") == pytest.approx(np.quantile(s, 0.9))
    expected = 0.3 * pv.estimate_sigma(video) * math.sqrt(3)
    assert pv.estimate_kappa(video, method="noise", multiple=0.3) == pytest.approx(expected)
    with pytest.raises(pv.ParameterError, match="method is 'mean'; it must be one of mad, quantile, noise"):
        pv.estimate_kappa(video, method="mean")
    with pytest.raises(pv.ParameterError, match="multiple is 0"):
        pv.estimate_kappa(video, method="noise", multiple=0)


def test_kappa_is_by_default_a_fifth_of_the_deviation_of_noise():
    noise = np.random.default_rng(0).normal(0, 5, (2, 128, 128))
    assert pv.estimate_kappa(noise, method="noise") == pytest.approx(1, rel=0.03)


def test_sure_of_a_linear_filter_is_steins_formula():
    """For the heat equation u = A y, b · A b estimates the trace of A, which the transform of A gives exactly."""
    y = np.random.default_rng(0).normal(0, 2, (64, 64))
    found = pv.stopping_time(pv.Heat(), y, [0, 0.1, 0.2], sigma=2.0)
    angle = np.pi * np.arange(64) / 64
    eigenvalue = np.add.outer(2 * np.cos(angle) - 2, 2 * np.cos(angle) - 2)
    states = [u for _, u in pv.evolution(pv.Heat(), y, [0, 0.1, 0.2])]
    for k, u in enumerate(states):
        expected = ((y - u) ** 2).mean() - 4 + 8 * ((1 + 0.1 * eigenvalue) ** k).mean()
        assert found.values[k] == pytest.approx(expected, abs=0.1)
    assert found.values[0] == pytest.approx(4)  # Nothing done: the noise itself.
    assert found.criterion == "sure"


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sure_is_the_error_up_to_a_constant(cut_off, dtype):
    y, x = np.mgrid[:200, :200]
    clean = 0.85 + 0.2 * np.sin(x / 9) * np.cos(y / 7)
    clean = np.minimum(clean, 1.0) if cut_off else clean
    noisy = noisy_float(clean, 0.15).astype(dtype)
    noisy = np.minimum(noisy, 1) if cut_off else noisy
    term, times = pv.PeronaMalik(0.1), pv.uniform(6.0)
    found = pv.stopping_time(term, noisy, times, sigma=0.15)
    errors = np.array([np.mean((u - clean) ** 2) for _, u in pv.evolution(term, noisy, times)])
    differences = found.values - errors
    if not cut_off:
        assert np.abs(differences).max() < 0.03 * 0.15**2
    assert np.ptp(differences) < 0.06 * 0.15**2
    assert errors[found.values.argmin()] <= 1.02 * errors.min()


@pytest.mark.parametrize("step", [pv.implicit_euler, pv.fsi])
def test_the_time_is_found_along_any_integrator(step, rng):
    y, x = np.mgrid[:96, :96]
    clean = np.where((x - 48.0) ** 2 + (y - 40.0) ** 2 < 900, 1.0, 0.2)
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    term, times = pv.PeronaMalik(0.1, "rational"), np.linspace(0, 30, 16)
    found = pv.stopping_time(term, noisy, times, sigma=0.1, step=step)
    errors = [np.mean((u - clean) ** 2) for _, u in pv.evolution(term, noisy, times, step=step)]
    reached = errors[found.times.tolist().index(found.time)]
    assert 10 * np.log10(reached / min(errors)) < 0.2  # dB, what is asked of automatic stopping.
    assert 0 < errors.index(min(errors)) < 15  # There is a time to find.


def test_decorrelation_is_the_formula_and_finds_a_time(rng):
    y = rng.random((24, 24, 3))
    times = pv.uniform(2.0, dt=0.25)
    found = pv.stopping_time(pv.Heat(), y, times, channel_axis=-1)
    states = [u for _, u in pv.evolution(pv.Heat(), y, times, channel_axis=-1)]
    expected = [abs(np.corrcoef((y - u).ravel(), u.ravel())[0, 1]) for u in states[1:]]
    np.testing.assert_allclose(found.values, [1, *expected], atol=1e-9)
    np.testing.assert_array_equal(found.times, times)
    assert found.time == times[np.argmin([1, *expected])]
    assert found.criterion == "decorrelation"


def test_stopping_times_of_nothing_are_finite_and_nonsense_is_refused():
    constant = np.full((6, 6), 3.0)
    for sigma in (None, 0.0, 1.0):
        found = pv.stopping_time(pv.Heat(), constant, pv.uniform(1.0), sigma=sigma)
        assert np.isfinite(found.values).all()
    noisy = np.random.default_rng(0).random((8, 8))
    assert pv.stopping_time(pv.Heat(), noisy, pv.uniform(1.0), sigma=0.0).time == 0
    for sigma in (-1.0, math.nan, math.inf):
        with pytest.raises(pv.ParameterError, match="sigma is"):
            pv.stopping_time(pv.Heat(), noisy, [0, 0.1], sigma=sigma)
    with pytest.raises(pv.InputError, match="NaN"):
        pv.stopping_time(pv.Heat(), np.full((4, 4), np.nan), [0, 0.1], sigma=1.0)
    with pytest.raises(pv.UnstableStepError):
        pv.stopping_time(pv.Heat(), noisy, [0, 0.3], sigma=1.0)
    with pytest.raises(TypeError, match="int64"):
        pv.stopping_time(pv.Heat(), np.zeros((4, 4), np.int64), [0, 0.1], sigma=1.0)


@pytest.mark.parametrize(("seed", "grey"), [(1, True), pytest.param(2, True, marks=pytest.mark.slow), (3, False)])
@pytest.mark.parametrize("name", CLIPS)
def test_gaussian_noise_is_told_from_photon_noise(name, grey, seed, real_frames):
    whole = pv.to_gray(real_frames[name]) if grey else real_frames[name]
    clean = whole.astype(np.float32) / 255
    for sigma in (5, 10, 20, 50):
        for video in (pv.gaussian_noise(whole, sigma, rng=seed), pv.gaussian_noise(clean, sigma / 255, rng=seed)):
            assert pv.estimate_noise(video) == (0, pv.estimate_sigma(video) ** 2)
    for peak in (10, 50):
        for readout in (0.0, 0.02):
            slope, offset = pv.estimate_noise(pv.poisson_gaussian_noise(clean, 1 / peak, readout, rng=seed))
            for mean in np.quantile(clean, (0.25, 0.5, 0.75)):
                assert math.sqrt(slope * mean + offset) == pytest.approx(math.sqrt(mean / peak + readout**2), rel=0.05)
            eight_bits = pv.poisson_gaussian_noise(whole, 255 / peak, 255 * readout, rng=seed)
            assert pv.estimate_noise(eight_bits)[0] > 0


@pytest.mark.parametrize("seeds", [range(8), *slow(range(8, 40))])
def test_a_flat_picture_is_not_taken_for_photon_noise(seeds):
    for seed in seeds:
        for shape in ((1, 40, 40), (5, 64, 64), (2, 256, 256)):
            assert pv.estimate_noise(np.random.default_rng(seed).normal(9, 2, shape))[0] == 0
    assert pv.estimate_noise(np.full((2, 32, 32), 7.0)) == (0, 0)


def test_noise_of_the_bright_part_alone_is_not_taken_for_photon_noise():
    light = np.linspace(100, 400, 256) * np.ones((4, 256, 1))
    variance = np.maximum(2 * (light - 150), 0.01)
    video = light + np.sqrt(variance) * np.random.default_rng(2).standard_normal(light.shape)
    assert pv.estimate_poisson_gaussian(video) == (pytest.approx(2, rel=0.05), pytest.approx(-300, rel=0.05))
    assert pv.estimate_noise(video)[0] == 0  # At 115, brighter than a twentieth of it, that line is far below 0.


@pytest.mark.parametrize("peak", [2, 5])
@pytest.mark.parametrize("name", CLIPS)
def test_dark_counts_are_not_taken_for_values_that_are_cut_off(name, peak, real_frames):
    light = pv.to_gray(real_frames[name]).astype(float) / 255
    counts = np.random.default_rng(1).poisson(0.2 * peak * light).astype(np.uint16)
    slope, offset = pv.estimate_poisson_gaussian(counts)
    for mean in 0.2 * peak * np.quantile(light, (0.25, 0.5, 0.75)):
        assert math.sqrt(slope * mean + offset) == pytest.approx(math.sqrt(mean), rel=0.05)


@pytest.mark.parametrize(
    "estimate",
    [pv.estimate_sigma, pv.estimate_noise, pv.estimate_poisson_gaussian, lambda frames: pv.estimate_kappa(frames[0])],
    ids=["sigma", "noise", "poisson-gaussian", "kappa"],
)
def test_estimates_do_not_depend_on_how_frames_lie_in_memory(estimate, real_frames):
    frames = [frame[:70, :90].astype(np.float32) / 255 for frame in real_frames["bikes"]]
    by_planes = [np.moveaxis(np.ascontiguousarray(np.moveaxis(frame, -1, 0)), 0, -1) for frame in frames]
    by_columns = [np.asfortranarray(frame) for frame in frames]
    assert estimate(frames) == estimate(by_planes) == estimate(by_columns)


def test_a_still_scene_tells_the_line_of_the_noise_in_spite_of_its_texture(rng):
    light = np.linspace(100, 1000, 96) * (1 + 0.3 * rng.random((96, 96)))
    video = 0.5 * rng.poisson(light / 0.5, (16, 96, 96)) + 4 * rng.standard_normal((16, 96, 96))
    slope, offset = pv.estimate_noise(video, still=True)
    assert slope == pytest.approx(0.5, rel=0.05)
    assert offset == pytest.approx(16, abs=8)
    drifting = video + np.arange(16)[:, None, None]
    assert pv.estimate_poisson_gaussian(drifting, still=True)[0] == pytest.approx(0.5, rel=0.05)


def test_repeated_frames_and_hot_pixels_do_not_change_a_still_estimate(rng):
    dark = 100 + 5 * rng.standard_normal((10, 64, 64))
    expected = pv.estimate_sigma(dark, still=True)
    assert expected == pytest.approx(math.sqrt(np.mean(np.diff(dark, axis=0) ** 2) / 2), rel=0.01)
    assert pv.estimate_sigma(np.repeat(dark, 2, axis=0), still=True) == pytest.approx(expected, rel=1e-6)
    hot = dark.copy()
    hot[:, 5::16, 9::32] += 300 * rng.standard_normal((10, 4, 2))
    assert pv.estimate_sigma(hot, still=True) == pytest.approx(5, rel=0.03)
    assert pv.estimate_sigma(np.full((3, 8, 8), 7, np.uint8), still=True) == 0
