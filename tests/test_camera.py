"""Dark and flat recordings: the fixed pattern goes, noisy pixels are replaced, other recordings are refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from cases import marked_slow

import pde_video as pv
from pde_video.denoising.camera import _pattern, _recorded, corrected, without_noisy_pixels
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.repair import Repair
from pde_video.filters import Frames

SHAPE = (96, 128)
LEVEL = 100.0


class Camera:
    """Pixels with offsets, gains and read-out noise of their own; two units per photon."""

    def __init__(self, *, columns=1.0, gains=0.02, noisy=0.0, hot=0.0, offsets=4.0, channels=()):
        rng = np.random.default_rng(7)
        shape = (*SHAPE, *channels)
        self.offset = offsets * rng.standard_normal(shape) + columns * rng.standard_normal(shape[1:])
        self.gain = 1 + gains * rng.standard_normal(shape)
        self.readout = 3.0 * np.exp(0.2 * rng.standard_normal(shape))
        self.noisy = rng.random(shape) < noisy
        self.readout[self.noisy] *= 20
        self.offset[rng.random(shape) < hot] = 400

    def __call__(self, photons, seed=0):
        rng = np.random.default_rng(seed)
        shown = LEVEL + self.offset + 2 * self.gain * rng.poisson(photons)
        return np.rint(shown + self.readout * rng.standard_normal(photons.shape)).clip(0).astype(np.uint16)

    def dark(self, frames):
        return self(np.zeros((frames, *self.offset.shape)), seed=1)

    def flat(self, frames):
        return self(np.full((frames, *self.offset.shape), 5000.0), seed=2)


def photons(frames=8, brightest=60.0):
    """A textured scene that moves by a pixel per frame."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shown = [2 + np.sin((x + k) / 5) * np.cos(y / 7) + ((x + k) // 16 % 2) for k in range(frames)]
    return brightest / 4 * np.stack(shown)


def error(video, light):
    """The mean square error in units of photons."""
    return float(np.square((np.asarray(video, float) - LEVEL) / 2 - light).mean())


def left(video, light, camera):
    """How much of the camera's offsets is in the temporal mean of a video."""
    kept = (video - LEVEL - 2 * light).mean(axis=0)
    return float((kept * camera.offset).sum() / np.square(camera.offset).sum())


def filtered(video, dark=None, flat=None):
    """The frames that `corrected` makes of a video, in its units, and the excess."""
    frames, excess = corrected(Frames([frame[..., np.newaxis] for frame in video.astype(float)]), dark, flat)
    return np.stack([frame[..., 0] for frame in frames]), excess


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_a_dark_recording_removes_the_fixed_pattern(preset):
    camera, light = Camera(), photons(brightest=15)
    video = camera(light)
    without = pv.denoise(video, preset=preset)
    report = {}
    denoised = pv.denoise(video, preset=preset, dark=camera.dark(32), report=report)
    assert error(denoised, light) < 0.75 * error(without, light)
    assert abs(left(denoised, light, camera)) < 0.2 * left(without, light, camera)
    assert report["offsets"] == pytest.approx(camera.offset.std(), rel=0.1)
    assert report["fixed"] < 0.1
    assert "warnings" not in report


def test_a_flat_recording_evens_out_the_gains():
    camera, light = Camera(gains=0.1, offsets=1.0), photons(brightest=400)
    video, dark = camera(light), camera.dark(32)
    report = {}
    with_both = pv.denoise(video, dark=dark, flat=camera.flat(32), report=report)
    assert error(with_both, light) < 0.5 * error(pv.denoise(video, dark=dark), light)
    assert report["gains"] == pytest.approx(0.1, rel=0.1)


def test_pixels_of_the_same_camera_become_equal():
    camera, light = Camera(noisy=0.0), photons(frames=3, brightest=2000)
    exact = LEVEL + camera.offset + 2 * camera.gain * light
    dark, flat = LEVEL + camera.offset, LEVEL + camera.offset + camera.gain * 10000
    seen, excess = filtered(exact, dark, flat)
    level = np.median(dark)
    expected = 2 * light * np.median(camera.gain) + level
    np.testing.assert_allclose(seen, expected, rtol=0.002)  # Lines are fitted by medians.
    assert excess is None
    seen, _ = filtered(exact[:1], dark)
    np.testing.assert_allclose(seen[0], exact[0] - dark + level, atol=1e-9)


@pytest.mark.parametrize("frames", [2, 4, 16, 64])
def test_the_pattern_is_nearer_to_the_truth_than_the_mean_and_than_none(frames, rng):
    for deviation in (0.0, 0.5, 2.0, 8.0):
        truth = deviation * rng.standard_normal((128, 128, 1)) + rng.standard_normal((1, 128, 1))
        mean = truth + rng.normal(0, 4 / np.sqrt(frames), truth.shape)
        found = _pattern(mean, 16 / frames).whole
        wiener = deviation**2 * (16 / frames) / (deviation**2 + 16 / frames)  # The least possible, lines being known.
        off = (found - truth).var()  # They are relative to the median.
        assert off < 1.1 * wiener + 0.06 * (16 / frames) + 0.03
        assert off < 1.03 * (mean - truth).var()


def test_pixels_far_from_most_stay_whole(rng):
    noise = rng.standard_normal((64, 64, 1))
    noise[10, 20] = 50
    found = _pattern(noise, 1.0)
    assert found.whole[10, 20, 0] == pytest.approx(50, abs=2)
    assert found.far.sum() == 1
    assert np.delete(found.whole.ravel(), 10 * 64 + 20).std() < 0.5


def test_hot_pixels_are_subtracted_with_what_they_show(rng):
    camera, light = Camera(hot=0.01, gains=0.0), photons()
    video, dark = camera(light), camera.dark(32)
    denoised = pv.denoise(video, dark=dark)
    hot = camera.offset == 400
    assert np.abs((denoised - LEVEL - 2 * light).mean(axis=0))[hot].mean() < 4
    assert np.median(np.array(denoised, float)) == pytest.approx(np.median(LEVEL + 2 * light), abs=2)


@pytest.mark.parametrize("preset", ["balanced", "fast"])
def test_pixels_noisier_than_the_light_are_replaced(preset):
    camera, light = Camera(noisy=0.01), photons()
    video, dark = camera(light), camera.dark(32)
    report = {}
    denoised = pv.denoise(video, preset=preset, dark=dark, report=report)
    assert report["noisy_pixels"] == pytest.approx(camera.noisy.mean(), rel=0.1)
    blind = pv.denoise(video, preset=preset, dark=dark.mean(axis=0), report=report)  # One frame tells no noise.
    assert "noisy_pixels" not in report
    squares = [np.square((one - LEVEL) / 2 - light).mean(axis=0)[camera.noisy].mean() for one in (denoised, blind)]
    assert squares[0] < 0.5 * squares[1]


def test_noisy_pixels_stay_where_light_is_noisier_and_are_out_of_the_estimate():
    excess = np.zeros((8, 8, 1))
    excess[2, 3], excess[5, 5], excess[6, 1] = 39.0, 41.0, np.inf
    frame = np.full((8, 8, 1), 10.0)
    frame[2, 3] = frame[5, 5] = frame[6, 1] = 30.0
    noise = pv.NoiseEstimate(slope=1.0, offset=0.0)
    mended, replaced, _ = Repair(noise, noise.stabiliser(), excess)(frame)
    assert np.argwhere(replaced).tolist() == [[5, 5], [6, 1]]
    assert (mended[5, 5, 0], mended[6, 1, 0], mended[2, 3, 0]) == (10.0, 10.0, 30.0)
    camera, light = Camera(noisy=0.03, offsets=0.0, columns=0.0), photons()
    assert pv.measure_noise(camera(light), dark=camera.dark(32)).photons == pytest.approx(
        pv.measure_noise(Camera(offsets=0.0, columns=0.0)(light)).photons, rel=0.1
    )


def test_frames_on_which_to_measure_are_not_consumed():
    frames = Frames([np.full((4, 4, 1), float(k)) for k in range(3)])
    excess = np.zeros((4, 4, 1))
    excess[1, 1] = 1.0
    seen = without_noisy_pixels(frames, excess)
    assert [one.mean() for one in seen.peek(5)] == [0, 1, 2]
    assert [one.mean() for one in frames] == [0, 1, 2]


def test_chance_makes_no_pixel_noisy(rng):
    video = rng.normal(100, 2, (3, 64, 64))
    for frames in (2, 3, 5, 40):
        _, excess = filtered(video, rng.normal(100, 4, (frames, 64, 64)))
        assert excess is None


def test_stuck_and_dead_pixels_count_as_noisy(rng):
    dark = rng.normal(100, 4, (16, 64, 64))
    dark[:, 3, 4] = 60000.0
    light = dark + 5000
    light[:, 7, 8] = 100
    video = rng.normal(1000, 4, (2, 64, 64)) + dark[0] - 100
    _, excess = filtered(video, dark, light)
    assert np.argwhere(np.isinf(excess[..., 0])).tolist() == [[3, 4], [7, 8]]


def test_the_variance_of_a_recording_is_that_over_time_whatever_flickers(rng):
    dark = rng.normal(100, 3, (40, 32, 32, 2)) + rng.normal(0, 30, (40, 1, 1, 1))
    found = _recorded("dark", dark)
    np.testing.assert_allclose(found.mean, dark.mean(axis=0))
    level = dark.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.variance, (dark - level).var(axis=0, ddof=1))
    assert _recorded("dark", np.full((3, 4, 4), 9, np.uint8)).noise == pytest.approx(1 / 12)


def test_without_recordings_nothing_changes_and_a_still_scene_is_never_subtracted(rng):
    scene = np.rint(photons(frames=1)[0] * 4)
    still = scene + rng.normal(0, 5, (16, *SHAPE))
    assert corrected(Frames([still[0][..., np.newaxis]]), None, None)[1] is None
    moved = np.roll(still, 3, axis=2)
    denoised = pv.denoise(moved, noise_from=still)
    assert np.corrcoef(denoised.mean(axis=0).ravel(), np.roll(scene, 3, axis=1).ravel())[0, 1] > 0.99
    with pytest.raises(pv.InputError, match="not that of the video"):
        pv.denoise(rng.normal(100, 5, still.shape), dark=still)
    report = {}
    pv.denoise(still, dark=still, report=report)
    assert report["warnings"] == ["the video is no brighter than the dark recording: was that recorded without light?"]


@pytest.mark.parametrize("frames", [2, 16])
@pytest.mark.parametrize("deviation", [0.0, 0.05, 4.0])
def test_the_camera_s_own_recording_is_never_refused(frames, deviation):
    for columns in (0.0, 3.0):
        camera = Camera(offsets=deviation, columns=columns, hot=0.001)
        shown = camera(photons(frames=2)), camera.dark(frames), camera.flat(frames)
        for video, dark, flat in (shown, [one / 65535 for one in shown]):
            pv.measure_noise(video, dark=dark, flat=flat)


def test_a_flat_recording_by_another_camera_is_refused():
    camera = Camera(gains=0.1)
    flat = camera.flat(16)
    with pytest.raises(pv.InputError, match="the pixels of flat differ"):
        pv.denoise(camera(photons()), dark=camera.dark(16), flat=np.flip(flat, axis=1))


def test_pieces_with_the_noise_measured_are_the_whole_bit_for_bit():
    camera, light = Camera(noisy=0.01), photons(frames=14)
    video, dark, flat = camera(light), camera.dark(8), camera.flat(8)
    told = {"dark": dark, "flat": flat, "radius": 1}
    noise = pv.measure_noise(video, dark=dark, flat=flat)
    whole = pv.denoise(video, **told)
    np.testing.assert_array_equal(pv.denoise(video, noise=noise, **told), whole)
    pieces = [pv.denoise(video[:10], noise=noise, **told)[:7], pv.denoise(video[4:], noise=noise, **told)[3:]]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    stream = pv.denoise(iter(video), causal=True, noise=noise, **told)
    np.testing.assert_array_equal(np.stack(list(stream)), pv.denoise(video, causal=True, noise=noise, **told))


def test_colour_keeps_its_balance():
    camera = Camera(channels=(3,), gains=0.0)
    light = photons()[..., np.newaxis] * [1.0, 0.5, 2.0]
    video = camera(light)
    denoised = pv.denoise(video, dark=camera.dark(16), flat=camera(np.full((16, *SHAPE, 3), [900.0, 400, 300]), 3))
    np.testing.assert_allclose(denoised.mean(axis=(0, 1, 2)), LEVEL + 2 * light.mean(axis=(0, 1, 2)), rtol=0.01)


def test_values_below_zero_are_counted_where_integers_cannot_hold_them(rng):
    dark = np.full((2, 32, 32), 100, np.uint8)
    dark[:, 4, 4] = 250
    video = np.full((2, 32, 32), 140, np.uint8)
    report = {}
    denoised = pv.denoise(video, dark=dark, sigma=0.0, report=report)
    assert (report["saturated"], denoised[0, 4, 4]) == (2, 0)
    assert pv.denoise(video.astype(np.float32), dark=dark, sigma=0.0)[0, 4, 4] == -10


@pytest.mark.parametrize("method", ["tv", "learned"])
def test_other_methods_are_given_the_corrected_frames(method):
    camera, light = Camera(), photons(frames=3)
    video, dark = camera(light), camera.dark(16)
    assert left(pv.denoise(video, method=method, dark=dark), light, camera) < 0.03
    assert left(pv.denoise(video, method=method), light, camera) > 0.15


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"flat": np.ones((2, 8, 8))}, pv.ParameterError, "without dark"),
        ({"dark": np.ones((2, 8, 6))}, pv.InputError, r"8 × 6 pixels, 1 channels.*8 × 8 pixels, 1 channels"),
        ({"dark": np.ones((2, 8, 8, 3))}, pv.InputError, "8 × 8 pixels, 3 channels"),
        ({"dark": np.ones((2, 8, 8), np.uint16)}, pv.InputError, "dark has dtype uint16 and full scale 65535"),
        ({"dark": np.full((2, 8, 8), np.nan)}, pv.InputError, "dark: frame 0 holds NaN"),
        ({"dark": []}, pv.InputError, "dark: the video is empty"),
        ({"dark": np.ones((2, 8, 8), np.int64)}, pv.InputError, "dark: frames have dtype int64"),
        ({"dark": np.ones((2, 8, 8)), "flat": np.ones((2, 8, 8))}, pv.InputError, "flat is no brighter"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(options, kind, message):
    for call in (pv.denoise, pv.measure_noise):
        with pytest.raises(kind, match=message):
            call(np.full((2, 8, 8), 100, np.uint8), **options)


def test_the_command_takes_files(tmp_path):
    camera, light = Camera(), photons()
    video, dark, flat = camera(light), camera.dark(8), camera.flat(8)
    for name, array in (("in", video), ("dark", dark), ("flat", flat)):
        pv.write(tmp_path / f"{name}.tif", array)
    command = ["denoise", "in.tif", "out.tif", "--dark", "dark.tif", "--flat", "flat.tif"]
    subprocess.run([sys.executable, "-m", "pde_video", *command], cwd=tmp_path, check=True)
    expected = pv.denoise(video, dark=dark, flat=flat)
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "out.tif"))), expected)


def test_gain_before_read_out_is_part_of_the_slope(rng):
    light, gain = photons(brightest=40), 30.0
    electrons = rng.gamma(np.maximum(rng.poisson(light), 1e-9), gain)  # An EMCCD: excess noise factor 2.
    noise = pv.measure_noise(electrons + rng.normal(500, 10, light.shape))
    assert noise.slope == pytest.approx(2 * gain, rel=0.15)
