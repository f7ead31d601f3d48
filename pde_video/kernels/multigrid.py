"""The passes of multigrid for c u + Σ g (u − u of a neighbour) = b in the plane, with some values of u known.

A grid (H, W), both even, is stored as its two colours, as those of a chessboard: (2, H + 2, W / 2 + 2) with a rim of
zeros, where cell m of row i of colour s is that of column 2 m + (i + s) mod 2. The neighbours of a cell have the other
colour, so that loops over a row of one colour have no recursion and no gaps. `across` and `down` are the conductances
of the faces after each cell along its row and its column. `inverse` is 1 / (c + Σ g) where u is unknown, and 0
elsewhere: what is not known is a factor, not a branch. u is a correction, which is 0 where values are known.

A cycle relaxes red (s = 0), then black, on the way to the coarser grid, and black, then red, on the way back, so that
it is symmetric. After black, only red has a residual: Σ g u over its neighbours.
"""

import numpy as np

from pde_video.kernels.jit import kernel


@kernel
def _around(other, across, down, s, i, out):
    """out[m] = Σ g u over the four neighbours of cells of colour s in row i, `other` being u of the other colour."""
    n, o = out.size, (i - 1 + s) % 2
    right, left = across[s, i, 1 : n + 1], across[1 - s, i, o : n + o]
    below, above = down[s, i, 1 : n + 1], down[1 - s, i - 1, 1 : n + 1]
    u_right, u_left = other[i, o + 1 : o + n + 1], other[i, o : o + n]
    u_below, u_above = other[i + 1, 1 : n + 1], other[i - 1, 1 : n + 1]
    for m in range(n):
        out[m] = (right[m] * u_right[m] + left[m] * u_left[m]) + (below[m] * u_below[m] + above[m] * u_above[m])


@kernel
def scale(inverse, b, first, last, out):
    """out = b · inverse, for one colour: relaxation where all neighbours are 0."""
    for i in range(first + 1, last + 1):
        for m in range(1, out.shape[1] - 1):
            out[i, m] = inverse[i, m] * b[i, m]


@kernel
def relax(other, across, down, inverse, b, s, first, last, out):
    """Relax colour s: out = (b + Σ g u) · inverse."""
    n = out.shape[1] - 2
    total = np.empty(n, out.dtype)
    for i in range(first + 1, last + 1):
        _around(other, across, down, s, i, total)
        factor, rhs, found = inverse[s, i, 1 : n + 1], b[s, i, 1 : n + 1], out[i, 1 : n + 1]
        for m in range(n):
            found[m] = factor[m] * (rhs[m] + total[m])


@kernel
def residual(u, across, down, diagonal, b, first, last, r):
    """r = b − A u on black, where it is unknown."""
    red, black = u
    n, zero = r.shape[1] - 2, r.dtype.type(0)
    total = np.empty(n, r.dtype)
    for i in range(first + 1, last + 1):
        _around(red, across, down, 1, i, total)
        for m in range(n):
            heavy = diagonal[1, i, m + 1]
            left = b[i, m + 1] + total[m] - heavy * black[i, m + 1]
            r[i, m + 1] = left if heavy > zero else zero


@kernel
def restrict(black, across, down, inverse, first, last, coarse):
    """Write the sums of the residuals of red over 2 × 2 cells to rows of the coarser grid, where values are unknown."""
    n, zero = black.shape[1] - 2, black.dtype.type(0)
    upper, lower = np.empty(n, black.dtype), np.empty(n, black.dtype)
    for i in range(first, last):
        _around(black, across, down, 0, 2 * i + 1, upper)
        _around(black, across, down, 0, 2 * i + 2, lower)
        one, other = inverse[0, 2 * i + 1, 1 : n + 1], inverse[0, 2 * i + 2, 1 : n + 1]
        for j in range(n):
            upper[j] = upper[j] if one[j] > zero else zero
            upper[j] += lower[j] if other[j] > zero else zero
        for s in range(2):
            target, begin = coarse[s, i + 1], (i + s) % 2
            for m in range((n - begin + 1) // 2):
                target[m + 1] = upper[2 * m + begin]


@kernel
def prolong(coarse, inverse, first, last, red):
    """Add the correction of the coarser grid, the same for 2 × 2 cells, to red where values are unknown."""
    n, zero = red.shape[1] - 2, red.dtype.type(0)
    line = np.empty(n + 1, red.dtype)
    for i in range(first, last):
        _joined(coarse, i // 2, line)
        found, factor = red[i + 1, 1 : n + 1], inverse[0, i + 1, 1 : n + 1]
        for j in range(n):
            found[j] += line[j] if factor[j] > zero else zero


@kernel
def _joined(halves, i, line):
    """Write row i of a grid in order."""
    for s in range(2):
        begin = (i + s) % 2
        source = halves[s, i + 1]
        for m in range((line.size - begin) // 2):
            line[2 * m + begin] = source[m + 1]


@kernel
def conjugate(z, across, down, diagonal, beta, p, q, first, last):
    """p = z + β p, q = A z + β q on black, for z relaxed on red last; return Σ p q over these rows."""
    red, black = z
    n, zero = black.shape[1] - 2, black.dtype.type(0)
    total, lanes = np.empty(n, black.dtype), np.zeros(n)
    for i in range(first + 1, last + 1):
        _around(red, across, down, 1, i, total)
        here, heavy = black[i, 1 : n + 1], diagonal[1, i, 1 : n + 1]
        direction, image = p[i, 1 : n + 1], q[i, 1 : n + 1]
        for m in range(n):
            direction[m] = here[m] + beta * direction[m]
            fresh = heavy[m] * here[m] - total[m]
            image[m] = (fresh if heavy[m] > zero else zero) + beta * image[m]
            lanes[m] += np.float64(direction[m]) * np.float64(image[m])
    return _sum(lanes)


@kernel
def advance(p, q, alpha, r, first, last, u):
    """u += α p, r −= α q, for one colour."""
    for i in range(first + 1, last + 1):
        for m in range(1, p.shape[1] - 1):
            u[i, m] += alpha * p[i, m]
            r[i, m] -= alpha * q[i, m]


@kernel
def weight(r, z, first, last):
    """Return Σ r z over these rows."""
    n = r.shape[1]
    lanes = np.zeros(n)
    for i in range(first + 1, last + 1):
        for m in range(n):
            lanes[m] += np.float64(r[i, m]) * np.float64(z[i, m])
    return _sum(lanes)


@kernel
def _sum(values):
    total = np.float64(0)
    for k in range(values.size):
        total += values[k]
    return total


@kernel
def split(grid, first, last, out):
    """Write rows of a grid (H, W) as colours."""
    for i in range(first, last):
        for s in range(2):
            begin, target = (i + s) % 2, out[s, i + 1]
            for m in range((grid.shape[1] - begin + 1) // 2):
                target[m + 1] = grid[i, 2 * m + begin]


@kernel
def join(halves, first, last, out):
    """Write colours as rows of a grid (H, W)."""
    for i in range(first, last):
        for s in range(2):
            begin, source = (i + s) % 2, halves[s, i + 1]
            for m in range((out.shape[1] - begin + 1) // 2):
                out[i, 2 * m + begin] = source[m + 1]


@kernel
def assemble(down, across, pull, known, first, last, halves):
    """Write a level: rows of the diagonal, its inverse where values are unknown, and the faces, as colours (4, 2, …).

    `down`, `across`, `pull` (c) and `known` are grids (H, W).
    """
    width, zero, one = down.shape[1], down.dtype.type(0), down.dtype.type(1)
    total = np.empty(width, down.dtype)
    for i in range(first, last):
        for j in range(width):
            total[j] = pull[i, j] + down[i, j] + across[i, j]
        if i > 0:
            for j in range(width):
                total[j] += down[i - 1, j]
        for j in range(1, width):
            total[j] += across[i, j - 1]
        for s in range(2):
            begin = (i + s) % 2
            for m in range((width - begin + 1) // 2):
                j = 2 * m + begin
                unknown = known[i, j] == 0 and total[j] > zero
                halves[0, s, i + 1, m + 1] = total[j] if unknown else zero
                halves[1, s, i + 1, m + 1] = one / total[j] if unknown else zero
                halves[2, s, i + 1, m + 1] = across[i, j]
                halves[3, s, i + 1, m + 1] = down[i, j]


@kernel
def coarsen(down, across, pull, known, first, last, out):
    """Write rows of the coarser grid: faces, c, and whether a value is known, of 2 × 2 cells, as `out` (4, H, W).

    A coarse cell is known if one of its four is. Its c is their sum, and its faces are half the sum of the two fine
    ones: they are twice as long, and so is the way through them.
    """
    height, width = down.shape
    half = down.dtype.type(0.5)
    for i in range(first, last):
        for j in range(out.shape[2]):
            for k in range(4):
                out[k, i, j] = 0
            for y in range(2 * i, min(2 * i + 2, height)):
                for x in range(2 * j, min(2 * j + 2, width)):
                    if y == 2 * i + 1:
                        out[0, i, j] += half * down[y, x]
                    if x == 2 * j + 1:
                        out[1, i, j] += half * across[y, x]
                    out[2, i, j] += pull[y, x]
                    out[3, i, j] = max(out[3, i, j], known[y, x])


@kernel
def _pass_on(here, before, faces, across):
    """Mark cells of a row that open faces connect to marked ones of the row before, or of the row itself."""
    for j in range(here.size):
        here[j] |= before[j] and faces[j] > 0
    for j in range(1, here.size):
        here[j] |= here[j - 1] and across[j - 1] > 0
    for j in range(here.size - 2, -1, -1):
        here[j] |= here[j + 1] and across[j] > 0


@kernel
def hold(down, across, pull, known, held):
    """Mark cells (H, W) that open faces connect to a known one, or to one with c > 0; return how many are not."""
    height, width = down.shape
    for i in range(height):
        for j in range(width):
            held[i, j] = known[i, j] > 0 or pull[i, j] > 0
    left = height * width + 1
    while True:
        for i in range(height):
            _pass_on(held[i], held[max(i - 1, 0)], down[max(i - 1, 0)], across[i])
        for i in range(height - 1, -1, -1):
            _pass_on(held[i], held[min(i + 1, height - 1)], down[i], across[i])
        count = 0
        for i in range(height):
            for j in range(width):
                count += not held[i, j]
        if count == 0 or count == left:
            return count
        left = count
