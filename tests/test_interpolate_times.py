"""When frames are shown: exact times, timestamps that vary, pause or jump back, rates, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from films import Line, moving, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import pde_video as pv
from pde_video.resampling import rates, spans
from pde_video.video.timing import Timed, Timing

FILM, NTSC = Fraction(24000, 1001), Fraction(60000, 1001)


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setattr("pde_video.resampling.interpolate.Passage", Line)


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


def test_one_after_another_is_both_together(lines):
    both = pv.pipeline(pv.interpolate(rate=50, cuts="ignore"), pv.interpolate(rate=75, cuts="ignore"))
    found = both(Timed(numbers(5), Timing(Fraction(25), 5)))
    assert (found.timing.rate, found.timing.count) == (75, 15)
    # After the first, the last frame is shown twice; the second makes 1.5 of each.
    assert [frame.item() for frame in found] == pytest.approx([*np.arange(13) / 3, 4, 4])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("59.94", NTSC),
        (59.94, NTSC),
        ("23.976", FILM),
        (23.98, FILM),
        (29.97, Fraction(30000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (47.95, Fraction(48000, 1001)),
        (9.99, Fraction(999, 100)),
        ("7.99", Fraction(799, 100)),
        (19.98, Fraction(999, 50)),
        (14.99, Fraction(1499, 100)),
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
        ({"rate": 1e-7}, "rate is 1e-07; it must be 0.000001 or more"),
        ({"factor": "0.0000001"}, "factor is 0.0000001; it must be 0.000001 or more"),
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


def shown_twice_as_often(stamps, rate=25, tick=None, **options):
    """Return the values of frames that are interpolated with timestamps in frames, and the report."""
    report = {}
    clocked = Timing(Fraction(rate), stamps=[Fraction(s) / Fraction(rate) for s in stamps], tick=tick)
    found = pv.interpolate(
        Timed(numbers(len(stamps)), clocked), **{"factor": 2, "cuts": "ignore", **options}, report=report
    )
    return [frame.item() for frame in found], report


@pytest.mark.parametrize(
    ("stamps", "frame", "others"),
    [
        ([*range(1, 11), *range(1, 11)], 10, 0),  # Two parts, one after the other.
        ([*range(100, 110), *range(20, 60), *range(7)], 10, 1),
        (range(20, 0, -1), 1, 18),
        ([5] * 9, 1, 7),
        ([0, 1, 1, 3, 4, 4, 6], 2, 1),
    ],
)
def test_no_frame_is_lost_where_timestamps_jump_back(lines, stamps, frame, others):
    values, report = shown_twice_as_often(stamps)
    last = len(stamps) - 1
    assert values == [*np.arange(0, last + 0.1, 0.5), last]
    more = f", nor do those of {others} other frames" if others else ""
    assert report["warnings"][0].startswith(
        f"the timestamp of frame {frame}, {stamps[frame] / 25:g} s, does not follow"
    )
    assert more in report["warnings"][0]
    assert len(report["warnings"]) == 1


def test_a_part_that_follows_keeps_its_own_times(lines):
    values, report = shown_twice_as_often([0, 1, 2, 4, 5, 0, 1, 3, 4])
    gap = [2, 2.25, 2.5, 2.75]
    assert values == [0, 0.5, 1, 1.5, *gap, 3, 3.5, 4, 4.5, 5, 5.5, *np.add(gap, 4), 7, 7.5, 8, 8]
    assert len(report["warnings"]) == 1


@pytest.mark.parametrize("late", [1, 2])
def test_after_timestamps_that_are_swapped_frames_are_at_their_times_again(lines, late):
    stamps = list(range(16))
    stamps[4], stamps[4 + late] = stamps[4 + late], stamps[4]
    values, _ = shown_twice_as_often(stamps)
    assert len(values) == 32
    assert values[:7] == list(np.arange(0, 3.1, 0.5))
    assert values[24:] == [12, 12.5, 13, 13.5, 14, 14.5, 15, 15]
    assert (np.diff(values) >= 0).all()


def test_both_parts_have_times_of_the_rate_where_a_clock_rounds_them(lines):
    part = [Fraction(round(1000 * k / FILM), 1000) * FILM for k in range(30)]
    values, report = shown_twice_as_often(part * 2, FILM, Fraction(1, 1000))
    assert values == [*np.arange(0, 59.1, 0.5), 59]
    assert (report["originals"], report["new"]) == (60, 59)


def test_repeats_are_made_anew_also_after_a_jump_back(lines):
    values, report = shown_twice_as_often([0, 1, 2, 3, 0, 1, 2, 3], factor=1, duplicates="replace")
    assert values == list(range(8))
    assert report["originals"] == 8


def test_timestamps_that_rise_are_no_reason_for_a_warning(lines):
    assert "warnings" not in shown_twice_as_often([0, 1, 2, 7, 8])[1]


@pytest.mark.parametrize("gap", [5, 7, 8, 9])
def test_a_pause_is_longer_than_eight_frames(lines, gap):
    values, report = shown_twice_as_often([0, 1, 1 + gap, 2 + gap])
    assert len(values) == 2 * (3 + gap)
    assert report["new"] == 2 + (2 * gap - 1 if gap <= 8 else 0)
    assert report["repeated"] == 1 + (0 if gap <= 8 else 2 * gap - 1)


def test_a_filter_of_videos_with_missing_values_knows_the_times():
    seen = []

    @pv.video_filter
    def looking(frames: pv.Frames):
        """Look."""
        seen.append(frames.timing)
        yield from frames

    timing = Timing(FILM, 2, stamps=[Fraction(1), Fraction(2)])
    list(pv.masking(looking)(Timed(iter(np.full((2, 4, 4), np.nan)), timing)))
    assert seen == [timing]
