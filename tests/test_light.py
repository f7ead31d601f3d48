"""Changes of light between frames, held to those that were made, and what `denoise` does with them."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from cases import marked_slow, slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.denoising import recursive
from pde_video.denoising.along_motion import prepared, with_means
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.recursive import _averaged
from pde_video.denoising.uniform_noise import Noise
from pde_video.estimate.light import Light, _gain, _suspected, between, light_change
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.kernels.row_moments import MOMENTS, row_moments
from pde_video.motion.averaging import GuidedFrame, averaged, conductance, halved
from pde_video.motion.noisy_flow import pyramid

SIGMA = 20.0
SIZE = (112, 160)


@cache
def scene(frames=10, speed=2):
    """A texture that moves to the left, in the range of 8 bits."""
    ground = 110 + 250 * gaussian_filter(np.random.default_rng(3).standard_normal((SIZE[0], 240)), 3)
    return np.stack([ground[:, speed * k : speed * k + SIZE[1]] for k in range(frames)])


def noisy(clean):
    noise = SIGMA * np.random.default_rng(1).standard_normal(clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def psnr(clean, video):
    return np.array([pv.psnr(a / 255, b / 255) for a, b in zip(clean, video, strict=True)])


def flicker(frames=10, share=0.05):
    return 1 + share * np.random.default_rng(5).standard_normal((frames, 1, 1))


def bands(frames=10, share=0.1):
    rows = np.arange(SIZE[0])[:, np.newaxis] / SIZE[0]
    return np.stack([1 + share * np.sin(2 * np.pi * (rows - 0.13 * k)) for k in range(frames)])


def guides(pictures, rng):
    """Pyramids of pictures of half the size in units of the noise, of which some is left."""
    small = pictures.reshape(len(pictures), SIZE[0] // 2, 2, SIZE[1] // 2, 2).mean((2, 4)) / SIGMA
    return [pyramid(one + 0.15 * rng.standard_normal(one.shape)) for one in small]


@pytest.mark.parametrize("speed", [0, 2])
@pytest.mark.parametrize("kind", ["gain", "fade to white", "bands"])
def test_the_change_is_the_one_that_was_made(kind, speed, rng):
    before, after = scene(2, speed)
    made = {"gain": 0.95 * after, "fade to white": 0.9 * after + 25.5, "bands": bands(2)[1] / bands(2)[0] * after}[kind]
    found = light_change(*guides(np.stack([before, made]), rng))
    gain, offset = found.rows(after)
    error = (gain * after + SIGMA * offset - made)[4:-4] / SIGMA
    change = (made - after)[4:-4] / SIGMA
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(change**2))


def test_narrow_bands_are_followed(rng):
    ground = 110 + 250 * gaussian_filter(rng.standard_normal((360, 324)), 3)
    rows = np.arange(360)[:, np.newaxis] / 360
    first, second = (1 + 0.1 * np.sin(2 * np.pi * 3.3 * (rows + k)) for k in (0, 1))
    before, after = ground[:, :320], ground[:, 4:]
    small = [
        pyramid(halved((light * one)[np.newaxis] / SIGMA)[0] + 0.15 * rng.standard_normal((180, 160)))
        for light, one in ((first, before), (second, after))
    ]
    gain, offset = light_change(*small).rows(after)
    error = (gain * first + SIGMA * offset / after - second)[8:-8] * after[8:-8]
    change = ((second - first) * after)[8:-8]
    assert np.sqrt(np.mean(error**2)) < 0.045 * np.sqrt(np.mean(change**2))


def test_motion_and_new_content_are_no_change_of_light(rng):
    for speed in (0, 1, 4):
        before, after = scene(2, speed)
        assert light_change(*guides(np.stack([before, after]), rng)) is None
    after = after.copy()
    after[20:100, 90:] = 240
    assert light_change(*guides(np.stack([before, after]), rng)) is None
    assert light_change(*guides(np.stack([before, before]), np.random)) is None
    same = guides(before[np.newaxis], rng)[0]
    assert light_change(same, same) is None


def test_what_is_not_known_does_not_count(rng):
    before, after = scene(2, 0)
    made, share = 0.9 * after, np.ones(tuple(n // 2 for n in SIZE), np.float32)
    made[:, :80], share[:, :40] = 1.3 * after[:, :80], 0
    levels = guides(np.stack([before, made]), rng)
    for shares in ([share, np.ones_like(share)], [np.ones_like(share), share]):
        stacks = [np.stack(pair) for pair in zip(*map(pyramid, shares), strict=True)]
        gain, offset = light_change(*levels, shares=stacks).rows(after)
        assert np.abs(gain * after + SIGMA * offset - 0.9 * after).mean() < 0.01 * after.mean()
    assert light_change(*levels, shares=[0 * one for one in stacks]) is None


def test_what_moves_does_not_pull_the_gain(rng):
    before, after = scene(2, 2)
    made = 0.95 * after
    made[20:100, 100:] = 240
    gain, offset = light_change(*guides(np.stack([before, made]), rng)).rows(after)
    assert np.abs(gain * after + SIGMA * offset - 0.95 * after).mean() < 0.02 * after.mean()


def test_changes_add_up_and_lead_back(rng):
    lights = [None, Light(*rng.uniform(0.5, 1.5, (2, 5))), None, Light(*rng.uniform(0.5, 1.5, (2, 5)))]
    first, last = lights[1], lights[3]
    y = rng.standard_normal(5)
    once = first.gain * y + first.offset
    twice = last.gain * once + last.offset

    def seen(value, here, there):
        light = between(lights, here, there)
        return value if light is None else light.gain * value + light.offset

    for here, there, a, b in ((0, 1, y, once), (0, 3, y, twice), (1, 2, once, once), (2, 3, once, twice)):
        np.testing.assert_allclose(seen(a, here, there), b)
        np.testing.assert_allclose(seen(b, there, here), a)
    assert between(lights, 1, 2) is None


def test_changes_add_up_along_motion_across_the_rows_and_lead_back(rng):
    gains, offsets = rng.uniform(0.5, 1.5, (2, 9)), rng.uniform(-1, 1, (2, 9))
    first, last = (Light(*some, np.full(9, shift)) for *some, shift in zip(gains, offsets, (1.0, 2.0), strict=True))
    y = rng.standard_normal(9)
    once = gains[0][:-1] * y[1:] + offsets[0][:-1]  # Rows 0 to 7.
    twice = gains[1][:6] * once[2:] + offsets[1][:6]
    both = between([None, first, last], 0, 2)
    np.testing.assert_allclose((both.gain * np.roll(y, -3) + both.offset)[:6], twice)
    np.testing.assert_array_equal(both.down, 3)
    back = between([None, first, last], 2, 0)
    np.testing.assert_allclose(back.gain[3:] * twice + back.offset[3:], y[3:])
    np.testing.assert_allclose(back.down[3:], -3)
    seen = both.of_levels([np.tile(y[:, np.newaxis], 4)])[0]  # In the other light, but not yet moved.
    np.testing.assert_allclose(seen[3:].T, np.tile(twice, (4, 1)))


def test_bands_belong_to_the_rows_not_to_what_moves_through_them(rng):
    height, frames, speed = 240, 5, 4
    down = speed * (frames - 1)
    ground = 110 + 250 * gaussian_filter(rng.standard_normal((height + speed * frames, 320)), 3)
    rows = np.arange(height)[:, np.newaxis] / height
    made = np.stack([1 + 0.1 * np.sin(2 * np.pi * 3.3 * (rows + k)) for k in range(frames)])
    lit = made * np.stack([ground[speed * k : speed * k + height] for k in range(frames)])
    small = [halved(one[np.newaxis] / SIGMA)[0] for one in lit]
    levels = [pyramid(one + 0.15 * rng.standard_normal(one.shape)) for one in small]
    lights = [None, *(light_change(*pair) for pair in itertools.pairwise(levels))]
    gain, offset = between(lights, 0, frames - 1).rows(lit[0])
    first, last = lit[0, down:], lit[-1, :-down]
    error = (gain[:-down] * first + SIGMA * offset[:-down] - last)[16:-16]
    in_place = (made[-1, :-down] / made[0, :-down] * first - last)[16:-16]
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(in_place**2))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_planes_change_as_their_luma_does(channels, rng):
    light = Light(rng.uniform(0.5, 1.5, 24), rng.uniform(-1, 1, 24))
    planes = rng.standard_normal((channels, 48, 40))
    frame = GuidedFrame(planes, planes[:, ::2, ::2])
    gain, offset = light.rows(frame.luma)
    np.testing.assert_allclose(light.of_guided(frame).luma, gain * frame.luma + offset)
    np.testing.assert_allclose(np.ptp(light.of_planes(planes) / light.rows(planes)[0] - planes, axis=2), 0, atol=1e-12)
    if channels == 3:  # Colours get no offset.
        np.testing.assert_allclose(light.of_planes(planes)[1:], light.rows(planes)[0] * planes[1:])


@pytest.mark.parametrize("channels", [1, 3])
def test_light_is_that_of_the_rows_to_which_things_move(channels, rng):
    planes = rng.standard_normal((channels, 48, 40))
    frame, none = GuidedFrame(planes, halved(planes)), GuidedFrame(0 * planes, 0 * halved(planes))
    down = np.zeros((2, 24, 20))
    down[0] = 3  # At half the size.
    light = Light(rng.uniform(0.5, 1.5, 48), rng.uniform(-1, 1, 48))
    moved, guide = (np.roll(one, -rows, axis=1) for one, rows in ((planes, 6), (frame.guide, 3)))
    seen = light.on(frame)
    mean = averaged(none, [(seen, down, np.ones((24, 20)))])[0]
    np.testing.assert_allclose(2 * mean[:, :42], light.of_planes(moved)[:, :42], atol=1e-9)
    squares = -np.log(conductance(none, seen, down, None, 1.0))
    wanted = -np.log(conductance(none, GuidedFrame(moved, light.of_planes(guide)), 0 * down, None, 1.0))
    np.testing.assert_allclose(squares[:18], wanted[:18])
    np.testing.assert_array_equal(frame.light[:, :1].T, [[1] + [0] * channels])  # It is not changed itself.


def test_light_is_not_suspected_where_less_than_half_of_what_is_bright_changes(rng):
    x, known = rng.uniform(5, 10, (16, 16)), np.ones((16, 16))
    moved = x.copy()
    moved[:, 5:11] = rng.uniform(5, 10, (16, 6))
    assert not _suspected(x, moved, known)
    x[:, :11] = 0
    for gain, offset in ((0.98, 0.0), (1.0, 0.2)):
        assert _suspected(x, np.where(x > 0, gain * x + offset, 0), known)
    assert not _suspected(x, x, known)


def test_moments_are_those_of_their_definition(rng):
    x, y, known = rng.standard_normal((3, 5, 40)).astype(np.float32)
    out = np.empty((5, MOMENTS))
    gain, offset = rng.uniform(0.5, 1.5, (2, 5))
    row_moments(x, y, known, gain, offset, 0.7, out)
    x, y = gain[:, np.newaxis] * x + offset[:, np.newaxis], y.astype(float)
    r2 = ((y - x) / 0.7) ** 2
    w = known.astype(float) ** 2 * (1 + r2) ** -2
    wanted = [w, w * x, w * y, w * x * x, w * x * y, w * y * y, known * r2 / (1 + r2)]
    np.testing.assert_allclose(out.T, np.sum(wanted, axis=2), rtol=1e-5, atol=1e-5)


def test_noise_does_not_flatten_the_line(rng):
    light, x, y = rng.standard_normal((3, 1, 100_000))
    x, y = light + 0.5 * x, 0.5 * light + 0.5 * y
    moments = np.array([np.ones_like(x), x, y, x * x, x * y, y * y, x]).sum(axis=2)
    assert _gain(moments, 0.0, 1.0) == pytest.approx(0.5, abs=0.01)


def test_what_is_no_noise_does_not_count_for_the_means_that_are_given_back():
    planes = np.zeros((1, 128, 128))
    noisy = np.full_like(planes, 0.5)
    noisy[0, 5, 5] = 1000.0
    np.testing.assert_allclose(with_means(planes, noisy), 0.5, rtol=0.01)


def test_an_average_has_the_noise_of_the_light_that_it_is_in(rng):
    plane = np.ones((64, 64))
    noise = Noise(VarianceStabilizer(0.0, 1.0))
    pictures = [prepared(10 * plane[..., np.newaxis] + rng.normal(size=(64, 64, 1)), noise) for _ in range(2)]
    still = np.zeros((2, 32, 32))
    for gain in (1.0, 1.4):
        light = None if gain == 1 else Light(gain * np.ones(32), np.zeros(32))
        brighter = prepared(10 * gain * plane[..., np.newaxis] + rng.normal(size=(64, 64, 1)), noise)
        chain = [(pictures[0], None), (pictures[1]._replace(number=1, original=1), still)]
        chain += [(brighter._replace(number=2, original=2, light=light), still)]
        _, mean, left, _ = list(_averaged(iter(chain), noise))[-1]
        assert mean.var() == pytest.approx(left.mean(), rel=0.15)
        assert left.mean() < 0.6  # 1/2 where the average has twice the variance, 1/3 in the same light.


def test_the_noise_left_in_averages_is_that_of_frames_in_other_light():
    none, plane = np.zeros((2, 4, 4)), np.ones((1, 4, 4))
    seen = Light(np.full(4, 0.5), np.zeros(4)).on(GuidedFrame(plane, plane))
    mean, left, changed = averaged(GuidedFrame(plane, plane), [(seen, none, 3 * plane[0])])
    np.testing.assert_allclose(mean, (1 + 3 * 0.5) / 4)
    np.testing.assert_allclose(left, (1 + (3 * 0.5) ** 2) / 16)
    np.testing.assert_allclose(changed, ((1 / 4 - 1) ** 2 + (3 / 4 * 0.5) ** 2))


@pytest.mark.parametrize(("before", "kept"), [(1, False), (8, True)])
def test_where_light_rises_fast_averages_begin_anew_if_they_are_noisier_than_the_frame(before, kept, rng):
    noise, still = Noise(VarianceStabilizer(0.0, 1.0)), np.zeros((2, 32, 32))
    frames = [prepared(10 + rng.normal(size=(64, 64, 1)), noise)._replace(number=k, original=k) for k in range(before)]
    last = prepared(20 + rng.normal(size=(64, 64, 1)), noise)._replace(number=before, original=before)
    chain = [(frames[0], None), *((one, still) for one in frames[1:])]
    chain += [(last._replace(light=Light(np.full(32, 2.0), np.zeros(32))), still)]
    _, mean, left, relit = list(_averaged(iter(chain), noise))[-1]
    assert (left.mean() < 0.6, relit) == (kept, kept)
    assert np.array_equal(mean, last.guided.planes) != kept


def test_noise_that_a_gain_has_raised_counts_less():
    light = Light(np.array([0.5, 2.0]), np.zeros(2))
    np.testing.assert_allclose(light.worth(np.ones((2, 3))), [[1, 1, 1], [0.25, 0.25, 0.25]])


@pytest.mark.parametrize("kind", ["flicker", *slow("bands")])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
def test_flicker_costs_little_and_stays(preset, kind):
    gains, report = flicker() if kind == "flicker" else bands(), {}
    clean = gains * scene()
    denoised = pv.denoise(noisy(clean), preset=preset, report=report)
    assert report["relit"] >= 5
    known = gains * pv.denoise((noisy(clean) / gains).astype(np.float32), preset=preset)
    # Large pictures, whose light is known better, lose less: see docs/noise.md.
    assert psnr(clean, denoised).mean() > psnr(clean, known).mean() - (0.7 if kind == "flicker" else 1.3)
    np.testing.assert_allclose(denoised.mean((1, 2)), clean.mean((1, 2)), rtol=0.01)
    pv.denoise(noisy(scene()), preset=preset, report=report)
    assert report["relit"] == 0


@pytest.mark.parametrize("white", [True, *slow(False)])
@pytest.mark.parametrize("out", [True, *slow(False)])
@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_fades_lose_nothing(preset, out, white):
    gains = np.linspace(1, 0.5, 10)[:: 1 if out else -1, np.newaxis, np.newaxis]
    clean = gains * scene() + (1 - gains) * 255 * white
    video = noisy(clean)
    alone = np.concatenate([pv.denoise(frame[None], preset=preset, sigma=SIGMA) for frame in video])
    assert (psnr(clean, pv.denoise(video, preset=preset, sigma=SIGMA)) >= psnr(clean, alone) - 0.1).all()


def test_fast_fades_from_white_lose_nothing_against_single_frames_of_finer_steps():
    gains = np.clip((np.arange(10) - 1) / 6, 0, 1)[:, np.newaxis, np.newaxis]
    clean = gains * scene() + (1 - gains) * 255
    alone = pv.denoise(noisy(clean), radius=0, sigma=SIGMA)
    fast = pv.denoise(noisy(clean), preset="fast", sigma=SIGMA)
    np.testing.assert_array_equal(fast[0], alone[0])  # Nothing to average.
    assert (psnr(clean, fast) >= psnr(clean, alone) - 0.1).all()


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best"))
def test_frames_keep_their_means_in_a_fade_to_black(preset):
    clipped = noisy(np.linspace(0.5, 0, 10)[:, np.newaxis, np.newaxis] * scene()) / np.float32(255)
    noise = pv.NoiseEstimate(0.0, (SIGMA / 255) ** 2, unit=1.0)
    shift = 255 * (pv.denoise(clipped, preset=preset, noise=noise) - clipped).mean((1, 2))
    assert np.abs(shift[2:]).max() < 0.1  # 0.28 if light were only followed.


def test_pieces_are_the_whole_in_changing_light():
    video, noise = noisy(bands() * scene()), pv.NoiseEstimate(0.0, SIGMA**2, unit=255.0)
    a_filter = pv.denoise(radius=1, noise=noise)
    reach, whole = pv.extent(a_filter), a_filter(video)
    np.testing.assert_array_equal(np.stack(list(a_filter(iter(video)))), whole)
    for k in (4, 7):
        piece = a_filter(video[k - reach.before : k + 1 + reach.after])
        np.testing.assert_array_equal(piece[reach.before], whole[k])


def test_a_flash_is_forgotten(monkeypatch, rng):
    steps = []

    def recorded(mean, variance, *, step, **others):
        steps.append(step)
        return diffuse(mean, variance, step=step, **others)

    diffuse = recursive.diffuse
    monkeypatch.setattr(recursive, "diffuse", recorded)
    still = np.repeat(scene(1), 30, axis=0)
    still[5] *= 1.2
    report = {}
    pv.denoise(
        (still + rng.normal(0, SIGMA, still.shape)).astype(np.float32), preset="fast", sigma=SIGMA, report=report
    )
    assert report["relit"] == 2
    assert set(steps[5:21]) == {2}
    assert set(steps[23:]) == {4}
