"""Frames that repeat others: their noise counts once, also where a codec changed them, and is new noise elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from cases import marked_slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.repeats import distinct, is_repeat
from pde_video.filters import Frames

SIGMA = 20.0
FILM = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5]  # 24 pictures per second in 60.


def psnr(clean, video):
    return pv.psnr(clean / 255, video / 255)


def coded_again(video, rng):
    """What a good codec makes of a video: each value off by one at most."""
    return np.clip(video.astype(int) + rng.integers(-1, 2, video.shape), 0, 255).astype(np.uint8)


def moving(frames, rng, size=(72, 96)):
    """A clean video of a texture that moves, and the same with noise."""
    ground = 128 + 250 * gaussian_filter(rng.standard_normal((180, 240)), 4)
    clean = np.stack([ground[k : k + size[0], 2 * k : 2 * k + size[1]] for k in range(frames)])
    return clean, np.clip(np.rint(clean + SIGMA * rng.standard_normal(clean.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_repeats_cost_nothing(preset, rng):
    clean, noisy = moving(8, rng)
    once, report = {}, {}
    expected = pv.denoise(noisy, preset=preset, report=once)
    denoised = pv.denoise(coded_again(noisy.repeat(2, axis=0), rng), preset=preset, report=report)
    assert psnr(clean.repeat(2, axis=0), denoised) > psnr(clean, expected) - 0.3
    assert (once["repeated"], report["repeated"]) == (0, 8)
    assert report["sigma"] == pytest.approx(SIGMA, rel=0.05)
    assert report["fixed"] == 0


def test_repeats_give_way_to_frames_that_are_farther_away(rng):
    _, noisy = moving(6, rng)
    once, told = pv.denoise(noisy, sigma=SIGMA, radius=2), {"sigma": SIGMA, "radius": 2}
    np.testing.assert_array_equal(pv.denoise(noisy.repeat(3, axis=0), **told)[1::3], once)
    five = noisy[:3].repeat(5, axis=0)
    other = five.copy()
    other[:8] = 0  # Beyond three radii of the last frame.
    np.testing.assert_array_equal(pv.denoise(five, **told)[14], pv.denoise(other, **told)[14])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_repeat_is_told_by_its_noise(channels, rng):
    shape = (channels, 96, 120)
    before, new = rng.standard_normal((2, *shape))
    still = 0.1 * rng.standard_normal(shape)
    assert is_repeat(before, before)
    assert is_repeat(before, before + still)
    assert not is_repeat(before, new)
    assert not is_repeat(before, before + 0.8 * new)
    part = before + still
    part[:, :24, :60] = new[:, :24, :60]
    assert not is_repeat(before, part)


def test_a_fixed_pattern_is_no_repeat(rng):
    pattern, before, after = rng.standard_normal((3, 1, 96, 120))
    first, second = (np.sqrt(0.95) * pattern + np.sqrt(0.05) * one for one in (before, after))
    assert is_repeat(first, second)  # As far as is known.
    assert not is_repeat(first, second, varying=0.05)
    assert is_repeat(first, first + 0.05 * before, varying=0.05)


def test_noise_in_a_small_part_of_a_still_picture_is_new(rng):
    before = np.zeros((1, 200, 240))
    after = before.copy()
    after[:, 40:56, 48:64] = rng.standard_normal((1, 16, 16))
    assert not is_repeat(before, after)


def test_noise_is_measured_on_frames_that_differ(rng):
    _, noisy = moving(9, rng)

    def chosen(video):
        found = distinct(Frames(iter(video[..., np.newaxis].astype(np.float32))), 5)
        return [next(k for k in range(len(video)) if (video[k] == one[..., 0]).all()) for one in found]

    assert chosen(noisy) == [0, 1, 2, 3, 4]
    assert chosen(coded_again(noisy[FILM], rng)) == [0, 3, 5, 8, 10]
    assert chosen(coded_again(noisy[:4].repeat(6, axis=0), rng)) == [0, 6, 12, 18]
    pattern = SIGMA * rng.standard_normal((96, 120)) + 0.1 * SIGMA * rng.standard_normal((9, 96, 120))
    assert chosen((128 + pattern).astype(np.float32)) == [0, 1, 2, 3, 4]
    assert chosen(noisy[:1].repeat(7, axis=0)) == [0] * 5  # Nothing changes.


@pytest.mark.parametrize("frames", [4, 8])
def test_a_clean_title_does_not_hide_the_noise(frames, rng):
    clean, noisy = moving(9, rng)
    title = np.zeros((frames, *noisy.shape[1:]), np.uint8)
    title[:, 30:40, 20:70] = 230
    report = {}
    denoised = pv.denoise(np.concatenate([title, noisy]), report=report)
    assert report["sigma"] == pytest.approx(SIGMA, rel=0.1)
    assert psnr(clean, denoised[frames:]) > psnr(clean, noisy) + 6


def test_the_line_of_photons_is_that_of_different_frames(rng):
    light = 40 + 30 * np.sin(np.arange(120) / 20) + 10 * rng.random((96, 120))  # Photons, on what looks like noise.
    counts = 4.0 * rng.poisson(light, (8, 96, 120))
    for video in (counts, counts.repeat(2, axis=0)):
        noise = pv.measure_noise(coded_again(video, rng))
        assert noise.slope == pytest.approx(4, rel=0.1)
        assert noise.slope * 160 + noise.offset == pytest.approx(640, rel=0.1)


@pytest.mark.parametrize("preset", ["fast", "balanced"])
@pytest.mark.parametrize("photons", [0.01, 0.06])
def test_frames_of_very_few_photons_are_no_repeats_but_their_copies_are(photons, preset, rng):
    video = rng.poisson(photons, (6, 96, 120)).astype(np.float32)
    for copies in (1, 2):
        report = {}
        pv.denoise(video.repeat(copies, axis=0), noise=(1.0, 0.0), preset=preset, report=report)
        assert report["repeated"] == 6 * (copies - 1)
