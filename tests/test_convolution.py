"""Convolutions of many channels, held to SciPy, to PyTorch and, bit for bit, to sums in single precision."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate

from pde_video.kernels.convolve import blended, gated, tanh
from pde_video.solvers.convolution import Convolution, blank, inner, spread

# Height, width, inputs, outputs: rows and columns of one pixel, tiles of 16 columns just filled, blocks of 8 outputs.
SIZES = [
    (1, 1, 1, 1),
    (1, 40, 3, 5),
    (40, 1, 2, 8),
    (2, 2, 5, 9),
    (7, 15, 4, 16),
    (9, 16, 3, 7),
    (5, 17, 6, 4),
    (19, 33, 2, 3),
]


def bordered(planes, before=0, after=0):
    """Channels (C, H, W) as kernels have them, among others that hold something else."""
    channels, height, width = planes.shape
    out = blank(before + channels + after, height, width)
    inner(out, width)[...] = 1e3
    inner(out, width)[:, before : before + channels] = planes.transpose(1, 0, 2)
    return out


def problem(size, side, rng):
    height, width, inputs, outputs = size
    planes = rng.standard_normal((inputs, height, width)).astype(np.float32)
    weight = rng.standard_normal((outputs, inputs, side, side)).astype(np.float32)
    return planes, weight, rng.standard_normal(outputs).astype(np.float32)


def convolved(planes, weight, bias, out=None, **how):
    """The result of the library as (outputs, H, W), and all of what it wrote to."""
    outputs, (_, height, width) = len(weight), planes.shape
    out = blank(outputs + 3, height, width) if out is None else out
    layer, source = Convolution(weight, bias), bordered(planes, before=2, after=1)
    spread(lambda rows: layer(source, 2, out, 1, width, rows, **how), height)
    return inner(out, width)[:, 1 : 1 + outputs].transpose(1, 0, 2), out


def correlated(planes, weight, bias):
    """The same by SciPy in double precision."""
    rim = weight.shape[-1] // 2
    padded = np.pad(planes.astype(float), ((0, 0), (rim, rim), (rim, rim)))
    return np.stack([correlate(padded, one, "valid")[0] + b for one, b in zip(weight.astype(float), bias, strict=True)])


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_a_cross_correlation_with_zeros_around(size, side, rng):
    planes, weight, bias = problem(size, side, rng)
    np.testing.assert_allclose(convolved(planes, weight, bias)[0], correlated(planes, weight, bias), atol=2e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_what_pytorch_computes(size, rng):
    torch = pytest.importorskip("torch")
    planes, weight, bias = problem(size, 3, rng)
    with torch.no_grad():
        wanted = torch.nn.functional.conv2d(*map(torch.from_numpy, (planes[np.newaxis], weight, bias)), padding=1)[0]
    np.testing.assert_allclose(convolved(planes, weight, bias)[0], wanted.numpy(), atol=2e-5)


def test_it_is_a_sum_in_single_precision_bit_for_bit(rng):
    planes, weight, bias = problem((6, 21, 5, 10), 3, rng)
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    wanted = np.broadcast_to(bias[:, None, None], (10, 6, 21))
    for c, dy, dx in np.ndindex(5, 3, 3):
        wanted = wanted + weight[:, c, dy, dx, None, None] * padded[c, dy : dy + 6, dx : dx + 21]
    np.testing.assert_array_equal(convolved(planes, weight, bias)[0], wanted)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("added", [False, True])
def test_results_are_added_and_rectified_and_nothing_else_is_written(added, rectified, rng):
    planes, weight, bias = problem((4, 18, 3, 5), 3, rng)
    before = bordered(rng.standard_normal((8, 4, 18)).astype(np.float32))
    wanted = correlated(planes, weight, bias) + added * inner(before, 18)[:, 1:6].transpose(1, 0, 2)
    found, after = convolved(planes, weight, bias, before.copy(), added=added, rectified=rectified)
    np.testing.assert_allclose(found, np.maximum(wanted, 0) if rectified else wanted, atol=2e-5)
    inner(after, 18)[:, 1:6] = inner(before, 18)[:, 1:6]
    np.testing.assert_array_equal(after, before)


def test_nan_spreads_to_its_neighbours_alone(rng):
    planes, weight, bias = problem((9, 40, 2, 3), 3, rng)
    planes[1, 4, 20] = np.nan
    for rectified in (False, True):
        lost = np.isnan(convolved(planes, weight, bias, rectified=rectified)[0])
        assert lost[:, 3:6, 19:22].all()
        assert lost.sum() == 27


GRID = np.concatenate(
    [
        np.linspace(-20, 20, 200_001),
        10.0 ** np.linspace(-40, 38, 79),
        -(10.0 ** np.linspace(-40, 38, 79)),
        [np.inf, -np.inf],
    ]
).astype(np.float32)
ROW = GRID[np.newaxis, np.newaxis]


def on_grid(function, *others):
    """What a kernel makes of the grid, as channel 2 of 4, with other rows as what `out` held."""
    width = len(GRID)
    out = bordered(np.full((4, 1, width), 3, np.float32))
    function(bordered(ROW, before=1), out, width)
    np.testing.assert_array_equal(inner(out, width)[:, [0, 1, 3]], 3)
    return inner(out, width)[0, 2].astype(float)


def test_the_hyperbolic_tangent(rng):
    found = on_grid(lambda x, out, width: tanh(x, 1, out, 2, 1, width, (0, 1)))
    np.testing.assert_allclose(found, np.tanh(GRID.astype(float)), rtol=1e-6, atol=0)


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(x.astype(float) / 2)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("added", [False, True])
def test_gates(added, rectified):
    what = bordered(np.full((1, 1, len(GRID)), -5, np.float32), before=3)
    found = on_grid(lambda x, out, width: gated(x, 1, what, 3, out, 2, 1, width, (0, 1), added, rectified))
    wanted = -5 * sigmoid(GRID) + 3 * added
    np.testing.assert_allclose(found, np.maximum(wanted, 0) if rectified else wanted, atol=3e-6)


def test_the_state_is_blended():
    new = bordered(np.arctan(ROW))
    found = on_grid(lambda x, out, width: blended(x, 1, new, 0, out, 2, 1, width, (0, 1)))
    z = sigmoid(GRID)
    np.testing.assert_allclose(found, (1 - z) * 3 + z * np.arctan(GRID), atol=2e-6)


def test_gates_keep_nan():
    nan = np.full((1, 1, 20), np.nan, np.float32)
    for function in (
        lambda out: tanh(bordered(nan), 0, out, 0, 1, 20, (0, 1)),
        lambda out: gated(bordered(nan), 0, bordered(nan * 0 + 1), 0, out, 0, 1, 20, (0, 1), False, True),
    ):
        out = blank(1, 1, 20)
        function(out)
        assert np.isnan(inner(out, 20)).all()


def test_rows_that_were_not_asked_for_stay(rng):
    planes, weight, bias = problem((12, 20, 2, 3), 3, rng)
    layer, out = Convolution(weight, bias), blank(3, 12, 20)
    layer(bordered(planes), 0, out, 0, 20, (4, 7))
    assert not inner(out, 20)[[0, 1, 2, 3, 7, 8, 9, 10, 11]].any()
    np.testing.assert_array_equal(inner(out, 20)[4:7], convolved(planes, weight, bias)[0].transpose(1, 0, 2)[4:7])
