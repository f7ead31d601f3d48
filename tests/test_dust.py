"""`detect_dust`: what a single frame shows is marked, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import pde_video as pv

SIDE = (96, 128)


def moving(frames=6, speed=2):
    """A texture that moves to the left, (T, H, W), in [0, 1]."""
    ground = gaussian_filter(np.random.default_rng(2).standard_normal((SIDE[0], SIDE[1] + speed * frames)), 2.5)
    ground = 0.5 + 0.12 * ground / ground.std()
    return np.stack([ground[:, speed * t : speed * t + SIDE[1]] for t in range(frames)])


def dusty(video, seed=1):
    """Black and white spots, new in every frame, and where they are."""
    rng, mask, video = np.random.default_rng(seed), np.zeros(video.shape, bool), video.copy()
    for t in range(len(video)):
        for value in (0.0, 0.0, 1.0, 1.0):
            i, j = rng.integers(0, SIDE[0] - 6), rng.integers(0, SIDE[1] - 6)
            high, wide = rng.integers(2, 7, 2)
            mask[t, i : i + high, j : j + wide] = True
            video[t, i : i + high, j : j + wide] = value
    return video, mask


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("sigma", [0, 5])
def test_dust_is_marked_and_little_else(dtype, colour, sigma, rng):
    video, mask = dusty(moving())
    video = np.clip(np.where(mask, video, video + sigma / 255 * rng.standard_normal(video.shape)), 0, 1)
    video = np.rint(255 * video).astype(dtype) if dtype == np.uint8 else video.astype(dtype)
    report = {}
    found = pv.detect_dust(np.stack([video] * 3, axis=-1) if colour else video, report=report)
    white = np.iinfo(dtype).max if dtype == np.uint8 else 1
    assert (found.dtype, found.shape, set(np.unique(found))) == (dtype, mask.shape, {0, white})
    found = found > 0
    assert (found & mask).sum() > 0.9 * mask.sum()
    assert (found & mask).sum() > 0.9 * found.sum()
    assert report["marked"] == found.mean()
    assert "warnings" not in report


def test_constant_frames_that_differ_have_no_dust():
    video = np.full((5, *SIDE), 16, np.uint8)
    video[2] += 1
    assert not pv.detect_dust(video).any()
    assert not pv.detect_dust(video / 255).any()
    video[:, :, 64:] += 1
    video[2] -= 1
    video[3, 10, 10] += 3  # Less than four steps.
    assert not pv.detect_dust(video).any()


def test_dust_of_one_colour_is_seen():
    video = np.stack([moving()] * 3, axis=-1)
    video[..., 2], mask = dusty(video[..., 2])
    found = pv.detect_dust(video) > 0
    assert (found & mask).sum() > 0.9 * mask.sum()


@pytest.mark.parametrize("sigma", [0, 5, 20])
def test_a_video_without_dust_has_none(sigma, rng):
    video = 255 * moving() + sigma * rng.standard_normal((6, *SIDE))
    cut = np.concatenate([video[:3], 255 - video[3:]])
    assert pv.detect_dust(video).mean() < 1e-4
    assert pv.detect_dust(cut).mean() < 1e-4
    assert not pv.detect_dust(np.full((4, *SIDE), 0.5)).any()


def test_spots_that_stay_or_move_with_the_scene_are_no_dust():
    video = moving()
    for t, frame in enumerate(video):
        frame[40:44, 90 - 2 * t : 94 - 2 * t] = 1.0
    assert not pv.detect_dust(video).any()
    still = np.repeat(moving(1), 5, axis=0)
    still[:, 40:44, 60:64] = 0.0
    assert not pv.detect_dust(still).any()


def test_the_ends_of_scenes_are_told_by_two_frames_on_one_side():
    clean = np.concatenate([moving(4), 1 - moving(4)[:, ::-1]])
    video, mask = dusty(clean)
    found = pv.detect_dust(video) > 0
    for t in (0, 3, 4, 7):
        assert (found & mask)[t].sum() > 0.75 * mask[t].sum()
    assert not pv.detect_dust(video[:2]).any()


def test_much_that_is_marked_is_said():
    video, report = moving(), {}
    for seed in range(8):
        video, _ = dusty(video, seed)
    pv.detect_dust(video, report=report)
    (warning,) = report["warnings"]
    assert "raise the threshold" in warning


def test_pieces_and_streams_are_the_whole(threads):
    video, _ = dusty(moving(11))
    whole, reach = pv.detect_dust(video), pv.extent(pv.detect_dust)
    np.testing.assert_array_equal(np.stack(list(pv.detect_dust(iter(video)))), whole)
    assert (reach.before, reach.after) == (4, 4)
    np.testing.assert_array_equal(pv.detect_dust(video[1:10])[4], whole[5])
    threads(1)
    np.testing.assert_array_equal(pv.detect_dust(video), whole)


def test_inpaint_fills_what_is_detected():
    clean = moving()
    video, mask = dusty(clean)
    report = {}
    found = pv.inpaint(video, detect="dust", report=report)
    marked = pv.detect_dust(video) > 0
    np.testing.assert_array_equal(found, pv.inpaint(video, marked))
    np.testing.assert_array_equal(found[~marked], video[~marked])
    assert pv.psnr(clean, found) > pv.psnr(clean, video) + 14
    assert report["marked"] == pytest.approx(marked.mean())
    with pytest.raises(pv.ParameterError, match="one of mask, mask_key and detect"):
        pv.inpaint(video, mask, detect="dust")
    with pytest.raises(pv.ParameterError, match="detect and causal"):
        pv.inpaint(video, detect="dust", causal=True)


def test_what_appears_and_stays_is_no_dust():
    still = np.repeat(moving(1), 6, axis=0)
    still[3:, 40:46, 60:66] = 0.0
    still[3:, 20:26, 30:36] = 1.0
    assert not pv.detect_dust(still).any()


def test_where_surroundings_are_missed_as_well_spots_are_no_dust():
    still = np.repeat(moving(1), 6, axis=0)
    rough = gaussian_filter(np.random.default_rng(3).standard_normal(SIDE), 1.5)
    still[::2] += 0.04 * rough / rough.std()
    assert not pv.detect_dust(still).any()  # 9 % if only the frames around told what to expect.


def test_what_is_long_is_no_dust_though_it_passes_in_one_frame():
    video, pole = np.repeat(moving(1), 5, axis=0), np.zeros((5, *SIDE), bool)
    pole[2, 5:80, 60:63] = True
    assert not pv.detect_dust(np.where(pole, 1.0, video)).any()
    pole[2, 25:80] = False
    assert pv.detect_dust(np.where(pole, 1.0, video))[pole].mean() > 0.9


def test_dust_on_what_cannot_be_followed_stands_out_in_space():
    video, mask = np.repeat(moving(1), 5, axis=0), np.zeros((5, *SIDE), bool)
    chaos = gaussian_filter(np.random.default_rng(2).standard_normal((5, 40, SIDE[1])), (0, 6, 6))
    video[:, 30:70] = 0.5 + 0.1 * chaos / chaos.std()
    for t, column in enumerate(range(20, 110, 20)):
        mask[t, 48:53, column : column + 5] = True
    found = pv.detect_dust(np.where(mask, 1.0, video)) > 0
    assert (found & mask).sum() > 0.9 * mask.sum()
    assert (found & mask).sum() > 0.9 * found.sum()


def test_of_what_grows_too_long_the_middle_is_dust():
    video, spot = np.full((5, *SIDE), 0.2), np.zeros((5, *SIDE), bool)
    video[:, :, 64:] = 0.8
    spot[2, 30:35, 40:45] = True
    faint = np.where(spot, 0.7, video)
    faint[2, 5:80, 45:48] += 0.03  # Enough to touch a spot, and not to be one.
    np.testing.assert_array_equal(pv.detect_dust(faint) > 0, spot)


def test_where_the_motion_leads_out_of_both_frames_dust_does_not_hide_dust():
    ground = gaussian_filter(np.random.default_rng(1).standard_normal((140, SIDE[1])), 2.5)
    film = np.stack([0.5 + 0.12 * ground[k : k + SIDE[0]] / ground.std() for k in (20, 26, 20, 26, 20, 26)])
    mask = np.zeros(film.shape, bool)
    mask[[2, 4], :8, 80:92] = True  # Six of its rows are in neither of the frames around.
    found = pv.detect_dust(np.where(mask, 1.0, film)) > 0
    assert found[mask].mean() > 0.9
    assert (found & ~mask).sum() < 0.4 * mask.sum()


def test_spots_in_two_frames_that_overlap_are_marked_as_a_whole():
    film, mask = moving(6), np.zeros((6, *SIDE), bool)
    mask[2, 40:50, 60:70] = mask[3, 44:54, 64:74] = True
    found = pv.detect_dust(np.where(mask, 1.0, film)) > 0
    np.testing.assert_array_equal(found, mask)
