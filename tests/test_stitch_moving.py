"""Stitching videos of cameras that move, and whose light changes: against what they would see of a scene."""

import math

import numpy as np
import pytest
from cases import slow
from scipy import ndimage
from views import ground, seen

import pde_video as pv
from pde_video.restoration.homography import DISPLACEMENT, SIMILARITY, Details, Homography, Prior
from pde_video.restoration.registration import registered
from pde_video.restoration.tracking import Place, followed, levels

SIZE = (100, 141)  # Odd, so that middles of halved pictures are elsewhere.
SCENE = ground(240, 440)


def pan(t, speed):
    """Where two cameras look at a time: the middle of the first, and the middle, turn and bend of the second."""
    first = 120 + 6 * math.sin(t / 4), 150 + 14 * speed * math.sin(t / 5)
    second = {"place": (124 - 4 * math.sin(t / 6), 232 - 5 * speed * t), "turn": 2 * math.sin(t / 7) - 1}
    return first, second | {"bend": (0.01, 0.01 + 0.004 * t)}


def filmed(frames=14, speed=1.0, noise=0.0, views=pan):
    """The frames of both, and where in the first the pixels of the other are."""
    rng, films, places = np.random.default_rng(3), [], []
    for t in range(frames):
        one, two = views(t, speed)
        pair = seen(SCENE, SIZE, one), seen(SCENE, SIZE, **two)
        films.append([picture + noise * rng.standard_normal(SIZE) for picture, _ in pair])
        places.append(pair[1][1] - np.reshape(one, (2, 1, 1)) + np.reshape([(n - 1) / 2 for n in SIZE], (2, 1, 1)))
    first, second = np.moveaxis(np.array(films), 1, 0)
    return first, second, places


def against(found, report, frames, views=pan, speed=1.0):
    """The PSNR of every frame against what the first camera would see if it saw more, where it is not missing."""
    height, width = found.shape[1:]
    corner = np.array([report["row"], report["column"]])
    for t in range(frames):
        middle = np.array(views(t, speed)[0]) - (np.array(SIZE) - 1) / 2 - corner
        truth = ndimage.map_coordinates(SCENE, np.mgrid[:height, :width] + middle[:, np.newaxis, np.newaxis], order=3)
        shown = found[t] != 0
        yield pv.psnr(truth[shown], found[t][shown])


@pytest.mark.parametrize("case", [(1.0, 0.0, 0.2), *slow((2.0, 0.0, 0.2), (0.5, 0.02, 1.0))])
def test_the_place_is_followed_to_a_fraction_of_a_pixel(case):
    speed, noise, within = case
    first, second, places = filmed(speed=speed, noise=noise)
    place = Place.of(registered(first[0], second[0]))
    for one, two, truth in zip(first, second, places, strict=True):
        place = followed(place, one, two, levels(one, two))
        both = ((truth >= 0) & (truth <= np.reshape(SIZE, (2, 1, 1)) - 1)).all(axis=0)
        rows, columns = place.homography(*truth)
        apart = np.stack([rows, columns]) - np.indices(SIZE)
        assert np.hypot(*apart)[both].max() < within
    assert place.moves
    assert not place.missed


def test_cameras_that_turn_are_stitched_in_every_frame():
    first, second, _ = filmed()
    report = {}
    found = pv.stitch(first, 1.2 * second + 0.04, room=40, report=report)
    assert report["moves"]
    assert min(against(found, report, len(first))) > 50
    assert "warnings" not in report
    row, column = report["row"], report["column"]
    kept = found[:, row : row + SIZE[0], column : column + SIZE[1]] == first
    assert kept[:5, :, :25].all()


def test_what_leaves_the_picture_is_said_with_the_room_that_keeps_it():
    first, second, _ = filmed(8, views=lambda t, _: pan(-t, 1.0))
    report = {}
    found = pv.stitch(first, second, report=report)
    (said,) = report["warnings"]
    room = int(said.split("room=")[1].split()[0])
    more = {}
    whole = pv.stitch(first, second, room=room, report=more)
    assert "warnings" not in more
    np.testing.assert_allclose(whole[:, room:-room, room:-room], found, atol=0.05)  # Seams go elsewhere.
    less = {}
    pv.stitch(first, second, room=room - 1, report=less)
    assert "by up to 1 pixels" in less["warnings"][0]


def test_cameras_that_stand_still_do_so_whatever_moves_before_them(rng):
    scene = np.stack([ground()] * 8)
    for t in range(8):
        scene[t, 30:90, 60 + 8 * t : 90 + 8 * t] = 0.2 + 0.5 * rng.random((60, 30))
    left, right = scene[:, :, :140], scene[:, :, 80:]
    report = {}
    found = pv.stitch(left + 0.01 * rng.standard_normal(left.shape), right, report=report)
    assert not report["moves"]
    alone = pv.stitch(left[:1], right[:1])
    assert found.shape[1:] == alone.shape[1:]
    assert np.abs(found[:, :, 150:] - scene[:, :, 150:]).max() < 0.03


def test_a_camera_that_is_knocked_is_found_again():
    def knocked(t, _):
        return (120, 150), {"place": (120, 230) if t < 4 else (92, 196), "turn": 0 if t < 4 else 4}

    first, second, _ = filmed(7, views=knocked)
    report = {}
    found = pv.stitch(first, second, room=60, report=report)
    assert min(against(found, report, 7, views=knocked)) > 45
    assert report["moves"]


def test_a_place_that_nothing_tells_stays_until_it_is_found_again():
    first, second, _ = filmed(9)
    second[4:7] = ground(*SIZE, seed=7)
    report = {}  # It is searched for at once, and after one frame, two, and four.
    found = pv.stitch(first, second, room=40, report=report)
    assert "not found in 4 frames, from number 4 on" in report["warnings"][0]
    quality = list(against(found, report, 9))
    assert min(quality[:4] + quality[8:]) > 45


def test_light_that_changes_is_followed():
    scene = np.stack([ground()] * 9)
    t = np.arange(9)[:, np.newaxis, np.newaxis]
    right = (1 + 0.05 * t) * scene[:, :, 90:] - 0.01 * t
    found = pv.stitch(scene[:, :, :140], right)
    assert pv.psnr(scene, found) > 45
    colours = np.stack([scene, scene[::-1] * 0.5, 1 - scene], axis=-1)
    changes = np.stack([1 + 0.05 * t, 1 + 0 * t, 1 - 0.03 * t], axis=-1)
    found = pv.stitch(colours[:, :, :140], changes * colours[:, :, 90:])
    assert pv.psnr(colours, found) > 45


@pytest.mark.parametrize("size", [(90, 121), (91, 120), (93, 123)])
def test_halved_pictures_of_odd_sizes_tell_the_same_place(size):
    first, second = SCENE[40 : 40 + size[0], 50 : 50 + size[1]], SCENE[44:148, 101:250]
    matrix = np.eye(3)
    unit = max(size) / 2
    middles = [40 + (size[0] - 1) / 2, 50 + (size[1] - 1) / 2], [44 + 103 / 2, 101 + 148 / 2]
    matrix[:2, 2] = (np.subtract(*middles) / unit)[::-1]
    for compared in levels(first, second):
        found = compared.refined(matrix, SIMILARITY)
        assert np.abs(found.homography.matrix - matrix).max() * unit < 0.2
        assert found.correlation > 0.99


def test_what_was_known_before_counts_as_much_as_it_is_sure(rng):
    first, second = SCENE[40:130, 50:170], SCENE[40:130, 54:174] + 0.05 * rng.standard_normal((90, 120))
    start, expected = np.eye(3), np.eye(3)
    unit = 60
    expected[0, 2] = -4.4 / unit
    compared = Details(first, second)
    free = compared.refined(start, DISPLACEMENT)
    assert free.homography.matrix[0, 2] * unit == pytest.approx(-4, abs=0.1)
    sure = compared.refined(expected, DISPLACEMENT, rounds=4, prior=Prior(expected, 1e12 * np.eye(8)))
    np.testing.assert_allclose(sure.homography.matrix, expected, atol=1e-4)
    told = free.told[2, 2]
    half = compared.refined(start, DISPLACEMENT, scale=free.scale, prior=Prior(expected, told * np.eye(8)))
    assert half.homography.matrix[0, 2] * unit == pytest.approx(-4.2, abs=0.08)  # Half-way.


def test_what_is_behind_a_camera_is_nowhere():
    bent = Homography(np.array([[1, 0, 0], [0, 1, 0], [-2, 0, 1.0]]), (10, 20), (10, 20))
    rows, columns = bent(np.full(2, 4.5), np.array([9.5, 19.0]))
    assert (float(rows[0]), float(columns[0])) == (4.5, 9.5)
    assert np.isnan([rows[1], columns[1]]).all()


def test_streams_and_threads_agree_where_cameras_move(threads):
    first, second, _ = (np.asarray(one, np.float32) if k < 2 else one for k, one in enumerate(filmed(6)))
    whole = pv.stitch(first, second)
    np.testing.assert_array_equal(np.stack(list(pv.stitch(iter(first), iter(second)))), whole)
    threads(1)
    np.testing.assert_array_equal(pv.stitch(first, second), whole)
