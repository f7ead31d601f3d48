"""Frames between others: originals, motion, reversal, streams, and beyond the last."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from films import Line, moving, numbers

import pde_video as pv
from pde_video.video.timing import Timed, Timing

FILM = Fraction(24000, 1001)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float16, np.float32, np.float64])
def test_originals_are_kept_bit_for_bit(dtype):
    film = moving(5, channels=3)
    film = film.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(film * np.iinfo(dtype).max).astype(dtype)
    for factor, every in ((2, 2), ("5/2", 5), (4, 4)):
        report = {}
        found = pv.interpolate(film, factor=factor, report=report)
        assert found.dtype == dtype
        kept = 1 if factor != "5/2" else 2
        assert len(found) == 4 * Fraction(factor) + 1
        np.testing.assert_array_equal(found[::every], film[::kept])
        assert (report["originals"], report["new"]) == (len(film[::kept]), len(found) - len(film[::kept]))


def test_what_moves_is_seen_between_its_places():
    film = moving(7, 2.0)
    found = pv.interpolate(film[::2], factor=2)
    inner = (slice(None), slice(6, -6), slice(6, -6))
    error = np.sqrt(np.mean((found[inner] - film[inner]) ** 2))
    faded = np.sqrt(np.mean((0.5 * (film[:-2:2] + film[2::2]) - film[1::2])[inner] ** 2))
    assert error < 0.05 * faded


@pytest.mark.parametrize("factor", [2, 3, "3/2"])
def test_a_film_played_backwards_is_interpolated_backwards(factor):
    film = moving(5, 3.0, channels=3)
    film[:, 10:20, 20:30] += 0.2  # A thing that stays, so that something is hidden.
    found = pv.interpolate(film, factor=factor)
    np.testing.assert_allclose(pv.interpolate(film[::-1], factor=factor)[::-1], found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{"factor": 1}, {"factor": "3/3"}, {"slow": 1}])
def test_a_factor_of_1_is_the_identity(options):
    film = moving(4)
    np.testing.assert_array_equal(pv.interpolate(film, **options), film)
    for duplicates in ("keep", "replace"):
        np.testing.assert_array_equal(pv.interpolate(film[:1], duplicates=duplicates, **options), film[:1])
    timed = Timed(iter(film), Timing(FILM, 4, stamps=[Fraction(0), Fraction(1), Fraction(5), Fraction(6)]))
    found = pv.interpolate(timed, **options)
    np.testing.assert_array_equal(np.stack(list(found)), film)
    assert found.timing == timed.timing


def test_a_stream_is_the_array_for_any_number_of_threads(threads):
    film = moving(6)
    whole = pv.interpolate(film, factor=3, duplicates="replace")
    for n in (1, 3):
        threads(n)
        stream = np.stack(list(pv.interpolate(iter(film), factor=3, duplicates="replace")))
        np.testing.assert_array_equal(stream, whole)


def test_few_frames_are_held(threads, monkeypatch):
    monkeypatch.setattr("pde_video.resampling.interpolate.Passage", Line)
    threads(2)
    drawn = 0

    def camera():
        nonlocal drawn
        for drawn, frame in enumerate(numbers(1000), 1):
            yield frame

    found = pv.interpolate(camera(), factor=4, cuts="ignore")
    for shown, _ in enumerate(found, 1):
        assert drawn <= shown // 4 + 8


def test_frames_that_come_out_are_nobody_elses():
    film = np.repeat(moving(4), 2, axis=0)
    for one in (found := list(pv.interpolate(iter(film), factor=2))):
        one[:] = 0
    assert len({id(one) for one in found}) == len(found)
    plain = [frame + 0 for frame in pv.interpolate(iter(film), factor=2)]
    changed = []
    for frame in pv.interpolate(iter(film), factor=2):
        changed.append(frame.copy())
        frame[:] = 0
    np.testing.assert_array_equal(changed, plain)


def test_lost_motion_is_said(monkeypatch):
    class Lost(Line):
        reliable = 0.25

    monkeypatch.setattr("pde_video.resampling.interpolate.Passage", Lost)
    report = {}
    pv.interpolate(moving(3), factor=2, report=report)
    assert report["reliable"] == 0.25
    assert report["warnings"] == [
        "motion was found in less than half of the picture between 2 pairs of frames, first after frame 0: what is "
        "shown there is mostly a fade"
    ]


@pytest.mark.parametrize("scale", [2.0**-90, 2.0**300])
def test_the_unit_of_floats_does_not_matter(scale):
    film = moving(3)
    found = pv.interpolate(scale * film, factor=2, cuts="ignore")
    np.testing.assert_allclose(found, scale * pv.interpolate(film, factor=2, cuts="ignore"), rtol=1e-5)


def test_videos_that_cannot_be_interpolated_are_refused():
    with pytest.raises(pv.InputError, match="the video has one frame, and there is nothing between"):
        pv.interpolate(moving(1), factor=2)
    with pytest.raises(pv.InputError, match="the video has no rate, so that it cannot be given another; give a factor"):
        pv.interpolate(moving(3), rate=50)
    with pytest.raises(pv.InputError, match="frame 1 holds NaN"):
        pv.interpolate(np.stack([np.zeros((8, 8)), np.full((8, 8), np.nan)]))


def test_a_motion_goes_on_beyond_the_last_frame():
    film = moving(6, 2.0, channels=3)
    report = {}
    found = pv.extrapolate(film[:4], frames=2, method="motion", report=report)
    np.testing.assert_array_equal(found[:4], film[:4])
    inner = (slice(None), slice(6, -6), slice(6, -12))
    assert np.abs(found[4:] - film[4:])[inner].mean() < 0.1 * np.abs(film[3] - film[4:])[inner].mean()
    assert 0.5 < report["reliable"] <= 1
    slower = pv.extrapolate(film[:4], alpha=0.5, frames=2, method="motion")
    np.testing.assert_allclose(slower[5], found[4], rtol=0, atol=1e-12)


def test_no_motion_is_continued_from_another_scene():
    film = np.concatenate([moving(3), 1 - moving(1, seed=7)[:, ::-1] ** 2])
    report = {}
    found = pv.extrapolate(film, frames=2, method="motion", report=report)
    np.testing.assert_array_equal(found[3:], np.repeat(film[3:], 3, axis=0))
    assert "another scene" in report["warnings"][0]
    np.testing.assert_array_equal(pv.extrapolate(film, frames=0, method="motion"), film)
    for alpha, told in ((-1, "-1"), (1e300, "1e.300")):
        with pytest.raises(pv.ParameterError, match=f"alpha is {told}; a motion is continued by 0 to 1000 times"):
            pv.extrapolate(film, alpha=alpha, method="motion")


@pytest.mark.filterwarnings("error")
def test_a_motion_goes_on_until_all_has_left():
    found = pv.extrapolate(moving(3), alpha=1000, frames=3, method="motion")
    assert found[:3].min() <= found[3:].min() <= found[3:].max() <= found[:3].max()
