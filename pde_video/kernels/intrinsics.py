"""LLVM instructions that Numba does not offer: prefetching, writing past the cache, transposing in registers."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pde_video.kernels.jit import kernel

_VECTOR, _LINE = 16, 64  # Bytes of a store, and of a cache line.
_LOW_BITS = np.uint64(_VECTOR - 1)
_TILE, _ZERO = np.uint64(16), np.uint64(0)


@intrinsic
def _store_past_cache(typing_context, to, source, count):
    """Copy `count` vectors to an address that is a multiple of a vector, from any address.

    These stores are not ordered with others, but a reader of the array takes a lock after the kernel, which is ordered.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        to, source, count = arguments
        pointer = ir.VectorType(ir.FloatType(), 4).as_pointer()
        mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range(builder, count) as loop:
            offset = builder.mul(loop.index, ir.Constant(loop.index.type, _VECTOR))
            vector = builder.load(builder.inttoptr(builder.add(source, offset), pointer), align=4)
            store = builder.store(vector, builder.inttoptr(builder.add(to, offset), pointer), align=_VECTOR)
            store.set_metadata("nontemporal", mark)

    return types.void(types.uintp, types.uintp, types.uintp), generate


@intrinsic
def _ask_for(typing_context, address, count):
    """Prefetch `count` cache lines from an address on, which need not be valid."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        address, count = arguments
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        )
        with cgutils.for_range(builder, count) as loop:
            line = builder.add(address, builder.mul(loop.index, ir.Constant(loop.index.type, _LINE)))
            # For reading, into the outer caches, of data.
            builder.call(prefetch, [builder.inttoptr(line, byte), word(0), word(2), word(1)])

    return types.void(types.uintp, types.uintp), generate


@kernel
def ask_for(row, part, parts):
    """Prefetch one of the parts of a row that is read soon; all parts at once would stall."""
    if row.strides[0] == row.itemsize:
        lines = row.shape[0] * row.itemsize // _LINE + 1
        first, last = lines * part // parts, lines * (part + 1) // parts
        _ask_for(np.uintp(row.ctypes.data + first * _LINE), np.uintp(last - first))  # type: ignore[call-arg]


@kernel
def write_out(row, f, r):
    """Copy values of `f` from offset `r` on to a row that is not read soon."""
    to, n, first = np.uint64(row.ctypes.data), np.uint64(row.shape[0]), np.uint64(0)
    if row.strides[0] == row.itemsize and to & _LOW_BITS == 0:
        vectors = n * np.uint64(row.itemsize) // np.uint64(_VECTOR)
        source = np.uint64(f.ctypes.data) + r * np.uint64(f.itemsize)
        _store_past_cache(np.uintp(to), np.uintp(source), np.uintp(vectors))  # type: ignore[call-arg]
        first = vectors * np.uint64(_VECTOR) // np.uint64(row.itemsize)
    for j in range(first, n):
        row[j] = f[r + j]


@intrinsic
def _move_tile(typing_context, source, start, stride, target, to, to_stride):
    """target[to + j·to_stride + i] = source[start + i·stride + j] for i and j below 16; both arrays are flat.

    A compiler moves the values of a transposition one at a time, at four times the cost.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, dtype = int(_TILE), context.get_value_type(signature.args[0].dtype)
        vector = ir.VectorType(dtype, n)

        def row(which: int, i: int) -> Any:
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
    whole_rows, whole_columns = rows - rows % _TILE, columns - columns % _TILE
    for j in range(_ZERO, whole_columns, _TILE):
        for i in range(_ZERO, whole_rows, _TILE):
            _move_tile(source, start + i * stride + j, stride, target, to + j * to_stride + i, to_stride)  # type: ignore[call-arg]
    for j in range(columns):
        for i in range(whole_rows if j < whole_columns else _ZERO, rows):
            target[to + j * to_stride + i] = source[start + i * stride + j]
