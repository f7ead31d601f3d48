"""The record of an evolution and its certificate."""

from __future__ import annotations

import numpy as np
import pytest

import pde_video as pv


def test_every_figure_follows_its_formula(rng):
    y = rng.random((2, 5, 6))
    history, states = pv.History(channel_axis=0), []

    def both(t, state):
        history(t, state)
        states.append(state.copy())

    pv.evolve(pv.Heat(), y, [0, 0.2, 0.4], channel_axis=0, callback=both)
    for k, z in enumerate(states):
        p = z / z.sum()
        assert history.time[k] == pytest.approx(0.2 * k)
        assert history.mean[k] == pytest.approx(z.mean())
        assert (history.minimum[k], history.maximum[k]) == (z.min(), z.max())
        assert history.energy[k] == pytest.approx(0.5 * (z**2).mean())
        assert history.entropy[k] == pytest.approx(-(p * np.log(p)).sum())
        assert history.residual[k] == pytest.approx(np.sqrt(((z - y) ** 2).mean()))
        squares = (np.diff(z, axis=1) ** 2).sum() + (np.diff(z, axis=2) ** 2).sum()
        assert history.gradient[k] == pytest.approx(0.5 * squares / z.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("term", [pv.Heat(), pv.PeronaMalik(0.1, smoothing=0.7), pv.TotalVariation(0.1)])
def test_diffusion_holds_its_certificate(term, dtype, rng):
    history = pv.History()
    pv.evolve(term, rng.random((20, 21)).astype(dtype), pv.uniform(100 * term.stable_dt(2)), callback=history)
    assert pv.certificate(history).holds


def test_each_property_can_fail(rng):
    y = rng.random((6, 6)) + 1
    failing = {
        "mean_kept": y + 0.01,
        "extrema_kept": np.where(y == y.max(), y + 0.1, y - 0.1 / 35),
        "energy_decreasing": 1.1 * (y - y.mean()) + y.mean(),
        "entropy_increasing": 1.1 * (y - y.mean()) + y.mean(),
        "gradient_decreasing": 1.1 * (y - y.mean()) + y.mean(),
    }
    for name, after in failing.items():
        history = pv.History()
        history(0.0, y)
        history(1.0, after)
        assert getattr(pv.certificate(history), name) is False, name
        assert pv.certificate(history).worst[name.split("_")[0]] > 0
    history = pv.History()
    history(0.0, y)
    history(1.0, y)
    assert pv.certificate(history).holds
    assert set(pv.certificate(history).worst.values()) == {0.0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_default_a_violation_of_few_roundings_is_forgiven_and_a_larger_one_is_not(dtype):
    for roundings, kept in ((16, True), (64, False)):
        history = pv.History()
        for t, top in enumerate((1, 1 + roundings * np.finfo(dtype).eps)):
            history(t, np.array([0, top], dtype))
        assert pv.certificate(history).extrema_kept is kept


def test_negative_values_have_no_entropy_and_nothing_has_no_certificate(rng):
    history = pv.History()
    pv.evolve(pv.Heat(), rng.normal(size=(5, 5)), [0, 0.1], callback=history)
    assert pv.certificate(history).entropy_increasing is None
    assert pv.certificate(history).holds
    with pytest.raises(pv.ParameterError, match="history is empty"):
        pv.certificate(pv.History())
    with pytest.raises(pv.ParameterError, match="tolerance is -1"):
        pv.certificate(history, tolerance=-1)


def test_what_blew_up_is_not_certified():
    history = pv.History()
    history(0.0, np.array([1.0, 2.0]))
    history(1.0, np.array([np.nan, np.inf]))
    found = pv.certificate(history)
    kept = (found.mean_kept, found.extrema_kept, found.energy_decreasing, found.gradient_decreasing)
    assert kept == (False, False, False, False)
    assert not found.holds
