"""The primal-dual iterations of Chambolle and Pock for total variation, many in one pass along the first axis.

The arrays are one field (fields, C, N0, N1, N2): the data, u, its extrapolation, and a dual variable for each axis.
Once iteration s has computed slice i of the first axis, iteration s + 1 can compute slice i − 1: its input is complete,
and what it overwrites is no longer needed. So the pass works in place, on few slices at a time.
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import add_squared_difference, copy

DATA, U, LEADING, DUAL = 0, 1, 2, 3
_LANES = 16
_HALF = np.float32(0.5)  # Exact in both precisions, and widens no loop.


@kernel
def _ascend(p, before, after, step, squares):
    for j in range(before.shape[0]):
        p[j] += step * (after[j] - before[j])
        squares[j] += p[j] * p[j]


@kernel
def _scale(p, factor):
    for j in range(factor.shape[0]):
        p[j] *= factor[j]


@kernel
def _add(total, values, scale):
    for j in range(values.shape[0]):
        total[j] += scale * values[j]


@kernel
def _add_inflow(total, x, c, k, i, inverse_h):
    """total += div p on a row, with no flux through the edges."""
    inside = total.shape[0] - 1
    p = x[DUAL + 2, c, k, i, :inside]
    _add(total[:inside], p, inverse_h[2])
    _add(total[1:], p, -inverse_h[2])
    if i < x.shape[3] - 1:
        _add(total, x[DUAL + 1, c, k, i], inverse_h[1])
    if i > 0:
        _add(total, x[DUAL + 1, c, k, i - 1], -inverse_h[1])
    if k < x.shape[2] - 1:
        _add(total, x[DUAL, c, k, i], inverse_h[0])
    if k > 0:
        _add(total, x[DUAL, c, k - 1, i], -inverse_h[0])


@kernel
def _iterate_slice(x, k, step, weight, inverse_h, row):
    sigma, keep, take, theta = step
    _, channels, n0, n1, _ = x.shape
    for i in range(n1):
        row[:] = 0
        for c in range(channels):
            here = x[LEADING, c, k, i]
            _ascend(x[DUAL + 2, c, k, i], here[:-1], here[1:], sigma * inverse_h[2], row)
            if i < n1 - 1:
                _ascend(x[DUAL + 1, c, k, i], here, x[LEADING, c, k, i + 1], sigma * inverse_h[1], row)
            if k < n0 - 1:
                _ascend(x[DUAL, c, k, i], here, x[LEADING, c, k + 1, i], sigma * inverse_h[0], row)
        for j in range(row.shape[0]):  # The factor that projects p to |p| ≤ weight.
            row[j] = weight / max(weight, math.sqrt(row[j]))
        for c in range(channels):
            _scale(x[DUAL + 2, c, k, i], row)
            if i < n1 - 1:
                _scale(x[DUAL + 1, c, k, i], row)
            if k < n0 - 1:
                _scale(x[DUAL, c, k, i], row)
        for c in range(channels):
            u, leading = x[U, c, k, i], x[LEADING, c, k, i]
            copy(x[DATA, c, k, i], row)
            _add_inflow(row, x, c, k, i, inverse_h)
            for j in range(row.shape[0]):
                new = keep * u[j] + take * row[j]
                leading[j] = new + theta * (new - u[j])
                u[j] = new


@kernel
def _iterate_row(x, k, step, weight, inverse_h, row):
    """As `_iterate_slice`, for a plane of one channel, in fewer passes over a row."""
    sigma, keep, take, theta = step
    _, _, n0, _, n2 = x.shape
    data, u, leading = x[DATA, 0, k, 0], x[U, 0, k, 0], x[LEADING, 0, k, 0]
    below = x[LEADING, 0, min(k + 1, n0 - 1), 0]
    p0, p2, last = x[DUAL, 0, k, 0], x[DUAL + 2, 0, k, 0], n2 - 1
    across, down = inverse_h[2], inverse_h[0]
    for j in range(last):  # The dual variable of the last face stays 0.
        a = p2[j] + sigma * across * (leading[j + 1] - leading[j])
        b = p0[j] + sigma * down * (below[j] - leading[j])
        factor = weight / max(weight, math.sqrt(a * a + b * b))
        p2[j] = a * factor
        p0[j] = b * factor
    b = p0[last] + sigma * down * (below[last] - leading[last])
    p0[last] = b * (weight / max(weight, abs(b)))
    copy(p2, row[1:])
    before2, above = row[:-1], x[DUAL, 0, k - 1, 0] if k > 0 else x[DUAL + 1, 0, 0, 0]  # The middle axis has zeros.
    for j in range(n2):
        inflow = across * (p2[j] - before2[j]) + down * (p0[j] - above[j])
        new = keep * u[j] + take * (inflow + data[j])
        leading[j] = new + theta * (new - u[j])
        u[j] = new


@kernel
def iterate(x, steps, weight, inverse_h):
    """One iteration for each row (σ, 1/(1+τ), τ/(1+τ), θ) of `steps`, in place."""
    n0, levels = x.shape[2], steps.shape[0]
    row = np.zeros(x.shape[4] + 1, x.dtype)
    plane = x.shape[1] == 1 and x.shape[3] == 1
    for front in range(n0 + levels - 1):
        for level in range(max(0, front - n0 + 1), min(levels, front + 1)):
            if plane:
                _iterate_row(x, front - level, steps[level], weight, inverse_h, row)
            else:
                _iterate_slice(x, front - level, steps[level], weight, inverse_h, row[1:])


@kernel
def _sum(values):
    lanes = np.zeros(_LANES)  # In double precision; a single sum would wait for every addition.
    whole = values.shape[0] - values.shape[0] % _LANES
    for start in range(np.uint64(0), np.uint64(whole), np.uint64(_LANES)):
        for j in range(np.uint64(_LANES)):
            lanes[j] += values[start + j]
    for j in range(whole, values.shape[0]):
        lanes[0] += values[j]
    return lanes.sum()


@kernel
def energies(x, first, stop, weight, inverse_h, shrink, sums):
    """sums[k] = Σ over slice k of ½ (u − data)² + weight |∇u|, and of −data·div p − ½ (div p)², with p times `shrink`.

    Sums are in double precision. A `shrink` just below 1 compensates for the rounding of the projection of p.
    """
    _, channels, n0, n1, n2 = x.shape
    squares, row = np.empty(n2, x.dtype), np.empty(n2, x.dtype)
    for k in range(first, stop):
        primal = dual = 0.0
        for i in range(n1):
            squares[:] = 0
            for c in range(channels):
                u, data = x[U, c, k, i], x[DATA, c, k, i]
                add_squared_difference(squares, u[:-1], u[1:], inverse_h[2])
                if i < n1 - 1:
                    add_squared_difference(squares, u, x[U, c, k, i + 1], inverse_h[1])
                if k < n0 - 1:
                    add_squared_difference(squares, u, x[U, c, k + 1, i], inverse_h[0])
                for j in range(n2):
                    difference = u[j] - data[j]
                    row[j] = _HALF * (difference * difference)
                primal += _sum(row)
                row[:] = 0
                _add_inflow(row, x, c, k, i, inverse_h)
                for j in range(n2):
                    flow = shrink * row[j]
                    row[j] = -flow * (data[j] + _HALF * flow)
                dual += _sum(row)
            for j in range(n2):
                squares[j] = weight * math.sqrt(squares[j])
            primal += _sum(squares)
        sums[k, 0] = primal
        sums[k, 1] = dual
