"""Stitching videos of cameras that move, and whose light changes: against what they would see of a scene."""

import math

import numpy as np
import pytest
from cases import slow
from scipy import ndimage
from views import ground, seen

import pde_video as pv
from pde_video.restoration.homography import SIMILARITY, Homography
from pde_video.restoration.registration import registered
from pde_video.restoration.tracking import Place, followed, levels

SIZE = (100, 141)  # Odd, so that middles of halved pictures are elsewhere.
SCENE = ground(240, 440)


def away(t, speed):
    """The same, where the other goes up and to the right."""
    first, second = pan(0, speed)
    return first, second | {"place": (124 - 3 * t, 232 + 4 * t)}


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
    place = Place.of(registered(first[0], second[0]).homography)
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
    first, second, _ = filmed(8, views=away)
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
    assert f"by up to 1 pixels, as it moves against the first; room={room} keeps them" in less["warnings"][0]


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


@pytest.mark.parametrize("wide", [25, *slow(10, 35)])
def test_someone_nearer_who_walks_by_does_not_move_cameras_that_stand_still(wide, rng):
    scene, person = ground(120, 240), 2 * ndimage.gaussian_filter(rng.standard_normal((110, wide)), 2) + 0.5
    left, right = (np.stack([scene[:, part]] * 20) for part in (slice(0, 160), slice(82, 240)))
    for t in range(20):
        for film, at in ((left, 60 + 5 * t), (right, 60 + 5 * t - 82 + 4)):  # Four pixels of parallax.
            begin, end = max(at, 0), min(at + wide, film.shape[2])
            if begin < end:
                film[t, 5:115, begin:end] = person[:, begin - at : end - at]
    left, right = (one + 0.008 * rng.standard_normal(one.shape) for one in (left, right))
    report = {}
    found = pv.stitch(left, right, report=report)
    assert not report["moves"]
    for t in range(20):
        assert np.abs(found[t, :, 205:] - scene[:, 205:]).mean() < 0.03 or 60 + 5 * t + wide > 200


def test_vibration_by_a_fifth_of_a_pixel_is_none():
    def vibrating(t, _):
        return (120, 150), {"place": (120 + 0.2 * (t % 2), 220)}

    first, second, _ = filmed(6, views=vibrating)
    report = {}
    pv.stitch(first, second, report=report)
    assert not report["moves"]


def test_where_nothing_agrees_the_light_stays_as_it_was(rng):
    scene = np.stack([ground(120, 420)] * 8)
    left, right = scene[:, :, :140].copy(), 1.2 * scene[:, :, 90:]
    left[3, :, 85:] = 0.9 + 0.01 * rng.standard_normal((120, 55))
    right[5] = 0.02 * rng.random((120, 330))
    report = {}
    found = pv.stitch(left, right, report=report)
    assert np.abs(found[3, :, 300:] - scene[3, :, 300:]).max() < 0.02
    assert np.abs(found[5]).max() < 2
    assert "details do not agree in 2 frames, the first of them number 3" in report["warnings"][0]
    assert not report["moves"]


@pytest.mark.parametrize(("gain", "offset"), [(1, -300), (1, 100), (1e-9, 0), (300, 30000), (1e12, 0)])
def test_values_in_any_unit_are_stitched(gain, offset):
    scene = gain * ground()[np.newaxis] + offset
    found = pv.stitch(scene[..., :140], 1.2 * scene[..., 90:] + gain)
    assert np.abs(found - scene).max() < 0.01 * gain + 1e-4 * abs(offset) * (abs(offset) < 1000)


def test_a_channel_without_contrast_has_the_light_of_the_others(rng):
    scene = np.stack([ground(), ground(seed=4), np.full((120, 220), 0.5)], axis=-1)[np.newaxis]
    scene[:, :, 150:, 2] += 0.2 * (ground()[:, 150:] - 0.5)
    noise = rng.standard_normal((2, *scene.shape)) / 255
    found = pv.stitch((scene + noise[0])[:, :, :140], 1.1 * (scene + noise[1])[:, :, 90:])
    assert pv.psnr(scene, found) > 45


def test_a_camera_that_rolls_is_followed():
    def rolling(t, _):
        return (120, 150), {"place": (120, 210), "turn": 6.0 * t}

    first, second, places = filmed(16, views=rolling)
    place = Place.of(registered(first[0], second[0]).homography)
    for one, two, truth in zip(first, second, places, strict=True):
        place = followed(place, one, two, levels(one, two))
        both = ((truth >= 0) & (truth <= np.reshape(SIZE, (2, 1, 1)) - 1)).all(axis=0)
        assert np.hypot(*(np.stack(place.homography(*truth)) - np.indices(SIZE)))[both].max() < 0.5
    assert not place.missed


@pytest.mark.parametrize("shape", [(1, 1, 200), (1, 200, 5)])
def test_pictures_that_are_too_narrow_are_refused(shape):
    with pytest.raises(pv.InputError, match="each side needs at least 8"):
        pv.stitch(np.zeros((1, 60, 80)), np.zeros(shape))


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
    assert "do not agree in 4 frames, the first of them number 4" in report["warnings"][0]
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
