"""Super-resolution: what its pixel model sees stays as given, and what it does not see is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import pde_video as pv
from pde_video.resampling.pixel_model import pixel_model
from pde_video.resampling.unseen import Unseen

BLURS = ["box", 0.35, 0.5]


def coarser(fine: np.ndarray, factor: int, blur: float | str) -> np.ndarray:
    """Return what the documentation says that a video (T, H, W) is given as."""
    if blur != "box":
        fine = ndimage.gaussian_filter(fine, (0, blur * factor, blur * factor), mode="reflect", truncate=4)
    frames, height, width = fine.shape
    return fine.reshape(frames, height // factor, factor, width // factor, factor).mean(axis=(2, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_the_result_made_coarse_again_is_the_input(rng, factor, blur, dtype):
    video = rng.random((2, 20, 31)).astype(dtype)
    found = pv.superresolve(video, factor, blur=blur)
    assert found.dtype == dtype
    assert found.shape == (2, 20 * factor, 31 * factor)
    assert abs(coarser(found.astype(float), factor, blur) - video).max() < (1e-6 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize(("coarse", "fine"), [(20, 30), (21, 32), (9, 10), (4, 31), (1, 2), (7, 7)])
def test_means_weigh_by_area_and_keep_lines(coarse, fine):
    down = pixel_model((coarse, 3), (fine, 6), 0.0, np.dtype(float)).down_rows.toarray()
    cells = np.arange(coarse + 1) * fine / coarse
    area = np.diff(np.clip(cells[:, None, None], np.arange(fine), np.arange(fine) + 1), axis=0).sum(axis=1)
    np.testing.assert_allclose(down.sum(axis=1), 1)
    np.testing.assert_allclose(down @ (np.arange(fine) + 0.5), (cells[1:] + cells[:-1]) / 2)
    assert down.min() >= 0
    assert abs(down - area * coarse / fine).max() < 0.15  # Half the distance of the pixels' centres from those cut off.
    assert ((down > 0) <= (area > 1e-9)).all()


@pytest.mark.parametrize("factor", [2, 3, 1.5, 2.4])
@pytest.mark.parametrize("slopes", [(0.0, 0.0), (3.0, -2.0)])
def test_constant_and_linear_pictures_are_reproduced(factor, slopes):
    def linear(rows, columns, unit):
        return 5 + np.add.outer(slopes[0] * (np.arange(rows) + 0.5), slopes[1] * (np.arange(columns) + 0.5)) * unit

    found = pv.superresolve(linear(20, 30, 1.0)[None], factor)
    np.testing.assert_allclose(found[0], linear(*found.shape[1:], 1 / factor), atol=1e-10)


def test_the_spline_has_the_least_second_differences_of_all_that_fit(rng):
    model = pixel_model((7, 5), (17, 10), 0.3, np.dtype(float))
    down, up = model.down_rows.toarray(), model.up_rows.toarray()
    np.testing.assert_allclose(down @ up, np.eye(7), atol=1e-12)
    energy = np.diff(np.eye(17), 2, axis=0)
    unseen = np.linalg.svd(down)[2][7:]  # What K does not see.
    assert abs(unseen @ energy.T @ energy @ up).max() < 1e-9


def test_flips_and_transposes_commute(rng):
    video = ndimage.gaussian_filter(rng.random((1, 16, 22)), (0, 1, 1))
    found = pv.superresolve(video, 2, blur=0.35)
    for turned in (np.flipud, np.fliplr, np.transpose):
        again = pv.superresolve(turned(video[0])[None], 2, blur=0.35)[0]
        np.testing.assert_allclose(again, turned(found[0]), atol=1e-9)


def test_sixteen_bits_and_colour(rng):
    video = (rng.random((1, 12, 14, 3)) * 9000 + 30000).astype(np.uint16)
    found = pv.superresolve(video, 2)
    assert found.dtype == np.uint16
    assert found.shape == (1, 24, 28, 3)
    again = np.moveaxis([coarser(found[..., c].astype(float), 2, "box") for c in range(3)], 0, -1)
    assert abs(again - video).max() <= 0.5


def test_edges_are_sharper_than_by_the_spline():
    rows, columns = np.mgrid[:96, :96]
    truth = np.where((rows - 40.3) * 0.8 + (columns - 51.7) * 0.6 > 0, 1.0, 0.0)[None]
    given = coarser(truth, 3, "box")
    found = pv.superresolve(given, 3)
    spline = pixel_model((32, 32), (96, 96), 0.0, np.dtype(float)).up(given)
    assert np.square(found - truth).mean() < 0.85 * np.square(spline - truth).mean()


def test_a_size_may_take_the_place_of_the_factor(rng):
    video = rng.random((2, 10, 12))
    np.testing.assert_array_equal(pv.superresolve(video, height=20, width=24), pv.superresolve(video, 2))
    assert pv.superresolve(video, height=10, width=18).shape == (2, 10, 18)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give the factor, or height and width"),
        ({"factor": 2, "height": 20}, "give the factor, or height and width"),
        ({"width": 20}, "give the factor, or height and width"),
        ({"factor": 1}, "above 1 .*`resize`"),
        ({"factor": 8.5}, "at most 8"),
        ({"height": 9, "width": 24}, "10 × 12; each must be 1 to 8 times"),
        ({"height": 10, "width": 12}, "10 × 12; each must be 1 to 8 times"),
        ({"height": 10, "width": 97}, "10 × 12; each must be 1 to 8 times"),
        ({"factor": 2, "blur": "auto"}, "a wrong blur"),
        ({"factor": 2, "blur": None}, "a wrong blur"),
        ({"factor": 2, "blur": 0.8}, "a wrong blur"),
    ],
)
def test_what_cannot_be_known_is_refused(options, says):
    with pytest.raises(pv.ParameterError, match=says):
        pv.superresolve(np.zeros((1, 10, 12)), **options)


def test_a_frame_beyond_the_largest_is_refused():
    with pytest.raises(pv.InputError, match="16400 × 16400 pixels, and the most is 268,435,456"):
        pv.superresolve(np.zeros((1, 2050, 2050), np.uint8), 8)


def test_the_command_has_a_short_name(tmp_path, call):
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 9), np.uint8))
    assert call("superres", tmp_path / "in.npy", tmp_path / "out.npy", "--factor", "2")[0] == 0
    assert np.load(tmp_path / "out.npy").shape == (2, 16, 18)


def test_the_rate_keeps_what_is_seen(rng):
    model = pixel_model((9, 10), (18, 20), 0.35, np.dtype(float))
    rate = Unseen(pv.Heat(), model).rate(0.0, rng.random((2, 18, 20)))
    assert abs(model.down(rate)).max() < 1e-12 < abs(rate).max()
