"""`detect_logo`: what stays where the scene moves behind it, and nothing of the scene."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter
from test_detectors import with_noise

import pde_video as pv
from pde_video.errors import ParameterError

SIDE = (128, 240)


def passing(frames: int = 40, speed: int = 6) -> np.ndarray:
    """A texture that moves to the left by 6 pixels a frame, (T, H, W), in [0, 1]."""
    ground = gaussian_filter(np.random.default_rng(3).standard_normal((SIDE[0], SIDE[1] + speed * frames)), 2.5)
    ground = np.clip(0.5 + 0.1 * ground / ground.std(), 0, 1)
    return np.stack([ground[:, speed * t : speed * t + SIDE[1]] for t in range(frames)])


def letters(top: int = 20, left: int = 50) -> np.ndarray:
    """An L, a T and a ring, 16 pixels high with strokes of 3, as a mask (H, W)."""
    mask = np.zeros(SIDE, bool)
    mask[top : top + 16, left : left + 3] = mask[top + 13 : top + 16, left : left + 10] = True
    mask[top : top + 3, left + 14 : left + 26] = mask[top : top + 16, left + 19 : left + 22] = True
    y, x = np.ogrid[: SIDE[0], : SIDE[1]]
    r = np.hypot(y - top - 7.5, x - left - 37.5)
    return mask | ((r < 8) & (r > 5))


@pytest.mark.parametrize("shade", [1.0, *slow(0.0)])
@pytest.mark.parametrize("opacity", [1.0, 0.6])
@pytest.mark.parametrize("sigma", [0, 5])
def test_letters_over_what_moves_are_marked_and_little_else(shade, opacity, sigma):
    scene, mask = passing(), letters()
    film = with_noise(np.where(mask, (1 - opacity) * scene + opacity * shade, scene), sigma)
    report: dict[str, object] = {}
    found = pv.detect_logo(film, report=report)
    assert (found.dtype, found.shape) == (np.uint8, film.shape)
    assert (found == found[0]).all()
    assert (found[0] > 0)[mask].mean() > 0.97
    rows, columns = np.nonzero(found[0])
    assert (rows.min() >= 16, rows.max() <= 40, columns.min() >= 46, columns.max() <= 100) == (True,) * 4
    assert "warnings" not in report
    np.testing.assert_array_equal(np.stack(list(pv.detect_logo(iter(film)))), found)


def test_a_scene_without_a_logo_is_not_marked_and_a_still_one_is_said():
    for film in (passing(), with_noise(passing(), 5)):
        assert not pv.detect_logo(film).any()
    still, report = with_noise(np.where(letters(), 1.0, np.repeat(passing(1), 20, axis=0)), 3), {}
    assert not pv.detect_logo(still, report=report).any()
    assert "a logo cannot be told from what stands still" in report["warnings"][0]
    assert not pv.detect_logo(np.where(letters(), 1.0, np.full((20, *SIDE), 0.5))).any()  # With no edge but these.
    report = {}
    pv.inpaint(still, detect="logo", report=report)
    assert any("a logo cannot be told" in one for one in report["warnings"])


def test_a_line_the_whole_scene_and_a_part_of_it_that_stands_still_are_no_logos():
    line, half, column = np.repeat(passing()[np.newaxis], 3, axis=0)
    line[:, 30:32, 20:100] = 1.0
    half[:, :, :60] = half[:1, :, :60]
    column[:, :, 40:46] = 1.0
    for film in (line, half, column):
        assert not pv.detect_logo(film).any()


def test_it_depends_on_the_first_frames_alone():
    film = np.where(letters(), 1.0, passing(60))
    assert pv.extent(pv.detect_logo) == pv.Extent(0, 0, 1, None, 40)
    assert pv.extent(pv.detect_logo(first=50)).first == 50
    found = pv.detect_logo(film, first=50)
    np.testing.assert_array_equal(pv.detect_logo(np.concatenate([film[:50], 1 - film[50:]]), first=50), found)
    np.testing.assert_array_equal(pv.mask(film, detect="logo"), pv.detect_logo(film))
    with pytest.raises(ParameterError, match="first"):
        pv.detect_logo(film, first=7)


def test_values_may_be_of_any_size_and_shifted():
    film = np.where(letters(), 1.0, passing())
    wanted = pv.detect_logo(film)
    for scale, shift in ((1e-20, 0.0), (1e20, 0.0), (1e-300, 0.0), (1e-4, 0.0), (4000.0, -7.0)):
        np.testing.assert_array_equal(pv.detect_logo(film * scale + shift), wanted)
    assert not pv.detect_logo(np.full((8, 30, 30), 0.5)).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bikes", "bigbuckbunny", "carphone_pristine"])
def test_the_clips_have_no_logo(name, clips):
    frames = np.stack(list(islice(pv.read(clips[name]), 60)))[:, ::2, ::2]
    assert (pv.detect_logo(frames) > 0).mean() < 5e-4
