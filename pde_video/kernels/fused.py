"""Many explicit steps in one pass over the array.

The pass goes along the first grid axis, slab by slab: rows of a picture, frames of a volume. As soon as slab i of the
input is loaded, slab i − 1 of the first step can be computed, then slab i − 2 of the second, and so on: three slabs of
each level are kept, and the array passes through the cache once for any number of steps.

Levels are kept in one flat buffer, in rows that begin at a multiple of a cache line and have a margin for the value
beyond either end. Offsets are unsigned: Numba then needs no test for negative indices, and the loops vectorise.
"""

import numpy as np

from pde_video.kernels.conductance import conductance
from pde_video.kernels.intrinsics import ask_for, write_out
from pde_video.kernels.jit import kernel

_MARGIN = 16  # Values before and after a row: a cache line of single precision.
_PAGE = 1024  # Rows at a distance that is a multiple of 4 KiB would compete for the same cache set.
_ONE = np.uint64(1)


@kernel
def _heat_row(f, r, above, below, before, after, into, to, n, st, sm, sx, dt):
    """into[to] = row r of f after a step of the heat equation.

    Its neighbours are the rows above and below in its slab, the rows before and after in the next slabs, and a value
    beyond either end. The row of a slab of one row is above and below itself.
    """
    r, above, below, to = np.uint64(r), np.uint64(above), np.uint64(below), np.uint64(to)
    before, after = np.uint64(before), np.uint64(after)
    single = above == below
    for j in range(n):
        twice = f[r + j] + f[r + j]
        total = sx * ((f[r + j - _ONE] + f[r + j + _ONE]) - twice)
        if not single:
            total += sm * ((f[above + j] + f[below + j]) - twice)
        total += st * ((f[before + j] + f[after + j]) - twice)
        into[to + j] = f[r + j] + dt * total


@kernel
def _bare_heat_row(f, r, above, below, before, after, into, to, n, st, sm, sx, dt):
    """As `_heat_row` for rows without values beyond their ends."""
    if n > 2:
        _heat_row(f, r + 1, above + 1, below + 1, before + 1, after + 1, into, to + 1, n - np.uint64(2), st, sm, sx, dt)
    last = int(n) - 1
    for j in (0, last):
        here = f[r + j]
        total = sx * ((f[r + max(j - 1, 0)] + f[r + min(j + 1, last)]) - (here + here))
        if above != below:
            total += sm * ((f[above + j] + f[below + j]) - (here + here))
        total += st * ((f[before + j] + f[after + j]) - (here + here))
        into[to + j] = here + dt * total


@kernel
def _flux_row(f, r, ahead, seen, to, n, factor, g, inverse_kappa):
    """f[to] = g(s²) times the difference between row r and the row `ahead` of it.

    s is the same difference in units of κ, at the offset `seen` from these rows.
    """
    r, to, ahead, seen = np.uint64(r), np.uint64(to), np.uint64(r + ahead), np.uint64(seen)
    if seen == 0:
        for j in range(n):
            d = f[ahead + j] - f[r + j]
            s = d * factor
            f[to + j] = conductance(g, s * s, inverse_kappa) * d
    else:
        for j in range(n):
            s = (f[ahead + seen + j] - f[r + seen + j]) * factor
            f[to + j] = conductance(g, s * s, inverse_kappa) * (f[ahead + j] - f[r + j])


@kernel
def _shared_row(f, r, ahead, to, stride, channels, n, factor, g, inverse_kappa):
    """f[to] = g(s²) between row r and the one `ahead`, s² summed over channels at a distance of `stride`."""
    to = np.uint64(to)
    for c in range(channels):
        a, b = np.uint64(r + ahead + c * stride), np.uint64(r + c * stride)
        for j in range(n):
            s = (f[a + j] - f[b + j]) * factor
            f[to + j] = s * s if c == 0 else f[to + j] + s * s
    for j in range(n):
        f[to + j] = conductance(g, f[to + j], inverse_kappa)


@kernel
def _flux_rows(f, r, ahead, seen, to, shared, stride, channels, n, factor, g, inverse_kappa):
    """As `_flux_row` for channels that share one conductance, kept in the row `shared`."""
    if channels == 1:
        _flux_row(f, r, ahead, seen, to, n, factor, g, inverse_kappa)
        return
    _shared_row(f, r + seen, ahead, shared, stride, channels, n, factor, g, inverse_kappa)
    h = np.uint64(shared)
    for c in range(channels):
        a, b, q = np.uint64(r + ahead + c * stride), np.uint64(r + c * stride), np.uint64(to + c * stride)
        for j in range(n):
            f[q + j] = f[h + j] * (f[a + j] - f[b + j])


@kernel
def _finish_row(f, r, along, over, under, ahead, seen, flux, to, n, st, sm, sx, dt, factor, g, inverse_kappa):
    """f[to] = row r plus dt times the sum over axes of flux after minus flux before; f[flux] goes to the next slab.

    The fluxes along the row and to the rows above and below are given; that to the next slab is computed.
    """
    single, ahead, seen = over == under, np.uint64(r + ahead), np.uint64(seen)
    r, along, over, under = np.uint64(r), np.uint64(along), np.uint64(over), np.uint64(under)
    flux, to = np.uint64(flux), np.uint64(to)
    if single and seen == 0:  # The common case has its own loop, which loads each value once.
        for j in range(n):
            d = f[ahead + j] - f[r + j]
            s = d * factor
            q = conductance(g, s * s, inverse_kappa) * d
            total = sx * (f[along + j] - f[along + j - _ONE])
            total += st * (q - f[flux + j])
            f[to + j] = f[r + j] + dt * total
            f[flux + j] = q
    else:
        for j in range(n):
            s = (f[ahead + seen + j] - f[r + seen + j]) * factor
            q = conductance(g, s * s, inverse_kappa) * (f[ahead + j] - f[r + j])
            total = sx * (f[along + j] - f[along + j - _ONE])
            if not single:
                total += sm * (f[under + j] - f[over + j])
            total += st * (q - f[flux + j])
            f[to + j] = f[r + j] + dt * total
            f[flux + j] = q


@kernel
def _finish_shared_row(f, r, along, over, under, ahead, flux, to, n, st, sm, sx, dt, shared):
    """As `_finish_row`, with the conductance to the next slab given in the row `shared`."""
    single, ahead, h = over == under, np.uint64(r + ahead), np.uint64(shared)
    r, along, over, under = np.uint64(r), np.uint64(along), np.uint64(over), np.uint64(under)
    flux, to = np.uint64(flux), np.uint64(to)
    for j in range(n):
        q = f[h + j] * (f[ahead + j] - f[r + j])
        total = sx * (f[along + j] - f[along + j - _ONE])
        if not single:
            total += sm * (f[under + j] - f[over + j])
        total += st * (q - f[flux + j])
        f[to + j] = f[r + j] + dt * total
        f[flux + j] = q


@kernel
def _copy_in(f, to, row):
    """Copy a row in and replicate its ends."""
    first = np.uint64(to)
    for j in range(np.uint64(row.shape[0])):
        f[first + j] = row[j]
    _replicate_ends(f, to, row.shape[0])


@kernel
def _replicate_ends(f, r, n):
    """Fill the margins of a row with its ends, so that nothing flows across them."""
    f[r - 1] = f[r]
    f[r + n] = f[r + n - 1]


@kernel
def _is_finite(f, r, n):
    """Whether a row is finite: then each value less itself is zero."""
    r, bad = np.uint64(r), False
    for j in range(n):
        bad |= f[r + j] - f[r + j] != 0
    return not bad


@kernel
def _one_heat_step(y, out, box, scale, dt):
    """Compute a single stage of the heat equation directly from one array to the other."""
    channels, slabs, rows, width = y.shape
    source, result, n, finite = y.reshape(y.size), out.reshape(out.size), np.uint64(width), True
    n0, n1, m0, m1 = box
    line, slab, st, sm, sx = width, rows * width, scale[0, 0], scale[0, 1], scale[0, 2]
    for c in range(channels):
        for k in range(n0, n1):
            before, after = (max(k - 1, 0) - k) * slab, (min(k + 1, slabs - 1) - k) * slab
            for m in range(m0, m1):
                r = (c * slabs + k) * slab + m * line
                above, below = r - line if m > 0 else r, r + line if m < rows - 1 else r
                _bare_heat_row(source, r, above, below, r + before, r + after, result, r, n, st, sm, sx, dt[0])
                finite &= _is_finite(result, r, n)
    return finite


@kernel
def march(y, out, box, scale, dt, back, factor, g):
    """Write the state after all stages to `out` within a box, from `y` (channels, slabs, rows, width).

    Stage q has the scale scale[q] and the step dt[q]. It is a step of the heat equation if back[q] is 0; otherwise a
    step from the state back[q] stages before, whose conductances `g` are those of the preceding stage: the same state,
    or the same state smoothed. `factor` is 1/(hκ) along each axis. The box is (first slab, last, first row, last);
    stages also compute the surroundings of it that later ones need. Return whether the result is finite.
    """
    if dt.shape[0] == 1 and back[0] == 0:
        return _one_heat_step(y, out, box, scale, dt)
    channels, slabs, rows, width = y.shape
    stages, n = dt.shape[0], np.uint64(width)
    n0, n1, m0, m1 = box
    depth = 4  # Slabs kept of a level: a power of two, so that a mask gives the slot of a slab.
    for q in range(stages):
        while depth < back[q] + 2:
            depth *= 2
    mask = depth - 1
    low, high = max(0, m0 - stages), min(rows, m1 + stages)
    stride = (width + _MARGIN - 1) // _MARGIN * _MARGIN + 2 * _MARGIN
    if stride % _PAGE == 0:
        stride += _MARGIN
    row = channels * stride
    slab = (high - low) * row
    level = depth * slab
    # Levels 0 to stages − 1, for each stage a slab of fluxes to the next slab, and rows: the fluxes along the row, to
    # the row above and to the row below, the last level, and a conductance.
    f = np.zeros(stages * (level + slab) + 4 * row + stride + 4 * _MARGIN, y.dtype)
    origin = 2 * _MARGIN - (f.ctypes.data // f.itemsize) % _MARGIN
    fluxes = origin + stages * level
    along = fluxes + stages * slab
    ups = along + row
    last = ups + 2 * row
    shared = last + row
    finite, beside = True, np.int64(1)  # A literal has a type of its own: one more compilation.
    for head in range(max(0, n0 - stages), n1 + stages):
        if head < min(slabs, n1 + stages):
            for m in range(low, high):
                for c in range(channels):
                    to = origin + (head & mask) * slab + (m - low) * row + c * stride
                    if head + 1 < min(slabs, n1 + stages):
                        ask_for(y[c, head + 1, m], 0, 1 if rows > 1 else stages + 1)
                    _copy_in(f, to, y[c, head, m])
        for q in range(stages):
            k, reach = head - q - 1, stages - q - 1
            start, stop = max(0, n0 - reach), min(slabs, n1 + reach)
            if rows == 1 and head + 1 < min(slabs, n1 + stages):
                for c in range(channels):
                    ask_for(y[c, head + 1, 0], q + 1, stages + 1)
            if not start <= k < stop:
                continue
            source, target = origin + q * level + (k & mask) * slab, origin + (q + 1) * level + (k & mask) * slab
            before = ((max(k - 1, 0) & mask) - (k & mask)) * slab
            after = ((min(k + 1, slabs - 1) & mask) - (k & mask)) * slab
            seen = max(back[q] - 1, 0) * level  # From the state that is stepped to the one that g depends on.
            first, st, sm, sx = max(0, m0 - reach), scale[q, 0], scale[q, 1], scale[q, 2]
            for m in range(first, min(rows, m1 + reach)):
                r, to = source - seen + (m - low) * row, target + (m - low) * row
                if q == stages - 1:
                    to = last
                above = r - row if m > 0 else r
                below = r + row if m < rows - 1 else r
                if back[q] == 0:
                    for c in range(0, row, stride):
                        x, up, down = r + c, above + c, below + c
                        _heat_row(f, x, up, down, x + before, x + after, f, to + c, n, st, sm, sx, dt[q])
                elif g is not None:
                    kappas = g.inverse_kappa
                    flux = fluxes + q * slab + (m - low) * row
                    if k == start and k > 0:
                        _flux_rows(
                            f, r + before, -before, seen, flux, shared, stride, channels, n, factor[0], g, kappas[0]
                        )
                    elif k == start:
                        f[flux : flux + row] = 0
                    over = under = ups
                    if rows > 1:
                        over, under = ups + (m % 2) * row, ups + ((m + 1) % 2) * row
                        if m == first and m > 0:
                            _flux_rows(f, above, row, seen, over, shared, stride, channels, n, factor[1], g, kappas[1])
                        elif m == first:
                            f[over : over + row] = 0
                        _flux_rows(f, r, below - r, seen, under, shared, stride, channels, n, factor[1], g, kappas[1])
                    _flux_rows(f, r, beside, seen, along, shared, stride, channels, n, factor[2], g, kappas[2])
                    if channels == 1:
                        h, k0 = factor[0], kappas[0]
                        _finish_row(f, r, along, over, under, after, seen, flux, to, n, st, sm, sx, dt[q], h, g, k0)
                    else:
                        _shared_row(f, r + seen, after, shared, stride, channels, n, factor[0], g, kappas[0])
                        for c in range(0, row, stride):
                            x, a, up, down, into = r + c, along + c, over + c, under + c, to + c
                            _finish_shared_row(f, x, a, up, down, after, flux + c, into, n, st, sm, sx, dt[q], shared)
                for c in range(channels):
                    if q == stages - 1:
                        write_out(out[c, k, m], f, np.uint64(to + c * stride))
                        finite &= _is_finite(f, to + c * stride, n)
                    else:
                        _replicate_ends(f, to + c * stride, width)
    return finite
