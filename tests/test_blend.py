"""Setting a part of another video into a video: exact cases, light, flicker, and what is refused."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

import pde_video as pv


def scene(frames=3, height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    moving = [0.5 + 0.2 * np.sin((columns - 2 * t) / 6) * np.cos(rows / 5) for t in range(frames)]
    return np.stack(moving)


def disc(height=48, width=64, radius=15, place=(24, 30)):
    rows, columns = np.mgrid[:height, :width]
    return (rows - place[0]) ** 2 + (columns - place[1]) ** 2 < radius**2


@pytest.mark.parametrize("radius", [0, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_video_less_a_constant_gives_the_video_back(dtype, radius):
    video = scene().astype(dtype)
    found = pv.blend(video, video - dtype(0.25), disc(), radius=radius)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, video, atol=2e-7)


@pytest.mark.parametrize("factor", [0.2, 1.7])
def test_the_video_in_other_exposure_gives_the_video_back(factor):
    video = scene()
    np.testing.assert_allclose(pv.blend(video, factor * video, disc(), mode="ratio"), video, atol=1e-12)
    colour = np.stack([video, 0.5 * video, 0.8 * video], axis=3)
    found = pv.blend(colour, colour * [factor, 0.5, 1.0], disc(), mode="ratio")
    np.testing.assert_allclose(found, colour, atol=1e-12)


def test_outside_the_mask_nothing_changes():
    video, inside = np.rint(255 * scene()).astype(np.uint8), disc()
    found = pv.blend(video, 255 - video, inside)
    np.testing.assert_array_equal(found[:, ~inside], video[:, ~inside])
    assert (found[:, inside] != video[:, inside]).mean() > 0.5
    np.testing.assert_array_equal(pv.blend(video, video, inside), video)


@pytest.mark.parametrize("mode", ["difference", "ratio"])
def test_the_membrane_solves_its_equation(rng, mode):
    """Against a sparse solver, for a mask at the border."""
    video, other = rng.uniform(0.2, 0.9, (2, 1, 12, 14))
    inside = disc(12, 14, 5, (3, 7))
    g = np.ones_like(other[0]) if mode == "difference" else other[0]
    rim = video[0] - other[0] if mode == "difference" else video[0] / other[0]
    index = np.arange(g.size).reshape(g.shape)
    rows, values, columns = [], [], []
    for axis in (0, 1):
        a, b = (np.delete(index, end, axis).ravel() for end in (-1, 0))
        face = 2 / (1 / g.ravel()[a] + 1 / g.ravel()[b])
        for i, j in ((a, b), (b, a)):
            rows += [i, i]
            columns += [i, j]
            values += [face, -face]
    operator = sparse.csr_matrix(tuple([np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))]))
    known, unknown = np.flatnonzero(~inside), np.flatnonzero(inside)
    m = spsolve(operator[unknown][:, unknown].tocsc(), -operator[unknown][:, known] @ rim.ravel()[known])
    expected = other[0][inside] + m if mode == "difference" else other[0][inside] * m
    found = pv.blend(video, other, inside, mode=mode)[0][inside]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(rim))


def test_what_flickers_around_hardly_flickers_in_the_insert(rng):
    still = np.repeat(scene(1), 40, axis=0)
    insert, inside = np.flip(still, axis=2), disc()
    for light in (1 + 0.05 * rng.standard_normal((40, 1, 1)), 1 + 0.05 * rng.standard_normal(still.shape)):
        for causal in (False, True):
            alone, steady = (pv.blend(still * light, insert, inside, radius=r, causal=causal) for r in (0, 8))
            flicker = [np.square(np.diff(video, axis=0)[8:, inside]).mean() for video in (steady, alone)]
            assert flicker[0] < (1.0 if causal else 0.3) ** 2 * flicker[1]


def test_what_fades_and_what_moves_at_the_rim_leaves_no_seam():
    """A membrane of the past would be late by half of its memory, for good."""
    still, inside = scene(1), disc()
    fade = np.linspace(1, 0.5, 30)[:, np.newaxis, np.newaxis] * still
    dim = 0.5 * still[0]
    np.testing.assert_allclose(pv.blend(fade, dim, inside, mode="ratio"), fade, atol=1e-6)
    rise = still + 0.02 * np.arange(12)[:, np.newaxis, np.newaxis]
    found = pv.blend(still.repeat(12, axis=0), rise, inside)
    np.testing.assert_allclose(found, still.repeat(12, axis=0), atol=1e-6)
    moving = scene(20)
    found = pv.blend(moving, np.full((48, 64), 0.3), inside)
    rim, inner = disc(radius=16) & ~inside, inside & ~disc(radius=14)
    step = [abs(one[rim].mean() - one[inner].mean()) for one in (found[10], moving[10])]
    assert abs(found[10][inner] - moving[10][inner]).mean() < 0.02
    assert step[0] < step[1] + 0.005


def test_something_that_comes_is_followed_at_once(rng):
    """As deep as the light of still scenes reaches, and not only as deep as what is left at the rim fades."""
    still, inside = scene(1), disc(radius=20)
    video = still.repeat(20, axis=0) * (1 + 0.01 * rng.standard_normal((20, 48, 64)))
    video[8:] += 0.3
    found = pv.blend(video, still, inside)
    light = (found - still)[:, 20:28, 26:34].mean(axis=(1, 2))
    np.testing.assert_allclose(light, np.where(np.arange(20) < 8, 0, 0.3), atol=0.01)


def test_the_rim_is_that_of_a_straight_line_through_the_frames_around():
    still, light = scene(1), np.array([0.0, 0.1, 0.05, 0.3, 0.2, 0.25, 0.1])
    video = still + light[:, np.newaxis, np.newaxis]
    found = pv.blend(video, still, disc(radius=23), radius=2) - still
    for t in range(7):
        some = np.arange(max(0, t - 2), min(7, t + 3))
        line = np.polyval(np.polyfit(some, light[some], 1), t)
        near = np.arange(max(0, t - 1), min(7, t + 2))
        rest = np.polyval(np.polyfit(near, light[near], 1), t) - line
        assert found[t, 24, 30] == pytest.approx(line, abs=0.02 * abs(rest) + 1e-6)  # Far from the rim, e has faded.


def test_what_is_left_at_the_rim_fades_as_it_says(rng):
    """Against a sparse solver: e of rows that are alike."""
    texture = 0.2 * rng.random((3, 60))
    video = np.repeat(texture[np.newaxis] + 0.5, 5, axis=0)
    video[2] += 0.2
    inside = np.zeros((3, 60), bool)
    inside[:, 10:50] = True
    found = (pv.blend(video, texture, inside, radius=2) - texture - 0.5)[2, 1]
    steady, near = 0.2 / 5, 0.2 / 3
    size, c = 40, 1 / 16
    operator = sparse.diags([1.0, -2.0 - c, 1.0], [-1, 0, 1], shape=(size, size)).tocsc()
    right = np.zeros(size)
    right[[0, -1]] = -(near - steady)
    np.testing.assert_allclose(found[10:50], steady + spsolve(operator, right), atol=1e-5)


def test_scenes_of_either_video_and_new_parts_of_a_mask_begin_anew():
    one, other = scene(3), 1 - np.transpose(scene(3, 64, 48), (0, 2, 1)) * np.linspace(0.1, 1, 64)
    video = np.concatenate([one, other])
    report = {}
    found = pv.blend(video, video - 0.2, disc(), report=report)
    np.testing.assert_allclose(found, video, atol=1e-7)
    assert report["cuts"] == [3]
    foreground = np.zeros_like(one)
    np.testing.assert_array_equal(pv.blend(video, np.zeros((48, 64)), disc())[3:], pv.blend(other, foreground, disc()))
    still = scene(1).repeat(6, axis=0)
    insert = np.concatenate([scene(1).repeat(3, axis=0) * 0.5, other[:1].repeat(3, axis=0)])
    report = {}
    found = pv.blend(still, insert, disc(), report=report)
    np.testing.assert_allclose(found, pv.blend(still, insert, disc(), radius=0), atol=1e-6)
    assert report["cuts"] == [3]
    masks = np.stack([disc(), np.ones((48, 64), bool), disc() | disc(radius=4, place=(24, 55))])
    brighter = scene(1) + 0.1 * np.arange(1, 4)[:, np.newaxis, np.newaxis]
    found = pv.blend(brighter, scene(1)[0], masks)
    np.testing.assert_allclose(found[[0, 2]], brighter[[0, 2]], atol=3e-6)
    np.testing.assert_array_equal(found[1], scene(1)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_ratio_in_parts_of_unequal_size_is_exact(dtype):
    scene, parts = np.full((2, 100, 140), 0.4, dtype), np.zeros((100, 140), bool)
    parts[20:60, 30:90] = parts[70:80, 100:130] = True
    np.testing.assert_allclose(pv.blend(scene, scene / 2, parts, mode="ratio"), scene, atol=1e-5)


def test_dark_pixels_at_the_rim_do_not_ruin_a_ratio():
    video, dark = scene(1), 0.5 * scene(1)
    for value in (0.0, 1e-9, 1e-3, 0.004):
        dark[0, 24, 45] = value
        found = pv.blend(video, dark, disc(), mode="ratio")[0]
        assert np.abs(found - video[0])[disc()].mean() < 0.03
        assert found[disc()].max() < 1.3
    black = np.clip(scene() - 0.4, 0, 1)
    assert np.abs(pv.blend(black, 0.5 * black, disc(), mode="ratio") - black).mean() < 2e-3
    spot = 0.5 * scene(1).repeat(9, axis=0)
    spot[5, 0, 0] = 0.0  # Far from the mask.
    still = scene(1).repeat(9, axis=0)
    np.testing.assert_allclose(pv.blend(still, spot, disc(), mode="ratio"), still, atol=1e-9)


@pytest.mark.parametrize(
    "labels", [np.int8([0, 1]), np.uint8([0, 2]), np.int64([0, 1]), np.uint16([0, 65535])], ids=str
)
def test_masks_of_two_numbers_are_taken(labels):
    expected = pv.blend(scene(), 1 - scene(), disc())
    np.testing.assert_array_equal(pv.blend(scene(), 1 - scene(), labels[disc().astype(int)]), expected)


def test_masks_that_look_wrong_are_said():
    for mask, said in ((np.zeros((48, 64), bool), "nothing is masked"), (~disc(), "is the mask inverted")):
        report = {}
        pv.blend(scene(), 1 - scene(), mask, report=report)
        (warning,) = report["warnings"]
        assert said in warning


def test_arrays_and_streams_and_threads_agree(threads):
    video = scene().astype(np.float32)
    whole = pv.blend(video, 1 - video, disc())
    np.testing.assert_array_equal(np.stack(list(pv.blend(iter(video), iter(1 - video), disc()))), whole)
    threads(1)
    np.testing.assert_array_equal(pv.blend(video, 1 - video, disc()), whole)


def test_neither_the_foreground_nor_the_mask_is_written_to():
    video, inside = scene(), disc()
    other = 1 - video
    kept = other.copy(), inside.copy()
    pv.blend(video, other, inside, mode="ratio")
    np.testing.assert_array_equal(other, kept[0])
    np.testing.assert_array_equal(inside, kept[1])


def test_a_grey_foreground_serves_for_colours_and_a_whole_mask_is_a_copy():
    colour = np.repeat(scene()[..., np.newaxis], 3, axis=3) * [1.0, 0.9, 0.8]
    assert pv.blend(colour, scene(), disc()).shape == colour.shape
    np.testing.assert_array_equal(pv.blend(scene(), 1 - scene(), np.ones((48, 64), bool)), 1 - scene())


@pytest.mark.parametrize(
    ("foreground", "mask", "options", "said"),
    [
        (np.zeros((3, 48, 60)), disc(), {}, "48 × 60 pixels"),
        (np.zeros((48, 64)), disc(40, 64), {}, "the mask has frames of 40 × 64"),
        (np.zeros((3, 48, 64, 3)), disc(), {}, "3 channels"),
        (np.zeros((2, 48, 64)), disc(), {}, "the foreground has 2 frames"),
        (np.zeros((48, 64)), np.stack([disc()] * 4), {}, "the mask more"),
        (np.full((48, 64), np.inf), disc(), {}, "infinite"),
        (np.zeros((48, 64, 3)), disc(), {}, "the foreground has 48 frames|single picture in colour"),
        (np.zeros((48, 64)), np.zeros((1, 0, 0), np.uint8), {}, "shape"),
        (np.zeros((48, 64)), np.uint8([[0, 1, 2]] * 4), {}, "frames of 4 × 3 pixels"),
        (np.zeros((48, 64)), disc() * 255.0, {}, "from 0 to 255 of white"),
        (np.zeros((48, 64)), disc().astype(float) * 0.5, {}, "neither black nor white"),
    ],
)
def test_what_does_not_fit_is_refused(foreground, mask, options, said):
    with pytest.raises(pv.InputError, match=said):
        pv.blend(scene(), foreground, mask, **options)
