"""Rows read from memory and written to it: prefetched, and written without going through the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pde_video.kernels.jit import kernel

_VECTOR, _LINE = 16, 64  # Bytes of a store, and of a cache line.
_LOW_BITS = np.uint64(_VECTOR - 1)


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
