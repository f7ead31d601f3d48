"""One pool: order, bounds, errors, nesting, forks and concurrent callers; results never depend on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.threads import available, each, ordered


@pytest.fixture(autouse=True)
def three_threads(threads):
    threads(3)


def test_ordered_keeps_the_order_whatever_takes_longest():
    def slow_if_even(i):
        time.sleep(0.002 * (i % 2 == 0))
        return i

    assert list(ordered(slow_if_even, range(50))) == list(range(50))


def test_ordered_draws_no_more_items_than_it_can_work_on():
    drawn = []

    def items():
        for i in range(1000):
            drawn.append(i)
            yield i

    results = ordered(lambda i: i, items())
    for k in range(20):
        assert next(results) == k
        assert len(drawn) <= k + 1 + 4
    results.close()
    assert len(drawn) <= 25


def test_ordered_runs_on_several_threads_at_once():
    together = threading.Barrier(3, timeout=10)
    assert sorted(ordered(lambda _: together.wait(), range(6))) == [0, 0, 1, 1, 2, 2]


def test_each_does_everything_once_and_the_caller_helps():
    seen, names = [], set()
    together = threading.Barrier(3, timeout=10)

    def note(i):
        if i < 3:
            together.wait()
        names.add(threading.current_thread().name)
        seen.append(i)

    each(note, range(100))
    assert sorted(seen) == list(range(100))
    assert threading.current_thread().name in names


@pytest.mark.parametrize("run", [lambda f, items: list(ordered(f, items)), each])
def test_an_exception_arrives_and_nothing_is_at_work_afterwards(run):
    busy = []

    def fails_at_5(i):
        busy.append(i)
        try:
            if i == 5:
                raise ZeroDivisionError("five")
            time.sleep(0.001)
        finally:
            busy.remove(i)

    with pytest.raises(ZeroDivisionError, match="five"):
        run(fails_at_5, range(1000))
    assert busy == []


def test_nested_calls_do_not_wait_for_each_other():
    def inner(i):
        assert available() == 1
        return sum(ordered(lambda j: j, range(i)))

    assert list(ordered(inner, range(20))) == [i * (i - 1) // 2 for i in range(20)]


def test_many_callers_at_once_get_what_one_gets():
    y = np.random.default_rng(0).random((4, 40, 50), np.float32)
    blur = pv.framewise(pv.PeronaMalik(0.2, "rational"), pv.uniform(1.0))
    expected, found = blur(y), []
    callers = [threading.Thread(target=lambda: found.append(blur(y))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 8
    assert all(np.array_equal(one, expected) for one in found)


@pytest.mark.parametrize("method", ["perona-malik", "tv", "heat"])
def test_results_do_not_depend_on_the_number_of_threads(method):
    y = np.random.default_rng(1).normal(0.5, 0.1, (30, 41, 52, 3)).astype(np.float32)
    found = []
    for n in (1, 2, 5):
        pv.set_num_threads(n)
        found.append(pv.denoise(y, method=method))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_the_child_has_a_pool_of_its_own():
    code = """
import os, sys, numpy as np, pde_video as pv
pv.set_num_threads(3)
y = np.random.default_rng(0).random((6, 40, 50), np.float32)
f = pv.framewise(pv.Heat(), pv.uniform(1.0))
expected = f(y)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(f(y), expected) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120).returncode == 0


def test_the_number_comes_from_the_environment_or_is_refused():
    code = "import pde_video as pv; print(pv.num_threads())"

    def run(value):
        environment = {**os.environ, "PDE_VIDEO_NUM_THREADS": value}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert run("7").stdout.strip() == "7"
    assert "PDE_VIDEO_NUM_THREADS is 'many'" in run("many").stderr
    for bad in (0, -1, 1.5, "x", True, None, 2000, 1e30, float("inf"), 10**400):
        with pytest.raises(pv.ParameterError, match="whole number of threads"):
            pv.set_num_threads(bad)


def test_out_receives_the_result_and_nothing_else_is_accepted():
    y = np.random.default_rng(2).random((5, 20, 30), np.float32)
    before = y.copy()
    blur = pv.framewise(pv.Heat(), pv.uniform(1.0))
    expected, out = blur(y), np.zeros_like(y)
    assert blur(y, out=out) is out
    assert np.array_equal(out, expected)
    assert np.array_equal(y, before)
    assert np.array_equal(blur(y, out=y), expected)  # In place.
    y = before
    integers = (y * 255).astype(np.uint8)
    assert np.array_equal(blur(integers, out=np.zeros_like(integers)), blur(integers))
    with pytest.raises(pv.ParameterError, match="must be like the video"):
        blur(y, out=np.zeros(y.shape))
    with pytest.raises(pv.ParameterError, match="for arrays"):
        blur(iter(y), out=out)
    with pytest.raises(pv.ParameterError, match="out has 6 frames; the filter returned 5"):
        blur(y, out=np.zeros((6, 20, 30), np.float32))
    with pytest.raises(pv.ParameterError, match="out has 4 frames; the filter returned 5"):
        blur(y, out=np.zeros((4, 20, 30), np.float32))
    with pytest.raises(pv.ParameterError, match="out has frames of shape"):
        pv.crop(y, top=0, left=0, height=10, width=10, out=np.zeros_like(y))


def averaged(frames):
    previous = None
    for frame in frames:
        yield frame if previous is None else (frame + previous) / 2
        previous = frame


@pv.video_filter
def blurred_and_averaged(frames):
    return averaged(pv.framewise(pv.Heat(), [0.0, 0.2])(frames))


@pv.video_filter
def delayed(frames):
    previous = None
    for frame in frames.mapped(lambda frame, out: pv.evolve(pv.Heat(), frame, [0.0, 0.2], channel_axis=-1, out=out)):
        yield frame if previous is None else previous
        previous = frame


@pv.video_filter
def halved_in_place(frames):
    for frame in frames:
        frame *= 0.5
        yield frame


@pytest.mark.parametrize("shape", [(23, 12, 14), *slow((5, 600, 700))])
@pytest.mark.parametrize(
    "a_filter",
    [
        pv.pipeline(pv.framewise(pv.Heat(), [0.0, 0.2]), averaged),
        pv.pipeline(pv.denoise, averaged),
        blurred_and_averaged,
        delayed,
        halved_in_place,
    ],
)
def test_filters_of_users_may_keep_frames_and_write_to_them(a_filter, shape):
    y = np.random.default_rng(3).random(shape, np.float32)
    before = y.copy()
    expected = np.stack(list(a_filter(iter(y))))
    assert np.array_equal(a_filter(y), expected)
    assert np.array_equal(a_filter(y, out=np.empty_like(y)), expected)
    assert np.array_equal(y, before)


def test_a_step_that_writes_to_its_state_does_not_reach_the_callers_array():
    def in_place(term, t0, t1, y):
        y += (t1 - t0) * term.rate(t0, y)
        return y

    y = np.random.default_rng(4).random((3, 20, 30), np.float32)
    y.flags.writeable = False
    before = y.copy()
    pv.framewise(pv.Heat(), [0.0, 0.1, 0.2], in_place)(y)
    assert np.array_equal(y, before)


def test_out_must_be_writable():
    y = np.random.default_rng(5).random((3, 20, 30), np.float32)
    locked = np.zeros_like(y)
    locked.flags.writeable = False
    with pytest.raises(pv.ParameterError, match="read-only"):
        pv.framewise(pv.Heat(), [0.0, 0.1])(y, out=locked)
    for bad in (locked, [1.0]):
        with pytest.raises(pv.ParameterError, match="must be a writable NumPy array"):
            pv.evolve(pv.Heat(), y, [0.0, 0.1], out=bad)
    swapped = np.zeros(y.shape, ">f4")
    pv.evolve(pv.Heat(), y.astype(">f4"), [0.0, 0.1], out=swapped)
    assert np.array_equal(swapped, pv.evolve(pv.Heat(), y, [0.0, 0.1]))
