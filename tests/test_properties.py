"""Properties that hold for any shape, dtype, spacing and boundary."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow
from hypothesis import given, settings
from hypothesis import strategies as st

import pde_video as pv

SHAPES = st.one_of(
    st.tuples(st.integers(1, 12)),
    st.tuples(st.integers(1, 7), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
)
FLAT = SHAPES.filter(lambda shape: len(shape) > 1)
SPACING = st.one_of(st.floats(0.5, 2.0), st.just("each"))
BOUNDARY = st.sampled_from(["neumann", "periodic", "dirichlet"])
EXPLICIT = [pv.explicit_euler, pv.heun]
STEP = st.sampled_from([*EXPLICIT, pv.implicit_euler, pv.crank_nicolson, pv.aos, pv.fed, pv.fsi, pv.rkl2])


def diffusion(kind, shape, spacing, boundary):
    h = (1.0, 2.0, 0.5)[: len(shape)] if spacing == "each" else spacing
    common = {"spacing": h, "boundary": boundary}
    return {
        "heat": lambda: pv.Heat(1.3, **common),
        "exponential": lambda: pv.PeronaMalik(0.4, **common),
        "tukey": lambda: pv.PeronaMalik(0.6, "tukey", smoothing=0.6, **common),
        "tv": lambda: pv.PeronaMalik(0.3, "tv", **common),
        "total variation": lambda: pv.TotalVariation(0.3, **common),
        "edge": lambda: pv.EdgeEnhancing(0.3, **common),
        "coherence": lambda: pv.CoherenceEnhancing(0.3, **common),
    }[kind]()


KINDS = ["heat", "exponential", "tv", "total variation", *slow("tukey")]  # Each is other kernels, as is each dtype.
DTYPES = pytest.mark.parametrize("dtype", [np.float32, *slow(np.float64)])


def state(shape, dtype, seed):
    return np.random.default_rng(seed).random(shape).astype(dtype)


def slack(dtype):
    return 1e-5 if dtype == np.float32 else 1e-9


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@given(shape=SHAPES, spacing=SPACING, boundary=BOUNDARY, step=STEP, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_every_step_keeps_shape_dtype_mean_and_constants(kind, shape, spacing, boundary, dtype, step, seed):
    term, y = diffusion(kind, shape, spacing, boundary), state(shape, dtype, seed)
    dt = term.stable_dt(len(shape)) * (1.0 if step in EXPLICIT else 9.0)
    z = pv.evolve(term, y, [0, dt, 2 * dt], step=step)
    assert (z.shape, z.dtype) == (y.shape, y.dtype)
    assert (z**2).sum() <= (y**2).sum() + slack(dtype) * y.size  # Norms do not grow.
    if boundary != "dirichlet":
        assert abs(z.mean(dtype=float) - y.mean(dtype=float)) < slack(dtype)
        constant = np.full(shape, dtype(0.7))
        np.testing.assert_allclose(pv.evolve(term, constant, [0, dt], step=step), constant, atol=slack(dtype))


@DTYPES
@pytest.mark.parametrize("kind", [*KINDS, "edge", "coherence"])
@given(shape=FLAT, spacing=SPACING, boundary=BOUNDARY, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_extrema_are_kept_by_explicit_steps_at_the_bound_and_implicit_ones_at_any(
    kind, shape, spacing, boundary, dtype, seed
):
    term, y = diffusion(kind, shape, spacing, boundary), state(shape, dtype, seed)
    low = 0.0 if boundary == "dirichlet" else float(y.min())
    explicit = pv.evolve(term, y, [0, term.stable_dt(len(shape))])
    implicit = pv.evolve(term, y, [0, 50.0], step=pv.implicit_euler)
    for z in (explicit, implicit):
        assert z.min() >= low - slack(dtype)
        assert z.max() <= y.max() + slack(dtype)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@given(shape=SHAPES, boundary=BOUNDARY, step=STEP, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_reversal_commutes_and_data_may_be_shifted_and_scaled(kind, shape, boundary, dtype, step, seed):
    y = state(shape, dtype, seed)
    term = diffusion(kind, shape, 1.0, boundary)
    dt = term.stable_dt(len(shape)) * (1.0 if step in EXPLICIT else 5.0)
    z = pv.evolve(term, y, [0, dt], step=step)
    backwards = pv.evolve(term, np.ascontiguousarray(np.flip(y)), [0, dt], step=step)
    np.testing.assert_allclose(np.flip(backwards), z, rtol=0, atol=slack(dtype))
    if kind == "heat":
        tripled = pv.evolve(term, 3 * y, [0, dt], step=step)
        np.testing.assert_allclose(tripled, 3 * z, rtol=0, atol=10 * slack(dtype))
    if boundary != "dirichlet":
        raised = pv.evolve(term, y + dtype(0.5), [0, dt], step=step)
        np.testing.assert_allclose(raised, z + dtype(0.5), rtol=0, atol=10 * slack(dtype))


@DTYPES
@given(shape=FLAT, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_channels_that_are_equal_stay_equal(shape, dtype, seed):
    y = state(shape, dtype, seed)
    colour = np.stack([y, y, y], axis=-1)
    for term in (pv.PeronaMalik(0.3), pv.EdgeEnhancing(0.3), pv.TotalVariation(0.3)):
        z = pv.evolve(term, colour, [0, term.stable_dt(len(shape))], channel_axis=-1)
        np.testing.assert_array_equal(z[..., 0], z[..., 1])
        np.testing.assert_array_equal(z[..., 0], z[..., 2])
