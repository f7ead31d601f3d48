"""The loop: times, checks, layout."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import pde_video as pv
from pde_video.protocols import Step, Term, satisfies
from pde_video.solvers.implicit import conjugate_gradients


class Decay:
    """dy/dt = −y, a term written by a user: nothing but a rate."""

    def rate(self, t, y):
        return -y


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("term", [pv.Heat(2.0, spacing=0.5), pv.PeronaMalik(0.1), pv.PeronaMalik(0.1, "tv")])
def test_the_stable_step_is_accepted_and_one_percent_more_refused(term, ndim):
    y = np.zeros((4,) * ndim, np.float32)
    bound = term.stable_dt(ndim)
    pv.evolve(term, y, [0, bound])
    with pytest.raises(pv.UnstableStepError, match=f"above {bound:.6g}, the largest stable one"):
        pv.evolve(term, y, [0, 1.01 * bound])


def test_the_bound_follows_its_formula():
    assert [pv.Heat().stable_dt(ndim) for ndim in (1, 2, 3)] == [0.5, 0.25, 1 / 6]
    assert pv.Heat(2.0, spacing=(1.0, 2.0, 0.5)).stable_dt(3) == pytest.approx(1 / (2 * 2 * (1 + 0.25 + 4)), rel=1e-12)
    assert pv.PeronaMalik(0.1).stable_dt(2) == 0.25
    assert pv.PeronaMalik(0.1, "tv").stable_dt(2) == pytest.approx(0.025, rel=1e-12)  # g is at most 1/kappa.


def test_the_bound_is_sharp():
    checkers = np.indices((8, 8)).sum(axis=0) % 2 - 0.5
    for dt, grows in ((0.25, False), (0.26, True)):
        state = pv.evolve(pv.Heat(), checkers, pv.uniform(100 * dt, steps=100), check=False)
        assert (np.abs(state).max() > 0.5001) == grows


def test_uniform_without_a_step_takes_the_largest_stable_one():
    times = []
    pv.evolve(pv.Heat(), np.zeros((3, 3)), pv.uniform(1.1), callback=lambda t, y: times.append(t))
    np.testing.assert_allclose(times, np.linspace(0, 1.1, 6))  # 1.1 / 0.25 = 4.4, so five steps.
    times.clear()
    everything = pv.uniform(1.1)
    pv.evolve(pv.Heat(), np.zeros((3, 3)), everything, step=pv.implicit_euler, callback=lambda t, y: times.append(t))
    assert times == [0, 1.1]


@pytest.mark.parametrize("dt", [0.1, 0.01, 0.3, 1 / 3])
def test_a_time_of_so_many_steps_has_so_many_though_quotients_are_rounded(dt):
    for n in range(1, 200):
        np.testing.assert_array_equal(pv.uniform(n * dt, dt=dt), np.linspace(0, n * dt, n + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t_end": 0}, "t_end is 0"),
        ({"t_end": float("inf")}, "t_end is inf"),
        ({"t_end": 1, "dt": 0}, "dt is 0"),
        ({"t_end": 1, "dt": -0.1}, "dt is -0.1"),
        ({"t_end": 1, "dt": float("nan")}, "dt is nan"),
        ({"t_end": 1, "steps": 0}, "steps is 0"),
        ({"t_end": 1, "steps": 1.5}, "steps is 1.5"),
        ({"t_end": 1, "dt": 0.1, "steps": 10}, "both given"),
    ],
)
def test_bad_times_are_named(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.uniform(**arguments)


@pytest.mark.parametrize("times", [[0, 0], [0, 1, 1], [0, 1, 0.5], [[0, 1]], [], [0, np.nan]])
def test_times_must_be_strictly_monotonic(times):
    with pytest.raises(pv.ParameterError, match="times must be"):
        pv.evolve(Decay(), np.ones(3), times)


class Clock:
    """dy/dt = t."""

    def rate(self, t, y):
        return np.full_like(y, t)


def test_the_rate_is_taken_at_the_start_of_an_explicit_step():
    np.testing.assert_array_equal(pv.evolve(Clock(), np.zeros(2), [0.0, 1.0, 3.0]), [2.0, 2.0])


@pytest.mark.parametrize("step", [pv.explicit_euler, pv.implicit_euler])
def test_diffusion_is_not_run_backwards(step):
    with pytest.raises(pv.UnstableStepError, match="times decrease from 1 to 0"):
        pv.evolve(pv.Heat(), np.eye(4), [1.0, 0.9, 0.0], step=step)
    with pytest.raises(pv.UnstableStepError, match=r"times decrease from 0\.1 to 0"):
        pv.evolve(pv.Heat(), np.eye(4), [0.1, 0.0], step=step)


def test_a_step_that_does_not_say_how_far_it_is_stable_is_held_to_the_bound():
    with pytest.raises(pv.UnstableStepError):
        pv.evolve(pv.Heat(), np.eye(4), [0, 1.0], step=lambda term, t0, t1, y: y + (t1 - t0) * term.rate(t0, y))


def test_a_state_that_overflows_is_an_error_and_not_nan():
    class Growth:
        def rate(self, t, y):
            return y * y

    with (
        pytest.raises(pv.ParameterError, match="became NaN or infinite between t = 0 and 1"),
        np.errstate(over="ignore"),
    ):
        pv.evolve(Growth(), np.full(3, 1e30, np.float32), [0, 1.0])


def test_values_that_are_finite_may_have_a_sum_that_is_not():
    huge = np.full((4, 4), 1e38, np.float32)
    np.testing.assert_array_equal(pv.evolve(pv.Heat(), huge, [0, 0.25]), huge)
    np.testing.assert_array_equal(pv.evolve(Decay(), huge, [0, 0.5]), huge / 2)


def test_states_given_to_a_callback_are_not_written_to_when_out_is_the_input():
    y, kept = np.array([0.0, 1.0]), []
    pv.evolve(pv.Heat(), y, [0, 0.25], out=y, callback=lambda t, state: kept.append(state))
    assert [state.tolist() for state in kept] == [[0.0, 1.0], [0.25, 0.75]]
    assert y.tolist() == [0.25, 0.75]


def test_times_may_decrease():
    np.testing.assert_allclose(pv.evolve(Decay(), np.ones(2), [1.0, 0.5, 0.0]), [2.25, 2.25])


def test_evolution_yields_every_state_and_evolve_the_last():
    states = list(pv.evolution(Decay(), np.ones(2), [0, 0.5, 1.0]))
    assert [t for t, _ in states] == [0, 0.5, 1.0]
    np.testing.assert_array_equal([state[0] for _, state in states], [1, 0.5, 0.25])
    np.testing.assert_array_equal(pv.evolve(Decay(), np.ones(2), [0, 0.5, 1.0]), states[-1][1])


@pytest.mark.parametrize("channel_axis", [None, 0, 1, -1])
def test_layout_is_given_back(channel_axis, rng):
    y = rng.random((5, 6, 4)).astype(np.float32)
    before = y.copy()
    seen = []
    z = pv.evolve(pv.Heat(), y, [0, 0.1], channel_axis=channel_axis, callback=lambda t, s: seen.append(s.shape))
    assert z.shape == y.shape == seen[0] == seen[1]
    assert z.dtype == y.dtype
    assert z.flags.c_contiguous
    np.testing.assert_array_equal(y, before)


def test_out_receives_the_result(rng):
    y = rng.random((6, 7))
    expected, out = pv.evolve(pv.Heat(), y, [0, 0.2]), np.empty((6, 7))
    assert pv.evolve(pv.Heat(), y, [0, 0.2], out=out) is out
    np.testing.assert_array_equal(out, expected)
    pv.evolve(pv.Heat(), y, [0, 0.2], out=y)
    np.testing.assert_array_equal(y, expected)
    with pytest.raises(pv.ParameterError, match="out has shape"):
        pv.evolve(pv.Heat(), y, [0, 0.2], out=np.empty((7, 6)))


def test_no_time_gives_a_copy(rng):
    y = rng.random((4, 4))
    z = pv.evolve(pv.Heat(), y, [0.0])
    np.testing.assert_array_equal(y, z)
    assert not np.shares_memory(y, z)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.complex64, bool, object, np.float16])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="evolve takes float32 or float64"):
        pv.evolve(pv.Heat(), np.zeros((3, 3), dtype), [0, 0.1])


def test_odd_memory_layouts_give_the_same(rng):
    y = rng.random((8, 10))
    expected = pv.evolve(pv.Heat(), y, [0, 0.2])
    read_only = y.copy()
    read_only.setflags(write=False)
    padded = np.zeros((16, 20))
    padded[::2, ::2] = y
    for other in (np.asfortranarray(y), read_only, padded[::2, ::2], y.astype(">f8")):
        np.testing.assert_array_equal(pv.evolve(pv.Heat(), other, [0, 0.2]), expected)


def test_unusable_states_are_refused():
    with pytest.raises(pv.InputError, match="empty"):
        pv.evolve(pv.Heat(), np.zeros((0, 3)), [0, 0.1])
    with pytest.raises(pv.InputError, match="NaN"):
        pv.evolve(pv.Heat(), np.array([1.0, np.nan]), [0, 0.1])
    with pytest.raises(pv.ParameterError, match="channel_axis is 2"):
        pv.evolve(pv.Heat(), np.zeros((3, 3)), [0, 0.1], channel_axis=2)
    with pytest.raises(pv.ParameterError, match="4 axes"):
        pv.evolve(pv.Heat(), np.zeros((2, 2, 2, 2)), [0, 0.1])
    with pytest.raises(TypeError, match="Decay has no solve"):
        pv.evolve(Decay(), np.ones(2), [0, 1], step=pv.implicit_euler)


def test_a_solve_that_does_not_converge_says_so(rng):
    matrix = np.diag([1.0, 1e3, 1e6])
    with pytest.raises(pv.SolverError, match="relative residual"):
        conjugate_gradients(lambda z: z @ matrix, np.ones((1, 3)), np.ones((1, 3)), iterations=1)
    huge = np.diag([1.0, 1e9, 1e18])  # Rounding is no excuse, however large the operator.
    with pytest.raises(pv.SolverError, match="relative residual"):
        conjugate_gradients(lambda z: z @ huge, np.full((1, 3), 1e18), np.ones((1, 3)), iterations=1)
    with pytest.raises(pv.SolverError, match="nan"):
        conjugate_gradients(lambda z: z * np.nan, np.ones((1, 3)), np.ones((1, 3)), iterations=3)


@pytest.mark.parametrize("thing", [pv.Heat, 3, None, SimpleNamespace(rate=None)])
def test_what_has_no_rate_is_no_term(thing):
    assert not satisfies(thing, Term)
    with pytest.raises(TypeError, match=r"is no term: it must be an object with rate\(t, y\)"):
        pv.evolve(thing, np.zeros((4, 4)), [0, 0.1])


def test_a_protocol_of_a_function_has_no_method_to_look_for():
    with pytest.raises(TypeError, match="Step adds no method"):
        satisfies(pv.heun, Step)
