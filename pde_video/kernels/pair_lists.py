"""Exchange between pairs of cells of the plane, as lists: what is done costs what the cells of a mask are many.

Cells of the mask are numbered from 0 on. All others have the number n, that of a last place whose value is 0.
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def _partner(weights, offsets, number, n, sign, i, j):
    """The cell x ± e_n if there is such a pair and one of its cells is in the mask, or else −1, −1."""
    height, width = number.shape
    p, q = i + sign * offsets[n, 1, 0, i, j], j + sign * offsets[n, 2, 0, i, j]
    if not weights[n, 0, i, j] > 0 or (p == i and q == j) or not (0 <= p < height and 0 <= q < width):
        return -1, -1
    return (p, q) if max(number[i, j], number[p, q]) >= 0 else (-1, -1)


@kernel
def count(weights, offsets, number):
    """Return how many pairs (x, x ± e_n) with a weight have a cell of the mask; `number` is −1 outside of it."""
    found = 0
    for i in range(number.shape[0]):
        for j in range(number.shape[1]):
            for k in range(2 * weights.shape[0]):
                found += _partner(weights, offsets, number, k // 2, 2 * (k % 2) - 1, i, j)[0] >= 0
    return found


@kernel
def collect(weights, offsets, number, y, first, second, w, diagonal, b):
    """List the pairs; diagonal = Σ w of each cell of the mask, b = Σ w · y over those of its partners outside."""
    cells, listed = diagonal.shape[0], 0
    for i in range(number.shape[0]):
        for j in range(number.shape[1]):
            for k in range(2 * weights.shape[0]):
                p, q = _partner(weights, offsets, number, k // 2, 2 * (k % 2) - 1, i, j)
                if p < 0:
                    continue
                here, there, half = number[i, j], number[p, q], 0.5 * weights[k // 2, 0, i, j]
                if here >= 0:
                    diagonal[here] += half
                if there >= 0:
                    diagonal[there] += half
                for c in range(b.shape[0]):
                    if here < 0:
                        b[c, there] += half * y[c, i, j]
                    elif there < 0:
                        b[c, here] += half * y[c, p, q]
                first[listed], second[listed] = here if here >= 0 else cells, there if there >= 0 else cells
                w[listed] = half
                listed += 1


@kernel
def _apply(first, second, w, pull, u, out):
    """out = pull · u + Σ w (u − u of the partner)."""
    for j in range(pull.shape[0]):
        out[j] = pull[j] * u[j]
    for k in range(w.shape[0]):
        flux = w[k] * (u[first[k]] - u[second[k]])
        out[first[k]] += flux
        out[second[k]] -= flux


@kernel
def residual(first, second, w, pull, diagonal, b, u, r):
    """r = b − pull · u − Σ w (u − u of the partner); return Σ r² / diagonal."""
    _apply(first, second, w, pull, u, r)
    total = 0.0
    for j in range(b.shape[0]):
        r[j] = b[j] - r[j]
        total += r[j] * r[j] / diagonal[j]
    return total


@kernel
def solve(first, second, w, pull, diagonal, b, u, enough, most):
    """Improve u by conjugate gradients until √(Σ r² / diagonal) ≤ enough; return the iterations and this."""
    n = b.shape[0]
    r, p, q = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    square, before = residual(first, second, w, pull, diagonal, b, u, r), 0.0
    for iteration in range(most):
        if not math.sqrt(square) > enough:
            return iteration, math.sqrt(square)
        beta = square / before if before > 0 else 0.0
        for j in range(n):
            p[j] = r[j] / diagonal[j] + beta * p[j]
        _apply(first, second, w, pull, p, q)
        curvature = 0.0
        for j in range(n):
            curvature += p[j] * q[j]
        alpha, before, square = square / curvature, square, 0.0
        for j in range(n):
            u[j] += alpha * p[j]
            r[j] -= alpha * q[j]
            square += r[j] * r[j] / diagonal[j]
    return most, math.sqrt(square)


@kernel
def _root(parent, j):
    while parent[j] != j:
        parent[j] = parent[parent[j]]
        j = parent[j]
    return j


@kernel
def connect(first, second, pull, held):
    """held = whether nothing connects a cell to one outside of the mask, nor to one with pull > 0."""
    n = pull.shape[0]
    parent = np.arange(n + 1)
    for j in range(n):
        if pull[j] > 0:
            parent[j] = n
    for k in range(first.shape[0]):
        a, b = _root(parent, first[k]), _root(parent, second[k])
        if a != b:
            parent[min(a, b)] = max(a, b)
    for j in range(n):
        held[j] = _root(parent, j) != n
