"""Convolutions between many channels, and the activations and gates of a recurrent network.

Arrays are (rows, channels, columns), padded with zeros: one row above and below, one column before and at least one
after. Everything that a row of the result needs is close together, and no loop tests for the edges of the picture.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pde_video.kernels.jit import kernel

TILE, BLOCK = 16, 8  # Columns and output channels that are summed together: the sums stay in registers.
_ITEM = 4  # Bytes of a float32.
_BEYOND = np.float32(9.0)  # From here on, tanh is 1 to half a unit in the last place.
_HALF, _ONE = np.float32(0.5), np.float32(1)
# The 13th convergent of Lambert's continued fraction tanh x = x/(1 + x²/(3 + x²/(5 + …))): numerator, denominator.
_N1, _N2, _N3 = np.float32(0.14666666666666667), np.float32(0.0052173913043478265), np.float32(6.625258799171843e-05)
_N4, _N5, _N6 = np.float32(3.2286836253274086e-07), np.float32(5.179706350792634e-10), np.float32(1.264885555749117e-13)
_D1, _D2, _D3 = np.float32(0.48), np.float32(0.03188405797101449), np.float32(0.0006625258799171842)
_D4, _D5, _D6 = np.float32(5.2304674730304e-06), np.float32(1.51938052956584e-08), np.float32(1.1510458557317e-11)


@intrinsic
def _sum_places(typing_context, source, places, count, weights, bias, to, stride):
    """to[b, j] = bias[b] + Σ_k weights[k, b] · source[places[k] + j], for a block of channels and a tile of columns.

    All arguments but the count and the stride are addresses; places are offsets in items, the stride is in bytes. Sums
    start with the bias and follow the order of the places, so that they are the same wherever a tile begins.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        source, places, count, weights, bias, to, stride = arguments
        single, word = ir.FloatType(), source.type
        tile = ir.VectorType(single, TILE)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), TILE), [0] * TILE)

        def at(base: Any, index: Any, size: int, kind: Any) -> Any:
            address = builder.add(base, builder.mul(index, word(size)))
            return builder.inttoptr(address, kind.as_pointer())

        def spread(base: Any, index: Any) -> Any:
            value = builder.load(at(base, index, _ITEM, single))
            alone = builder.insert_element(ir.Constant(tile, ir.Undefined), value, ir.IntType(32)(0))
            return builder.shuffle_vector(alone, ir.Constant(tile, ir.Undefined), everywhere)

        sums = [cgutils.alloca_once_value(builder, spread(bias, word(b))) for b in range(BLOCK)]
        with cgutils.for_range(builder, count) as loop:
            place = builder.load(at(places, loop.index, 8, word))
            values = builder.load(at(source, place, _ITEM, tile), align=_ITEM)
            row = builder.mul(loop.index, word(BLOCK))
            for b, total in enumerate(sums):
                weighted = builder.fmul(values, spread(weights, builder.add(row, word(b))))
                builder.store(builder.fadd(builder.load(total), weighted), total)
        for b, total in enumerate(sums):
            address = builder.add(to, builder.mul(stride, word(b)))
            builder.store(builder.load(total), builder.inttoptr(address, tile.as_pointer()), align=_ITEM)

    return types.void(*[types.uintp] * 7), generate


@kernel
def convolve(source, channel, places, weights, bias, out, to, count, width, rows, added, rectified):
    """out[i, to + o, j] = [out +] bias[o] + Σ_k weights[o, k] · source[places[k] from (i, channel, j)], [above 0].

    For o < `count`, rows[0] ≤ i < rows[1] and j < `width`; `weights` are (blocks, places, BLOCK) and `bias` is
    (blocks, BLOCK), both padded with zeros. [...] apply if `added` or `rectified`.
    """
    zero = source.dtype.type(0)
    tiles = (width + TILE - 1) // TILE
    sums = np.empty((weights.shape[0] * BLOCK, tiles * TILE), source.dtype)
    stride = np.uintp(sums.strides[0])
    for i in range(rows[0], rows[1]):
        base = source[i, channel].ctypes.data
        for k in range(tiles):
            for b in range(weights.shape[0]):
                _sum_places(
                    np.uintp(base + k * TILE * _ITEM), np.uintp(places.ctypes.data), np.uintp(places.shape[0]),
                    np.uintp(weights[b].ctypes.data), np.uintp(bias[b].ctypes.data),
                    np.uintp(sums[b * BLOCK].ctypes.data + k * TILE * _ITEM), stride,
                )  # type: ignore[call-arg]  # fmt: skip
        for o in range(count):
            row, total = out[i + 1, to + o, 1 : 1 + width], sums[o]
            if added:
                for j in range(width):
                    total[j] += row[j]
            if rectified:
                for j in range(width):
                    row[j] = zero if total[j] < zero else total[j]
            else:
                for j in range(width):
                    row[j] = total[j]


@kernel
def _tanh(x):
    """The hyperbolic tangent to 4e-7, by multiplications, additions and one division, so that loops vectorise."""
    y = _BEYOND if x > _BEYOND else (-_BEYOND if x < -_BEYOND else x)  # NaN stays.
    t = y * y
    numerator = _ONE + t * (_N1 + t * (_N2 + t * (_N3 + t * (_N4 + t * (_N5 + t * _N6)))))
    denominator = _ONE + t * (_D1 + t * (_D2 + t * (_D3 + t * (_D4 + t * (_D5 + t * _D6)))))
    return y * numerator / denominator


@kernel
def _sigmoid(x):
    return _HALF + _HALF * _tanh(_HALF * x)


@kernel
def tanh(source, channel, out, to, count, width, rows):
    """out = tanh(source), for `count` channels, from `channel` of the source and `to` of the result on."""
    for i in range(rows[0] + 1, rows[1] + 1):
        for c in range(count):
            x, y = source[i, channel + c, 1 : 1 + width], out[i, to + c, 1 : 1 + width]
            for j in range(width):
                y[j] = _tanh(x[j])


@kernel
def gated(gate, channel, source, start, out, to, count, width, rows, added, rectified):
    """out = [out +] sigmoid(gate) · source, [above 0], for `count` channels from `channel`, `start` and `to` on."""
    zero = out.dtype.type(0)
    for i in range(rows[0] + 1, rows[1] + 1):
        for c in range(count):
            g, x = gate[i, channel + c, 1 : 1 + width], source[i, start + c, 1 : 1 + width]
            y = out[i, to + c, 1 : 1 + width]
            if added:
                for j in range(width):
                    y[j] += _sigmoid(g[j]) * x[j]
            else:
                for j in range(width):
                    y[j] = _sigmoid(g[j]) * x[j]
            if rectified:
                for j in range(width):
                    y[j] = zero if y[j] < zero else y[j]


@kernel
def blended(gate, channel, source, start, out, to, count, width, rows):
    """out = (1 − z) · out + z · source, z = sigmoid(gate), for `count` channels from `channel`, `start` and `to` on."""
    for i in range(rows[0] + 1, rows[1] + 1):
        for c in range(count):
            g, x = gate[i, channel + c, 1 : 1 + width], source[i, start + c, 1 : 1 + width]
            y = out[i, to + c, 1 : 1 + width]
            for j in range(width):
                z = _sigmoid(g[j])
                y[j] = (_ONE - z) * y[j] + z * x[j]
