"""Sums of products and of squares, in tiles of 4 × 16 values that stay in registers.

A compiler would load and store these values in every round, and ask before each loop whether its arrays overlap.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS, LANES = 4, 16
_INDEX = ir.IntType(32)
_callable: Callable[[Callable[..., Any]], Any] = intrinsic  # By kernels, without the first argument.


class _Tile:
    """What writes the code for a tile, for an intrinsic with these arguments, of which the first is an array."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder, self.types, self.arguments = context, builder, signature.args, arguments
        self.vector = ir.VectorType(context.get_value_type(signature.args[0].dtype), LANES)

    def at(self, which: int, *steps: tuple[Any, Any]) -> Any:
        """The address of element first + Σ number · step of an array, given as arguments (array, first)."""
        array, place = self.arguments[which : which + 2]
        for number, step in steps:
            times = ir.Constant(place.type, number) if isinstance(number, int) else number
            place = self.builder.add(place, self.builder.mul(times, step))
        return self.builder.gep(
            cgutils.create_struct_proxy(self.types[which])(self.context, self.builder, array).data, [place]
        )

    def load(self, pointer: Any) -> Any:
        """The row that begins there."""
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=1)

    def store(self, row: Any, pointer: Any) -> None:
        """Write a row."""
        self.builder.store(row, self.builder.bitcast(pointer, self.vector.as_pointer()), align=1)

    def spread(self, pointer: Any) -> Any:
        """A row of this one value."""
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, self.builder.load(pointer), _INDEX(0))
        return self.builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))

    def sums(self, count: Any, term: Callable[[int, Any], Any]) -> list[Any]:
        """Σ term(r, k) over k < count for each row r, in this order."""
        totals = [cgutils.alloca_once(self.builder, self.vector) for _ in range(ROWS)]
        for total in totals:
            self.builder.store(ir.Constant(self.vector, [0.0] * LANES), total)
        with cgutils.for_range(self.builder, count) as loop:
            for r, total in enumerate(totals):
                self.builder.store(self.builder.fadd(self.builder.load(total), term(r, loop.index)), total)
        return [self.builder.load(total) for total in totals]


@_callable
def products(typing_context, out, at, apart, a, first, across, along, b, begin, step, count, less):
    """out[at + r·apart + l] = Σ_k a[first + r·across + k·along] · b[begin + k·step + l], for r < 4, l < 16, k < count.

    With `less`, the sum is subtracted from what is there. Arrays are flat.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        apart, across, along, step, count, less = (arguments[n] for n in (2, 5, 6, 9, 10, 11))
        tile = _Tile(context, builder, signature, arguments)

        def term(r: int, k: Any) -> Any:
            return builder.fmul(tile.spread(tile.at(3, (r, across), (k, along))), tile.load(tile.at(7, (k, step))))

        for r, total in enumerate(tile.sums(count, term)):
            place = tile.at(0, (r, apart))
            tile.store(builder.select(less, builder.fsub(tile.load(place), total), total), place)
        return context.get_dummy_value()

    n = types.intp
    return types.none(out, n, n, a, n, n, n, b, n, n, n, types.boolean), generate


@_callable
def squares(typing_context, out, at, apart, a, first, b, begin, across, count):
    """out[at + r·apart + l] += Σ_k (b[begin + r·across + k + l] − a[first + k])², for r < 4, l < 16, k < count.

    Arrays are flat.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        apart, across, count = (arguments[n] for n in (2, 7, 8))
        one = ir.Constant(count.type, 1)
        tile = _Tile(context, builder, signature, arguments)

        def term(r: int, k: Any) -> Any:
            difference = builder.fsub(tile.load(tile.at(5, (r, across), (k, one))), tile.spread(tile.at(3, (k, one))))
            return builder.fmul(difference, difference)

        for r, total in enumerate(tile.sums(count, term)):
            place = tile.at(0, (r, apart))
            tile.store(builder.fadd(tile.load(place), total), place)
        return context.get_dummy_value()

    n = types.intp
    return types.none(out, n, n, a, n, b, n, n, n), generate
