"""Transposition by square tiles, in explicit vector instructions.

Compilers move the values of a transposition one at a time, at four times the cost.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pde_video.kernels.jit import kernel

TILE, ZERO = np.uint64(16), np.uint64(0)


@intrinsic
def _move_tile(typingctx, source, start, stride, target, to, to_stride):
    """target[to + j·to_stride + i] = source[start + i·stride + j] for i and j below 16; both arrays are flat."""

    def generate(context, builder, signature, arguments):
        n, dtype = int(TILE), context.get_value_type(signature.args[0].dtype)
        vector = ir.VectorType(dtype, n)

        def row(which, i):
            array, first, step = arguments[which : which + 3]
            data = cgutils.create_struct_proxy(signature.args[which])(context, builder, array).data
            index = builder.add(first, builder.mul(step, ir.Constant(step.type, i)))
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        rows = [builder.load(row(0, i), align=1) for i in range(n)]
        # Each round merges rows i and i + n/2 value by value: after log2(n) of them, row j holds the old column j.
        orders = [[k % 2 * n + (half + k) // 2 for k in range(n)] for half in (0, n)]
        lanes = [ir.Constant(ir.VectorType(ir.IntType(32), n), order) for order in orders]
        for _ in range(n.bit_length() - 1):
            pairs = [(rows[i], rows[i + n // 2]) for i in range(n // 2)]
            rows = [builder.shuffle_vector(a, b, half) for a, b in pairs for half in lanes]
        for j in range(n):
            builder.store(rows[j], row(3, j), align=1)
        return context.get_dummy_value()

    offset = types.uint64
    return types.none(source, offset, offset, target, offset, offset), generate


@kernel
def transpose(source, start, stride, rows, columns, target, to, to_stride):
    """target[to + j·to_stride + i] = source[start + i·stride + j], for i < rows and j < columns.

    Both arrays are flat, and all numbers unsigned.
    """
    whole_rows, whole_columns = rows - rows % TILE, columns - columns % TILE
    for j in range(ZERO, whole_columns, TILE):
        for i in range(ZERO, whole_rows, TILE):
            _move_tile(source, start + i * stride + j, stride, target, to + j * to_stride + i, to_stride)  # type: ignore[call-arg]
    for j in range(columns):
        for i in range(whole_rows if j < whole_columns else ZERO, rows):
            target[to + j * to_stride + i] = source[start + i * stride + j]
