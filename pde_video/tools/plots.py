"""Figures of evolutions, orders and conductances (extra ``plot``: matplotlib)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pde_video.errors import ParameterError, not_installed
from pde_video.integrators.history import History
from pde_video.integrators.loop import evolve
from pde_video.integrators.steps import explicit_euler
from pde_video.protocols import Array, Step, Term, bound_of, multiple_of
from pde_video.terms.perona_malik import CONDUCTANCES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_scale_space(term: Term, y: Array, times: Sequence[float], *, step: Step = explicit_euler) -> Figure:
    """Plot the states of a picture at several times side by side.

    y(t) with dy/dt = rate(t, y), in grey, on the range of the first state. Between two times the fewest stable steps of
    equal length are taken.

    Parameters
    ----------
    term : Term
        The right-hand side.
    y : ndarray of float32 or float64, shape (H, W)
        Initial state.
    times : sequence of float
        Times to show, increasing, at least one.
    step : Step
        The integrator.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ParameterError
        If `y` is not a picture, or `times` are not increasing numbers.
    UnstableStepError, InputError, TypeError
        As for `evolve`.

    References
    ----------
    Koenderink (1984), The structure of images, doi:10.1007/BF00336961.

    Examples
    --------
    >>> from pde_video.tools.plots import plot_scale_space
    >>> figure = plot_scale_space(pv.Heat(), np.eye(32), [0, 1, 8])
    >>> [axes.get_title() for axes in figure.axes]
    ['t = 0', 't = 1', 't = 8']
    """
    if np.ndim(y) != 2:
        raise ParameterError(f"y has shape {np.shape(y)}; give a picture (H, W)")
    shown = np.asarray(() if callable(times) else times, dtype=float)
    if shown.ndim != 1 or shown.size == 0 or not np.isfinite(shown).all() or not (np.diff(shown) > 0).all():
        raise ParameterError(f"times is {times!r}; give the times to show as increasing numbers, at least one")
    multiple = multiple_of(step)
    longest = multiple * bound_of(term, 2) if math.isfinite(multiple) else math.inf
    figure = _figure(2.0 * len(shown), 2.2)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    low, high = float(np.min(y)), float(np.max(y))
    for axes, t0, t1 in zip(panels, [shown[0], *shown[:-1]], shown, strict=True):
        steps = math.ceil((t1 - t0) / longest * (1 - 1e-9)) if longest < math.inf else int(t1 > t0)
        y = evolve(term, y, np.linspace(t0, t1, steps + 1), step=step)
        axes.imshow(y, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(f"t = {t1:g}")
        axes.set_axis_off()
    return figure


def plot_history(history: History) -> Figure:
    """Plot energy, entropy and extrema over time.

    The energy ½ Σ y²/N falls in a diffusion, the entropy −Σ p ln p, p = y / Σ y, rises, and min y and max y approach
    mean y.

    Parameters
    ----------
    history : History
        Filled by an evolution.

    Returns
    -------
    matplotlib.figure.Figure
        With three axes: energy, entropy (a note where values were negative), extrema.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ParameterError
        If nothing was recorded.

    References
    ----------
    Weickert (1998), Anisotropic Diffusion in Image Processing, chapter 2.

    Examples
    --------
    >>> from pde_video.tools.plots import plot_history
    >>> history = pv.History()
    >>> _ = pv.evolve(pv.Heat(), np.eye(8), pv.uniform(2.0), callback=history)
    >>> [axes.get_ylabel() for axes in plot_history(history).axes]
    ['energy', 'entropy', 'value']
    """
    if not history.time:
        raise ParameterError("the history is empty; pass it as callback to evolve first")
    figure = _figure(9.0, 2.8)
    energy, entropy, extrema = figure.subplots(1, 3)
    energy.plot(history.time, history.energy)
    entropy.plot(history.time, history.entropy)
    if np.isnan(history.entropy).all():
        entropy.text(0.5, 0.5, "values below 0", ha="center", va="center", transform=entropy.transAxes)
    for name in ("maximum", "mean", "minimum"):
        extrema.plot(history.time, getattr(history, name), label=name)
    extrema.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small")
    for axes, label in ((energy, "energy"), (entropy, "entropy"), (extrema, "value")):
        axes.set(xlabel="time t", ylabel=label)
    return figure


def plot_order(
    steps: Sequence[float], errors: Sequence[float] | Mapping[str, Sequence[float]], *, xlabel: str = "step dt"
) -> Figure:
    """Plot errors over steps on logarithmic axes, with the fitted order in the legend.

    error ≈ C dtᵖ; p is the slope of the least-squares line through (ln dt, ln error), drawn dashed.

    Parameters
    ----------
    steps : sequence of float
        Steps (or grid spacings), all > 0, at least two of them different.
    errors : sequence of float, or mapping from name to such a sequence
        Errors > 0, one for each step; several schemes go into one figure by name.
    xlabel : str
        What `steps` are.

    Returns
    -------
    matplotlib.figure.Figure
        For every scheme two lines: the points, and the fit.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ParameterError
        If lengths differ or a value is not positive.

    References
    ----------
    Roache (1998), Verification and Validation in Computational Science and Engineering, Hermosa.

    Examples
    --------
    >>> from pde_video.tools.plots import plot_order
    >>> figure = plot_order([0.1, 0.2, 0.4], {"heun": [0.01, 0.04, 0.16]})
    >>> figure.axes[0].get_legend().get_texts()[0].get_text()
    'heun: order 2.00'
    """
    dt = np.asarray(steps, dtype=float)
    if dt.ndim != 1 or not (np.isfinite(dt) & (dt > 0)).all() or len(np.unique(dt)) < 2:
        raise ParameterError(f"steps is {steps!r}; give at least two different numbers above 0")
    named = errors if isinstance(errors, Mapping) else {"error": errors}
    if not named:
        raise ParameterError("errors is an empty mapping; give at least one scheme")
    curves = {}
    for name, values in named.items():
        curves[name] = np.asarray(values, dtype=float)
        if curves[name].shape != dt.shape or not (np.isfinite(curves[name]) & (curves[name] > 0)).all():
            raise ParameterError(f"errors of {name!r} are {values!r}; give {len(dt)} numbers above 0")

    figure = _figure(4.8, 3.6)
    axes = figure.subplots()
    for name, error in curves.items():
        order, constant = np.polyfit(np.log(dt), np.log(error), 1)
        (points,) = axes.loglog(dt, error, "o", label=f"{name}: order {order:.2f}")
        axes.loglog(dt, np.exp(constant) * dt**order, "--", color=points.get_color(), linewidth=1)
    axes.set(xlabel=xlabel, ylabel="error")
    axes.legend()
    return figure


def plot_conductances(kappa: float = 1.0) -> Figure:
    """Plot all conductances g(s²) and their fluxes g(s²)·s.

    Where the flux falls, diffusion runs backwards and steepens edges. `PeronaMalik` has the formulas.

    Parameters
    ----------
    kappa : float
        The edge contrast κ > 0; gradients s go from 0 to 3κ.

    Returns
    -------
    matplotlib.figure.Figure
        With two axes, g and g·s over s, on each a line for every conductance.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ParameterError
        If `kappa` is not a positive, finite number.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    >>> from pde_video.tools.plots import plot_conductances
    >>> flux = plot_conductances(2.0).axes[1]
    >>> s, g_times_s = flux.get_lines()[1].get_data()  # rational: the largest flux is at κ
    >>> round(float(s[g_times_s.argmax()]), 6)
    2.0
    """
    from pde_video.kernels.conductance import evaluate

    if not (math.isfinite(kappa) and kappa > 0):
        raise ParameterError(f"kappa is {kappa}; it must be a positive, finite number")
    figure = _figure(8.0, 3.2)
    conductance, flux = figure.subplots(1, 2)
    s = np.linspace(0.0, 3.0 * kappa, 301)
    for code, name in enumerate(CONDUCTANCES):
        g = evaluate(name, s**2, kappa)
        style = ("-", "--")[code % 2]
        conductance.plot(s, g, style, label=name)
        flux.plot(s, g * s, style, label=name)
    for axes, label in ((conductance, "conductance g(s²)"), (flux, "flux g(s²)·s")):
        axes.axvline(kappa, color="0.7", linewidth=0.8, zorder=0, label="_kappa")
        axes.set(xlabel=f"gradient s (κ = {kappa:g}, grey)", ylabel=label)
    conductance.legend(fontsize="small")
    return figure


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(not_installed("plots", "matplotlib", "plot")) from error
    return Figure(figsize=(width, height), layout="constrained")
