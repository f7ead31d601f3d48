"""`inpaint`, `join` and detectors where light changes: frames are compared, and values shown, in one light."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.estimate.light import Light, light_change
from pde_video.motion.noisy_flow import pyramid
from pde_video.restoration.in_scenes import flow, prepared, seen_from

SIDE = (112, 160)


def texture(frames=7, speed=2, size=SIDE):
    """A smooth texture that moves to the left, (T, H, W), in [0, 1]."""
    ground = gaussian_filter(np.random.default_rng(2).standard_normal((size[0], size[1] + speed * frames)), 2.5)
    ground = 0.5 + 0.1 * ground / ground.std()
    return np.stack([ground[:, speed * t : speed * t + size[1]] for t in range(frames)])


def moving_mask(frames=7):
    mask = np.zeros((frames, *SIDE), bool)
    for t in range(frames):
        mask[t, :, 8 * t : 8 * t + 6] = mask[t, 10 * t : 10 * t + 8, 90:110] = True
    return mask


def light(kind, frames=7):
    """Gains and offsets of the frames."""
    rng, ones = np.random.default_rng(1), np.ones((frames, 1, 1))
    flash = np.where(np.arange(frames) == 3, 1.5, 1.0)[:, np.newaxis, np.newaxis]
    rows = 1 / (1 + np.exp(np.arange(-SIDE[0] // 2, SIDE[0] // 2) / 8.0))[:, np.newaxis]
    kinds = {
        "flicker": (1 + 0.1 * rng.standard_normal(ones.shape), 0.05 * rng.standard_normal(ones.shape)),
        "fade to black": (np.linspace(1, 0, frames)[:, np.newaxis, np.newaxis], 0 * ones),
        "flash": (flash, 0 * ones),
        "upper half": (1 + 0.4 * (flash - 1) * rows, 0 * ones),
    }
    return kinds[kind]


def hidden(video, mask):
    return np.where(mask, video.max(), video).astype(video.dtype)


def error(found, video, mask):
    """Root-mean-square error inside the mask."""
    return float(np.sqrt(np.square(found - video)[mask].mean()))


@pytest.mark.parametrize(
    ("kind", "least"), [("flicker", 3e-5), ("flash", 1e-4), ("fade to black", 2e-4), ("upper half", 2e-3)]
)
@pytest.mark.parametrize("method", ["auto", *slow("motion")])
def test_a_mask_that_moves_over_a_still_scene_is_filled_in_the_light_of_each_frame(kind, least, method):
    gain, offset = light(kind)
    video, mask, report = gain * texture(7, 0) + offset, moving_mask(), {}
    found = pv.inpaint(hidden(video, mask), mask, method=method, report=report)
    assert error(found, video, mask) < least
    assert report["relit"] >= 2
    np.testing.assert_array_equal(found[~mask], video[~mask])


@pytest.mark.parametrize("colour", [False, *slow(True)])
def test_flicker_costs_little_where_things_move(colour):
    gain, _ = light("flicker")
    mask, errors = moving_mask(), []
    for video in (texture(), gain * texture()):
        if colour:
            clip = np.stack([video, video[:, ::-1], 0.5 * video], axis=-1)
            found = pv.inpaint(np.where(mask[..., np.newaxis], 0.9, clip), mask)
            errors.append(np.sqrt(np.square(found - clip)[mask].mean()))
        else:
            errors.append(error(pv.inpaint(hidden(video, mask), mask), video, mask))
    assert errors[1] < 1.2 * errors[0]


def test_where_light_stays_nothing_is_relit():
    for speed in (0, 1, 3):
        video, mask, report = texture(5, speed), moving_mask(5), {}
        pv.inpaint(hidden(video, mask), mask, report=report)
        assert report["relit"] == 0


@pytest.mark.parametrize("causal", [False, True])
def test_a_stream_in_changing_light_is_an_array_on_any_number_of_threads(causal, threads):
    gain, offset = light("flicker")
    video, mask = (gain * texture() + offset).astype(np.float32), moving_mask()
    whole = pv.inpaint(hidden(video, mask), mask, causal=causal, radius=2)
    for n in (1, 3):
        threads(n)
        stream = pv.inpaint(iter(hidden(video, mask)), iter(mask), causal=causal, radius=2)
        np.testing.assert_array_equal(np.stack(list(stream)), whole)


def test_the_light_of_one_scene_is_not_that_of_another():
    gain, offset = light("flicker")
    first, second = (gain * one + offset for one in (texture(), 1 - texture(7, 3)[:, ::-1] ** 2))
    video, mask, report = np.concatenate([first, second]), np.concatenate([moving_mask()] * 2), {}
    whole = pv.inpaint(hidden(video, mask), mask, report=report)
    assert report["cuts"] == [7]
    parts = [pv.inpaint(hidden(video, mask)[k : k + 7], mask[k : k + 7]) for k in (0, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_lost_frame_is_in_a_light_between_those_around_it_and_a_torn_one_in_its_own():
    rng = np.random.default_rng(4)
    gain = 1 + 0.1 * rng.standard_normal((9, 1, 1))
    still = texture(9, 0, (192, 256))
    mask = np.zeros(still.shape, bool)
    mask[4:6] = True  # Two lost frames: a third and two thirds of the way.
    found = pv.inpaint(hidden(gain * still, mask), mask)
    for k, share in ((4, 1 / 3), (5, 2 / 3)):
        np.testing.assert_allclose(found[k], (gain[3] + share * (gain[6] - gain[3])) * still[k], atol=1e-5)
    mask[5], mask[4, :96] = False, False
    mask[5, 100:] = True  # Torn ones, also in a row.
    found = pv.inpaint(hidden(gain * still, mask), mask)
    np.testing.assert_allclose(found, gain * still, atol=5e-4)
    mask[7:] = True
    mask[7, :60] = False  # At the end, the last as it was seen, in the light of what is known.
    found = pv.inpaint(hidden(gain * still, mask), mask)
    np.testing.assert_allclose(found[:8], (gain * still)[:8], atol=1e-3)


def test_what_was_seen_long_ago_is_carried_on_in_the_light_of_each_frame():
    video = np.where(np.arange(9) < 4, 1.0, 1.4)[:, np.newaxis, np.newaxis] * texture(9, 0)
    mask = np.zeros(video.shape, bool)
    mask[2:, 30:60, 40:80] = True  # Of radius 1: from frame 3 on, no frame that is looked at shows it.
    assert error(pv.inpaint(hidden(video, mask), mask, radius=1), video, mask) < 1e-4


@pytest.mark.parametrize(("torn", "causal"), [(False, False), (True, False), (True, True)])
def test_what_a_lost_frame_shows_is_carried_on_in_the_light_in_which_it_is_filled(torn, causal):
    still, mask = texture(7, 0, (128, 160)), np.zeros((7, 128, 160), bool)
    mask[3], mask[4:, 30:60, 40:80] = True, True  # Of radius 1: frame 4 sees the hole in what was lost alone.
    mask[2, 64:] = torn
    gain = np.where(np.arange(7) < 3 - torn, 1.0, 1.4)[:, np.newaxis, np.newaxis]
    lit, even = (pv.inpaint(hidden(one, mask), mask, radius=1, causal=causal) for one in (gain * still, still))
    assert error(lit[4:], 1.4 * even[4:], mask[4:]) < 2e-3
    assert np.std(even[4][mask[4]]) > 0.04


@pytest.mark.parametrize("gain", [1.1, 1.3])
def test_torn_frames_in_another_light_are_no_cut_and_one_change_is_counted_once(gain):
    still, mask = texture(9, 0, (128, 160)), np.zeros((9, 128, 160), bool)
    mask[4:6, 64:] = True
    for lit, relit in (([4, 5, 6, 7, 8], 1), ([4], 2)):  # A step, and a flash.
        video, report = still.copy(), {}
        video[lit] *= gain
        found = pv.inpaint(hidden(video, mask), mask, report=report)
        assert (report["cuts"], report["relit"]) == ([], relit)
        assert error(found, video, mask) < 1e-3


@pytest.mark.parametrize("part", [0.5, 0.8])
@pytest.mark.parametrize("at", [0, 5, 6])
def test_a_torn_frame_at_a_cut_hides_no_cut(part, at):
    first, second = (np.repeat(one, 5, axis=0) for one in (texture(1), 1 - texture(1, 3)[:, ::-1, ::-1] ** 2))
    video, mask, report = np.concatenate([first, second]), np.zeros((10, *SIDE), bool), {}
    if not at:
        video = video[4:]  # At the beginning of the video.
        mask = mask[4:]
    mask[at, int((1 - part) * SIDE[0]) :] = True
    found = pv.inpaint(hidden(video, mask), mask, report=report)
    assert report["cuts"] == [5 if at else 1]
    if at:
        assert error(found, video, mask) < 1e-3


def test_what_is_not_known_of_what_moves_tells_nothing_of_light():
    # Of both, the same rows of the scene are known; of their places, a half of these in both.
    step, rows = 6, np.arange(112)
    ground = gaussian_filter(np.random.default_rng(3).standard_normal((112 + step, 160)), 3)
    ground = 5 + 2 * ground / ground.std()
    pair = ground[:112], 0.9 * ground[step:]
    known = [np.tile((rows + moved)[:, np.newaxis] // (2 * step) % 2 == 0, (1, 160)) for moved in (0, step)]
    levels = [pyramid(np.where(there, one, 1.3 * one)) for one, there in zip(pair, known, strict=True)]
    shares = [np.stack(both) for both in zip(*(pyramid(one) for one in known), strict=True)]
    found = light_change(*levels, shares=shares, even=True)
    assert np.abs(found.gain[0] * pair[0] + found.offset[0] - 0.9 * pair[0]).mean() < 0.005 * pair[0].mean()


def test_motion_is_the_same_from_a_frame_in_another_light():
    rows = np.arange(SIDE[0] // 4)
    one, other = (frame[..., np.newaxis].astype(np.float32) for frame in texture(2))
    pictures = [prepared((frame, np.zeros(SIDE, bool))) for frame in (0.05 * one, other)]
    pictures[1] = pictures[1]._replace(light=Light(np.full(len(rows), 20.0), np.zeros(len(rows))))
    bright = prepared((one, np.zeros(SIDE, bool)))
    for coarsely in (False, True):
        seen = seen_from(pictures, 0, 1, coarsely=coarsely)
        np.testing.assert_allclose(flow(seen, pictures[1]), flow(bright, pictures[1]), atol=0.01)
    np.testing.assert_allclose(seen_from(pictures, 0, 1).seen, bright.seen, atol=1e-5)


def test_videos_in_different_light_are_joined_along_the_motion():
    ground = texture(1, 0, (128, 204))[0]
    one, other = (np.repeat(ground[np.newaxis, :, at : at + 180], 5, axis=0) for at in (0, 4))
    found = pv.join(one, 1.5 * other - 0.1, over=3)
    for k, share in ((1, 0.25), (2, 0.5), (3, 0.75)):
        expected = (1 + 0.5 * share) * ground[:, k : k + 180] - 0.1 * share
        np.testing.assert_allclose(found[1 + k, 8:-8, 8:-16], expected[8:-8, 8:-16], atol=2e-3)


def test_dust_is_found_in_flicker_and_light_is_no_dust():
    gain, offset = light("flicker")
    video, dust, rng = gain * texture() + offset, np.zeros((7, *SIDE), bool), np.random.default_rng(3)
    for one in dust:
        for i, j in rng.integers(10, 100, (5, 2)):
            one[i : i + 4, j : j + 5] = True
    assert not pv.detect_dust(video).any()
    found = pv.detect_dust(np.where(dust, 0.9, video)) > 0
    assert np.count_nonzero(found & dust) > 0.9 * np.count_nonzero(dust)
    assert np.count_nonzero(found & dust) > 0.95 * np.count_nonzero(found)


def test_a_flash_is_no_damaged_frame():
    gain, _ = light("flash")
    video = gain * texture()
    assert not pv.detect_damaged_frames(video).any()
    rng = np.random.default_rng(0)
    for noise in (0.0, 0.05):
        noisy = texture() + noise * rng.standard_normal(video.shape)
        for lost in (0.0, 0.5, rng.random(SIDE)):
            noisy[3] = lost
            assert np.flatnonzero(pv.detect_damaged_frames(noisy).any(axis=(1, 2))).tolist() == [3]


def test_a_frame_that_has_lost_its_contrast_is_damaged():
    for grey in (0.5, 0.0):
        video = texture(7, 0)
        video[3] = grey + 0.3 * (video[3] - grey)  # As one in which gain and offset have changed.
        assert np.flatnonzero(pv.detect_damaged_frames(video).any(axis=(1, 2))).tolist() == [3]


def coloured(frames=7, speed=2):
    video = texture(frames, speed)
    return np.stack([video, video[:, ::-1], 0.8 * video[..., ::-1]], axis=-1)


@pytest.mark.parametrize("tint", [(0.3, 0, 0), (0, 0, 0.2)])
def test_a_change_of_colour_is_no_change_of_light(tint):
    gain = 1 + np.where(np.arange(7) % 2, 1, 0)[:, np.newaxis, np.newaxis, np.newaxis] * np.array(tint)
    video, mask, report = gain * coloured(), moving_mask(), {}
    pv.inpaint(np.where(mask[..., np.newaxis], 0.9, video), mask, report=report)
    assert report["relit"] == 0


def test_light_in_colour_is_followed_where_a_channel_is_empty():
    gain, _ = light("flicker")
    video, mask, report = gain[..., np.newaxis] * coloured(7, 0) * np.array([1, 0.5, 0]), moving_mask(), {}
    found = pv.inpaint(np.where(mask[..., np.newaxis], 0.9, video), mask, report=report)
    assert report["relit"] == 6
    assert error(found, video, mask) < 1e-3


@pytest.mark.parametrize(
    "lost",
    [
        lambda one: one * np.array([1, 0.1, 1]),
        lambda one: one * np.array([0.2, 1, 0.2]),
        lambda one: 0.5 * one + 0.5,
        lambda one: 0.45 * one,
    ],
    ids=["magenta", "green", "washed out", "dim"],
)
def test_a_frame_of_other_colours_or_less_contrast_is_damaged(lost):
    video = 0.5 + 1.5 * (coloured() - 0.5)
    video[3] = lost(video[3])
    assert np.flatnonzero(pv.detect_damaged_frames(video).any(axis=(1, 2))).tolist() == [3]


def test_light_that_clips_is_no_dust():
    gain = np.where(np.arange(7) % 2, 1.6, 1.0)[:, np.newaxis, np.newaxis]  # An eighth is white then.
    video = np.clip(np.rint(255 * gain * texture()), 0, 255).astype(np.uint8)
    assert not pv.detect_dust(video).any()


def test_what_light_clips_is_filled_at_white():
    still, mask, report = texture(3, 0), moving_mask(3), {}
    video = np.minimum(np.array([1, 1.6, 1])[:, np.newaxis, np.newaxis] * still, 1)
    mask[[0, 2]] = False
    found = pv.inpaint(np.where(mask, 0, video), mask, report=report)
    assert report["relit"] == 2
    assert error(found, video, mask) < 1e-3
