"""Frames of two scenes, and frames that repeat others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from films import moving

import pde_video as pv
from pde_video.resampling.scenes import with_repeats


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
