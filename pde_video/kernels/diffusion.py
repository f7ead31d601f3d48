"""Second differences, conductances and divergences on rows.

At a boundary, another row takes the place of the missing neighbour (the row itself for zero flux), and rows are padded
by one value at either end, so that the loops along a row have no branch.

The sum over axes starts with the innermost axis and adds two neighbours at a time. As a + b = b + a holds exactly,
these kernels commute exactly with flips and quarter turns of a picture.
"""

import numpy as np

from pde_video.kernels.conductance import conduct
from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import DIRICHLET, NEUMANN, add_squared_difference, copy, fill_rim, inside


@kernel
def _add_second_difference(total, before, row, after, scale):
    for j in range(row.shape[0]):
        total[j] += scale * ((before[j] + after[j]) - (row[j] + row[j]))


@kernel
def laplacian(y, out, scale, boundary):
    """out = Σ_axis scale[axis] · (before − 2·here + after)."""
    channels, n0, n1, n2 = y.shape
    zeros = np.zeros(n2, y.dtype)
    padded = np.zeros(n2 + 2, y.dtype)
    for c in range(channels):
        for k in range(n0):
            for i in range(n1):
                row, total = y[c, k, i], out[c, k, i]
                total[:] = 0
                copy(row, padded[1:-1])
                fill_rim(padded, 1, n2, 1, boundary)
                _add_second_difference(total, padded[:-2], row, padded[2:], scale[2])
                if n1 > 1 or boundary == DIRICHLET:
                    a, b = inside(i - 1, n1, boundary), inside(i + 1, n1, boundary)
                    before = y[c, k, a] if a >= 0 else zeros
                    after = y[c, k, b] if b >= 0 else zeros
                    _add_second_difference(total, before, row, after, scale[1])
                if n0 > 1 or boundary == DIRICHLET:
                    a, b = inside(k - 1, n0, boundary), inside(k + 1, n0, boundary)
                    before = y[c, a, i] if a >= 0 else zeros
                    after = y[c, b, i] if b >= 0 else zeros
                    _add_second_difference(total, before, row, after, scale[0])


@kernel
def conductances(v, faces, factor, g, first, stop):
    """faces[axis, k, i, j] = g(Σ_channel (factor[axis] · (v_after − v))²): one conductance for all channels.

    `factor` is 1/(hκ) along each axis, in the unit of the conductance `g`. A face lies between a cell and the next one
    along the axis; the last face of an axis is closed. Computes the rows first ≤ i < stop of every plane.
    """
    channels, n0, n1, n2 = v.shape
    for k in range(n0):
        for i in range(first, stop):
            faces[:, k, i] = 0
            row = faces[2, k, i, : n2 - 1]
            for c in range(channels):
                add_squared_difference(row, v[c, k, i, :-1], v[c, k, i, 1:], factor[2])
            conduct(row, g, 2)
            if i < n1 - 1:
                row = faces[1, k, i]
                for c in range(channels):
                    add_squared_difference(row, v[c, k, i], v[c, k, i + 1], factor[1])
                conduct(row, g, 1)
            if k < n0 - 1:
                row = faces[0, k, i]
                for c in range(channels):
                    add_squared_difference(row, v[c, k, i], v[c, k + 1, i], factor[0])
                conduct(row, g, 0)


@kernel
def _add_flux_difference(total, before, row, after, g_before, g_after, scale):
    for j in range(row.shape[0]):
        total[j] += scale * (g_after[j] * (after[j] - row[j]) - g_before[j] * (row[j] - before[j]))


@kernel
def divergence(y, faces, out, scale):
    """out = Σ_axis scale[axis] · (flux through the face after − flux through the face before), no flux at the edges."""
    channels, n0, n1, n2 = y.shape
    closed = np.zeros(n2, y.dtype)
    g_padded = np.zeros(n2 + 1, y.dtype)
    padded = np.zeros(n2 + 2, y.dtype)
    for k in range(n0):
        for i in range(n1):
            copy(faces[2, k, i], g_padded[1:])
            for c in range(channels):
                row, total = y[c, k, i], out[c, k, i]
                total[:] = 0
                copy(row, padded[1:-1])
                fill_rim(padded, 1, n2, 1, NEUMANN)
                _add_flux_difference(total, padded[:-2], row, padded[2:], g_padded[:-1], g_padded[1:], scale[2])
                if n1 > 1:
                    a, b = max(i - 1, 0), min(i + 1, n1 - 1)
                    g_before = faces[1, k, a] if i > 0 else closed
                    _add_flux_difference(total, y[c, k, a], row, y[c, k, b], g_before, faces[1, k, i], scale[1])
                if n0 > 1:
                    a, b = max(k - 1, 0), min(k + 1, n0 - 1)
                    g_before = faces[0, a, i] if k > 0 else closed
                    _add_flux_difference(total, y[c, a, i], row, y[c, b, i], g_before, faces[0, k, i], scale[0])
