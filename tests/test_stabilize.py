"""Shaky video: motions of a camera that are found, the path that is taken, and what is beside moved frames."""

from __future__ import annotations

import cmath

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

import pde_video as pv
from pde_video.restoration.along_time import heat_kernel
from pde_video.restoration.camera_motion import Similarity, _by_correlation, _by_flow, camera_motion
from pde_video.restoration.stabilize import _weights

SIZE, EDGE = (80, 112), 30


def scene(seed=0):
    """A picture that is larger than a frame by `EDGE` on each side."""
    found = gaussian_filter(np.random.default_rng(seed).standard_normal([n + 2 * EDGE for n in SIZE]), 2)
    return 0.2 + 0.6 * (found - found.min()) / np.ptp(found)


def shown(picture, way):
    """What a camera sees of a picture that shifts and turns by a motion, by splines of degree 5."""
    return map_coordinates(picture, np.indices(SIZE) + EDGE + way.flow(SIZE), order=5)


def walk(frames=30, shift=2.0, turn=0.5, seed=0):
    drawn = np.random.default_rng(seed).standard_normal((frames, 3)) * [shift, shift, np.radians(turn)]
    return [Similarity(cmath.exp(1j * c), complex(a, b)) for a, b, c in drawn]


def farthest(one, other):
    """How far apart two motions bring the corners."""
    return np.abs(one.then(other.inverse()).flow(SIZE)).max()


def test_similarities_are_a_group():
    one, other = Similarity(1.1 * cmath.exp(0.2j), 3 - 2j), Similarity(0.9 * cmath.exp(-0.5j), 1 + 4j)
    place = 5 + 7j
    moved = one.turn * place + one.shift
    both = one.then(other)
    assert both.turn * place + both.shift == pytest.approx(other.turn * moved + other.shift)
    back = one.inverse()
    assert back.turn * moved + back.shift == pytest.approx(place)
    again = Similarity.of(one.numbers())
    assert (again.turn, again.shift) == (pytest.approx(one.turn), pytest.approx(one.shift))
    down, right = one.flow((7, 11))[:, 6, 10]
    assert complex(right, down) == pytest.approx((one.turn - 1) * (5 + 3j) + one.shift)
    assert one.farthest((7, 11)) == pytest.approx(np.abs(one.flow((7, 11))).max(axis=(1, 2)))


@pytest.mark.parametrize("size", [0.3, 2.0, 5.0])
def test_the_motion_between_two_frames_is_found_to_a_fiftieth_of_a_pixel(size):
    for before, here in zip(walk(5, size, 0.6), walk(5, size, 0.6, seed=1), strict=True):
        found = camera_motion(shown(scene(), before), shown(scene(), here))
        assert farthest(found, before.then(here.inverse())) < 0.02


def test_the_motion_is_that_of_most_of_the_picture():
    before, here = (shown(scene(), Similarity(shift=z)) for z in (0j, 1.3 - 0.6j))
    for frame, at in ((before, 20), (here, 26)):
        frame[25:65, at : at + 50] = scene(3)[:40, :50]
    assert farthest(camera_motion(before, here), Similarity(shift=-1.3 + 0.6j)) < 0.1


@pytest.mark.parametrize("shift", [28 - 11j, -25 + 9j])
def test_jumps_of_a_quarter_of_the_picture_are_found(shift):
    before, here = shown(scene(), Similarity(shift=-shift / 2)), shown(scene(), Similarity(shift=shift / 2))
    matrix = SIZE[1] / 2 * _by_correlation(before, here)
    assert abs(complex(matrix[0, 2], matrix[1, 2]) + shift) < 2
    assert farthest(camera_motion(before, here), Similarity(shift=-shift)) < 0.05


def test_the_flow_tells_the_motion_behind_what_is_near():
    before, here = (shown(scene(), one) for one in (Similarity(), Similarity(cmath.exp(0.03j), 2 - 1j)))
    for frame, at in ((before, 20), (here, 32)):
        frame[25:65, at : at + 50] = scene(3)[:40, :50]
    matrix, unit = _by_flow(before, here), SIZE[1] / 2
    found = Similarity(complex(matrix[0, 0], matrix[1, 0]), unit * complex(matrix[0, 2], matrix[1, 2]))
    assert farthest(found, Similarity(cmath.exp(0.03j), 2 - 1j).inverse()) < 1


def test_no_motion_is_told_of_what_has_no_details():
    assert camera_motion(np.full(SIZE, 0.5), np.full(SIZE, 0.6)) is None
    assert camera_motion(scene()[:12], scene()[:12]) is None


def test_weights_keep_straight_paths_and_are_the_heat_kernel_between_the_ends():
    for before, after in ((0, 12), (3, 12), (1, 2), (12, 12), (0, 1)):
        weights, time = _weights(before, after, 6), np.arange(-before, after + 1)
        assert (weights.sum(), weights @ time) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    np.testing.assert_allclose(_weights(12, 12, 6), heat_kernel(12, 12, 6), atol=1e-12)
    np.testing.assert_array_equal(_weights(0, 0, 6), [1])


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_a_shaken_camera_is_where_the_diffused_path_leads(shift):
    ways, picture = walk(shift=shift), scene()
    found = pv.stabilize(np.stack([shown(picture, way) for way in ways]), smoothing=5)
    inner = np.s_[12:-12, 12:-12]
    for t in (0, 1, 7, 15, 28, 29):
        first, last = max(0, t - 10), min(29, t + 10)
        # The path relative to the frame itself, as numbers.
        to = [ways[t].then(way.inverse()).numbers() for way in ways[first : last + 1]]
        steady = Similarity.of(_weights(t - first, last - t, 5) @ to).inverse().then(ways[t])
        np.testing.assert_allclose(found[t][inner], shown(picture, steady)[inner], atol=0.02)


def test_a_camera_on_a_tripod_leaves_frames_as_they_are(rng):
    film = np.stack([shown(scene(), Similarity())] * 9) + rng.normal(0, 0.01, (9, *SIZE))
    for t in range(9):
        film[t, 30:50, 8 * t : 8 * t + 20] = scene(4)[:20, :20]
    film, report = np.rint(255 * film).astype(np.uint8), {}
    np.testing.assert_array_equal(pv.stabilize(film, report=report), film)
    assert report["largest_correction"] == 0


def test_a_steady_pan_stays_a_pan():
    film = np.stack([shown(scene(), Similarity(shift=1.3 * t - 15 + 0.4j * t)) for t in range(24)])
    np.testing.assert_array_equal(pv.stabilize(film, smoothing=4), film)


def test_scenes_are_steadied_one_by_one():
    one = np.stack([shown(scene(), way) for way in walk(8)])
    other = np.stack([shown(scene(5)[::-1] ** 2, way) for way in walk(7, seed=3)])
    report = {}
    found = pv.stabilize(np.concatenate([one, other]), report=report)
    assert report["cuts"] == [8]
    np.testing.assert_array_equal(found, np.concatenate([pv.stabilize(one), pv.stabilize(other)]))


def test_what_is_beside_a_frame_is_what_others_show():
    ways, picture = walk(15, 4.0, 1.0), scene()
    film, report = np.stack([shown(picture, way) for way in ways]), {}
    black = pv.stabilize(film, borders="black")
    filled = pv.stabilize(film, report=report)
    bare = black == 0
    np.testing.assert_array_equal(filled[~bare], black[~bare])
    assert 0 < report["filled"] == pytest.approx(bare.mean(), rel=1e-6)
    assert report["along_motion"] > 0.95
    for t in (0, 6, 14):
        to = [ways[t].then(way.inverse()).numbers() for way in ways]
        steady = Similarity.of(_weights(t, 14 - t, 15) @ to).inverse().then(ways[t])
        assert np.abs(filled[t] - shown(picture, steady))[bare[t]].mean() < 0.01


def test_crops_have_no_border_and_corrections_no_more_than_the_margin():
    film, report = np.stack([shown(scene(), way) for way in walk(12, 9.0, 2.0)]), {}
    found = pv.stabilize(film, borders="crop", margin=0.05, report=report)
    assert found.shape == (12, SIZE[0] - 8, SIZE[1] - 10)
    black = pv.stabilize(film, borders="black", margin=0.05)
    np.testing.assert_array_equal(found, black[:, 4:-4, 5:-5])
    assert found.min() > 0
    assert 3 < report["largest_correction"] <= np.hypot(4, 5)


def test_channels_move_together():
    grey = np.stack([shown(scene(), way) for way in walk(6)])
    colour = pv.stabilize(grey[..., np.newaxis] * [1.0, 0.5, 0.25])
    np.testing.assert_allclose(colour[..., 0], pv.stabilize(grey), atol=5e-3)
    np.testing.assert_allclose(colour[..., 1], 0.5 * colour[..., 0], atol=1e-9)


@pytest.mark.parametrize("borders", ["fill", "crop", "black"])
@pytest.mark.parametrize("shape", [(1, 20, 30), (3, 1, 1), (4, 2, 9, 3), (3, 40, 17)])
def test_small_videos_are_finite(shape, borders, rng):
    found = pv.stabilize(rng.random(shape).astype(np.float32), borders=borders)
    assert len(found) == shape[0]
    assert found.size
    assert np.isfinite(found).all()
