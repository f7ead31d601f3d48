"""Frames at other times: exact times, originals, cuts, repeats, pauses, reversal, and what is refused."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.resampling import rates, spans
from pde_video.resampling.scenes import with_repeats
from pde_video.video.timing import Timed, Timing

FILM, NTSC = Fraction(24000, 1001), Fraction(60000, 1001)
SIDE = (48, 64)


class Line:
    """A passage of which each value is its time."""

    reliable = 1.0

    def __init__(self, first, second):
        self.ends = first, second

    def at(self, share):
        return (1 - share) * self.ends[0] + share * self.ends[1]


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setattr("pde_video.resampling.interpolate.Passage", Line)


def numbers(count):
    return (np.full((1, 1), float(k)) for k in range(count))


def moving(frames=6, speed=2.0, seed=2, channels=1):
    """A texture that moves to the left, (T, H, W, C), in [0, 1]."""
    wide = SIDE[1] + math.ceil(speed * frames) + 1
    ground = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE[0], wide, channels)), (2.5, 2.5, 0))
    ground = np.clip(0.5 + 0.1 * ground / ground.std(), 0, 1)
    return np.stack([ground[:, int(speed * t) : int(speed * t) + SIDE[1]] for t in range(frames)])


def expected(stamps, step, lasting):
    """Times of the output, and the place on the way from frame to frame, one by one: by search, not arithmetic."""
    places, time = [], Fraction(0)
    while time < stamps[-1] + lasting if lasting else time <= stamps[-1]:
        k = max(k for k, stamp in enumerate(stamps) if stamp <= time)
        share = (time - stamps[k]) / (stamps[k + 1] - stamps[k]) if k + 1 < len(stamps) else 0
        places.append(float(k + share))
        time += step
    return places


RATIONALS = st.builds(Fraction, st.integers(1, 400), st.integers(1, 50)).filter(lambda factor: 1 < factor <= 8)


@settings(max_examples=60, deadline=None)
@given(RATIONALS, st.integers(2, 9), st.sampled_from([None, Fraction(25), FILM]))
def test_frames_are_shown_at_exact_times(factor, count, rate):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pde_video.resampling.interpolate.Passage", Line)
        timed = Timed(numbers(count), Timing(rate, count)) if rate else numbers(count)
        found = pv.interpolate(timed, factor=factor, cuts="ignore")
        values = [frame.item() for frame in found]
    stamps = [k / (rate or Fraction(1)) for k in range(count)]
    lasting = None if rate is None else 1 / rate
    assert values == pytest.approx(expected(stamps, 1 / (factor * (rate or 1)), lasting), abs=1e-9)
    if rate is not None:
        assert found.timing.rate == factor * rate
        assert found.timing.count == len(values)
        assert 0 <= len(values) / found.timing.rate - count / rate < 1 / found.timing.rate


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(20, 120), min_size=1, max_size=9),
    st.builds(Fraction, st.integers(1, 100_000), st.integers(1, 1001)).filter(lambda rate: 1 <= rate <= 200),
)
def test_times_that_vary_count_not_numbers_of_frames(gaps, rate):
    stamps = [Fraction(sum(gaps[:k]), 1000) for k in range(len(gaps) + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pde_video.resampling.interpolate.Passage", Line)
        clocked = Timing(Fraction(25), stamps=[3 + stamp for stamp in stamps])
        found = pv.interpolate(Timed(numbers(len(stamps)), clocked), rate=rate, cuts="ignore")
        values = [frame.item() for frame in found]
    assert values == pytest.approx(expected(stamps, 1 / rate, Fraction(1, 25)), abs=1e-9)


def test_two_hours_of_film_at_60_are_within_a_tick():
    count = round(7200 * FILM)
    timing, step = Timing(FILM, count), 1 / Fraction(60)
    wanted = shown = 0
    frames = pv.Frames(np.empty((count, 1, 1, 1)), timing=timing)
    for span in spans.spans(frames, spans.Clock(timing, step), replacing=False):
        assert span.wanted.start == wanted
        wanted, shown = span.wanted.stop, shown + 1
        if span.until is not None and shown % 1001 == 0:
            assert span.shots[0].time <= span.wanted[0] * step
            assert span.wanted[-1] * step < span.until.time == shown * 1001 / Fraction(24000)
    assert shown == count
    assert 0 <= wanted * step - count / FILM < step
    assert rates.resampled(timing, None, 60, None) == (step, Timing(Fraction(60), wanted, is_sure=False, is_made=True))


@pytest.mark.slow
def test_each_of_two_hours_of_frames_is_at_its_time(lines, threads):
    threads(1)
    count = round(7200 * FILM)
    found = pv.interpolate(Timed(numbers(count), Timing(FILM, count)), rate=60, cuts="ignore")
    worst = max(abs(frame.item() - min(count - 1, k / 60 * 24000 / 1001)) for k, frame in enumerate(found))
    assert worst < 1e-9


def test_times_that_a_clock_rounds_are_those_of_the_rate(lines):
    rounded = [Fraction(round(1000 * k / FILM), 1000) for k in range(200)]
    clocked = Timing(FILM, 200, stamps=rounded, tick=Fraction(1, 1000))
    report = {}
    found = list(pv.interpolate(Timed(numbers(200), clocked), factor=2, cuts="ignore", report=report))
    assert [frame.item() for frame in found[::2]] == list(range(200))
    assert (report["originals"], report["new"], report["repeated"]) == (200, 199, 1)


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
    np.testing.assert_array_equal(pv.interpolate(film[:1], **options), film[:1])
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


def test_few_frames_are_held(threads, lines):
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


def test_in_a_pause_the_frame_that_was_shown_stays():
    film = moving(4)
    stamps = [Fraction(k, 10) for k in (0, 1, 12, 13)]
    report = {}
    found = list(pv.interpolate(Timed(iter(film), Timing(Fraction(10), stamps=stamps)), rate=20, report=report))
    assert len(found) == 28
    for k in range(2, 24):
        np.testing.assert_array_equal(found[k], film[1])
    assert (report["originals"], report["new"], report["repeated"]) == (4, 2, 22)
    bursts = [Fraction(k, 60) for k in (0, 1, 2, 3, 14, 15, 16)]  # At a mean rate of 20.
    timed = Timed(iter(moving(7)), Timing(Fraction(20), stamps=bursts))
    assert len(list(pv.interpolate(timed, rate=120, report=report))) == 38
    assert (report["originals"], report["new"], report["repeated"]) == (7, 5, 26)
    stamps[2:] = [Fraction(10**6), Fraction(10**6 + 1)]
    with pytest.raises(pv.InputError, match="frame 2 is shown 1e\\+06 s after the one before it"):
        list(pv.interpolate(Timed(iter(film), Timing(Fraction(10), stamps=stamps)), rate=20))


def test_fewer_frames_are_those_at_their_times_and_it_is_said(lines):
    report = {}
    found = pv.interpolate(Timed(numbers(9), Timing(Fraction(24), 9)), rate=8, cuts="ignore", report=report)
    assert [frame.item() for frame in found] == [0, 3, 6]
    assert report["warnings"] == [
        "the video has 24 frames/s, more than 8: those between these times are left out, without blur of motion"
    ]


def test_slow_motion_has_the_rate_of_the_video(lines):
    found = pv.interpolate(Timed(numbers(5), Timing(FILM, 5)), slow="5/2", cuts="ignore")
    assert (found.timing.rate, found.timing.count, found.timing.pace) == (FILM, 13, Fraction(5, 2))
    assert [frame.item() for frame in found] == pytest.approx([*np.arange(0, 4.1, 0.4), 4, 4])


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


def test_one_after_another_is_both_together(lines):
    both = pv.pipeline(pv.interpolate(rate=50, cuts="ignore"), pv.interpolate(rate=75, cuts="ignore"))
    found = both(Timed(numbers(5), Timing(Fraction(25), 5)))
    assert (found.timing.rate, found.timing.count) == (75, 15)
    # After the first, the last frame is shown twice; the second makes 1.5 of each.
    assert [frame.item() for frame in found] == pytest.approx([*np.arange(13) / 3, 4, 4])


@pytest.mark.parametrize("scale", [2.0**-90, 2.0**300])
def test_the_unit_of_floats_does_not_matter(scale):
    film = moving(3)
    found = pv.interpolate(scale * film, factor=2, cuts="ignore")
    np.testing.assert_allclose(found, scale * pv.interpolate(film, factor=2, cuts="ignore"), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("59.94", NTSC),
        (59.94, NTSC),
        ("23.976", FILM),
        (23.98, FILM),
        (29.97, Fraction(30000, 1001)),
        (119.88, Fraction(120000, 1001)),
        ("60000/1001", NTSC),
        (NTSC, NTSC),
        (60, 60),
        (60.0, 60),
        (12.5, Fraction(25, 2)),
        ("24.5", Fraction(49, 2)),
        (np.float32(48), 48),
    ],
)
def test_rates_are_exact(text, number):
    assert rates.exact(text, "rate") == number


@pytest.mark.parametrize(
    ("text", "number"), [("5/2", Fraction(5, 2)), (1.1, Fraction(11, 10)), ("2.997", Fraction(2997, 1000))]
)
def test_factors_are_exact(text, number):
    assert rates.exact(text, "factor") == number


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"factor": 0.5}, "factor is 0.5; it must be from 1 to 8: for fewer frames, give a rate"),
        ({"factor": 9}, "factor is 9; it must be from 1 to 8: motion is not known so finely"),
        ({"slow": "17/2"}, "slow is 17/2; it must be from 1 to 8: motion is not known so finely"),
        ({"factor": 0}, "factor is 0; it must be a finite number above 0"),
        ({"factor": "0"}, "factor is 0; it must be above 0"),
        ({"factor": float("nan")}, "factor is nan"),
        ({"factor": "two"}, "factor is 'two'; it must be a number such as 2.5, 5/2"),
        ({"factor": "5/0"}, "factor is '5/0'; it must be a number"),
        ({"rate": -1}, "rate is -1; it must be a finite number above 0"),
        ({"rate": "1e9"}, "rate is '1e9'; it must be a number"),
        ({"rate": 481}, "rate is 481, 20.04.* times the 24 frames/s of the video; at most 8 times"),
        ({"factor": 2, "rate": 48}, "factor and rate are given; give only one of factor, rate and slow"),
        ({"duplicates": "drop"}, "duplicates is 'drop'; it must be one of keep, replace"),
        ({"cuts": "all"}, "cuts is 'all'; it must be one of detect, ignore"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(pv.ParameterError, match=said):
        pv.interpolate(Timed(numbers(3), Timing(Fraction(24), 3)), **options)


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
    with pytest.raises(pv.ParameterError, match="alpha is -1; a motion is continued by 0 or more"):
        pv.extrapolate(film, alpha=-1, method="motion")
