"""Convolutions between many channels: the layout of weights and channels, and the rows of each thread."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from pde_video.kernels.convolve import BLOCK, TILE, convolve
from pde_video.protocols import Array
from pde_video.threads import each

_BAND = 8  # Rows that a thread takes at a time.

Rows = tuple[int, int]


def blank(channels: int, height: int, width: int) -> Array:
    """Return channels of zeros with their padding, (height + 2, channels, columns)."""
    lines = -(-(width + 2) // TILE) + 1  # The last tile reads one column too many on either side,
    lines += 1 - lines % 2  # and with an odd number of lines, channels do not compete for the same cache sets.
    return np.zeros((height + 2, channels, lines * TILE), np.float32)


def inner(channels: Array, width: int) -> Array:
    """Return a view of channels without their padding."""
    return channels[1:-1, :, 1 : 1 + width]


def spread(function: Callable[[Rows], object], height: int) -> None:
    """Call `function` on bands of rows, on all threads."""
    each(function, [(first, min(first + _BAND, height)) for first in range(0, height, _BAND)])


@lru_cache(maxsize=256)
def _places(side: int, inputs: int, channels: int, columns: int) -> Array:
    """Return the offsets of the summed values from row i, channel 0, column j of a padded array."""
    c, dy, dx = np.ogrid[:inputs, :side, :side]
    edge = 1 - side // 2
    return (((dy + edge) * channels + c) * columns + dx + edge).astype(np.int64).ravel()


class Convolution:
    """out[o] = bias[o] + Σ_c weight[o, c] ⋆ source[c]: a cross-correlation, zero-padded.

    For weights (outputs, inputs, side, side), side 1 or 3, and a bias (outputs,). A sum starts with its bias, then adds
    the inputs one by one, from left to right and from top to bottom.
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self.outputs, self.inputs, self.side, _ = weight.shape
        blocks = -(-self.outputs // BLOCK)
        filled = np.zeros((blocks * BLOCK, self.inputs * self.side**2 + 1), np.float32)
        filled[: self.outputs, :-1], filled[: self.outputs, -1] = weight.reshape(self.outputs, -1), bias
        parts = filled.reshape(blocks, BLOCK, -1).transpose(0, 2, 1)
        self.weights, self.bias = parts[:, :-1].copy(), parts[:, -1].copy()  # (blocks, [inputs · side²,] BLOCK)

    def __call__(
        self, source: Array, channel: int, out: Array, to: int, width: int, rows: Rows,
        *, added: bool = False, rectified: bool = False,
    ) -> None:  # fmt: skip
        """Write the rows of the result to the channels of `out` from `to` on; `added` to it, `rectified`: max(·, 0)."""
        places = _places(self.side, self.inputs, *source.shape[1:])
        convolve(source, channel, places, self.weights, self.bias, out, to, self.outputs, width, rows, added, rectified)
