"""The spectrum of noise, held to the covariances from which it follows, and what `denoise` gains by it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from cases import CLIPS, marked_slow, slow
from scipy.fft import dct
from scipy.linalg import toeplitz
from scipy.ndimage import convolve1d, gaussian_filter

import pde_video as pv
from pde_video.denoising.along_motion import remaining
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.noise_along_time import _shift
from pde_video.estimate.spectrum import Spectra, are_independent, at_half_size, changes, spectra

COSINES = dct(np.eye(16)[:8, :8], norm="ortho", axis=0)
SIGMA = 20 / 255
TAPS = {"white": [1.0], "blurred": [1, 2, 1], "wide": [1, 2, 3, 2, 1], "sharpened": [-0.3, 1, -0.3]}


def normal(taps):
    return np.array(taps) / np.linalg.norm(taps)


def noise(shape, taps, rng):
    """Noise of variance 1 that neighbours along both axes share."""
    white = rng.standard_normal(shape)
    return convolve1d(convolve1d(white, normal(taps), -1, mode="wrap"), normal(taps), -2, mode="wrap")


def along_an_axis(taps, pixels=8):
    """The variances of the cosine coefficients of 8 values, each the mean of pixels / 8, by their covariance."""
    covariance = np.correlate(normal(taps), normal(taps), "full")[len(taps) - 1 :]
    full = toeplitz(np.pad(covariance, (0, pixels))[:pixels])
    means = np.kron(np.eye(8), np.full((1, pixels // 8), 8 / pixels))
    return np.diag(COSINES @ means @ full @ means.T @ COSINES.T)


def of(taps):
    return np.outer(along_an_axis(taps), along_an_axis(taps))


def found(video):
    """The spectra of the noise of a video (T, C, H, W)."""
    return spectra([changes(a, b) for a, b in pairwise(video)])


@pytest.mark.parametrize("name", TAPS)
def test_the_variances_are_those_of_the_covariance(name, rng):
    both = found(noise((5, 1, 200, 240), TAPS[name], rng).astype(np.float32))
    assert both.certain
    expected = of(TAPS[name])
    np.testing.assert_allclose(both.variances[0].ravel()[1:], expected.ravel()[1:], rtol=0.25, atol=0.02)
    assert both.variances[0].mean() == pytest.approx(expected.mean(), rel=0.03)
    assert both.white(0) == (name == "white")


def test_rows_are_not_columns(rng):
    across = convolve1d(rng.standard_normal((5, 1, 200, 240)), normal([1, 2, 1]), -1, mode="wrap")
    expected = np.outer(np.ones(8), along_an_axis([1, 2, 1]))
    np.testing.assert_allclose(found(across).variances[0].ravel()[1:], expected.ravel()[1:], rtol=0.25, atol=0.02)


def test_means_over_four_pixels_have_the_spectrum_that_follows(rng):
    for taps in TAPS.values():  # Coefficients of twice as many pixels tell frequencies apart better.
        direct = along_an_axis(taps, 16)
        np.testing.assert_allclose(at_half_size(of(taps)), np.outer(direct, direct), rtol=0.35, atol=0.07)
    np.testing.assert_allclose(at_half_size(np.ones((8, 8))), 0.25)


@pytest.mark.parametrize("name", ["white", "blurred"])
def test_what_moves_is_left_out(name, rng):
    rows, columns = np.mgrid[:200, :240]
    k = np.arange(5)[:, np.newaxis, np.newaxis]
    scene = 3.0 * np.sin(rows) * np.cos(columns) + np.where(rows < 60, 20 * np.sin((columns - 3 * k) / 2), 0)
    both = found(scene[:, np.newaxis] + noise((5, 1, 200, 240), TAPS[name], rng))
    assert both.calm == pytest.approx(0.7, abs=0.08)
    assert both.variances[0].mean() == pytest.approx(of(TAPS[name]).mean(), rel=0.06)


def test_blocks_are_followed_to_where_they_move(rng):
    scene = 30 * rng.standard_normal((200, 300))
    video = np.stack([scene[:, 5 * k : 240 + 5 * k] for k in range(5)])[:, np.newaxis]
    video = video + noise(video.shape, TAPS["blurred"], rng)
    flow = np.zeros((2, 100, 120))
    flow[1] = -2.5  # In pixels of half the size.
    pairs = list(pairwise(video))
    followed = spectra([changes(*pair, flow) for pair in pairs])
    assert followed.certain
    expected = of(TAPS["blurred"])
    np.testing.assert_allclose(followed.variances[0].ravel()[1:], expected.ravel()[1:], rtol=0.3, atol=0.02)
    assert spectra([changes(*pair) for pair in pairs]).variances.mean() > 100


@pytest.mark.parametrize("parts", [1, 2])
def test_low_coefficients_are_not_those_of_smooth_things_that_move(rng, parts):
    """As a whole, or the upper half to the left and the lower one to the right."""
    scene = 30 * gaussian_filter(rng.standard_normal((240, 340)), 8, mode="wrap") / SIGMA
    video = np.stack([scene[:240, 3 * k : 300 + 3 * k] for k in range(5)])
    video[:, 120:] = video[:: (-1) ** (parts - 1), 120:]
    estimate = pv.measure_noise(SIGMA * (video + noise(video.shape, TAPS["blurred"], rng)))
    ratio = estimate.offset / SIGMA**2 * np.reshape(estimate.spectra, (8, 8)) / of(TAPS["blurred"])
    assert ratio[[0, 1, 1], [1, 0, 1]] == pytest.approx(1, abs=0.25)


def test_the_lowest_do_not_tell_whether_noise_is_white():
    raised, falling = np.ones((1, 8, 8)), np.exp(-np.arange(8.0) / 7) * np.ones((1, 8, 1))
    raised[0, :2, :2] = 8
    seen = {"changed": 1.0, "calm": 1.0, "spread": 1.0}
    assert Spectra(raised, blocks=4000, **seen).white(0)
    assert Spectra(raised, blocks=4000, **seen).strength(0) == 1
    assert not Spectra(falling, blocks=4000, **seen).white(0)
    assert Spectra(falling, blocks=60, **seen).white(0)  # So few blocks differ by chance.


def test_means_that_change_with_the_light_are_no_noise(rng):
    blocks = rng.normal(size=(1, 64, 3000))
    blocks[0, 0] *= 10
    found = spectra([blocks]).variances[0]
    assert found[0, 0] == pytest.approx(found[0, 1] + found[1, 0])
    assert found.mean() == pytest.approx(1, abs=0.1)


def test_noise_that_a_codec_copies_is_seen_in_frames_further_apart(rng):
    new = noise((5, 240, 300), TAPS["blurred"], rng)
    copied = new[:1]
    for frame in new[1:]:
        copied = np.concatenate([copied, 0.8 * copied[-1:] + 0.6 * frame[np.newaxis]])  # Of variance 1, like the new.
    for video, expected in ((new, 1), (copied, 1 - 0.8**3)):  # Of consecutive frames: 1 − 0.8.
        estimate = pv.measure_noise(SIGMA * video)
        assert estimate.offset / SIGMA**2 == pytest.approx(expected, rel=0.12)
        apart = (2 * (1 - 0.8**3) + 1 - 0.8**4) / 3  # Two pairs of frames are three apart, one is four apart.
        assert estimate.copied == pytest.approx(0 if video is new else 1 - (1 - 0.8) / apart, abs=0.05)


def test_averages_keep_more_of_copied_noise():
    frames = np.arange(1, 20, dtype=np.float32)
    np.testing.assert_array_equal(remaining(1 / frames, 0.0), 1 / frames)
    np.testing.assert_allclose(remaining(1 / frames, 0.0, 0.5), 1 / (1 + (frames - 1) / 8), rtol=1e-6)
    np.testing.assert_allclose(remaining(1 / frames, 0.3, 0.5), 0.3 + 0.7 / (1 + (frames - 1) / 8), rtol=1e-6)


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_what_a_codec_copies_is_removed_in_space(preset, rng):
    scene = 0.5 + 0.3 * gaussian_filter(rng.standard_normal((120, 160)), 8) / 0.035
    new = noise((9, 120, 160), TAPS["blurred"], rng)
    copied = new[:1]
    for frame in new[1:]:
        copied = np.concatenate([copied, 0.8 * copied[-1:] + 0.6 * frame[np.newaxis]])
    video = (scene + SIGMA * copied).astype(np.float32)
    known = pv.NoiseEstimate(0.0, SIGMA**2, spectra=[of(TAPS["blurred"]).ravel().tolist()])
    left = [
        np.square(pv.denoise(video, noise=replace(known, copied=share), preset=preset) - scene).mean()
        for share in (0.0, 0.6)
    ]
    assert left[1] < 0.8 * left[0]


def test_where_a_codec_left_less_noise_in_some_blocks_the_variance_is_the_mean(rng):
    kept = np.kron(np.where(rng.random((10, 12)) < 0.4, 0.3, 1.0), np.ones((1, 1, 24, 24)))
    both = found(noise((5, 1, 240, 288), TAPS["blurred"], rng) * kept)
    assert both.spread > 2
    assert both.variances.mean() == pytest.approx(np.square(kept).mean(), rel=0.1)


def test_each_colour_has_its_own(rng):
    planes = [3 * noise((5, 160, 200), TAPS[name], rng) for name in ("white", "blurred", "wide")]
    three = found(np.stack(planes, axis=1))
    assert [three.white(c) for c in range(3)] == [True, False, False]
    np.testing.assert_allclose(three.variances[2].ravel()[1:], 9 * of(TAPS["wide"]).ravel()[1:], rtol=0.25, atol=0.2)


def test_a_film_that_is_mostly_unchanged_has_no_certain_noise(rng):
    video = np.zeros((5, 1, 200, 240))
    video[:, :, :, :120] = rng.standard_normal((5, 1, 200, 120))
    assert not found(video).certain
    assert found(video[..., 130:]) is None
    assert found(rng.standard_normal((5, 1, 7, 200))) is None


def test_where_hardly_anything_changes_all_variances_are_positive(rng):
    video = np.zeros((5, 3, 200, 240), np.float32)
    video[:, 0] = rng.random((5, 200, 240)) < 0.02
    video[1::2, 1, ::40, ::40] = 1
    assert found(video).variances.min() > 0  # Its logarithm is taken.
    assert found(video).white(2)


def correlated(video, rng, sigma=SIGMA):
    channels = np.moveaxis(noise((*video.shape[:1], *video.shape[3:], *video.shape[1:3]), [1, 2, 1], rng), 1, -1)
    shared = channels if video.ndim == 4 else noise(video.shape, [1, 2, 1], rng)
    return (video + sigma * shared).astype(np.float32)


@pytest.mark.parametrize("preset", marked_slow(["balanced", "fast", "best"], "fast", "best"))
@pytest.mark.parametrize("colour", [False, *slow(True)])
@pytest.mark.parametrize("name", CLIPS)
def test_noise_that_neighbours_share_is_removed(name, colour, preset, real_frames, rng):
    clean = real_frames[name].astype(np.float32)[:, :144, :176] / 255
    clean = clean if colour else pv.to_gray(clean)
    noisy, report = correlated(clean, rng), {}
    seen = pv.psnr(clean, pv.denoise(noisy, preset=preset, report=report))
    assert report["sigma"] == pytest.approx(SIGMA, rel=0.06)
    assert report["correlation"] == pytest.approx([np.sqrt(of([1, 2, 1])[0, 1])] * (3 if colour else 1), rel=0.1)
    assert seen > pv.psnr(clean, pv.denoise(noisy, preset=preset, sigma=SIGMA)) + 1
    true = pv.NoiseEstimate(0.0, SIGMA**2, spectra=[of([1, 2, 1]).ravel().tolist()] * (3 if colour else 1))
    assert seen > pv.psnr(clean, pv.denoise(noisy, preset=preset, noise=true)) - 0.3


def test_it_counts_for_guides_and_in_space(real_frames, rng):
    clean = pv.to_gray(real_frames[CLIPS[0]].astype(np.float32)[:, :144, :176] / 255)
    noisy = correlated(clean, rng)
    told = pv.psnr(clean, pv.denoise(noisy, sigma=SIGMA))
    assert pv.psnr(clean, pv.denoise(noisy)) > told + 3.7  # Without one of the two, 3 dB at most.


@pytest.mark.parametrize("name", CLIPS)
def test_white_noise_and_clean_films_stay_as_they_were(name, real_frames):
    for sigma in (0.0, 5.0, 20.0):
        noisy = pv.gaussian_noise(real_frames[name], sigma) if sigma else real_frames[name]
        assert pv.measure_noise(noisy).spectra is None
        assert pv.measure_noise(pv.to_gray(noisy)).spectra is None


def textured(radius, speed, frames=6):
    """A pan over what is textured alike everywhere, of a standard deviation of 25."""
    texture = gaussian_filter(np.random.default_rng(5).normal(size=(160, 200 + speed * frames)), radius)
    texture = 120 + 25 * texture / texture.std()
    return np.stack([texture[:, speed * k : speed * k + 200] for k in range(frames)])


@pytest.mark.parametrize("speed", [3, 8])
@pytest.mark.parametrize("radius", [1, 2])
def test_texture_in_fast_motion_is_no_noise(radius, speed, rng):
    clean = textured(radius, speed)
    noise = pv.measure_noise(clean + rng.normal(0, 10, clean.shape))
    assert noise.spectra is None
    assert noise.sigma == pytest.approx(10, rel=0.12)


def test_channels_in_different_motion_are_no_noise():
    y, x = np.mgrid[:96, :128]
    clean = np.stack([128 + 50 * np.sin((x + 2 * k) / 9) * np.cos((y - k) / 11) for k in range(6)])
    colour = np.stack([clean, clean[:, ::-1], clean[:, :, ::-1]], axis=-1)
    for video in (colour, np.rint(colour).astype(np.uint8)):
        noise = pv.measure_noise(video)
        assert noise.spectra is None
        assert noise.sigma < 0.5


@pytest.mark.parametrize("size", [(72, 81), (300, 290)])
def test_the_shift_of_a_picture_is_found(size, rng):
    picture = rng.normal(size=(size[0] + 20, size[1] + 20))
    flow = _shift(picture[10:-10, 10:-10], picture[5:-15, 17:-3])
    assert flow.shape == (2, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert np.allclose(2 * flow[:, 0, 0], (5, -7), atol=1e-9)


def test_independent_noise_has_half_of_its_changes_in_common(rng):
    still, *others = rng.normal(size=(4, 1, 64, 200))
    noise = [(still - other) / np.sqrt(2) for other in others]
    assert are_independent([(noise[0], noise[1]), (noise[0], noise[2])])
    low = np.add.outer(np.arange(8), np.arange(8)).reshape(64, 1) < 4
    smooth = low * rng.normal(size=(1, 64, 200))  # And moves on.
    moved = [one + 3 * k * smooth for k, one in enumerate(noise, 1)]
    assert not are_independent([(moved[0], moved[1]), (moved[0], moved[2])])
