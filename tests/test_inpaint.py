"""`inpaint`: what is masked is filled along the motion and in space, and nothing else changes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from cases import CLIPS, slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.restoration import expected_errors, trajectories
from pde_video.restoration.in_scenes import prepared
from pde_video.restoration.inpaint import METHODS
from pde_video.restoration.trajectories import between

SIDE = (96, 128)


def texture(frames=9, speed=2, size=SIDE):
    """A smooth texture that moves to the left, (T, H, W), in [0, 1]."""
    ground = gaussian_filter(np.random.default_rng(2).standard_normal((size[0], size[1] + speed * frames)), 2.5)
    ground = 0.5 + 0.12 * ground / ground.std()
    return np.stack([ground[:, speed * t : speed * t + size[1]] for t in range(frames)])


def damage(shape, seed=1):
    """Two scratches that tremble, and dust that is new in every frame."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for one in mask:
        for left in (20, 50):
            first = left + rng.integers(-1, 2)
            one[:, first : first + 2] = True
        for _ in range(4):
            i, j = rng.integers(0, shape[1] - 4), rng.integers(0, shape[2] - 4)
            one[i : i + 4, j : j + 4] = True
    return mask


def spoiled(video, mask):
    return np.where(mask.reshape(mask.shape + (1,) * (video.ndim - 3)), video.max(), video).astype(video.dtype)


def error(found, video, mask):
    """Root-mean-square error inside the mask."""
    return float(np.sqrt(np.square(found - video)[mask].mean()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, *slow(np.uint16, np.float32)])
def test_what_is_not_masked_stays_bit_for_bit(method, dtype):
    video, mask = texture(4), damage((4, *SIDE))
    video = (video * np.iinfo(dtype).max).astype(dtype) if np.dtype(dtype).kind == "u" else video.astype(dtype)
    for clip in (video, np.stack([video, video[..., ::-1], video], axis=-1)):
        found = pv.inpaint(spoiled(clip, mask), mask, method=method)
        assert (found.dtype, found.shape) == (clip.dtype, clip.shape)
        np.testing.assert_array_equal(found[~mask], clip[~mask])
        assert pv.psnr(clip, found) > 30


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("method", ["auto", "eed"])
def test_a_stream_is_an_array_on_any_number_of_threads(method, causal, threads):
    video, mask = texture().astype(np.float32), damage((9, *SIDE))
    whole = pv.inpaint(spoiled(video, mask), mask, method=method, causal=causal, radius=2)
    for n in (1, 3):
        threads(n)
        stream = pv.inpaint(iter(spoiled(video, mask)), iter(mask), method=method, causal=causal, radius=2)
        np.testing.assert_array_equal(np.stack(list(stream)), whole)


def test_causal_uses_no_frame_ahead():
    video, mask = texture(), damage((9, *SIDE))
    whole = pv.inpaint(spoiled(video, mask), mask, causal=True)
    np.testing.assert_array_equal(pv.inpaint(spoiled(video, mask)[:5], mask[:5], causal=True), whole[:5])


def test_time_is_worth_much_where_things_move():
    video, mask = texture(), damage((9, *SIDE))
    by = {method: error(pv.inpaint(spoiled(video, mask), mask, method=method), video, mask) for method in METHODS}
    assert by["auto"] < 0.3 * by["eed"]
    assert by["eed"] < by["heat"]
    assert by["auto"] < 1.02 * by["motion"]


def test_a_mask_that_moves_over_a_still_scene_is_filled_exactly():
    video = np.repeat(texture(1), 7, axis=0)
    mask = np.zeros(video.shape, bool)
    for t in range(7):
        mask[t, :, 8 * t : 8 * t + 6] = True
    np.testing.assert_allclose(pv.inpaint(spoiled(video, mask), mask, method="motion"), video, atol=1e-12)
    np.testing.assert_allclose(pv.inpaint(spoiled(video, mask), mask), video, atol=1e-6)


def test_what_space_misses_is_seen_across_what_is_masked():
    stripes = np.repeat(np.sin(np.arange(48.0)), 64).reshape(1, 48, 64)  # They change down the rows alone.
    errors = []
    for part in (np.s_[:, 30:33], np.s_[20:23, :], np.s_[20:23, 30:33], np.s_[20:21, :]):
        mask = np.zeros((48, 64), bool)
        mask[part] = True
        errors.append(expected_errors.missed_in_space(stripes, mask, 1.0)[mask].mean())
    # Along rows nothing is missed; along columns sin x − (sin(x − 1) + sin(x + 1)) / 2 = (1 − cos 1) sin x.
    missed = 4 * (1 - np.cos(1)) ** 2 / 2
    assert errors[0] < 1e-3 * missed
    np.testing.assert_allclose(errors[1:], [missed, missed / 2, missed / 4], rtol=0.2)


def test_of_holes_little_is_known_in_space():
    flat, mask = np.zeros((1, 200, 200)), np.zeros((200, 200), bool)
    mask[20:180, 20:180] = True
    assert expected_errors.missed_in_space(flat, mask, 3.0)[100, 100] == pytest.approx(9)
    mask[20:180] = False
    mask[::2] = True  # Rows that touch the border on both sides: across, nothing tells.
    assert expected_errors.missed_in_space(flat, mask, 3.0)[100, 100] < 0.01
    assert expected_errors.missed_in_space(flat, ~np.zeros_like(mask), 3.0)[100, 100] == pytest.approx(9)


def test_runs_are_counted_and_endless_at_the_border():
    mask = np.array([[1, 0, 1, 1, 0, 1, 0, 1, 1]], bool)
    endless = expected_errors._ENDLESS
    assert expected_errors._run(mask, 1).tolist() == [[endless, 1, 2, 2, 1, 1, 1, endless, endless]]
    np.testing.assert_array_equal(expected_errors._run(mask.T, 0), expected_errors._run(mask, 1).T)


def test_what_the_motion_misses_is_seen_at_the_rim():
    mask, wide = np.zeros((2, 48, 64), bool)
    mask[20:24, 30:34] = wide[18:26, 28:36] = True
    inner = mask[wide]

    def expected(surest: np.ndarray, at: np.ndarray = wide) -> np.ndarray:
        n = int(at.sum())
        return expected_errors.missed_at_rim(np.full(n, 0.01), np.ones(n, bool), surest, mask, at, 1.0)

    np.testing.assert_allclose(expected(np.full(64, 1e4)), 0.01, rtol=0.01)
    np.testing.assert_allclose(expected(np.where(inner, 2.5e3, 1e4)), 0.02, rtol=0.05)  # It grows with the root.
    np.testing.assert_allclose(expected(np.full(16, 1e4), mask), 1e-4)  # Without a rim that of the best frame is all.


def test_frames_far_away_count_less():
    still, mask = texture(1)[0][..., np.newaxis], np.zeros((4, *SIDE), bool)
    mask[3, 40:50, 60:70] = True
    pictures = [prepared((still, one))._replace(number=k, original=k) for k, one in enumerate(mask)]
    shown = trajectories._gathered((3, [*pictures[:3], trajectories._linked((3, pictures))])).shown
    np.testing.assert_allclose(shown.weight / shown.surest, 1 + 1 / 2 + 1 / 3)


def test_a_ramp_in_uniform_motion_is_filled_to_rounding():
    rows, columns = np.mgrid[:64, :96]
    ramp = np.stack([2.0 * (columns + t) + rows % 1 + 3.0 * rows / 8 for t in range(6)])
    mask = np.zeros(ramp.shape, bool)
    mask[:, :, 40:43] = mask[3, 20:26, 60:68] = True
    found = pv.inpaint(np.rint(ramp).astype(np.uint16), mask)
    assert np.abs(found.astype(float) - ramp).max() <= 1


def test_nothing_passes_a_cut():
    first, second = texture(5), 1 - texture(5, 3)[:, ::-1] ** 2
    video, mask = np.concatenate([first, second]), damage((10, *SIDE))
    report = {}
    whole = pv.inpaint(spoiled(video, mask), mask, report=report)
    assert report["cuts"] == [5]
    parts = [pv.inpaint(spoiled(video, mask)[k : k + 5], mask[k : k + 5]) for k in (0, 5)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_what_was_seen_long_ago_is_carried_on():
    video = texture(20, 1)
    mask = np.zeros(video.shape, bool)
    mask[:, 20:34, 30:48] = True  # 18 columns wide: one is seen in the frame before, the others earlier.
    bad = spoiled(video, mask)
    last = [pv.inpaint(bad[first:], mask[first:], radius=1, causal=True)[-1] for first in (0, 17)]
    errors = [error(one, video[-1], mask[-1]) for one in last]
    assert errors[0] < 0.4 * errors[1]


def test_a_frame_that_is_masked_as_a_whole_is_like_those_around():
    video, mask = texture(5, 0).astype(np.float32), np.zeros((5, *SIDE), bool)
    mask[2] = True
    report = {}
    found = pv.inpaint(spoiled(video, mask), mask, report=report)
    np.testing.assert_allclose(found, video, atol=1e-4)
    assert "100% of frame 2 is masked" in report["warnings"][0]


@pytest.mark.parametrize(("first", "last"), [(4, 5), (3, 6)])
def test_frames_that_are_masked_as_a_whole_are_where_the_motion_was_then(first, last):
    video, mask = texture(9, 3).astype(np.float32), np.zeros((9, *SIDE), bool)
    mask[first:last] = True
    found = pv.inpaint(spoiled(video, mask), mask)
    share = (np.arange(first, last) - first + 1)[:, np.newaxis, np.newaxis] / (last - first + 1)
    faded = video[first - 1] + share * (video[last] - video[first - 1])
    errors = [np.abs(one - video[first:last])[:, 8:-8, 16:-16].mean() for one in (found[first:last], faded)]
    assert errors[0] < 0.15 * errors[1]
    kept = np.delete(np.arange(9), range(first, last))
    np.testing.assert_array_equal(found[kept], video[kept])


@pytest.mark.parametrize("causal", [False, True])
def test_lost_frames_at_the_ends_are_the_nearest_ones(causal):
    video, mask = texture(6, 3).astype(np.float32), np.zeros((6, *SIDE), bool)
    mask[0] = mask[5] = True
    found = pv.inpaint(spoiled(video, mask), mask, causal=causal)
    np.testing.assert_array_equal(found[5], video[4])
    if not causal:
        np.testing.assert_array_equal(found[0], video[1])


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_torn_frame_is_filled_as_a_lost_one(share):
    video, mask = texture(7, 3).astype(np.float32), np.zeros((7, *SIDE), bool)
    lost = mask.copy()
    mask[3, int(share * SIDE[0]) :] = lost[3] = True
    errors = [error(pv.inpaint(spoiled(video, one), one), video, mask) for one in (mask, lost)]
    assert errors[0] < 2 * errors[1] < 0.2 * video.std()


def test_the_last_frame_torn_is_like_the_one_before():
    video, mask = texture(6, 3).astype(np.float32), np.zeros((6, *SIDE), bool)
    video[:, :20] = 0.5  # What is known of it does not tell how the rest moves.
    mask[5, 20:] = True
    found = pv.inpaint(spoiled(video, mask), mask)[5, 60:]
    assert np.abs(found - video[4, 60:]).mean() < 0.1 * np.abs(video[4] - video[3])[60:].mean()


def test_what_is_torn_is_no_cut_and_hides_none():
    one, other = texture(4).astype(np.float32), 1 - texture(4, 3)[:, ::-1].astype(np.float32) ** 2
    for video, cuts in ((np.concatenate([one, one[::-1]]), []), (np.concatenate([one, other]), [4])):
        mask, report = np.zeros((8, *SIDE), bool), {}
        mask[2, 20:] = mask[5, :70] = True
        pv.inpaint(spoiled(video, mask), mask, report=report)
        assert report["cuts"] == cuts


@pytest.mark.parametrize("scale", [np.float32(2.0**70), np.float64(2.0**-700)])
@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_floats_does_not_matter(method, scale):
    video, mask = texture(4).astype(scale.dtype), damage((4, *SIDE))
    video[:, 0, 0] = np.finfo(scale.dtype).tiny / scale  # No division may change what is not masked.
    whole = pv.inpaint(np.where(mask, np.finfo(scale.dtype).max, scale * video), mask, method=method)
    np.testing.assert_array_equal(whole, scale * pv.inpaint(video, mask, method=method))
    np.testing.assert_array_equal(whole[~mask], scale * video[~mask])


@pytest.mark.parametrize("unit", [1.0, 1e-25, 1e15])
def test_where_no_motion_explains_the_change_there_is_a_fade(unit):
    film = unit * texture(5, 1)
    moving, at_a_quarter = film[[0, 4]], film[1]
    waning = np.stack([moving[0], 0.2 * moving[0]])  # As of a light that goes out.
    for video, wanted in ((waning, waning[0] - 0.25 * (waning[0] - waning[1])), (moving, at_a_quarter)):
        pair = [prepared((frame[..., np.newaxis].astype(np.float32), np.zeros(SIDE, bool))) for frame in video]
        planes, missed = between(*pair, 0.25)
        apart = np.abs(planes[0] - wanted)[8:-8, 8:-16].mean() / np.abs(video[1] - video[0]).mean()
        assert apart < (0.17 if video is waning else 0.1)
        assert (np.sqrt(missed[8:-8, 8:-8].mean()) > 0.05 * unit) == (video is waning)


@pytest.mark.parametrize("method", ["eed", "heat"])
def test_a_lost_frame_is_not_filled_from_itself(method):
    video, mask = texture(3).astype(np.float32), np.zeros((3, *SIDE), bool)
    mask[1] = True
    with pytest.raises(pv.InputError, match=r"frame 1 is masked as a whole, .* use the method auto"):
        pv.inpaint(video, mask, method=method)


def test_a_cut_at_a_lost_frame_is_a_cut():
    one, other = texture(4).astype(np.float32), 1 - texture(4, 3)[:, ::-1].astype(np.float32) ** 2
    video, mask = np.concatenate([one, other]), np.zeros((8, *SIDE), bool)
    mask[4] = True
    report = {}
    found = pv.inpaint(spoiled(video, mask), mask, report=report)
    assert report["cuts"] == [5]
    assert np.abs(found[4] - one[3]).mean() < 0.5 * np.abs(found[4] - other[1]).mean()


@pytest.mark.parametrize("first", [100, *slow(60)])
@pytest.mark.parametrize("name", [*CLIPS[:1], *slow("bikes", "bigbuckbunny")])
def test_real_clips_gain_and_no_method_is_much_better_than_auto(name, first, clips):
    frames = np.stack(list(islice(pv.read(clips[name]), first, first + 7)))
    video = pv.to_gray((frames[:, 40:200, 200:400] if name != "carphone_pristine" else frames).astype(np.float32) / 255)
    mask = damage(video.shape)
    reached = {
        method: -20 * np.log10(error(pv.inpaint(spoiled(video, mask), mask, method=method), video, mask))
        for method in METHODS
    }
    assert reached["auto"] > reached["heat"] + 2.5
    assert reached["auto"] >= max(reached.values()) - 0.2


# Masks


def test_a_picture_serves_for_all_frames_and_a_colour_or_missing_values_as_well(tmp_path):
    video = (255 * texture(4)).astype(np.uint8)
    mask = np.zeros(SIDE, bool)
    mask[10:16, 20:24] = True
    expected = pv.inpaint(spoiled(video, np.stack([mask] * 4)), mask, method="eed")
    white = (255 * mask).astype(np.uint8)
    pv.write(tmp_path / "mask.png", white[np.newaxis])
    bad = np.where(mask, 7, video).astype(np.uint8)
    for one in (
        tmp_path / "mask.png",
        str(tmp_path / "mask.png"),
        white,
        mask.astype(np.uint8),
        mask[np.newaxis],
        [mask],
    ):
        np.testing.assert_array_equal(pv.inpaint(bad, one, method="eed"), expected)
    colour = np.stack([video] * 3, axis=-1)
    colour[:, mask] = (255, 0, 254)
    found = pv.inpaint(colour, mask_key="#ff00ff", mask_tolerance=1, method="eed")
    np.testing.assert_allclose(found[..., 0].astype(int), expected, atol=1)
    missing = np.where(mask, np.nan, texture(4))
    np.testing.assert_allclose(pv.inpaint(missing, "nan", method="eed") * 255, expected, atol=1.5)


@pytest.mark.parametrize("method", ["auto", "heat"])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((9, 9), bool), "the mask has frames of 9 × 9 pixels, the video of 96 × 128"),
        (np.zeros((3, *SIDE), bool), "the mask has 3 frames, and the video more"),
        (np.zeros((5, *SIDE), bool), "the video has 4 frames, and the mask more"),
        (np.full(SIDE, 100, np.uint8), "neither black nor white"),
        (np.full(SIDE, np.nan), "has NaN or infinite values"),
        (np.zeros((1, 2, 3, 4, 5)), "must be \\(H, W\\)"),
        ([], "has no frame"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, message, method):
    with pytest.raises(pv.InputError, match=message):
        pv.inpaint(texture(4), mask, method=method)


def test_a_mask_is_needed_and_one_only():
    for options in ({}, {"mask": "nan", "mask_key": "00"}):
        with pytest.raises(pv.ParameterError, match=r"give (only )?one of mask, mask_key and detect"):
            pv.inpaint(texture(2), **options)
    for mask in (3, np.float64(1)):
        with pytest.raises(pv.ParameterError, match="it must be an array, frames, or the name of a file"):
            pv.inpaint(texture(2), mask)
    for key in ("green", "12345", "ff00f"):
        with pytest.raises(pv.ParameterError, match="RRGGBB"):
            pv.inpaint(texture(2), mask_key=key)
    with pytest.raises(pv.InputError, match="the video 1"):
        pv.inpaint(texture(2), mask_key="ff0000")


def test_masks_that_look_wrong_are_warned_of():
    video = texture(2)
    for mask, message in (
        (np.zeros(SIDE, bool), "nothing is masked"),
        (np.add.outer(np.arange(SIDE[0]), np.zeros(SIDE[1])) < 72, "75% of frame 0 is masked"),
    ):
        report = {}
        pv.inpaint(video, mask, method="heat", report=report)
        assert len(report["warnings"]) == 1
        assert message in report["warnings"][0]
    lossy = np.where(damage((1, *SIDE))[0], 250, 3).astype(np.uint8)
    lossy[0, :3] = 90
    report = {}
    pv.inpaint(video, lossy, method="heat", report=report)
    assert ["grey values" in one for one in report["warnings"]] == [True]


def test_the_report_tells_how_much_was_filled():
    video, mask, report = texture(), damage((9, *SIDE)), {}
    pv.inpaint(spoiled(video, mask), mask, report=report)
    assert report["masked"] == pytest.approx(mask.mean())
    assert 0.9 < report["along_motion"] <= 1


def test_on_the_command_line(call, tmp_path):
    video, mask = (255 * texture(4)).astype(np.uint8), damage((4, *SIDE))
    pv.write(tmp_path / "in.npy", spoiled(video, mask))
    pv.write(tmp_path / "mask.mkv", (255 * mask).astype(np.uint8))
    code, _, err = call(
        "inpaint", tmp_path / "in.npy", tmp_path / "out.npy", "--mask", tmp_path / "mask.mkv", "--quiet"
    )
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), pv.inpaint(spoiled(video, mask), mask))
    code, _, err = call("inpaint", tmp_path / "in.npy", tmp_path / "other.npy", "--mask", tmp_path / "none.png")
    assert code == 4
    assert "none.png" in err
    assert not (tmp_path / "other.npy").exists()


def test_missing_values_are_filled_on_the_command_line_too(call, tmp_path):
    holes = texture(3)
    holes[1, 20:26, 30:36] = np.nan
    np.save(tmp_path / "holes.npy", holes)
    code, _, _ = call("inpaint", tmp_path / "holes.npy", tmp_path / "whole.npy", "--mask", "nan", "--method", "eed")
    assert code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), pv.inpaint(holes, "nan", method="eed"))


def test_two_masks_are_one_too_many():
    with pytest.raises(pv.ParameterError, match="takes one mask: give only one of mask, mask_key and detect"):
        pv.inpaint(texture(2), np.zeros(SIDE, bool), detect="dust")


@pytest.mark.parametrize("faint", [1e-18, 1e-22, 0.0])
def test_a_first_frame_that_is_nearly_black_sets_no_unit(faint):
    video, mask = texture().astype(np.float32), damage((9, *SIDE))
    bad = spoiled(video, mask)
    bad[0] *= np.float32(faint)
    whole = pv.inpaint(bad, mask)
    assert error(whole[1:], video[1:], mask[1:]) < 0.01


def test_what_is_never_seen_is_filled_along_edges_beside_what_is_surely_known():
    video, hole = np.repeat(texture(1), 5, axis=0), np.zeros((5, *SIDE), bool)
    hole[:, 40:50, 40:50] = True
    both = hole.copy()
    for t in range(5):
        both[t, 70:80, 20 * t : 20 * t + 12] = True
    found = pv.inpaint(spoiled(video, both), both)
    alone = {method: pv.inpaint(spoiled(video, hole), hole, method=method) for method in ("eed", "heat")}
    assert error(found, alone["eed"], hole) < 0.1 * error(alone["heat"], alone["eed"], hole)
