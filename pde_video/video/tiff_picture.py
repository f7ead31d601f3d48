"""The pixels of one TIFF page: strips and tiles assembled, upright, as grey or RGB."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import tifffile

from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.video import tiff_codecs
from pde_video.video.source import Choice
from pde_video.video.tiff_directory import Directory, Source, name_of
from pde_video.video.untrusted import refuse_huge, refuse_inflated

GREY_INVERTED, GREY, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6  # PhotometricInterpretation.
_MOST_PIECES = 2**17
_MOST_SAMPLES = 4096  # Of a pixel.
_SMALL_TILE, _LARGER = 2**24, 4  # Bytes that any tile may have; how many times its picture a larger one may be.
# The tags that a layout is made of, and the palette.
_OF_LAYOUT = (256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 292, 317, 320, 322, 323, 338, 339, 513, 514, 32997)
_AT_ONCE = 2**22  # Values.
_TRANSPOSED = 5  # Orientations from this one on exchange rows and columns.


@dataclass(frozen=True)
class Layout:
    """How the pixels of a page are stored."""

    height: int
    width: int
    samples: int
    bits: int  # Of a sample.
    kind: str  # u, i, f or c, as in NumPy.
    photometric: int
    compression: int
    predictor: int
    planar: bool
    orientation: int
    piece: tuple[int, int]  # Rows and columns of a tile or strip.
    tiled: bool
    fill_order: int
    extra: tuple[int, ...]  # What samples beyond the colours mean.
    fax_options: int
    plain_values: bool = False  # Values of a palette are measured, and its colours are for display.

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype that holds a stored sample."""
        return np.dtype(f"{self.kind}{_room(self.bits) // 8}")

    @property
    def down(self) -> int:
        """The number of pieces above one another."""
        return -(-self.height // self.piece[0])

    @property
    def across(self) -> int:
        """The number of pieces beside one another."""
        return -(-self.width // self.piece[1])

    @property
    def count(self) -> int:
        """The number of pieces."""
        return self.down * self.across * (self.samples if self.planar else 1)

    @property
    def row_samples(self) -> int:
        """The number of samples in a row of a piece."""
        return self.piece[1] * (1 if self.planar else self.samples)

    @property
    def row_bytes(self) -> int:
        """The bytes of a row of a piece; each begins with a byte of its own."""
        return -(-self.row_samples * self.bits // 8)

    @cached_property
    def needed(self) -> Array:
        """The bytes of every piece if it is not compressed, at the lower edge of the page without what lies beyond."""
        tops = np.arange(self.count) // self.across % self.down * self.piece[0]
        return np.minimum(self.piece[0], self.height - tops).astype(np.uint64) * np.uint64(self.row_bytes)

    @property
    def frame_bytes(self) -> int:
        """The bytes of the decoded page."""
        return self.height * self.width * self.samples * self.stored.itemsize

    @property
    def meaning(self) -> str:
        """The name of what the values mean."""
        return name_of(tifffile.PHOTOMETRIC, self.photometric)

    @property
    def is_turned(self) -> bool:
        """Whether rows are stored as columns."""
        return self.orientation >= _TRANSPOSED


def _room(bits: int) -> int:
    return max(8, 1 << (bits - 1).bit_length())


def layout_of(page: Directory) -> Layout:
    """Return how the pixels of a page are stored; raise ValueError if it is malformed or not supported."""
    height, width, samples = page.number(257, 0), page.number(256, 0), page.number(277, 1)
    if min(height, width, samples) < 1 or samples > _MOST_SAMPLES or page.number(32997, 1) != 1:
        raise ValueError(f"{height} × {width} pixels of {samples} samples, {page.number(32997, 1)} deep")
    compression, bits, formats = page.number(259, 1), page.numbers(258), page.numbers(339)
    of_each, kinds = set(bits[:samples].tolist()) or {1}, set(formats[:samples].tolist()) or {1}
    if compression == tiff_codecs.OLD_JPEG and 258 not in page:
        of_each = {8}
    if len(of_each) > 1 or len(kinds) > 1:
        raise ValueError(f"bits {sorted(of_each)} and formats {sorted(kinds)} of samples must be equal within a pixel")
    depth, kind = of_each.pop(), {1: "u", 2: "i", 3: "f", 4: "u", 6: "c"}.get(kinds.pop(), "?")
    sizes = {"u": (*range(1, 33), 64), "i": (8, 16, 32, 64), "f": (16, 32, 64), "c": (64, 128)}
    if depth not in sizes.get(kind, ()):
        raise ValueError(f"samples of {depth} bits and format {formats[:1].tolist()}, which are not supported")
    tiled = 322 in page or 324 in page
    rows = page.number(323, 0) if tiled else min(page.number(278, height), height)
    piece = (rows, page.number(322, 0) if tiled else width)
    orientation, planar = page.number(274, 1), page.number(284, 1) == 2 and samples > 1
    if min(piece) < 1:
        raise ValueError(f"its strips or tiles have {piece[0]} × {piece[1]} pixels")
    return Layout(
        height, width, samples, depth, kind, _photometric(page, compression, samples), compression,
        page.number(317, 1), planar, orientation if 1 <= orientation <= 8 else 1, piece, tiled,
        page.number(266, 1), tuple(page.numbers(338)[:samples].tolist()), page.number(292, 0),
    )  # fmt: skip


def _photometric(page: Directory, compression: int, samples: int) -> int:
    if 262 in page:
        found = page.number(262, -1)
        return YCBCR if compression == tiff_codecs.OLD_JPEG and samples == 3 else found
    if compression in tiff_codecs.FAX:
        return GREY_INVERTED
    if compression == tiff_codecs.OLD_JPEG:
        return YCBCR if samples == 3 else GREY
    raise ValueError("it has no PhotometricInterpretation (tag 262)")


def check(source: Source, layout: Layout, choice: Choice) -> None:
    """Refuse a page that is too large, or whose kind of values is not supported."""
    path, shape = source.path, (layout.height, layout.width, layout.samples)
    for one in (shape, (*layout.piece, layout.samples)):
        refuse_huge(path, one[:2] if layout.samples == 1 else one, choice.max_pixels)
    rows, columns = layout.piece
    large = rows * layout.row_bytes > max(_SMALL_TILE, _LARGER * layout.frame_bytes)
    if large or layout.count > _MOST_PIECES:
        raise InputError(
            f"{path}: a page of {layout.height} × {layout.width} has {layout.count:,} strips or tiles of {rows} × "
            f"{columns}; at most {_MOST_PIECES:,} are read, and none much larger than the page"
        )
    if layout.photometric == 5:
        raise InputError(f"{path}: the picture is CMYK; convert it to RGB")
    jpeg = layout.compression in tiff_codecs.JPEG
    is_read = layout.photometric in (GREY, RGB) or (
        (layout.photometric == GREY_INVERTED and layout.kind == "u" and layout.samples == 1)
        or (layout.photometric == PALETTE and layout.samples == 1 and layout.kind == "u" and layout.bits <= 16)
        or (layout.photometric == YCBCR and layout.samples == 3 and jpeg and not layout.planar)
    )
    if not is_read:
        coded = name_of(tifffile.COMPRESSION, layout.compression)
        raise InputError(
            f"{path}: values are {layout.meaning} ({layout.samples} samples of {layout.bits} bits, compression "
            f"{coded}); MINISBLACK, RGB, MINISWHITE of unsigned values, PALETTE, and YCBCR in JPEG are read: convert it"
        )
    tiff_codecs.check(path, layout)


class Picture:
    """A page whose pixels can be decoded."""

    layout: Layout
    colours: Array | None
    shape: tuple[int, ...]  # Of the frame.
    dtype: np.dtype[Any]

    def __init__(self, page: Directory, plain_values: bool = False, like: Picture | None = None) -> None:
        """Read how the page is stored, unless it is stored like another, and the colours of its palette."""
        self.page, self.source = page, page.source
        if like is not None and page.is_like(like.page, _OF_LAYOUT):
            self.layout, self.colours, self.shape, self.dtype = like.layout, like.colours, like.shape, like.dtype
            return
        plain_values = plain_values or (like is not None and like.layout.plain_values)
        self.layout = replace(layout_of(page), plain_values=plain_values)
        self.colours = None
        if self.layout.photometric == PALETTE and not plain_values:
            self.colours = _colours(page, self.layout.bits)
        channels, height, width = self.layout.samples, self.layout.height, self.layout.width
        if self.colours is not None:
            channels = self.colours.shape[1]
        size = (width, height) if self.layout.is_turned else (height, width)
        self.shape = size if channels == 1 else (*size, channels)
        stored = self.layout.stored if self.colours is None else self.colours.dtype
        self.dtype = np.dtype(np.uint8) if stored.kind == "u" and stored.itemsize == 1 else stored

    def refuse_inflated(self, choice: Choice) -> None:
        """Refuse a large page of a small file."""
        nbytes = max(self.layout.frame_bytes, math.prod(self.shape) * self.dtype.itemsize)
        refuse_inflated(self.source.path, nbytes, self.source.size, choice.max_pixels)

    @cached_property
    def pieces(self) -> tuple[Array, Array]:
        """Return where the strips or tiles are, and their bytes; raise ValueError unless all are in the file."""
        layout, most = self.layout, 8 * _MOST_PIECES
        places, sizes = (324, 325) if layout.tiled and 324 in self.page else (273, 279)
        offsets = self.page.numbers(places, most)[: layout.count].astype(np.uint64)
        counts = self.page.numbers(sizes, most)[: layout.count].astype(np.uint64)
        if not len(counts) and layout.compression == tiff_codecs.NONE:  # Some writers leave them out.
            counts = layout.needed
        elif not len(counts) and len(offsets) == 1:
            counts = np.array([max(0, self.source.size - int(offsets[0]))], np.uint64)
        if len(offsets) < layout.count or len(counts) < layout.count:
            raise ValueError(f"{len(offsets)} offsets and {len(counts)} sizes for {layout.count} strips or tiles")
        end = np.uint64(self.source.size)
        if np.any((counts < 1) | (offsets > end) | (counts > end - np.minimum(offsets, end))):
            raise ValueError("its data lie beyond the end of the file")
        if layout.compression == tiff_codecs.NONE and np.any(counts < layout.needed):
            raise ValueError(f"its data have {counts.sum():,} bytes, and its pixels take {layout.needed.sum():,}")
        shared = int(counts.sum()) - self.source.size  # A lower bound; shared bytes are decoded once for each piece.
        if layout.compression != tiff_codecs.NONE:
            tiff_codecs.check_count(max(0, shared), layout.frame_bytes)
        return offsets, counts

    @cached_property
    def place(self) -> int | None:
        """Where the values of the page begin, if they are not compressed and follow one another without a gap."""
        layout = self.layout
        if layout.compression != tiff_codecs.NONE or layout.fill_order == 2 or layout.predictor != 1:
            return None
        if layout.bits != 8 * layout.stored.itemsize or (layout.tiled and (layout.across, layout.down) != (1, 1)):
            return None
        if layout.piece[1] != layout.width or (layout.planar and layout.height % layout.piece[0]):
            return None
        offsets, _ = self.pieces
        gapless = layout.count == 1 or np.array_equal(offsets[:-1] + layout.needed[:-1], offsets[1:])
        return int(offsets[0]) if gapless else None

    def decode(self, shift: int = 0) -> Array:
        """Return the frame; with a shift in bytes, one that follows it under the same directory."""
        place = self.place
        if place is not None:
            values = self._plain(place + shift)
        elif tiff_codecs.is_whole_jpeg(self.page, self.layout):
            values = tiff_codecs.whole_jpeg(self.page, self.layout)
        else:
            values = self._assembled()
        values = self._coloured(values)
        return np.ascontiguousarray(_upright(values, self.layout.orientation))

    def _plain(self, place: int) -> Array:
        layout = self.layout
        if layout.planar:
            shape: tuple[int, ...] = (layout.samples, layout.height, layout.width)
        else:
            shape = (layout.height, layout.width, layout.samples)
        values = np.empty(shape, layout.stored.newbyteorder(self.source.order))
        self.source.fill(place, values.reshape(-1).view(np.uint8).data)
        values = values.astype(layout.stored, copy=False)
        return np.moveaxis(values, 0, -1) if layout.planar else values

    def _assembled(self) -> Array:
        layout, (rows, columns) = self.layout, self.layout.piece
        offsets, counts = self.pieces
        tables = tiff_codecs.tables_of(self.page, layout)
        if layout.count == 1:  # No copy is needed.
            most = rows if layout.tiled else layout.height
            place = int(offsets[0]), int(counts[0])
            piece = tiff_codecs.decoded(self.source, layout, *place, (layout.height, most), tables)
            return piece[: layout.height, : layout.width]
        values = np.empty((layout.height, layout.width, layout.samples), layout.stored)
        for index, (offset, count) in enumerate(zip(offsets.tolist(), counts.tolist(), strict=True)):
            plane, rest = divmod(index, layout.down * layout.across)
            top, left = (part * side for part, side in zip(divmod(rest, layout.across), layout.piece, strict=True))
            there = min(rows, layout.height - top), min(columns, layout.width - left)
            most = rows if layout.tiled else there[0]
            piece = tiff_codecs.decoded(self.source, layout, offset, count, (there[0], most), tables)
            of_plane = slice(plane, plane + 1) if layout.planar else slice(None)
            values[top : top + there[0], left : left + there[1], of_plane] = piece[: there[0], : there[1]]
        return values

    def _coloured(self, values: Array) -> Array:
        """Return what the values mean: grey or RGB, with 0 for black."""
        layout = self.layout
        if self.colours is not None:
            return self.colours[values[..., 0]]
        most = 2**layout.bits - 1
        if layout.photometric == GREY_INVERTED:
            values = np.subtract(values.dtype.type(most), values, out=values if values.flags.writeable else None)
        if layout.bits < 8 and layout.photometric != PALETTE:
            scaled = np.rint(np.arange(most + 1) * (255 / most)).astype(np.uint8)
            for some in np.array_split(values, 1 + values.size // _AT_ONCE):
                some[...] = scaled[some]
        return values[..., 0] if layout.samples == 1 else values


def _colours(page: Directory, bits: int) -> Array:
    """Return the table of a palette: RGB of 8 bits if no more are in it."""
    table = page.numbers(320)
    if len(table) != 3 * 2**bits or table.dtype != np.uint16:
        raise ValueError(f"a palette of {len(table)} values; {3 * 2**bits} of 16 bits are needed")
    colours = np.ascontiguousarray(table.reshape(3, -1).T)
    high, low = colours >> 8, colours & 255
    if not high.any():  # Some writers do not scale.
        return low.astype(np.uint8)
    return colours if np.any((low != 0) & (low != high)) else high.astype(np.uint8)


def _upright(values: Array, orientation: int) -> Array:
    """Return a picture with its first row on top and its first column on the left."""
    if orientation >= _TRANSPOSED:
        values = np.swapaxes(values, 0, 1)
    across = orientation in (2, 3, 6, 7)
    down = orientation in (3, 4, 7, 8)
    return values[:: -1 if down else 1, :: -1 if across else 1]
