"""Figures: what stands on the lines."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

import pde_video as pv
from pde_video.terms.perona_malik import CONDUCTANCES
from pde_video.tools.plots import plot_conductances, plot_history, plot_order, plot_scale_space


def test_scale_space_shows_the_states_of_evolve(rng):
    noise = rng.random((20, 24))
    figure = plot_scale_space(pv.Heat(), noise, [0, 0.6, 2.0])
    assert [axes.get_title() for axes in figure.axes] == ["t = 0", "t = 0.6", "t = 2"]
    shown = [axes.get_images()[0] for axes in figure.axes]
    at_06 = pv.evolve(pv.Heat(), noise, np.linspace(0, 0.6, 4))
    at_2 = pv.evolve(pv.Heat(), at_06, np.linspace(0.6, 2.0, 7))
    for image, state in zip(shown, (noise, at_06, at_2), strict=True):
        np.testing.assert_array_equal(image.get_array(), state)
        assert image.get_clim() == (noise.min(), noise.max())


def test_scale_space_takes_one_step_where_any_is_stable(rng):
    noise = rng.random((20, 24))
    figure = plot_scale_space(pv.Heat(), noise, [0, 30.0], step=pv.implicit_euler)
    expected = pv.evolve(pv.Heat(), noise, [0, 30.0], step=pv.implicit_euler)
    np.testing.assert_array_equal(figure.axes[1].get_images()[0].get_array(), expected)


@pytest.mark.parametrize("times", [[], [1, 1], [2, 1], [0, np.nan], pv.uniform(3.0)])
def test_scale_space_refuses_times_that_cannot_be_shown(times):
    with pytest.raises(pv.ParameterError, match="times"):
        plot_scale_space(pv.Heat(), np.eye(4), times)


def test_scale_space_refuses_what_is_no_picture():
    with pytest.raises(pv.ParameterError, match="shape"):
        plot_scale_space(pv.Heat(), np.ones(4), [0, 1])


def test_history_draws_what_was_recorded(rng):
    history = pv.History()
    pv.evolve(pv.Heat(), rng.random((9, 9)), pv.uniform(3.0), callback=history)
    energy, entropy, extrema = plot_history(history).axes
    assert [axes.get_xlabel() for axes in (energy, entropy, extrema)] == ["time t"] * 3
    lines = [energy.get_lines()[0], entropy.get_lines()[0], *extrema.get_lines()]
    for line, name in zip(lines, ("energy", "entropy", "maximum", "mean", "minimum"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), history.time)
        np.testing.assert_array_equal(line.get_ydata(), getattr(history, name))
    assert [text.get_text() for text in extrema.get_legend().get_texts()] == ["maximum", "mean", "minimum"]
    assert not entropy.texts


def test_history_says_why_there_is_no_entropy(rng):
    history = pv.History()
    pv.evolve(pv.Heat(), rng.normal(size=(9, 9)) - 5, pv.uniform(1.0), callback=history)
    assert plot_history(history).axes[1].texts[0].get_text() == "values below 0"
    with pytest.raises(pv.ParameterError, match="empty"):
        plot_history(pv.History())


def test_order_is_the_slope():
    dt = np.array([0.1, 0.05, 0.025])
    axes = plot_order(dt, {"first": 3 * dt, "third": 0.5 * dt**3}).axes[0]
    first, first_fit, third, third_fit = axes.get_lines()
    np.testing.assert_array_equal(first.get_data(), (dt, 3 * dt))
    np.testing.assert_allclose(first_fit.get_ydata(), 3 * dt, rtol=1e-12)
    np.testing.assert_allclose(third_fit.get_ydata(), third.get_ydata(), rtol=1e-12)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["first: order 1.00", "third: order 3.00"]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel()) == ("log", "log", "step dt")


def test_order_takes_a_bare_sequence():
    axes = plot_order([1, 2], [1, 4], xlabel="spacing h").axes[0]
    assert axes.get_legend().get_texts()[0].get_text() == "error: order 2.00"
    assert axes.get_xlabel() == "spacing h"


@pytest.mark.parametrize(
    ("steps", "errors"), [([1, 2], [1]), ([1, 1], [1, 1]), ([1, 2], [0, 1]), ([0, 1], [1, 1]), ([1, 2], {})]
)
def test_order_refuses_what_has_no_slope(steps, errors):
    with pytest.raises(pv.ParameterError):
        plot_order(steps, errors)


@pytest.mark.parametrize("kappa", [1.0, 0.2])
def test_conductances_are_those_that_the_term_uses(kappa):
    conductance, flux = plot_conductances(kappa).axes
    for axes in (conductance, flux):
        assert [line.get_label() for line in axes.get_lines()][:-1] == list(CONDUCTANCES)
    for name, g_line, flux_line in zip(CONDUCTANCES, conductance.get_lines(), flux.get_lines(), strict=False):
        s, g = g_line.get_data()
        np.testing.assert_array_equal(flux_line.get_ydata(), g * s)
        for i in (1, 50, 100, 150, 300):  # Two cells a difference s apart: their rate is the flux itself.
            rate = pv.PeronaMalik(kappa, name).rate(0.0, np.array([[0.0, s[i]]]))
            np.testing.assert_allclose(rate, [[g[i] * s[i], -g[i] * s[i]]], rtol=1e-10, atol=1e-14)


def test_conductances_refuse_a_bad_kappa():
    with pytest.raises(pv.ParameterError, match="kappa"):
        plot_conductances(0.0)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "\.\[plot\]"'):
        plot_conductances()
