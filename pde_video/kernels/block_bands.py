"""Mean, structure and finest details of the blocks of a picture, in the bands of one level of a wavelet."""

import numpy as np

from pde_video.kernels.jit import kernel

PARTS = 5  # Numbers of each block.
_BANDS = 4  # Low along both axes, high across, high down, high along both.


@kernel
def _correlated_rows(lines, first, taps, out):
    """Write the sum of taps times rows from the first on."""
    for j in range(out.size):
        out[j] = taps[0] * lines[first, j]
    for m in range(1, taps.size):
        for j in range(out.size):
            out[j] += taps[m] * lines[first + m, j]


@kernel
def _correlated(line, taps, step, out):
    """out[j] = Σ taps[2m] even[j + m s] + taps[2m + 1] odd[j + m s] for the even and odd pixels of a line (2, n)."""
    for j in range(out.size):
        out[j] = taps[0] * line[0, j]
    for m in range(1, taps.size):
        half, shift = line[m % 2], m // 2 * step
        for j in range(out.size):
            out[j] += taps[m] * half[j + shift]


@kernel
def _off_plane(tile, mean):
    """Return the mean square of the deviation of values (rows, columns) from the plane fitted to them."""
    rows, columns = tile.shape
    down, across, of_rows, of_columns = np.float64(0), np.float64(0), np.float64(0), np.float64(0)
    middle, centre = (rows - 1) / 2, (columns - 1) / 2
    for i in range(rows):
        for j in range(columns):
            y, x, value = i - middle, j - centre, np.float64(tile[i, j]) - mean
            down += y * value
            across += x * value
            of_rows += y * y
            of_columns += x * x
    down /= max(of_rows, np.float64(1e-9))
    across /= max(of_columns, np.float64(1e-9))
    energy = np.float64(0)
    for i in range(rows):
        for j in range(columns):
            left = np.float64(tile[i, j]) - mean - down * (i - middle) - across * (j - centre)
            energy += left * left
    return energy / np.float64(rows * columns)


@kernel
def block_bands(lines, channels, down, across, tall, wide, out):
    """Measure blocks of tall × wide coefficients of a picture: out (rows, columns, C, 5).

    `lines` are the even and the odd pixels of its rows, (2, H, ⌈W / 2⌉ · C). The taps of the low and the high band
    along each axis, (2, n), give four bands, of every other pixel. Of each block: the mean of the low band, the mean
    square of its deviation from a fitted plane, and the mean squares of the bands that are high across, high down, and
    high along both axes.
    """
    _parities, _height, width = lines.shape
    coarse = out.shape[1] * wide * channels
    half = np.empty((2, width), lines.dtype)
    bands = np.empty((_BANDS, tall, coarse), lines.dtype)
    energies = np.empty((_BANDS, coarse), np.float64)
    count = np.float64(tall * wide)
    for row in range(out.shape[0]):
        for band in range(_BANDS):
            for j in range(coarse):
                energies[band, j] = np.float64(0)
        for i in range(tall):
            first = 2 * (row * tall + i)
            for high in range(2):
                for parity in range(2):
                    _correlated_rows(lines[parity], first, down[high], half[parity])
                for band in range(2 * high, 2 * high + 2):
                    found, energy = bands[band, i], energies[band]
                    _correlated(half, across[band % 2], channels, found)
                    for j in range(coarse):
                        energy[j] += np.float64(found[j]) * np.float64(found[j])
        for column in range(out.shape[1]):
            for c in range(channels):
                found = out[row, column, c]
                begin, end = column * wide * channels + c, (column + 1) * wide * channels
                tile = bands[0, :, begin:end:channels]
                mean = np.float64(0)
                for i in range(tall):
                    for j in range(wide):
                        mean += np.float64(tile[i, j])
                found[0] = mean / count
                found[1] = _off_plane(tile, mean / count)
                for band in range(1, _BANDS):
                    total = np.float64(0)
                    for j in range(begin, end, channels):
                        total += energies[band, j]
                    found[1 + band] = total / count
