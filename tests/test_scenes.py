"""Frames of two scenes, and frames that repeat others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from films import SIDE, moving
from scipy.ndimage import gaussian_filter, zoom

import pde_video as pv
from pde_video.resampling.scenes import of_two_scenes, with_repeats


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_frames_of_two_scenes_are_not_mixed(at):
    one, other = moving(6), 1 - moving(6, seed=7)[:, ::-1] ** 2
    film = np.concatenate([one[:at], other[at:]])
    report = {}
    found = pv.interpolate(film, factor=4, report=report)
    assert len(found) == 21
    assert report["cuts"] == [at]
    np.testing.assert_array_equal(found[::4], film)
    first = 4 * (at - 1)
    for k, of in ((1, at - 1), (2, at - 1), (3, at)):
        np.testing.assert_array_equal(found[first + k], film[of])
    assert report["at_cuts"] == 3
    assert report["new"] == 12
    pv.interpolate(film, factor=4, cuts="ignore", report=report)
    assert (report["cuts"], report["at_cuts"], report["new"]) == ([], 0, 15)


def test_repeats_are_made_anew_where_that_is_asked_for(rng):
    film = moving(9, 1.0, channels=3)
    shown = film[[0, 0, 2, 2, 4, 4, 4, 7, 8]]
    shown = shown + rng.normal(0, 0.002, shown.shape)  # A hundredth of a change.
    report = {}
    found = pv.interpolate(shown, factor=1, duplicates="replace", report=report)
    assert report["replaced"] == 4
    inner = (slice(None), slice(6, -6), slice(6, -6))
    for k in (1, 3, 5, 6):
        error = np.abs(found[k] - film[k])[inner[1:]].mean()
        assert error < 0.2 * np.abs(shown[k] - film[k])[inner[1:]].mean(), k
    for k in (0, 2, 4, 7, 8):
        np.testing.assert_array_equal(found[k], shown[k])
    kept = pv.interpolate(shown, factor=2, report=report)
    np.testing.assert_array_equal(kept[::2], shown)
    assert report["replaced"] == 0
    twice = pv.interpolate(shown, factor=2, duplicates="replace")
    np.testing.assert_allclose(twice[::2], found, rtol=0, atol=1e-12)


def test_a_still_stays_still(rng):
    film = moving(4, 2.0)
    noisy = np.concatenate([np.repeat(film[:1], 8, 0), film[1:], np.repeat(film[-1:], 8, 0)])
    noisy = noisy + rng.normal(0, 0.001, noisy.shape)
    report = {}
    found = pv.interpolate(noisy, factor=2, duplicates="replace", report=report)
    np.testing.assert_allclose(found[:15], np.repeat(film[:1], 15, 0), atol=0.01)
    np.testing.assert_allclose(found[-15:], np.repeat(film[-1:], 15, 0), atol=0.01)
    np.testing.assert_array_equal(found[::2], noisy)
    assert report["replaced"] == 0
    exact = np.repeat(film[:1], 9, 0)
    np.testing.assert_array_equal(pv.interpolate(exact, factor=3, duplicates="replace"), np.repeat(film[:1], 25, 0))


def test_a_repeat_before_a_cut_is_kept():
    one, other = moving(6), 1 - moving(6, seed=7)[:, ::-1] ** 2
    film = np.concatenate([one[[0, 1, 2, 2]], other[[2, 3, 4]]])
    film[3] += 1e-4
    report = {}
    found = pv.interpolate(film, factor=2, duplicates="replace", report=report)
    np.testing.assert_array_equal(found[::2], film)
    np.testing.assert_array_equal(found[7], film[3])
    assert (report["originals"], report["replaced"]) == (7, 0)
    assert report["cuts"] == [4]


@pytest.mark.parametrize(
    "pattern", [[0, 0, 1, 1, 2, 2, 3, 3, 4], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3], [0, 1, 2, 2, 3, 4], [0, 0, 0, 0, 1]]
)
def test_repeats_lie_between_changes(pattern):
    frames = [np.full((8, 8, 1), 10.0 * k) + np.arange(8)[:, None, None] for k in pattern]
    found = [repeats for _, repeats in with_repeats(frames)]
    assert found == [False] + [one == other for one, other in pairwise(pattern)]


@pytest.mark.parametrize("pattern", [[0] * 9, [0, 1, 2, 2, 2, 2, 2], [0, 1, 2, 3, 4, 5], [0]])
def test_stills_hold_no_repeats(pattern):
    frames = [np.full((8, 8, 1), 10.0 * k) + np.arange(8)[:, None, None] for k in pattern]
    assert not any(repeats for _, repeats in with_repeats(frames))


def test_noise_that_varies_is_no_change(rng):
    frames = [np.arange(64.0).reshape(8, 8, 1) + size * rng.normal(0, 1, (8, 8, 1)) for size in (0.1, 0.01, 0.01, 0.1)]
    assert not any(repeats for _, repeats in with_repeats(frames))


def hard_pairs(count=24, side=(64, 80)):
    """Frames (H, W, 1) that are nearly of one scene: zoomed, shifted, mixed, of other contrast."""
    random, (height, width) = np.random.default_rng(5), side
    for k in range(count):
        fields = [random.standard_normal((height + 40, width + 40)) for _ in range(2)]
        here, other = (gaussian_filter(field, random.choice([1.5, 3, 6, 12])) for field in fields)
        first = here[20:-20, 20:-20]
        if k % 4 == 0:
            second = zoom(here, random.uniform(1.1, 1.5), order=1)[20 : 20 + height, 20 : 20 + width]
        elif k % 4 == 1:
            share = random.uniform(0.3, 0.7)
            second = share * first + (1 - share) * other[20:-20, 20:-20]
        else:
            i, j = random.integers(0, 41, 2)
            second = here[i : i + height, j : j + width] * (random.uniform(0.1, 3) if k % 4 == 2 else 1)
        yield np.stack([first, second])[..., np.newaxis]


def test_whether_frames_are_of_two_scenes_does_not_depend_on_their_order():
    decided = []
    for pair in hard_pairs():
        decided.append(of_two_scenes(*pair))
        assert of_two_scenes(*pair[::-1]) == decided[-1]
    assert 0 < sum(decided) < len(decided)


def test_hard_pairs_played_backwards_are_interpolated_backwards():
    for pair in hard_pairs(8):
        found = pv.interpolate(pair, factor=3)
        np.testing.assert_allclose(pv.interpolate(pair[::-1], factor=3)[::-1], found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [2.0**-1000, 1e-60, 1e-45, 1e45, 1e60, 1e300])
@pytest.mark.filterwarnings("error")
def test_scenes_repeats_and_motion_are_found_in_any_unit(scale):
    one, other = moving(7), 1 - moving(6, seed=7)[:, ::-1] ** 2
    film = np.concatenate([one[[0, 1, 2, 3, 3, 4, 5, 6]], other[:3]])
    reports = [{}, {}]
    options = {"factor": 2, "duplicates": "replace"}
    small, found = (
        pv.interpolate(by * film, **options, report=report) for by, report in zip((1, scale), reports, strict=True)
    )
    np.testing.assert_allclose(found / scale, small, rtol=0, atol=1e-6)
    assert reports[1].pop("reliable") == pytest.approx(reports[0].pop("reliable"), abs=1e-3)
    assert reports[1] == reports[0]
    assert (reports[0]["cuts"], reports[0]["replaced"]) == ([8], 1)
    beyond, same = (pv.extrapolate(by * one[:3], frames=2, method="motion") / by for by in (scale, 1))
    np.testing.assert_allclose(beyond, same, rtol=0, atol=1e-6)
    assert np.abs(same[3] - same[2]).max() > 0.1


def test_after_a_black_frame_a_unit_is_that_of_the_other():
    film = 1e-60 * np.concatenate([np.zeros((1, *SIDE, 1)), moving(2)])
    report = {}
    pv.interpolate(film, factor=2, report=report)
    assert report["cuts"] == [1]


def test_a_change_of_an_eighth_of_the_contrast_is_a_change():
    still = np.arange(64.0).reshape(8, 8, 1)
    frames = [still + still.std() * change for change in np.cumsum([0, 0.2, 0.13, 0.2, 0.2])]
    assert not any(repeats for _, repeats in with_repeats(frames))


@pytest.mark.parametrize(("radius", "step"), [(6, 20), (10, 30), (12, 40)])
def test_a_fast_object_before_what_stays_is_no_cut(radius, step):
    rows, columns = np.mgrid[:180, :320]
    film = [
        np.where(np.hypot(rows - 90, columns - 40 - step * t) < radius, 0.9, 0.2)[..., np.newaxis] for t in range(4)
    ]
    assert not any(of_two_scenes(*pair) for pair in pairwise(film))
    other = gaussian_filter(np.random.default_rng(5).normal(size=(180, 320)), 8)[..., np.newaxis]
    assert of_two_scenes(film[0], 0.5 + other)


def test_fast_spots_in_noise_are_no_cut():
    rng = np.random.default_rng(6)
    places, steps, (rows, columns) = rng.uniform(20, 236, (30, 2)), rng.normal(size=(30, 2)), np.mgrid[:256, :256]
    film = []
    for t in range(3):
        frame = rng.normal(0, 0.015, (256, 256))
        for (y, x), (a, b) in zip(places, steps, strict=True):
            frame += np.exp(-((rows - y - 14 * a * t) ** 2 + (columns - x - 14 * b * t) ** 2) / 8)
        film.append(frame[..., np.newaxis])
    assert not any(of_two_scenes(*pair) for pair in pairwise(film))
