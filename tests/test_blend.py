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


@pytest.mark.parametrize("memory", [1, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_video_less_a_constant_gives_the_video_back(dtype, memory):
    video = scene().astype(dtype)
    found = pv.blend(video, video - dtype(0.25), disc(), memory=memory)
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
        face = (g.ravel()[a] + g.ravel()[b]) / 2
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
        alone, steady = (pv.blend(still * light, insert, inside, memory=memory) for memory in (1, 16))
        flicker = [np.square(np.diff(video, axis=0)[16:, inside]).mean() for video in (steady, alone)]
        assert flicker[0] < 0.25**2 * flicker[1]


def test_the_mean_of_the_membrane_is_that_of_the_frames_so_far():
    still = scene(1)
    video = np.concatenate([still + 0.1 * t for t in range(1, 6)])
    found = (pv.blend(video, still, disc(), memory=3) - still)[:, 24, 30]
    mean = [0.1, 0.15, 0.2, 0.2 + 0.2 / 3, 0.2 + 0.2 / 3 + (0.3 - 0.2 / 3) / 3]
    np.testing.assert_allclose(found, mean, atol=1e-6)


def test_cuts_and_new_parts_of_a_mask_begin_anew():
    one, other = scene(3), 1 - np.transpose(scene(3, 64, 48), (0, 2, 1)) * np.linspace(0.1, 1, 64)
    video = np.concatenate([one, other])
    report = {}
    found = pv.blend(video, video - 0.2, disc(), report=report)
    np.testing.assert_allclose(found, video, atol=1e-7)
    assert report["cuts"] == [3]
    foreground = np.zeros_like(one)
    np.testing.assert_array_equal(pv.blend(video, np.zeros((48, 64)), disc())[3:], pv.blend(other, foreground, disc()))
    masks = np.stack([disc(), np.zeros((48, 64), bool), disc() | disc(radius=4, place=(24, 55))])
    brighter = scene(1) + 0.1 * np.arange(1, 4)[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(pv.blend(brighter, scene(1)[0], masks)[2], brighter[2], atol=3e-6)


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
    dark = scene() - 0.4
    assert np.isfinite(pv.blend(np.maximum(dark, 0), np.maximum(dark, 0), disc(), mode="ratio")).all()


@pytest.mark.parametrize(
    ("foreground", "mask", "options", "said"),
    [
        (np.zeros((3, 48, 60)), disc(), {}, "48 × 60 pixels"),
        (np.zeros((48, 64)), disc(40, 64), {}, "the mask of 40 × 64"),
        (np.zeros((3, 48, 64, 3)), disc(), {}, "3 channels"),
        (np.zeros((2, 48, 64)), disc(), {}, "the foreground has 2 frames"),
        (np.zeros((48, 64)), np.stack([disc()] * 4), {}, "the mask more"),
        (np.full((48, 64), np.inf), disc(), {}, "infinite"),
        (np.full((48, 64), -0.1), disc(), {"mode": "ratio"}, "use difference"),
        (np.zeros((48, 64)), disc().astype(float) * 0.5, {}, "neither black nor white"),
    ],
)
def test_what_does_not_fit_is_refused(foreground, mask, options, said):
    with pytest.raises(pv.InputError, match=said):
        pv.blend(scene(), foreground, mask, **options)
