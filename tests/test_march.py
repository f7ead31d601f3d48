"""Fused steps equal the plain loop bit for bit, however the state is cut, and leave the rest of the world alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pde_video as pv
from pde_video.solvers import fused_steps
from pde_video.terms.perona_malik import CONDUCTANCES


def plain(term, y, times, **options):
    """The step-by-step loop: a callback makes `evolve` show every state, so it cannot fuse steps."""
    return pv.evolve(term, y, times, callback=lambda t, state: None, **options)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


TERMS = [
    pv.Heat(),
    pv.Heat(0.7, spacing=1.3),
    *(pv.PeronaMalik(0.3, conductance) for conductance in CONDUCTANCES),
    pv.PeronaMalik(0.3, "rational", smoothing=0.7),
    pv.PeronaMalik(0.3, "tv", smoothing=1.2, spacing=0.8),
]
# Each conductance is compiled into the fused steps, for each dtype: some for the fast tests, more for the slow ones.
FAST = {np.float32: (None, "exponential", "rational", "tv"), np.float64: (None,)}
SLOW = {np.float32: ("charbonnier", "weickert", "tukey"), np.float64: ("exponential", "rational", "tv")}
CASES = [
    pytest.param(term, dtype, marks=[] if conductance in FAST[dtype] else pytest.mark.slow)
    for dtype in FAST
    for term in TERMS
    if (conductance := getattr(term, "conductance", None)) in (*FAST[dtype], *SLOW[dtype])
]


def test_every_conductance_is_fused_in_a_case():
    assert {*FAST[np.float32], *SLOW[np.float32]} == {None, *CONDUCTANCES}


@pytest.mark.parametrize(("term", "dtype"), CASES, ids=lambda value: getattr(value, "__name__", None) or repr(value))
def test_pictures(term, dtype):
    rng = np.random.default_rng(0)
    for shape, channel_axis in [((33, 70), None), ((1, 40), None), ((40, 1), None), ((21, 19, 3), -1), ((9,), None)]:
        y = rng.random(shape).astype(dtype)
        times = pv.uniform(1.0)
        fused = pv.evolve(term, y, times, channel_axis=channel_axis)
        assert same_bits(fused, plain(term, y, times, channel_axis=channel_axis))


@pytest.mark.parametrize("term", [pv.Heat(), pv.PeronaMalik(0.3, "rational"), pv.PeronaMalik(0.2, "tv", smoothing=0.7)])
@pytest.mark.parametrize("rows", [1, 3, 11, 300])
def test_volumes_in_bands_of_any_size(term, rows, monkeypatch):
    monkeypatch.setattr(fused_steps, "_ROWS", rows)
    rng = np.random.default_rng(1)
    for shape, channel_axis in [((7, 30, 18), None), ((5, 26, 9, 2), -1), ((1, 8, 9), None), ((3, 1, 9), None)]:
        y = rng.random(shape, np.float32)
        times = pv.uniform(0.5, steps=3) if not isinstance(term, pv.PeronaMalik) else pv.uniform(0.1, steps=4)
        assert same_bits(
            pv.evolve(term, y, times, channel_axis=channel_axis), plain(term, y, times, channel_axis=channel_axis)
        )


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_any_number_of_threads(n, threads):
    threads(n)
    y = np.random.default_rng(2).random((301, 50), np.float32)
    for term in (pv.Heat(), pv.PeronaMalik(0.3, "exponential", smoothing=0.7)):
        assert same_bits(pv.evolve(term, y, pv.uniform(2.0)), plain(term, y, pv.uniform(2.0)))


@pytest.mark.parametrize("smoothing", [0.0, 0.7, 1.2])
@pytest.mark.parametrize("shape", [(14, 23), (9, 11, 13)])
def test_boxes_however_small_and_wherever_they_begin(shape, smoothing, monkeypatch):
    term = pv.PeronaMalik(0.3, "tv", smoothing=smoothing, spacing=(1.7, 1.0, 0.6)[-len(shape) :])
    times = pv.uniform(3 * term.stable_dt(len(shape)), steps=3)
    y = np.random.default_rng(7).random(shape, np.float32)
    expected = plain(term, y, times)
    cuts = [0, 1, 2, 4, 7, 8]

    def boxes(slabs, rows, stages):
        along, across = ([*(c for c in cuts if c < n), n] for n in (slabs, rows))
        return [(*a, *b) for a in pairwise(along) for b in pairwise(across)]

    monkeypatch.setattr(fused_steps, "_boxes", boxes)
    assert same_bits(pv.evolve(term, y, times), expected)
    heat = pv.Heat(spacing=term.spacing)
    assert same_bits(pv.evolve(heat, y, [0.0, 0.05]), plain(heat, y, [0.0, 0.05]))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 130)),
    steps=st.integers(1, 20),
    spacing=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)),
    smoothing=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_shape_number_of_steps_and_spacing(shape, steps, spacing, smoothing):
    y = np.random.default_rng(3).random(shape, np.float32)
    term = pv.PeronaMalik(0.2, "rational", smoothing=smoothing, spacing=spacing)
    times = pv.uniform(steps * term.stable_dt(2), steps=steps)
    assert same_bits(pv.evolve(term, y, times), plain(term, y, times))


def test_unequal_steps():
    y = np.random.default_rng(4).random((30, 31), np.float32)
    times = [0.0, 0.05, 0.3, 0.31]
    assert same_bits(pv.evolve(pv.Heat(), y, times), plain(pv.Heat(), y, times))


def test_space_and_time_contrasts_and_spacings_stay_on_their_axes():
    y = np.random.default_rng(5).random((6, 20, 21), np.float32)
    for conductance in ("tv", "rational"):
        term = pv.PeronaMalik(0.3, conductance, temporal_kappa=0.1, spacing=(2.0, 1.0, 0.5))
        times = pv.uniform(4 * term.stable_dt(3), steps=4)
        assert same_bits(pv.evolve(term, y, times), plain(term, y, times))


def test_strided_read_only_and_overlapping_arrays():
    term, times = pv.PeronaMalik(0.3, "rational"), pv.uniform(1.0)
    y = np.random.default_rng(6).random((40, 60), np.float32)
    expected = plain(term, y[::2, ::3].copy(), times)
    assert same_bits(pv.evolve(term, y[::2, ::3], times), expected)
    locked = y[::2, ::3].copy()
    locked.flags.writeable = False
    assert same_bits(pv.evolve(term, locked, times), expected)
    out = np.zeros((40, 60), np.float32)
    assert pv.evolve(term, locked, times, out=out[::2, ::3]).base is out
    assert same_bits(out[::2, ::3], expected)
    assert not out[1::2].any()
    own = y[::2, ::3].copy()
    assert pv.evolve(term, own, times, out=own) is own
    assert same_bits(own, expected)


def test_values_that_are_not_finite_are_refused_as_in_the_plain_loop():
    y = np.ones((20, 20), np.float32)
    y[3, 4] = np.nan
    with pytest.raises(pv.InputError, match="NaN"):
        pv.evolve(pv.Heat(), y, pv.uniform(1.0))
    y[3, 4] = 3e38
    y[3, 5] = -3e38
    with pytest.raises(pv.ParameterError, match=r"between t = 0 and 0\.25"):
        pv.evolve(pv.Heat(), y, [0, 0.25, 0.5])
    assert not np.isfinite(pv.evolve(pv.Heat(), y, [0, 0.25, 0.5], check=False)).all()


def test_a_value_that_is_infinite_but_not_nan_is_refused_too():
    y = np.zeros((20, 20), np.float32)
    y[3, 4], y[3, 5] = 3e38, -3e38
    result = pv.evolve(pv.Heat(), y, [0, 0.25], check=False)
    assert np.isinf(result).any()
    assert not np.isnan(result).any()
    with pytest.raises(pv.ParameterError, match="became NaN or infinite"):
        pv.evolve(pv.Heat(), y, [0, 0.25])


def test_exponential_is_within_its_stated_error():
    from pde_video.kernels.conductance import evaluate

    s2 = np.concatenate([np.linspace(0, 30, 1_000_001), np.geomspace(1e-30, 1e30, 10_001)]).astype(np.float32)
    assert np.abs(evaluate("exponential", s2, 1.0) - np.exp(-s2.astype(float))).max() < 1e-6
    assert evaluate("exponential", s2[:1], 1.0) == 1.0


def test_the_library_and_its_kernels_know_the_same_conductances():
    from pde_video.kernels.conductance import NAMES

    assert NAMES == CONDUCTANCES


def test_a_subclass_with_a_rate_of_its_own_is_heard():
    class Forced(pv.Heat):
        def rate(self, t, y):
            return super().rate(t, y) + 1

    y = np.random.default_rng(8).random((20, 21), np.float32)
    fused = pv.evolve(Forced(), y, [0.0, 0.1, 0.2])
    assert same_bits(fused, plain(Forced(), y, [0.0, 0.1, 0.2]))
    assert abs(fused.mean() - y.mean() - 0.2) < 1e-5


def test_a_schedule_that_changes_is_asked_each_time():
    ends = iter([0.1, 0.2])
    y = np.random.default_rng(9).random((20, 21))

    def times(largest):
        return [0.0, next(ends)]

    first, second = (pv.evolve(pv.Heat(), y, times) for _ in range(2))
    assert same_bits(first, plain(pv.Heat(), y, [0.0, 0.1]))
    assert same_bits(second, plain(pv.Heat(), y, [0.0, 0.2]))


@pytest.mark.parametrize("shape", [(40, 41), (6, 20, 21)])
@pytest.mark.parametrize("steps", [31, 33, 65, 100])
def test_many_steps_go_in_several_calls(shape, steps):
    y = np.random.default_rng(10).random(shape, np.float32)
    for term in (pv.Heat(), pv.PeronaMalik(0.3, "rational", smoothing=0.7)):
        times = pv.uniform(steps * term.stable_dt(len(shape)), steps=steps)
        assert same_bits(pv.evolve(term, y, times), plain(term, y, times))
