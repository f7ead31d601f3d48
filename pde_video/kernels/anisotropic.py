"""Structure tensors, their eigenvectors, and diffusion by a tensor with non-negative weights.

A tensor D is written as Σ_k ρ_k e_k e_kᵀ with ρ_k ≥ 0 and integer offsets e_k (Selling 1874; Fehrenbach & Mirebeau
2014), so that div(D ∇u) becomes differences between a pixel and the ones at ±e_k. In every pair
of pixels one gains what the other loses: the operator is symmetric, keeps the sum, and has no negative weight.

Eigenvectors and decompositions are computed in double precision, whatever the dtype of the picture.
"""

import math

import numpy as np

from pde_video.kernels.jit import kernel
from pde_video.kernels.rows import DIRICHLET, PERIODIC

_HALF = np.float32(0.5)  # A Python literal would widen single precision.
_UNITS = 2.0**50  # A tensor of trace 1 in integers: all steps of the reduction are then exact.
_REDUCTIONS = 100_000  # Never reached by a positive definite tensor of a condition number below 1e9.
_SWEEPS = 30  # Jacobi's method is done after about six.
_PAIRS = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1))  # And the other two.


@kernel
def structure(v, stencils, out):
    """out[n] = Σ_channel g_a g_b over the pairs a ≤ b in order, with g_a = Σ stencils[a] · v around the pixel.

    The state `v` has the rim that the stencils (d, m0, m1, m2) reach into.
    """
    channels = v.shape[0]
    axes, m0, m1, m2 = stencils.shape
    n0, n1, n2 = out.shape[1:]
    g = np.zeros(axes, v.dtype)
    out[:] = 0
    for k in range(n0):
        for i in range(n1):
            for j in range(n2):
                for c in range(channels):
                    g[:] = 0
                    for a in range(axes):
                        for p in range(m0):
                            for q in range(m1):
                                for r in range(m2):
                                    g[a] += stencils[a, p, q, r] * v[c, k + p, i + q, j + r]
                    n = 0
                    for a in range(axes):
                        for b in range(a, axes):
                            out[n, k, i, j] += g[a] * g[b]
                            n += 1


@kernel
def _rotate(matrix, vectors, p, q):
    """One Jacobi rotation: matrix[p, q] becomes zero."""
    axes = matrix.shape[0]
    theta = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
    t = math.copysign(1.0, theta) / (abs(theta) + math.hypot(theta, 1.0))
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    for a in range(axes):
        x, y = matrix[a, p], matrix[a, q]
        matrix[a, p], matrix[a, q] = c * x - s * y, s * x + c * y
    for a in range(axes):
        x, y = matrix[p, a], matrix[q, a]
        matrix[p, a], matrix[q, a] = c * x - s * y, s * x + c * y
        x, y = vectors[a, p], vectors[a, q]
        vectors[a, p], vectors[a, q] = c * x - s * y, s * x + c * y
    matrix[p, q] = matrix[q, p] = 0.0


@kernel
def eigenvectors(tensor, values, first, last):
    """Write the largest and smallest eigenvalue of `tensor` (n, pixels) and a unit eigenvector of each."""
    axes = first.shape[0]
    matrix, vectors = np.zeros((axes, axes)), np.zeros((axes, axes))
    for j in range(tensor.shape[1]):
        n = 0
        for a in range(axes):
            for b in range(a, axes):
                matrix[a, b] = matrix[b, a] = tensor[n, j]
                vectors[a, b] = vectors[b, a] = 1.0 if a == b else 0.0
                n += 1
        for _ in range(_SWEEPS):
            done = True
            for p in range(axes):
                for q in range(p + 1, axes):
                    if abs(matrix[p, q]) > 1e-17 * (abs(matrix[p, p]) + abs(matrix[q, q])):
                        _rotate(matrix, vectors, p, q)
                        done = False
            if done:
                break
        low, high = 0, 0
        for a in range(1, axes):
            if matrix[a, a] < matrix[low, low]:
                low = a
            if matrix[a, a] >= matrix[high, high]:
                high = a
        values[0, j], values[1, j] = matrix[high, high], matrix[low, low]
        for a in range(axes):
            first[a, j], last[a, j] = vectors[a, high], vectors[a, low]


@kernel
def _integer(x):
    return np.int64(math.floor(x + 0.5))


@kernel
def selling2(tensor, weights, offsets):
    """Σ_n weights[n] · offsets[n] offsets[n]ᵀ = tensor (3, pixels), its entries 11, 12 and 22; three offsets.

    p[n] = −vᵢᵀ D vⱼ for the two other vectors of a superbase v₀ + v₁ + v₂ = 0. While one is negative the
    superbase is replaced by −vᵢ, vⱼ, vᵢ − vⱼ; once none is, p are the weights and v turned by 90° the offsets.
    """
    p, v = np.zeros(3, np.int64), np.zeros((3, 2), np.int64)
    for j in range(tensor.shape[1]):
        trace = tensor[0, j] + tensor[2, j]
        offsets[:, :, j] = 0
        if not 0.0 < trace < np.inf:
            weights[:, j] = trace * 0.0  # Not a tensor: zero stays zero, NaN stays NaN.
            continue
        units = _UNITS / trace
        d11, d12, d22 = _integer(tensor[0, j] * units), _integer(tensor[1, j] * units), _integer(tensor[2, j] * units)
        p[0], p[1], p[2] = d22 + d12, d11 + d12, -d12
        v[0, 0], v[0, 1], v[1, 0], v[1, 1], v[2, 0], v[2, 1] = 1, 0, 0, 1, -1, -1
        for _ in range(_REDUCTIONS):
            c = 0 if p[0] < 0 else (1 if p[1] < 0 else 2)
            if p[c] >= 0:
                break
            a, b = (c + 1) % 3, (c + 2) % 3
            for x in range(2):
                v[c, x] = v[a, x] - v[b, x]
                v[a, x] = -v[a, x]
            p[a] += 2 * p[c]
            p[b] += 2 * p[c]
            p[c] = -p[c]
        for n in range(3):
            weights[n, j] = max(p[n], 0) / units
            offsets[n, 1, j], offsets[n, 2, j] = -v[n, 1], v[n, 0]


@kernel
def _reduce3(p, v, a, b, c, d):
    """One reduction where p[a, b] < 0: v_a is added to the two vectors other than v_b, and changes its sign."""
    ab, ac, ad = p[a, b], p[a, c], p[a, d]
    for x in range(3):
        v[c, x] += v[a, x]
        v[d, x] += v[a, x]
        v[a, x] = -v[a, x]
    p[a, b], p[a, c], p[a, d] = -ab, ab + ad, ab + ac
    p[b, c], p[b, d], p[c, d] = p[b, c] + ab, p[b, d] + ab, p[c, d] - ab
    for x, y in ((a, b), (a, c), (a, d), (b, c), (b, d), (c, d)):
        p[y, x] = p[x, y]


@kernel
def selling3(tensor, weights, offsets):
    """As `selling2` for the entries 11, 12, 13, 22, 23, 33: six offsets, each across the two other vectors."""
    p, v = np.zeros((4, 4), np.int64), np.zeros((4, 3), np.int64)
    for j in range(tensor.shape[1]):
        trace = tensor[0, j] + tensor[3, j] + tensor[5, j]
        offsets[:, :, j] = 0
        if not 0.0 < trace < np.inf:
            weights[:, j] = trace * 0.0
            continue
        units = _UNITS / trace
        v[:], p[:] = 0, 0
        n = 0
        for a in range(3):
            v[a, a], v[3, a] = 1, -1
            for b in range(a, 3):
                d = _integer(tensor[n, j] * units)
                p[a, 3] += d
                if b > a:
                    p[b, 3] += d
                    p[a, b] = p[b, a] = -d
                n += 1
        p[3] = p[:, 3]
        for _ in range(_REDUCTIONS):
            for a, b, c, d in _PAIRS:
                if p[a, b] < 0:
                    _reduce3(p, v, a, b, c, d)
                    break
            else:
                break
        for n, (a, b, c, d) in enumerate(_PAIRS):
            weights[n, j] = max(p[a, b], 0) / units
            for x in range(3):
                y, z = (x + 1) % 3, (x + 2) % 3
                offsets[n, x, j] = v[c, y] * v[d, z] - v[c, z] * v[d, y]


@kernel
def _moved(x, e, n, boundary):
    """The index x + e on an axis of `n`, wrapped if the grid is periodic; -1 outside.

    The loops below call it for each axis, as a helper that returns all three indices is a tenth slower.
    """
    y = x + e
    if 0 <= y < n:
        return y
    return y % n if boundary == PERIODIC else -1


@kernel
def tensor_divergence(y, weights, offsets, out, boundary):
    """out = Σ over pairs (x, x ± e_n) of ½ ρ_n(x) · (other − own), added to one pixel and subtracted from the other.

    A pair that leaves the grid is dropped, wrapped, or (Dirichlet) has the other value 0 and the whole weight, as the
    pixel outside adds none. If `y` is None: out = Σ of the weights of all pairs of a pixel, minus the diagonal.
    """
    channels, n0, n1, n2 = out.shape
    out[:] = 0
    for k in range(n0):
        for i in range(n1):
            for j in range(n2):
                for n in range(weights.shape[0]):
                    w = _HALF * weights[n, k, i, j]
                    for sign in (-1, 1):
                        a = _moved(k, sign * offsets[n, 0, k, i, j], n0, boundary)
                        b = _moved(i, sign * offsets[n, 1, k, i, j], n1, boundary)
                        d = _moved(j, sign * offsets[n, 2, k, i, j], n2, boundary)
                        if min(a, b, d) >= 0:
                            if y is None:
                                if not (a == k and b == i and d == j):
                                    out[0, k, i, j] += w
                                    out[0, a, b, d] += w
                            else:
                                for c in range(channels):
                                    flux = w * (y[c, a, b, d] - y[c, k, i, j])
                                    out[c, k, i, j] += flux
                                    out[c, a, b, d] -= flux
                        elif boundary == DIRICHLET:
                            if y is None:
                                out[0, k, i, j] += w + w
                            else:
                                for c in range(channels):
                                    out[c, k, i, j] -= (w + w) * y[c, k, i, j]


@kernel
def limit(weights, offsets, sums, cap, boundary):
    """Scale ρ_n(x) by the smallest min(1, cap / sums) of x, x + e_n and x − e_n; no total then exceeds `cap`."""
    n0, n1, n2 = sums.shape
    for k in range(n0):
        for i in range(n1):
            for j in range(n2):
                for n in range(weights.shape[0]):
                    largest = sums[k, i, j]
                    for sign in (-1, 1):
                        a = _moved(k, sign * offsets[n, 0, k, i, j], n0, boundary)
                        b = _moved(i, sign * offsets[n, 1, k, i, j], n1, boundary)
                        d = _moved(j, sign * offsets[n, 2, k, i, j], n2, boundary)
                        if min(a, b, d) >= 0:
                            largest = max(largest, sums[a, b, d])
                    if largest > cap:
                        weights[n, k, i, j] *= cap / largest
