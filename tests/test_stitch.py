"""Stitching: where the other camera sees, its light, seams, what is kept, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import CLIPS, slow
from scipy import ndimage
from views import ground, seen

import pde_video as pv
from pde_video.restoration.homography import Homography
from pde_video.restoration.registration import registered
from pde_video.restoration.stitch import _seam

VIEWS = [
    ({}, (59.5, 140.0)),
    ({"turn": 3}, (60.0, 140.0)),
    ({"turn": -6.5}, (58.0, 120.0)),
    ({"scale": 0.95, "turn": 2}, (60.2, 130.7)),
    ({"bend": (0.06, -0.1)}, (60.0, 128.0)),
]


@pytest.mark.parametrize(("view", "place"), VIEWS)
def test_pictures_are_registered_to_a_fraction_of_a_pixel(view, place):
    scene = ground()
    first, second = scene[:, :140], seen(scene, (90, 110), place, **view)
    fit = registered(first, 1.3 * second[0] + 0.1)
    rows, columns = (one[::9, ::9] for one in second[1])
    inside = columns < 139
    found = fit.homography(rows[inside], columns[inside])
    expected = np.mgrid[:90, :110][:, ::9, ::9][:, inside]
    tolerance = 0.3 if "bend" in view else 0.05
    np.testing.assert_allclose(np.stack(found), expected, atol=tolerance)
    np.testing.assert_allclose(np.stack(fit.homography.back(*found)), [rows[inside], columns[inside]], atol=1e-9)
    assert fit.correlation > 0.98
    assert fit.overlap == pytest.approx(inside.mean(), abs=0.08)


def test_a_homography_maps_from_middle_to_middle():
    one = Homography(np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1.0]]), (40, 60), (20, 30))
    assert [float(at) for at in one(np.float64(19.5), np.float64(29.5))] == pytest.approx([9.5, 14.5 + 0.5 * 30])


def lit(picture, gain=1.2, offset=10 / 255, vignetting=0.2):
    y, x = np.mgrid[: picture.shape[-2], : picture.shape[-1]]
    middle = [(n - 1) / 2 for n in picture.shape[-2:]]
    squares = ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (middle[0] ** 2 + middle[1] ** 2)
    return (gain * picture + offset) * (1 - vignetting * squares)


def against(found, scene, corner=(0, 0)):
    """The PSNR of a canvas, whose first pixel is the scene's at a corner, where neither is missing."""
    found = found[..., max(0, -corner[0]) :, max(0, -corner[1]) :]
    corner = tuple(max(0, at) for at in corner)
    part = scene[..., corner[0] : corner[0] + found.shape[-2], corner[1] : corner[1] + found.shape[-1]]
    found = found[..., : part.shape[-2], : part.shape[-1]]
    shown = found != 0
    return pv.psnr(part[shown], found[shown])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("turn", [0, 3])
def test_a_clip_that_was_cut_in_two_is_whole_again(turn, name, clips):
    film = np.stack([one for one, _ in zip(pv.read(clips[name]), range(3), strict=False)])[:, -280:, -360:]
    film = pv.to_gray(film.astype(np.float32) / 255).astype(float)
    height, width = film.shape[1:]
    begins = int(0.42 * width)
    margin = math.ceil(abs(math.sin(math.radians(turn))) * width / 2)
    size, place = (height - 2 * margin, width - begins - 2 * margin), ((height - 1) / 2, (width + begins - 1) / 2)
    right = np.stack([lit(seen(one, size, place, turn=turn)[0]) for one in film])
    report = {}
    found = pv.stitch(film[:, :, : int(0.58 * width)], right, report=report)
    assert found.shape[2] >= width - margin - 2
    assert against(found, film, (-report["row"], -report["column"])) > 40
    assert report["agreement"] > 0.9
    assert report["overlap"] > 0.2


def test_what_is_shown_of_the_first_is_as_it_was_and_colours_have_their_own_light():
    scene = np.stack([ground(seed=k) for k in (2, 3, 4)], axis=-1)[np.newaxis]
    gains = np.array([0.7, 1.0, 1.3])
    found = pv.stitch(scene[:, :, :140], gains * scene[:, :, 90:])
    np.testing.assert_array_equal(found[:, :, :90], scene[:, :, :90])
    assert pv.psnr(scene, found) > 45
    eight = np.rint(255 * np.clip(scene, 0, 1)).astype(np.uint8)
    both = pv.stitch(eight[:, :, :140], eight[:, :, 90:])
    assert both.dtype == np.uint8
    assert np.abs(both.astype(int) - eight).max() <= 1


@pytest.mark.parametrize(
    ("one", "other"), [((0, 90), (0, 0)), ((0, 0), (50, 0)), ((50, 0), (0, 20)), ((30, 60), (0, 0))]
)
def test_the_other_may_lie_anywhere(one, other):
    scene = ground()
    parts = [scene[np.newaxis, i : i + 70, j : j + 130] for i, j in (one, other)]
    report = {}
    found = pv.stitch(*parts, report=report)
    corner = tuple(map(min, one, other))
    assert (report["row"], report["column"]) == tuple(a - b for a, b in zip(one, corner, strict=True))
    assert found.shape[1:] == tuple(max(a, b) + n - c for a, b, n, c in zip(one, other, (70, 130), corner, strict=True))
    assert against(found, scene[np.newaxis], corner) > 50
    assert report["uncovered"] == pytest.approx((found == 0).mean(), abs=1e-9)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("upright", [True, *slow(False)])
def test_each_side_of_the_seam_has_the_video_of_that_side(upright, flipped, rng):
    scene = ground()[np.newaxis] if upright else ground().swapaxes(0, 1)[np.newaxis]
    parts = [scene[..., :140], scene[..., 90:]] if upright else [scene[:, :140], scene[:, 90:]]
    first, other = parts[::-1] if flipped else parts
    found = pv.stitch(first, other + 0.02 * rng.standard_normal(other.shape))
    kept = found == scene
    kept = kept[0] if upright else kept[0].T
    assert kept[:, 140:].all() if flipped else kept[:, :90].all()
    shared = kept[:, 90:140]
    assert (np.diff(shared.astype(int), axis=1) * (1 if flipped else -1) >= 0).mean() > 0.999  # In one piece.


@pytest.mark.parametrize("turn", [-8, *slow(8)])
def test_fine_details_are_registered_after_a_large_turn(turn):
    scene = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((260, 420)), 1.2)
    second, where = seen(scene, (200, 220), (130.0, 250.0), turn=turn)
    fit = registered(scene[:, :260], second + 0.3 * scene.std() * np.random.default_rng(2).standard_normal((200, 220)))
    rows, columns = (one[::19, ::19] for one in where)
    inside = columns < 259
    expected = np.mgrid[:200, :220][:, ::19, ::19][:, inside]
    np.testing.assert_allclose(np.stack(fit.homography(rows[inside], columns[inside])), expected, atol=0.3)


def test_the_best_of_several_places_is_found_out_by_a_closer_look():
    scene = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((120, 260)), 1.0)
    second, where = seen(scene, (90, 110), (59.5, 160.5), turn=2.5)  # Between the turns that are tried.
    first = scene[:, :135].copy()
    noise = 0.3 * scene.std() * np.random.default_rng(9).standard_normal((90, 30))
    first[10:100, :30] = second[:, -30:] + noise  # Elsewhere much is alike, at whole pixels and without a turn.
    fit = registered(first, second)
    expected = np.mgrid[:90, :110][:, where[1] < 134]
    np.testing.assert_allclose(np.stack(fit.homography(*where[:, where[1] < 134])), expected, atol=0.05)
    assert fit.weakest > 0.98


def test_what_lies_along_one_edge_tells_where_that_is(rng):
    edge = np.where(np.arange(220) < 110, 0.2, 0.8) * np.ones((1, 120, 1))
    spot = 0.3 * (np.hypot(*(np.mgrid[:120, :220] - np.array([[[40]], [[116]]]))) < 3)
    noise = 2e-3 * rng.standard_normal((2, 1, 120, 220))
    left, right = edge + spot + noise
    found = pv.stitch(left[..., :140], right[..., 90:])
    assert found.shape == edge.shape
    assert np.abs(found - edge - spot).max() < 0.02
    with pytest.raises(pv.InputError, match="slopes 0"):
        pv.stitch(left[..., :140], (right - spot)[..., 90:])


def test_a_seam_goes_where_both_agree_and_stays_there():
    scene = np.repeat(ground()[np.newaxis], 6, axis=0)
    right = scene[:, :, 80:].copy()
    for t in range(6):  # Something that only one of them sees, as it is near: not in the seam.
        right[t, 40:70, 20 : 24 + t] += 0.4
    found = pv.stitch(scene[:, :, :140], right)
    missing = np.abs(found - scene)[:, 40:70, 95:115].mean()
    whole = np.abs(found - np.concatenate([scene[:, :, :80], right], axis=2))[:, 40:70, 95:115].mean()
    assert min(missing, whole) < 0.01  # It is there, or not there, as a whole.


def test_a_seam_is_a_path_of_least_cost(rng):
    cost = rng.random((7, 6))
    seam = _seam(cost, None)
    assert (np.abs(np.diff(seam)) <= 1).all()

    def least(row, column):
        below = [c for c in (column - 1, column, column + 1) if 0 <= c < 6]
        return cost[row, column] + (min(least(row + 1, c) for c in below) if row < 6 else 0)

    assert cost[np.arange(7), seam].sum() == pytest.approx(min(least(0, c) for c in range(6)))
    np.testing.assert_array_equal(_seam(cost + 100 * (np.arange(6) != 2), None), 2)
    np.testing.assert_array_equal(_seam(0.001 * cost, np.full(7, 4)), 4)  # It stays where it was.


def test_streams_and_threads_agree(threads):
    film = np.stack([ground(), 0.9 * ground(), ground()]).astype(np.float32)
    whole = pv.stitch(film[:, :, :140], film[:, :, 90:])
    np.testing.assert_array_equal(np.stack(list(pv.stitch(iter(film[:, :, :140]), iter(film[:, :, 90:])))), whole)
    threads(1)
    np.testing.assert_array_equal(pv.stitch(film[:, :, :140], film[:, :, 90:]), whole)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            np.random.default_rng(5).random((1, 60, 80)),
            "is not seen to overlap the video: details have a correlation of 0",
        ),
        (ground(seed=9)[np.newaxis], "\\(0.65\\), on .* of the smaller one \\(5%\\)"),
        (np.full((1, 60, 80), 0.5), "not seen to overlap"),
        (np.zeros((1, 60, 80, 3)), "the video has 1 channels, the other video 3"),
        (np.zeros((3, 60, 80)), "the other video has 3 frames|the video has 2 frames"),
    ],
)
def test_what_does_not_fit_is_refused(other, said):
    with pytest.raises(pv.InputError, match=said):
        pv.stitch(np.stack([ground()[:, :140]] * 2), other)


def test_blank_pictures_and_single_edges_tell_no_place(rng):
    blank, edge = np.full((1, 64, 80), 0.5), np.zeros((1, 64, 120))
    edge[..., 60:] = 1.0
    noisy = [edge + 1e-3 * rng.standard_normal(edge.shape) for _ in range(2)]
    parts = [(edge[..., :90], edge[..., 30:]), (noisy[0][..., :90], noisy[1][..., 30:])]
    for one, other in ((blank, blank), (np.full((1, 64, 80), 128, np.uint8),) * 2, *parts):
        with pytest.raises(pv.InputError, match="not seen to overlap"):
            pv.stitch(one, other)


def test_a_channel_without_light_keeps_its_values():
    scene = np.stack([ground(), 0 * ground()], axis=-1)[np.newaxis]
    found = pv.stitch(scene[:, :, :140], scene[:, :, 90:])
    assert pv.psnr(scene, found) > 45


def test_small_pictures_that_agree_by_chance_are_refused():
    for seed in range(24):
        pictures = np.random.default_rng(seed).random((2, 1, 12, 14))
        with pytest.raises(pv.InputError, match="not seen to overlap"):
            pv.stitch(*pictures)


def test_a_third_clip_that_is_of_another_place_is_refused_by_name(tmp_path, call):
    scene = np.rint(255 * np.clip(np.stack([ground()] * 3), 0, 1)).astype(np.uint8)
    stranger = np.rint(255 * np.clip(np.stack([ground(seed=8)] * 3), 0, 1)).astype(np.uint8)
    for name, part in (("left", scene[:, :, :140]), ("right", scene[:, :, 90:]), ("stranger", stranger)):
        pv.write(tmp_path / f"{name}.tif", part)
    both = ("stitch", tmp_path / "left.tif", tmp_path / "both.tif", "--other", tmp_path / "right.tif")
    code, _, error = call(*both)
    assert (code, error) == (0, "")
    assert np.abs(np.stack(list(pv.read(tmp_path / "both.tif"))).astype(int) - scene).max() <= 1
    code, _, error = call("stitch", tmp_path / "both.tif", tmp_path / "all.tif", "--other", tmp_path / "stranger.tif")
    assert code == 4
    assert "stranger.tif is not seen to overlap" in error
    assert not (tmp_path / "all.tif").exists()
