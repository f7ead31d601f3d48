"""Photon noise as in microscopes: its line, few photons, and what is measured on cells afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
import pytest
from cases import marked_slow, slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising.along_motion import finished, prepared
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.noise import changing_noise, pattern_variance
from pde_video.motion.averaging import wide_means

SIDE, BLACK, READOUT = 96, 100.0, 3.0


@dataclass(frozen=True)
class Recording:
    """A simulated recording of cells whose brightness tells their calcium, in units of the camera."""

    noisy: np.ndarray  # (T, H, W), uint16.
    clean: np.ndarray  # What it would be without noise.
    cells: np.ndarray  # (cells, H, W): the pixels of each.
    rise: np.ndarray  # (cells, T): ΔF/F of each cell without its surroundings.
    gain: float

    def traces(self, video):
        """Mean brightness above black of every cell, (cells, T)."""
        return np.stack([video[:, cell].mean(axis=1) for cell in self.cells]) - BLACK

    def relative(self, video):
        """ΔF/F of every cell, relative to the frames in which it is calmest."""
        traces, calm = self.traces(video), self.rise <= np.quantile(self.rise, 0.3, axis=1, keepdims=True)
        rest = np.stack([trace[where].mean() for trace, where in zip(traces, calm, strict=True)])
        return traces / rest[:, None] - 1


@cache
def recording(seed=1, *, frames=120, gain=3.0, dim=40, bright=250, around=20, texture=0.3, cells=30):
    """Cells of 5 to 9 pixels, discs and rings with texture, over a background that varies slowly; in photons."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    t = np.arange(frames)
    background = around * np.exp(0.4 * 28 * gaussian_filter(rng.standard_normal((SIDE, SIDE)), 8))
    drift = 6 * gaussian_filter(rng.standard_normal(frames), 10)
    clean = background * (1 + 0.1 * drift[:, None, None])
    masks, rises, places = [], [], []
    while len(masks) < cells:
        radius = rng.uniform(2.5, 4.5)
        place = rng.uniform(radius + 1, SIDE - radius - 1, 2)
        if any(np.hypot(*(place - other)) < radius + 5 for other in places):
            continue
        distance = np.hypot(y - place[0], x - place[1])
        shape = 1 / (1 + np.exp(3 * (distance - radius)))
        if rng.random() < 0.5:
            shape *= 1 - 0.7 / (1 + np.exp(3 * (distance - radius / 2)))
        shape *= np.exp(texture * 2 * gaussian_filter(rng.standard_normal((SIDE, SIDE)), 0.6))
        rise = np.zeros(frames)
        for start in np.flatnonzero(rng.random(frames) < 1 / 40):
            since = np.maximum(t - start, 0)
            rise += (t >= start) * rng.uniform(0.3, 2) * np.exp(-since / rng.uniform(6, 15))
        clean += dim * (bright / dim) ** rng.random() * shape * (1 + rise[:, None, None])
        masks.append(distance < radius)
        rises.append(rise)
        places.append(place)
    counts = gain * rng.poisson(clean) + BLACK + rng.normal(0, READOUT, clean.shape)
    noisy = np.rint(np.maximum(counts, 0)).astype(np.uint16)
    return Recording(noisy, gain * clean + BLACK, np.stack(masks), np.stack(rises), gain)


SPARSE, DENSE = {}, {"texture": 0.8, "cells": 70, "gain": 2.0}
# By how much a cell's mean, its mean ΔF/F, and the peaks of its transients may be wrong; and the least gain in noise.
LIMITS = {"balanced": (0.02, 0.02, 0.03, 2.5), "best": (0.02, 0.02, 0.03, 2.5), "fast": (0.035, 0.025, 0.03, 2.5)}


@pytest.mark.parametrize("scene", [SPARSE, DENSE, *slow({"dim": 4, "bright": 40, "around": 8})], ids=str)
@pytest.mark.parametrize("seed", [1, *slow(2, 3)])
def test_the_line_of_a_recording_of_cells_is_found(seed, scene):
    cells = recording(seed, **scene)
    noise = pv.measure_noise(cells.noisy)
    assert noise.slope == pytest.approx(cells.gain, rel=0.1)
    assert noise.fixed == 0  # Cells repeat in every frame, but not everywhere.
    for brightness in np.quantile(cells.clean, (0.05, 0.5, 0.95)):
        expected = cells.gain * (brightness - BLACK) + READOUT**2
        assert noise.slope * brightness + noise.offset == pytest.approx(expected, rel=0.1)


def test_a_page_of_text_is_no_noise(rng):
    letters = rng.random((8, 1, 40, 4)).repeat(7, axis=1) < 0.4
    letters ^= rng.random((8, 7, 40, 4)) < 0.2
    letters[..., 3] = False
    page = np.full((8, 15, 40, 4), 235.0)
    page[:, :7] -= 205 * letters
    page = page.reshape(120, 160)
    noise = pv.measure_noise(page + 5 * rng.standard_normal((8, 120, 160)))
    assert (noise.slope, noise.fixed) == (0, 0)
    assert noise.sigma == pytest.approx(5, rel=0.05)


def stars(seed, count, drift=(0.4, 0.3), frames=8, side=192):
    """Stars of a standard deviation of 0.6 pixels, 20 to 200 bright, on a sky of 20, that drift from frame to frame."""
    rng = np.random.default_rng(seed)
    place, light = rng.uniform(-8, side + 8, (2, count, 1)), 20 * 10 ** rng.random((count, 1))
    pixels, video = np.arange(side), []
    for k in range(frames):
        down, across = (np.exp(-np.square((pixels - place[a] - k * drift[a]) / 0.6) / 2) for a in (0, 1))
        video.append(20 + np.einsum("sy,sx->yx", light * down, across))
    return np.stack(video)


@pytest.mark.parametrize(("seed", "count", "drift"), [(1, 600, (0.3, 0.5)), (2, 300, (0.5, 0.1)), (3, 200, (0, 0))])
def test_drifting_stars_are_no_photon_noise(seed, count, drift, rng):
    clean = stars(seed, count, drift)
    noisy = clean + rng.normal(0, 5, clean.shape)
    noise = pv.measure_noise(noisy)
    assert (noise.slope, noise.fixed, noise.hot, noise.impulses) == (0, 0, 0, 0)
    assert noise.sigma == pytest.approx(5, rel=0.06)


@pytest.mark.parametrize("peak", [1000, *slow(300)])
def test_photon_noise_of_a_scene_that_moves_is_found(peak, clips):
    _, noisy = counted(clips["bikes"], peak)
    assert pv.measure_noise(noisy).slope == pytest.approx(1 / peak, rel=0.1)


@pytest.mark.parametrize("part", [(138, slice(128), slice(160)), *slow((54, slice(None), slice(160, 480)))], ids=str)
def test_clean_frames_that_move_show_no_photon_noise(part, clips):
    first, rows, columns = part
    video = np.stack(list(islice(pv.read(clips["bikes"]), first, first + 12)))[:, rows, columns]
    grey = np.rint(pv.to_gray(video.astype(np.float32))) / np.float32(255)
    assert pv.measure_noise(grey).slope == 0


def test_where_all_blocks_are_clipped_no_line_is_found(rng):
    assert pv.estimate_noise(np.clip(rng.normal(0, 50, (3, 64, 64)), 0, 20))[0] == 0


def test_photon_noise_among_structure_is_found(rng):
    light = np.linspace(20, 200, 192) * np.ones((192, 1)) + stars(1, 300, frames=1)[0]
    slope, offset = pv.estimate_noise(rng.poisson(light, (3, 192, 192)))
    assert slope == pytest.approx(1, rel=0.15)
    assert slope * 120 + offset == pytest.approx(120, rel=0.1)


@pytest.mark.parametrize("seed", [1, *slow(2)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
def test_cells_keep_their_brightness_and_transients(preset, seed):
    cells = recording(seed)
    mean, change, peak, gain = LIMITS[preset]
    denoised = pv.denoise(cells.noisy, preset=preset).astype(float)
    expected, found = cells.traces(cells.clean), cells.traces(denoised)
    np.testing.assert_allclose(found.mean(axis=1), expected.mean(axis=1), rtol=mean)
    expected, found = cells.relative(cells.clean), cells.relative(denoised)
    np.testing.assert_allclose(found.mean(axis=1), expected.mean(axis=1), atol=change)
    middle = expected[:, 1:-1]
    peaks = (middle > 0.3) & (middle > expected[:, :-2] + 0.1) & (middle >= expected[:, 2:])
    assert found[:, 1:-1][peaks].mean() == pytest.approx(middle[peaks].mean(), rel=peak)
    before, after = (np.square(video - cells.clean).mean(axis=0) for video in (cells.noisy.astype(float), denoised))
    assert np.median(np.sqrt(before / after)) > gain


@cache
def counted(clips, peak, frames=12, side=256):
    """A clean part of bikes, and its Poisson counts with so many photons for white, both of white = 1."""
    video = np.stack(list(islice(pv.read(clips), 140, 140 + frames)))[:, :side, 128 : 128 + side] / 255
    clean = pv.to_gray(video.astype(np.float32))
    return clean, (np.random.default_rng(1).poisson(clean * peak) / peak).astype(np.float32)


@pytest.mark.parametrize("peak", [1, *slow(2, 10, 30)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "balanced"))
def test_time_never_costs_quality_however_few_the_photons(preset, peak, clips):
    clean, noisy = counted(clips["bikes"], peak, side=192)
    reached = pv.psnr(clean, pv.denoise(noisy, preset=preset))
    if preset == "fast":  # It sees no later frames, either.
        assert reached > pv.psnr(clean, pv.denoise(noisy, radius=1, causal=True)) + 0.3
        return
    for radius in (0, 1):
        assert reached > pv.psnr(clean, pv.denoise(noisy, preset=preset, radius=radius))
    assert reached > pv.psnr(clean, pv.denoise(noisy)) - 0.05


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
def test_few_photons_as_a_stream_on_any_threads_and_in_pieces(preset, threads, rng):
    light = np.exp(gaussian_filter(rng.standard_normal((75, 90)), 5) * 12)
    video = rng.poisson(light, (30, 75, 90)).astype(np.float32)
    noise = pv.measure_noise(video)
    assert noise.photons < 2
    whole = pv.denoise(video, preset=preset)
    for n in (1, 3):
        threads(n)
        np.testing.assert_array_equal(np.stack(list(pv.denoise(iter(video), preset=preset))), whole)
    reach = pv.extent(pv.denoise(preset=preset, noise=noise))
    first = 0 if reach.before is None else max(0, 14 - reach.before)
    piece = pv.denoise(video[first : 16 + reach.after], preset=preset, noise=noise)
    np.testing.assert_array_equal(piece[14 - first : 16 - first], whole[14:16])


@pytest.mark.parametrize("peak", [1, *slow(5, 30)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_regions_keep_their_mean_however_few_the_photons(preset, peak, clips):
    clean, noisy = counted(clips["bikes"], peak)
    denoised = pv.denoise(noisy, preset=preset)
    assert denoised.mean() == pytest.approx(noisy.mean(), rel=1e-3)
    means, truth = (v.reshape(12, 2, 128, 2, 128).mean((0, 2, 4)) for v in (denoised, clean))
    np.testing.assert_allclose(means, truth, rtol=0.01)


@pytest.mark.parametrize("peak", [5, *slow(1, 10)])
@pytest.mark.parametrize("preset", ["balanced", *slow("best")])
def test_dark_regions_beside_bright_ones_keep_their_mean(preset, peak, clips):
    _, noisy = counted(clips["bikes"], peak)
    found, given = (
        v.reshape(12, 8, 32, 8, 32).mean((0, 2, 4)).ravel() for v in (pv.denoise(noisy, preset=preset), noisy)
    )
    dark = given < np.quantile(given, 0.05)
    assert found[dark].mean() == pytest.approx(given[dark].mean(), rel=0.008)


@pytest.mark.parametrize(("light", "added"), [(60000, 0), (70, 20)])
def test_a_cosmic_ray_does_not_light_its_surroundings_but_noise_keeps_its_mean(light, added):
    noise = Noise(pv.VarianceStabilizer(1.0, 0.0))
    frame = np.full((64, 64, 1), 50, np.float32)
    denoised = np.nextafter(noise.planes(frame), np.float32(0))  # Each differs from the frame: it was denoised.
    frame[32, 32] = light
    result = finished(prepared(frame, noise), denoised, noise)
    assert result.mean() == pytest.approx(50 + added / 64**2, abs=1e-3)
    assert result.std() < 0.01


def test_photons_are_counted_together_where_there_are_few(rng):
    # The deviation of the mean of 16 pixels is a quarter of that of one: also at 0.4 photons, where it is not uniform.
    for light in (0.4, 3.0):
        noise = Noise(pv.VarianceStabilizer(1.0, 0.0), faint=True)
        frame = rng.poisson(light, (256, 256, 1)).astype(np.float32)
        guide, _ = noise.counted(frame)
        assert guide.shape == (1, 128, 128)
        independent = noise.together(frame.reshape(64, 4, 64, 4, 1).mean((1, 3), dtype=np.float32))
        assert independent.std() == pytest.approx(0.25, rel=0.1)
        assert guide.mean() == pytest.approx(independent.mean(), rel=0.02)


def test_wide_means_keep_the_mean_and_what_is_wide(rng):
    plane = rng.standard_normal((2, 64, 128))
    np.testing.assert_array_equal(wide_means(plane, 0), plane)
    wide = wide_means(plane, 3)
    assert wide.shape == plane.shape
    np.testing.assert_allclose(wide.mean(axis=(1, 2)), plane.mean(axis=(1, 2)), atol=0.02)
    assert wide.std() < 0.15
    x = np.arange(128.0)
    np.testing.assert_allclose(wide_means(np.tile(x, (1, 64, 1)), 3)[..., 8:-8], np.tile(x[8:-8], (1, 64, 1)))
    np.testing.assert_array_equal(wide_means(np.full((1, 37, 53), 3.0), 6), 3.0)


def textured(rng, frames=12):
    """A still scene with strong texture, from dark to bright, and its photons."""
    light = np.linspace(60, 120, 128) * np.exp(0.7 * rng.standard_normal((128, 128)))
    return 2.0 * rng.poisson(light, (frames, 128, 128)) + rng.normal(0, 5, (frames, 128, 128))


def test_changes_tell_the_line_whatever_stands_still(rng):
    video = textured(rng)
    found = changing_noise(video)
    assert found.calm > 0.9
    assert found.slope == pytest.approx(2, rel=0.05)
    assert found.slope * found.levels + found.offset == pytest.approx(2 * found.levels + 25, rel=0.06)
    assert pv.estimate_poisson_gaussian(video)[0] > 4  # Texture counts as noise within frames.


def test_changes_of_a_part_are_no_noise(rng):
    video = np.zeros((5, 96, 96))
    assert changing_noise(video) is None
    video[:, :64] = rng.normal(50, 5, (5, 64, 96))
    assert changing_noise(video) is None
    video[:, 64:] = rng.normal(50, 5, (5, 32, 96))
    assert changing_noise(video).offset == pytest.approx(25, rel=0.05)
    assert changing_noise(np.repeat(video, 2, axis=0)).offset == pytest.approx(25, rel=0.05)


def test_a_pattern_is_alike_everywhere_and_structure_is_not(rng):
    pattern = rng.normal(100, 3, (96, 96, 1)).astype(np.float32)
    assert pattern_variance(pattern) == pytest.approx(9, rel=0.1)
    ramp = pattern + 2 * np.arange(96, dtype=np.float32)
    assert pattern_variance(ramp) == pytest.approx(9, rel=0.1)
    cells = recording(1, **DENSE).clean[0]
    assert pattern_variance(cells[..., None]) == 0
    dots = np.full((96, 96, 1), 30, np.float32)
    dots[::8, ::8] = 230  # All blocks are alike, and estimates of their noise far above what they vary.
    assert pattern_variance(dots) == 0


def test_colours_of_few_photons_have_the_line_of_their_photons(real_frames, rng):
    clean = np.concatenate([real_frames["bikes"][:, :160, :240]] * 2) / 255
    for peak in (1, 5):
        noise = pv.measure_noise(rng.poisson(clean * peak) / peak)
        assert noise.slope == pytest.approx(1 / peak, rel=0.1)
        assert (noise.colours, noise.spectra, noise.fixed) == (None, None, 0)
        assert noise.photons == pytest.approx(np.median(clean) * peak, abs=0.5)


@pytest.mark.parametrize(("slope", "offset", "photons"), [(1.0, 0.0, 100.0), (0.5, 25.0, 300.0), (1e-3, 25.0, None)])
def test_photons_are_reported_where_there_are_no_more_than_sensors_hold(slope, offset, photons):
    """As variance / slope² at the median brightness."""
    report = {}
    next(iter(pv.denoise(iter([np.full((16, 16), 100.0)]), noise=(slope, offset), report=report)))
    assert report.get("photons") == photons


@cache
def cells(seed=1, transients=False, side=160, frames=10):
    """Bright discs before a dark background, in photons: clean, and counted."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    light = np.full((frames, side, side), 0.4)
    for _ in range(28):
        disc = (y - rng.integers(8, side - 8)) ** 2 + (x - rng.integers(8, side - 8)) ** 2 < rng.uniform(4, 7) ** 2
        times = np.arange(frames) - rng.integers(0, frames)
        rise = np.where(transients & (times >= 0), np.exp(-np.maximum(times, 0) / 5.0), 0)
        light[:, disc] = rng.uniform(15, 60) * (1 + rise[:, None]) * (1 + 0.2 * np.sin(1.3 * y + 0.9 * x)[disc])
    return light, rng.poisson(light).astype(np.float32)


@pytest.mark.parametrize("transients", [True, *slow(False)])
def test_best_is_not_below_balanced_on_cells_before_a_dark_background(transients):
    clean, noisy = cells(transients=transients)
    noise = pv.measure_noise(noisy)
    assert noise.photons < 2
    balanced, best = (pv.denoise(noisy, noise=noise, preset=preset) for preset in ("balanced", "best"))
    errors = [np.square(one - clean).mean() for one in (best, balanced)]
    assert errors[0] <= 1.005 * errors[1]


@pytest.mark.parametrize("peak", [2, *slow(3)])
def test_hot_pixels_and_mended_ones_do_not_hide_the_line_of_counts(peak, clips, rng):
    clean, counts = counted(clips["bikes"], peak, side=128)
    counts = counts * peak
    few = counts.copy()
    few[tuple(np.argwhere(few == 1)[:6].T)] = 0.25  # As means of neighbours are.
    assert pv.estimate_noise(few[:5]) == pytest.approx(pv.estimate_noise(counts[:5]), abs=0.05)
    hot = rng.random(clean.shape[1:]) < 0.002
    report = {}
    denoised = pv.denoise(np.where(hot, np.float32(20 * peak), counts), report=report)
    assert report["slope"] == pytest.approx(1, rel=0.15)
    assert report["hot"] == pytest.approx(hot.mean(), rel=0.3)
    assert pv.psnr(clean, denoised / peak) > pv.psnr(clean, pv.denoise(counts) / peak) - 0.2


def test_one_range_of_brightness_does_not_refuse_a_line():
    for seed in (1, 32):  # Of the second, half of the blocks at edges of cells are not calm.
        _, noisy = cells(seed)
        assert changing_noise(noisy[:5]).slope == pytest.approx(1, rel=0.2), seed


def test_channels_without_light_do_not_count_as_faint(clips):
    _, counts = counted(clips["bikes"], 20, side=96)
    counts = counts * 20
    green = np.stack([0 * counts, counts, 0 * counts], axis=-1)
    report, alone = {}, {}
    pv.denoise(green.astype(np.uint16), report=report)
    pv.denoise(counts.astype(np.uint16), report=alone)
    assert report["photons"] == pytest.approx(alone["photons"], rel=0.2)
    assert "warnings" not in report
