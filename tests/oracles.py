"""Independent formulas and solvers that tests compare with: plain NumPy and scipy.sparse, no code of the library."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

CONDUCTANCES = {
    "exponential": lambda s2, k: np.exp(-s2 / k**2),
    "rational": lambda s2, k: 1 / (1 + s2 / k**2),
    "charbonnier": lambda s2, k: 1 / np.sqrt(1 + s2 / k**2),
    "weickert": lambda s2, k: 1 - np.exp(-3.31488 * (k**2 / np.maximum(s2, 1e-30)) ** 4),
    "tukey": lambda s2, k: np.where(s2 < k**2, (1 - s2 / k**2) ** 2, 0.0),
    "tv": lambda s2, k: 1 / np.sqrt(s2 + k**2),
}


def perona_malik_rate(u, kappa, conductance, spacing, smoothed=None):
    """div(g grad u) on (C, *grid) by np.diff, with g from the channel-summed squared differences across each face."""
    v = u if smoothed is None else smoothed
    rate = np.zeros_like(u)
    for axis, h in enumerate(spacing, start=1):
        s2 = (np.diff(v, axis=axis) ** 2).sum(axis=0) / h**2
        flux = CONDUCTANCES[conductance](s2, kappa) * np.diff(u, axis=axis) / h**2
        width = [(0, 0)] * u.ndim
        width[axis] = (1, 1)
        rate += np.diff(np.pad(flux, width), axis=axis)
    return rate


def second_difference(n, boundary):
    """The matrix of the second difference on n points."""
    matrix = sp.diags_array([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tolil()
    if boundary == "neumann":
        matrix[0, 0] += 1
        matrix[n - 1, n - 1] += 1
    if boundary == "periodic":
        matrix[0, n - 1] += 1
        matrix[n - 1, 0] += 1
    return matrix.tocsr()


def laplacian_matrix(shape, spacing, boundary):
    """The Laplacian on a grid in C order, assembled by Kronecker products."""
    total = sp.csr_array((int(np.prod(shape)),) * 2)
    for axis, (n, h) in enumerate(zip(shape, spacing, strict=True)):
        before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        part = sp.kron(sp.kron(sp.eye_array(before), second_difference(n, boundary)), sp.eye_array(after))
        total = total + part / h**2
    return sp.csr_array(total)


def frozen_matrix(u, kappa, conductance, spacing):
    """div(g(u) grad .) on a single-channel grid in C order, assembled face by face."""
    index = np.arange(u.size).reshape(u.shape)
    rows, columns, values = [], [], []
    for axis, h in enumerate(spacing):
        a = np.take(index, range(u.shape[axis] - 1), axis).ravel()
        b = np.take(index, range(1, u.shape[axis]), axis).ravel()
        g = CONDUCTANCES[conductance](np.diff(u, axis=axis) ** 2 / h**2, kappa).ravel() / h**2
        rows += [a, b, a, b]
        columns += [b, a, a, b]
        values += [g, g, -g, -g]
    matrix = sp.coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
    matrix.resize((u.size, u.size))
    return matrix.tocsr()
