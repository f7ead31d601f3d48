"""Flicker: what is a fixed point, what is diffused along time, and what is followed of light."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.kernels.tone_curves import change, follow
from pde_video.restoration.along_time import heat_kernel
from pde_video.restoration.light_curves import _BANDS, _EDGES, _bands, curves_between, looked

SIDE = (72, 104)
OPTIONS = [{}, {"width": 3}, {"local": True}, {"colour": True}]


def texture(seed=0, size=SIDE, channels=()):
    """A picture between 0.2 and 0.7."""
    found = gaussian_filter(
        np.random.default_rng(seed).standard_normal((*size, *channels)), (2, 2, *(0 for _ in channels))
    )
    return 0.2 + 0.5 * (found - found.min()) / np.ptp(found)


def flickering(scene, frames=21, seed=1):
    """The scene with another gain, exponent and offset in every frame."""
    gain, power, offset = np.random.default_rng(seed).uniform(-1, 1, (3, frames))
    return np.stack(
        [(1 + 0.1 * a) * scene ** (1 + 0.1 * b) + 0.03 * c for a, b, c in zip(gain, power, offset, strict=True)]
    )


def steadiness(video):
    """Return the root-mean-square change of a pixel over time."""
    return float(np.sqrt(video.var(axis=0).mean()))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_what_is_constant_stays_bit_for_bit(options, channels):
    scene = texture(channels=channels)
    for dtype in (np.float32, np.uint8, np.uint16):
        one = scene.astype(dtype) if dtype == np.float32 else np.rint(scene * np.iinfo(dtype).max).astype(dtype)
        video, report = np.stack([one] * 8), {}
        np.testing.assert_array_equal(pv.deflicker(video, **options, report=report), video)
        assert report.items() >= {"cuts": [], "largest_change": 0.0}.items()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("gain", "offset"), [(0.03, 0.0), (-0.02, 0.01), (0.0, -0.004)])
def test_linear_fades_stay_to_the_ends_of_the_video(options, gain, offset):
    scene = texture()
    video = np.stack([(1 + gain * t) * scene + offset * t for t in range(24)])
    np.testing.assert_allclose(pv.deflicker(video, **options), video, rtol=0, atol=5e-6)


def test_frames_of_a_still_scene_become_alike():
    scene = texture()
    video = flickering(scene)
    found = pv.deflicker(video)
    assert steadiness(found) < 0.25 * steadiness(video)
    assert abs(found.mean() - video.mean()) < 0.3 * video.mean(axis=(1, 2)).std()


def fading_in():
    """A scene whose contrast grows along a line that begins below 0."""
    return np.stack([0.5 + max(0.03, 0.13 * t - 0.4) * (texture() - 0.45) for t in range(12)])


@pytest.mark.parametrize("video", [flickering(texture()), fading_in()], ids=["flicker", "fade"])
def test_values_keep_their_order(video):
    for before, after in zip(video, pv.deflicker(video), strict=True):
        assert np.diff(after.ravel()[np.argsort(before.ravel())]).min() > -1e-12  # That is rounding.


def test_units_do_not_matter():
    video = flickering(texture(), 9)
    np.testing.assert_allclose(pv.deflicker(40 + 300 * video), 40 + 300 * pv.deflicker(video), rtol=1e-5)


def test_light_is_followed_along_a_motion_that_changes_all_quantiles():
    # A dark texture goes out of sight on the left, a bright one comes in from the right.
    wide = texture(size=(SIDE[0], 2 * SIDE[1])) * np.linspace(0.5, 1.4, 2 * SIDE[1])
    moving = np.stack([wide[:, 3 * t : 3 * t + SIDE[1]] for t in range(21)])
    gain = 1 + 0.15 * np.random.default_rng(3).uniform(-1, 1, 21)
    found = pv.deflicker(moving * gain[:, np.newaxis, np.newaxis])
    left = np.median(found / moving, axis=(1, 2))
    assert left.std() < 0.3 * gain.std()
    np.testing.assert_array_equal(pv.deflicker(np.rint(255 * moving).astype(np.uint8)), np.rint(255 * moving))


def test_what_enters_the_picture_is_no_change_of_light():
    video = np.stack([texture()] * 17)
    for t in range(5, 17):
        video[t, 20:60, -8 * (t - 4) :] = 0.9 + 0.1 * texture(7)[20:60, : 8 * (t - 4)]
    video = np.rint(255 * video).astype(np.uint8)
    assert pv.psnr(video / 255, pv.deflicker(video) / 255) > 45


def test_scenes_are_evened_out_one_by_one():
    one, other = flickering(texture(), 9), flickering(texture(5)[::-1, ::-1], 8, seed=4)
    report = {}
    found = pv.deflicker(np.concatenate([one, other]), report=report)
    assert report["cuts"] == [9]
    np.testing.assert_array_equal(found, np.concatenate([pv.deflicker(one), pv.deflicker(other)]))


def test_a_flash_is_taken_back_and_does_not_spread():
    video = np.stack([texture()] * 15)
    video[7] *= 1.3
    found = pv.deflicker(video)
    np.testing.assert_allclose(found, np.stack([texture()] * 15), atol=1e-3)


def test_light_that_is_switched_on_comes_within_four_frames():
    scene = texture()
    video = np.stack([0.6 * scene] * 12 + [scene] * 12)
    found = pv.deflicker(video, width=8)
    np.testing.assert_allclose(found[[*range(10), *range(14, 24)]], video[[*range(10), *range(14, 24)]], atol=0.02)


def test_colours_that_flicker_each_on_its_own_need_curves_of_their_own():
    scene = texture(channels=(3,))
    video = np.stack([flickering(scene[..., c], seed=c + 5) for c in range(3)], axis=-1)
    assert steadiness(pv.deflicker(video, colour=True)) < 0.25 * steadiness(video)
    assert steadiness(pv.deflicker(video)) > 0.5 * steadiness(video)
    together = flickering(scene)
    assert steadiness(pv.deflicker(together)) < 0.25 * steadiness(together)


def test_tiles_follow_light_that_differs_from_place_to_place():
    rng, (height, width) = np.random.default_rng(2), (144, 208)
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, np.newaxis]
    scene = texture(size=(height, width))
    video = np.stack([scene * (1 + 0.1 * a * across + 0.1 * b * down) for a, b in rng.uniform(-1, 1, (25, 2))])
    assert steadiness(pv.deflicker(video)) > 0.9 * steadiness(video)
    assert steadiness(pv.deflicker(video, local=True)) < 0.7 * steadiness(video)


def test_what_is_cut_off_becomes_what_others_show_there():
    scene = texture()
    scene[20:60, 30:90] = 0.8
    video = np.stack([np.minimum((1 + 0.4 * (t == 6)) * scene, 1) for t in range(13)])
    np.testing.assert_allclose(pv.deflicker(video)[6, 24:56, 34:86], 0.8, atol=0.01)


def test_light_is_diffused_by_two_boxes_within_the_scene():
    n = 4
    box = np.ones(2 * n + 1) / (2 * n + 1)
    for before, after in ((20, 20), (0, 12), (3, 5), (0, 0)):
        impulse = np.zeros(before + after + 1)
        impulse[before] = 1
        for _ in range(2):
            impulse = np.convolve(
                np.pad(impulse, n, "symmetric") if impulse.size >= n else np.pad(impulse, n, "wrap"), box, "valid"
            )
        np.testing.assert_allclose(heat_kernel(before, after, n), impulse, atol=1e-12)


def test_bands_are_means_between_quantiles():
    rng = np.random.default_rng(0)
    values, times = rng.standard_normal(500), rng.integers(0, 4, 500)
    many = np.sort(np.repeat(values, 1000 * times))
    places = np.rint(_EDGES * len(many)).astype(int)
    expected = [many[a:b].mean() for a, b in pairwise(places)]
    assert len(expected) == _BANDS
    np.testing.assert_allclose(_bands(values, times.astype(float)), expected, atol=1e-3)


def test_the_curve_between_two_frames_is_that_of_their_light():
    scene = texture()
    here = (1.2 * scene**1.1 - 0.05)[..., np.newaxis]
    curves = curves_between(looked(scene[..., np.newaxis]), looked(here), (1, 1), False)
    values = np.linspace(0.22, 0.68, 50)[np.newaxis]
    np.testing.assert_allclose(curves.onward(values), 1.2 * values**1.1 - 0.05, atol=6e-3)
    np.testing.assert_allclose(curves.backward(curves.onward(values)), values, atol=1e-4)


def test_a_curve_is_linear_between_its_knots_and_beyond(rng):
    knots = np.cumsum(rng.random((3, 6)), axis=1)
    changes, ends = rng.standard_normal((3, 6)), rng.standard_normal((3, 2))
    values = rng.uniform(-2, 8, (3, 80))
    held = np.full((3, 1, 2), np.nan)
    held[1, 0] = values[1, 7], 3.5
    out = np.empty_like(values)
    follow(knots, changes, ends, held, values, out)
    for k, (x, c, v) in enumerate(zip(knots, changes, values, strict=True)):
        expected = v + np.interp(v, x, c)
        expected += ends[k, 0] * np.minimum(v - x[0], 0) + ends[k, 1] * np.maximum(v - x[-1], 0)
        expected[7] = 3.5 if k == 1 else expected[7]
        np.testing.assert_allclose(out[k], expected, atol=1e-12)


def test_tables_of_tiles_are_interpolated_between_their_middles(rng):
    tables, plane = rng.standard_normal((3, 4, 9)), rng.uniform(1, 3, (30, 44))
    out = np.zeros_like(plane)
    change(plane, 1.0, 0.25, tables, 5, 30, out)
    rows, columns = np.indices(plane.shape)
    places = np.clip((rows + 0.5) * 3 / 30 - 0.5, 0, 2), np.clip((columns + 0.5) * 4 / 44 - 0.5, 0, 3)
    table = RegularGridInterpolator((range(3), range(4), 1 + 0.25 * np.arange(9)), tables)
    expected = plane + table(np.stack([*places, plane], axis=-1))
    np.testing.assert_allclose(out[5:], expected[5:], atol=1e-12)
    assert not out[:5].any()


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 1, 1), (4, 2, 9, 3), (5, 8, 9, 4)])
@pytest.mark.parametrize("options", OPTIONS)
def test_small_videos_are_finite(shape, options, rng):
    for dtype in (np.uint8, np.int16, np.float16):
        video = (100 * rng.random(shape)).astype(dtype)
        found = pv.deflicker(video, **options)
        assert (found.shape, found.dtype) == (shape, dtype)
        assert np.isfinite(found.astype(float)).all()


def test_constant_frames_of_other_levels():
    levels = 0.4 + 0.05 * (-1.0) ** np.arange(30)
    found = pv.deflicker(levels[:, np.newaxis, np.newaxis] * np.ones((1, 12, 16)))
    assert np.ptp(found, axis=(1, 2)).max() == 0
    assert np.abs(found[:, 0, 0] - 0.4).max() < 0.02


def test_the_ends_of_a_video_follow_no_trend_that_is_chance():
    rng, apart = np.random.default_rng(0), []
    for _ in range(20):
        levels = 0.4 + 0.05 * rng.standard_normal(16)
        found = pv.deflicker(levels[:, np.newaxis, np.newaxis] * np.ones((1, 2, 2)), width=4)
        apart += [found[0, 0, 0] - 0.4, found[-1, 0, 0] - 0.4]
    assert np.square(apart).mean() < 0.3 * 0.05**2


def test_memory_does_not_grow_with_the_stream():
    held = []

    def frames():
        scene = texture(size=(24, 32))
        for t in range(200):
            held.append(t)
            yield (1 + 0.1 * np.sin(t)) * scene

    found = pv.deflicker(frames(), width=4)
    for _ in range(50):
        next(found)
    assert len(held) <= 50 + 8 + 12  # And what threads have begun.


@pytest.mark.parametrize("width", [0, 101, 2.5])
def test_widths_are_checked(width):
    with pytest.raises(pv.ParameterError, match="width is"):
        pv.deflicker(np.zeros((2, 8, 8)), width=width)
