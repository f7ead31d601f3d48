"""The machine code of the hot loops: packed single precision, no exponential called, nothing widened to double."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pytest

import pde_video as pv
from pde_video.kernels import (
    chambolle_pock,
    conductance,
    convolve,
    dct_shrinkage,
    diffusion,
    flow,
    gradient_flow,
    linear_systems,
    motion_averages,
    tensor_plane,
)
from pde_video.kernels.fused import march
from pde_video.motion.clean_flow import flow_at
from pde_video.motion.noisy_flow import flow_between
from pde_video.solvers import convolution as layers
from pde_video.solvers.convolution import Convolution, blank
from pde_video.solvers.shrinkage import shrink

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"), reason="what is looked for are instructions of x86"
    ),
]

_PACKED = re.compile(r"v?(add|sub|mul|div|fn?m(add|sub)\d+)ps")
_DOUBLE = re.compile(r"v?((add|sub|mul|div|sqrt|min|max|fn?m(add|sub)\d+)[ps]d|cvtss2sd|cvtps2pd)")
_EXPONENTIAL = re.compile(r"\b_?(_?exp2?f?|expm1f?|powf?|__exp\w*|_ZGV\w*exp\w*)\b")
_REGISTER = re.compile(r"%?[xyz]mm\d+")


def assembly(kernel: Any, arguments: tuple[Any, ...]) -> str:
    """The code of `kernel` for the types of `arguments`, compiled afresh: what is loaded from disk has none to show."""
    afresh = numba.njit(nogil=True, error_model="numpy")(getattr(kernel, "py_func", kernel))
    afresh.compile(tuple(map(numba.typeof, arguments)))
    (text,) = afresh.inspect_asm().values()
    return text


def functions(text: str) -> dict[str, list[str]]:
    """The lines of each function; wrappers that turn Python objects into arguments are left out."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z_.$][\w.$]*):", line):
            if not match[1].startswith((".L", "L")):
                name = match[1]
            found.setdefault(name, []).append(line)
        elif name:
            found[name].append(line.strip())
    return {name: lines for name, lines in found.items() if not name.startswith(("_ZN7cpython", "cfunc", "NRT_", "."))}


def loops(lines: list[str]) -> list[list[str]]:
    """The innermost loops of a function: from a label to a jump back to it, with no such jump between."""
    labels: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    for index, line in enumerate(lines):
        if match := re.match(r"(\.?L[\w$.]+):", line):
            labels[match[1]] = index
        elif (match := re.match(r"j\w+\s+(\.?L[\w$.]+)", line)) and match[1] in labels:
            spans.append((labels[match[1]], index))
    innermost = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [lines[first : last + 1] for first, last in innermost]


def arithmetic(pattern: re.Pattern[str], lines: list[str]) -> list[str]:
    return [line for line in lines if (match := re.match(r"[a-z]\w+", line)) and pattern.fullmatch(match[0])]


@dataclass
class Hot:
    """A kernel, arguments of the types that it is used with, and what the code of its loops must hold.

    `vector_loops` is the least number of innermost loops with packed single-precision arithmetic. `double` and
    `exponential` are reasons why there may be arithmetic in double precision, or the name of an exponential: empty for
    most.
    """

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    vector_loops: int = 1
    double: str = ""
    exponential: str = ""

    def __str__(self) -> str:
        return f"{self.kernel.__module__.rpartition('.')[2]}.{self.kernel.__name__}"


ONE = np.float32(1)
ROW, SCALE = np.zeros(64, np.float32), np.ones(3, np.float32)
VOLUME, FACES = np.zeros((1, 1, 8, 64), np.float32), np.zeros((3, 1, 8, 64), np.float32)
BOX = (0, 8, 0, 1)
FLAT, NUMBERS, SIZES = np.zeros(512, np.float32), (ONE, ONE, ONE, ONE), np.zeros(9, np.uint64)
FIELD = np.zeros((6, 1, 8, 1, 64), np.float32)
STEP = (np.ones((1, 3), np.float32), ROW, np.ones(1, np.int64), SCALE)


def marching(name: str) -> tuple[Any, ...]:
    return (VOLUME, VOLUME, BOX, *STEP, conductance.named(name, (1, 1, 1), np.float32))


def arguments_of(room: Any, name: str, run: Callable[[], object]) -> tuple[Any, ...]:
    """What `run` calls the kernel `name` with."""
    seen, original = [], getattr(room, name)
    setattr(room, name, lambda *arguments: seen.append(arguments))
    try:
        with np.errstate(all="ignore"):  # Nothing is computed: what is in the arrays is by chance.
            run()
    finally:
        setattr(room, name, original)
    return seen[0]


IN_PLANE = arguments_of(tensor_plane, "plane_rate", lambda: pv.EdgeEnhancing(0.1).rate(0.0, VOLUME[:, 0]))
PLANES, EDGED, MASK = VOLUME[:, 0], np.zeros((1, 12, 68), np.float32), np.zeros((8, 64), np.bool_)
PLANE, MOTION, SHARP = PLANES[0], np.zeros((2, 8, 64), np.float32), np.float32(-0.75)
LIGHT = np.zeros((2, 8), np.float32)
IN_COSINES = arguments_of(dct_shrinkage, "shrink", lambda: shrink(PLANES, PLANE))
IN_FLOW = arguments_of(flow, "refine", lambda: flow_between([PLANE], [PLANE], 1.0))
IN_CLEAN_FLOW = arguments_of(gradient_flow, "refine", lambda: flow_at(PLANE, PLANE, 0.5, 1.0))
WINDOW = np.ones(5, np.float32)
CHANNELS, BAND = blank(8, 8, 64), (0, 8)
IN_LAYER = arguments_of(
    layers, "convolve", lambda: Convolution(np.ones((8, 8, 3, 3)), ROW[:8])(CHANNELS, 0, CHANNELS, 0, 64, BAND)
)


# A new kernel for states gets a row here.
KERNELS = [
    Hot(diffusion.laplacian, (VOLUME, VOLUME, SCALE, 0)),
    *(Hot(conductance.conduct, (ROW, conductance.named(name, (1, 1, 1), np.float32), 0)) for name in conductance.NAMES),
    Hot(diffusion.conductances, (VOLUME, FACES, SCALE, conductance.named("exponential", (1, 1, 1), np.float32), 0, 8)),
    Hot(diffusion.divergence, (VOLUME, FACES, VOLUME, SCALE)),
    Hot(linear_systems.solve_lines, (FLAT, FLAT, FLAT, NUMBERS, False, False, SIZES), vector_loops=5),
    Hot(linear_systems.divide_by_sums, (VOLUME[0], ROW, ROW)),
    Hot(chambolle_pock.iterate, (FIELD, np.ones((3, 4), np.float32), ONE, SCALE), vector_loops=8),
    Hot(
        chambolle_pock.energies,
        (FIELD, 0, 8, ONE, SCALE, ONE, np.zeros((8, 2))),
        vector_loops=4,
        double="sums over many values",
    ),
    Hot(tensor_plane.plane_rate, IN_PLANE, vector_loops=10),
    Hot(dct_shrinkage.shrink, IN_COSINES, vector_loops=30),
    Hot(flow.refine, IN_FLOW, vector_loops=15, double="the length of a step, once a sweep"),
    Hot(gradient_flow.refine, IN_CLEAN_FLOW, vector_loops=15, double="the length of a step, once a sweep"),
    Hot(gradient_flow.refine, IN_CLEAN_FLOW, vector_loops=15, double="the length of a step, once a sweep"),
    Hot(motion_averages.squared_differences, (PLANES, EDGED, LIGHT, MOTION, SHARP, 0, 8, PLANE), vector_loops=3),
    Hot(
        motion_averages.gather,
        (PLANES, EDGED, LIGHT, MOTION, PLANE, SHARP, 0, 8, PLANES, PLANE, PLANE),
        vector_loops=4,
    ),
    Hot(
        motion_averages.smoothed_conductance,
        (PLANE, PLANE, WINDOW, conductance.named("exponential", (1, 1, 1), np.float32), ONE, ONE, ONE, 0, 8, PLANE),
        vector_loops=4,
    ),
    Hot(motion_averages.inconsistent, (MOTION, MOTION, 0, 8, MASK)),
    Hot(motion_averages.halved, (PLANES, 0, 4, PLANES)),
    Hot(motion_averages.warped, (EDGED, MOTION, SHARP, 0, 8, PLANES), vector_loops=2),
    Hot(convolve.convolve, IN_LAYER, vector_loops=3),
    Hot(convolve.tanh, (CHANNELS, 0, CHANNELS, 0, 8, 64, BAND)),
    Hot(convolve.gated, (CHANNELS, 0, CHANNELS, 0, CHANNELS, 0, 8, 64, BAND, True, True), vector_loops=2),
    Hot(convolve.blended, (CHANNELS, 0, CHANNELS, 0, CHANNELS, 0, 8, 64, BAND)),
    Hot(march, (VOLUME, VOLUME, BOX, *STEP, None), vector_loops=2),
    Hot(march, marching("rational"), vector_loops=8),
    Hot(march, marching("exponential"), vector_loops=8),
]


@pytest.mark.parametrize("hot", KERNELS, ids=str)
def test_hot_loops_are_packed_single_precision(hot):
    text = assembly(hot.kernel, hot.arguments)
    vectorised = widened = 0
    calls: list[str] = []
    for lines in functions(text).values():
        for loop in loops(lines):
            packed = arithmetic(_PACKED, loop)
            vectorised += any(_REGISTER.search(line) for line in packed)
            calls += [line for line in loop if line.startswith("call") and packed]
            widened += len(arithmetic(_DOUBLE, loop))
    assert vectorised >= hot.vector_loops
    assert not calls, "a call in a loop that is otherwise packed"
    assert hot.double or not widened
    assert hot.exponential or not reaches_an_exponential(text)


def reaches_an_exponential(text: str) -> list[str]:
    return [line for line in text.splitlines() if _EXPONENTIAL.search(line) and re.search(r"call|jmp|movabs", line)]


def packed_loops(function: Callable[..., Any], *arguments: Any) -> int:
    lines = functions(assembly(function, arguments)).values()
    return sum(bool(arithmetic(_PACKED, loop)) for body in lines for loop in loops(body))


def double_loops(function: Callable[..., Any], *arguments: Any) -> int:
    lines = functions(assembly(function, arguments)).values()
    return sum(bool(arithmetic(_DOUBLE, loop)) for body in lines for loop in loops(body))


def test_the_reader_sees_what_it_looks_for():
    def good(x, y):
        for j in range(x.shape[0]):
            y[j] += x[j] * x[j]

    def widened(x, y):
        for j in range(x.shape[0]):
            y[j] += 0.1 * x[j]

    def exponential(x, y):
        for j in range(x.shape[0]):
            y[j] = math.exp(x[j])

    def recursive(x, y):
        for j in range(1, x.shape[0]):
            y[j] = y[j - 1] * x[j] + x[j - 1]

    assert packed_loops(good, ROW, ROW) > 0
    assert double_loops(good, ROW, ROW) == 0
    assert not reaches_an_exponential(assembly(good, (ROW, ROW)))
    assert double_loops(widened, ROW, ROW) > 0
    assert reaches_an_exponential(assembly(exponential, (ROW, ROW)))
    assert packed_loops(recursive, ROW, ROW) == 0
