"""Decoding of TIFF strips and tiles, each to no more bytes than its pixels take (extra ``tiff`` for most codecs)."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from pde_video.errors import InputError, not_installed
from pde_video.protocols import Array
from pde_video.video.picture_parts import JPEG as JPEG_START
from pde_video.video.picture_parts import jpeg_size
from pde_video.video.tiff_directory import Directory, Source, name_of

if TYPE_CHECKING:
    from pde_video.video.tiff_picture import Layout

NONE, OLD_JPEG = 1, 6  # Compression.
FAX = {2: "ccittrle_decode", 3: "ccittfax3_decode", 4: "ccittfax4_decode"}
JPEG = (OLD_JPEG, 7)
_LZW, _PACK_BITS, _LZMA = 5, 32773, 34925
_DEFLATE, _ZSTD = (8, 32946), (34926, 50000)
_READ = (NONE, *FAX, *JPEG, _LZW, _PACK_BITS, _LZMA, *_DEFLATE, *_ZSTD)
_OPTIONAL = (*FAX, *JPEG, _LZW, *_ZSTD)
_HORIZONTAL, _FLOATING_POINT = 2, 3  # Predictor.
_LARGER, _HEADERS = 4, 2**20  # A piece may have this many times the bytes of its pixels, and this many more.
_CHUNK = 2**20
_TABLES = 2**28  # Bytes of shared JPEG tables, counted for each strip or tile: usual ones have 600.
_MEMORY = 2**27  # Bytes that LZMA's dictionary may take.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check(path: Path, layout: Layout) -> None:
    """Refuse a compression that is not supported, or that needs a package that is not installed."""
    name = name_of(tifffile.COMPRESSION, layout.compression)
    if layout.compression not in _READ:
        raise InputError(f"{path}: compression {name} is not supported; save it uncompressed, or with LZW or deflate")
    if layout.compression in FAX and (layout.bits, layout.samples) != (1, 1):
        raise InputError(
            f"{path}: compression {name} of {layout.samples} samples of {layout.bits} bits; it is for single bits"
        )
    if layout.compression in JPEG and not (layout.kind == "u" and layout.bits in (8, 12, 16)):
        raise InputError(f"{path}: JPEG of {layout.kind}{layout.bits} samples; they must have 8, 12 or 16 bits")
    whole = layout.bits in (8, 16, 32, 64)
    known = {1: True, _HORIZONTAL: whole and layout.kind != "c", _FLOATING_POINT: layout.kind == "f"}
    if layout.compression not in (*FAX, *JPEG) and not known.get(layout.predictor, False):
        raise InputError(f"{path}: predictor {layout.predictor} of {layout.kind}{layout.bits} samples is not supported")
    if layout.compression in _OPTIONAL:
        _imagecodecs(f"{path}: compression {name}")


def _imagecodecs(what: str) -> Any:
    try:
        import imagecodecs
    except ImportError as fault:
        raise InputError(not_installed(what, "imagecodecs", "tiff")) from fault
    return imagecodecs


def tables_of(page: Directory, layout: Layout) -> bytes | None:
    """Return the tables that the JPEG streams of a page share; refuse large ones, which each stream reads again."""
    tables = page.raw(347) if layout.compression in JPEG else b""
    if len(tables) * layout.count > _TABLES:
        raise ValueError(f"JPEG tables of {len(tables):,} bytes for each of {layout.count:,} strips or tiles")
    return tables or None


def decoded(
    source: Source, layout: Layout, offset: int, count: int, rows: tuple[int, int], tables: bytes | None
) -> Array:
    """Return a strip or tile, (rows, columns, samples); it must have rows[0] rows and may have rows[1]."""
    least, most = (each * layout.row_bytes for each in rows)
    if layout.compression == NONE:
        data: Any = source.at(offset, least)
    else:
        check_count(count, most)
        data = source.at(offset, count)
    if layout.fill_order == 2 and layout.compression not in JPEG:
        data = data.translate(_REVERSED)
    if layout.compression in FAX:
        return _fax(data, layout, rows)
    if layout.compression in JPEG:
        return _jpeg(data, layout, (rows[0], layout.piece[1]), tables)
    if layout.compression != NONE:
        data = _unpacked(data, layout, most)
    if len(data) < least:
        raise ValueError(f"a strip or tile holds {len(data)} bytes; its pixels take {least}")
    values = _as_samples(np.frombuffer(data, np.uint8, least).reshape(rows[0], -1), layout, source.order)
    return values.reshape(rows[0], layout.piece[1], -1)


def check_count(count: int, pixels: int) -> None:
    """Refuse strips or tiles of far more bytes than their pixels take."""
    if count > _LARGER * pixels + _HEADERS:
        raise ValueError(f"strips or tiles have {count:,} bytes; their pixels take {pixels:,}")


def _unpacked(data: bytes, layout: Layout, most: int) -> Any:
    """Return the bytes of a strip or tile; raise ValueError if it holds more than its pixels take."""
    if layout.compression in _DEFLATE:
        return _streamed(zlib.decompressobj(), data, most)
    if layout.compression == _LZMA:
        return _streamed(lzma.LZMADecompressor(memlimit=_MEMORY), data, most)
    if layout.compression == _PACK_BITS:
        return _from_runs(data, most)
    codecs = _imagecodecs(name_of(tifffile.COMPRESSION, layout.compression))
    decode = codecs.lzw_decode if layout.compression == _LZW else codecs.zstd_decode
    return decode(data, out=most)


def _streamed(stream: Any, data: bytes, most: int) -> Any:
    """Decode a stream piece by piece, so that it never takes more memory than its pixels."""
    out, filled = np.empty(most, np.uint8), 0
    while not stream.eof:
        chunk = stream.decompress(data, _CHUNK)
        # Both libraries keep unread input, but zlib must be given it again.
        data = getattr(stream, "unconsumed_tail", b"")
        if not chunk and not data:
            break
        if filled + len(chunk) > most:
            raise ValueError(f"a strip or tile decodes to more than the {most} bytes that its pixels take")
        out[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    return out[:filled]


def _from_runs(data: bytes, most: int) -> bytearray:
    """Decode PackBits: a byte n is followed by n + 1 others, or by one that stands for 257 - n equal ones."""
    out, place = bytearray(), 0
    while place < len(data) and len(out) < most:
        head = data[place]
        if head < 128:
            out += data[place + 1 : place + 2 + head]
            place += 2 + head
        else:
            out += data[place + 1 : place + 2] * (257 - head if head > 128 else 0)
            place += 2 if head > 128 else 1
    return out[:most]


def _fax(data: bytes, layout: Layout, rows: tuple[int, int]) -> Array:
    codecs = _imagecodecs(name_of(tifffile.COMPRESSION, layout.compression))
    options = {"t4options": layout.fax_options} if layout.compression == 3 else {}
    values = getattr(codecs, FAX[layout.compression])(data, rows[0], layout.piece[1], **options)
    return values.reshape(rows[0], layout.piece[1], 1)


def _jpeg(data: bytes, layout: Layout, size: tuple[int, int], tables: bytes | None) -> Array:
    """Decode a JPEG stream, to RGB if it is colour; its own header, which determines its size, is checked first."""
    if not data.startswith(JPEG_START):
        raise ValueError("a JPEG without its start marker")
    height, width, samples = jpeg_size(data, layout.count)
    expected = 1 if layout.planar else layout.samples
    widths = (size[1], layout.width % size[1] or size[1])
    if not size[0] <= height <= max(layout.piece[0], size[0]) or width not in widths or samples != expected:
        there = f"a JPEG of {height} × {width} pixels of {samples} samples"
        raise ValueError(f"{there} in place of {size[0]} × {size[1]} pixels of {expected}")
    space: dict[str, Any] = {}
    if layout.planar:
        space = {"outcolorspace": 1}
    elif layout.photometric in (2, 6) and not layout.extra:
        # Without a JFIF header the stream does not say that it is YCbCr, and is RGB if the page is.
        is_rgb = layout.photometric == 2 and b"JFIF" not in data[:16]
        space = {"outcolorspace": 2} | ({"colorspace": 2} if is_rgb else {})
    codecs = _imagecodecs("JPEG")
    values = codecs.jpeg_decode(data, bitspersample=layout.bits, tables=tables, **space)
    return values.reshape(height, width, -1)


def is_whole_jpeg(page: Directory, layout: Layout) -> bool:
    """Tell whether a page is one JPEG stream of the old kind, of which its strips are parts."""
    return layout.compression == OLD_JPEG and 513 in page and page.source.at(page.number(513, 0), 2) == JPEG_START


def whole_jpeg(page: Directory, layout: Layout) -> Array:
    """Decode the one JPEG stream of a page; its length is often wrong, so it may reach to its last strip."""
    start, length = page.number(513, 0), page.number(514, 0)
    ends = page.numbers(273).astype(np.uint64) + (page.numbers(279).astype(np.uint64) if 279 in page else np.uint64(0))
    end = min(page.source.size, max([start + length, *ends.tolist()]))
    pixels = layout.frame_bytes
    check_count(max(0, end - start), pixels)
    data = page.source.at(start, max(0, end - start))
    return _jpeg(data, layout, (layout.height, layout.width), None)


def _as_samples(rows: Array, layout: Layout, order: Any) -> Array:
    """Return rows of bytes as samples; undo the predictor."""
    stored = layout.stored
    if layout.predictor == 1 and layout.bits == 8 * stored.itemsize:
        return rows.view(stored.newbyteorder(order)).astype(stored, copy=False)
    values = np.empty((len(rows), layout.row_samples), stored)
    step = max(1, _CHUNK // (8 * stored.itemsize * layout.row_samples))  # Rows at a time: a bit may take a byte.
    for top in range(0, len(rows), step):
        values[top : top + step] = _some_samples(rows[top : top + step], layout, order)
    return values


def _some_samples(rows: Array, layout: Layout, order: Any) -> Array:
    if layout.predictor == _FLOATING_POINT:
        return _from_differing_bytes(rows, layout)
    if layout.bits != 8 * layout.stored.itemsize:
        return _from_bits(rows, layout.bits, layout.row_samples)
    values = rows.view(layout.stored.newbyteorder(order)).astype(layout.stored, copy=False)
    whole = values.view(f"u{values.itemsize}").reshape(len(rows), layout.piece[1], -1)
    return np.cumsum(whole, axis=1, dtype=whole.dtype).view(layout.stored).reshape(len(rows), -1)


def _from_bits(rows: Array, bits: int, count: int) -> Array:
    """Return numbers of that many bits, which are packed without regard to bytes, highest bit first."""
    if bits in (1, 2, 4):
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        return (rows[..., None] >> shifts & (2**bits - 1)).reshape(len(rows), -1)[:, :count]
    room = 8 if bits <= 8 else 16 if bits <= 16 else 32
    some = np.unpackbits(rows, axis=1, count=count * bits).reshape(-1, count, bits)
    wide = np.zeros((*some.shape[:2], room), np.uint8)
    wide[..., room - bits :] = some
    return np.packbits(wide, axis=-1).view(f">u{room // 8}")[..., 0]


def _from_differing_bytes(rows: Array, layout: Layout) -> Array:
    """Undo the floating-point predictor: differences of bytes, of which the highest of all samples come first."""
    samples, size = layout.row_samples // layout.piece[1], layout.stored.itemsize
    bytes_ = np.cumsum(rows.reshape(len(rows), -1, samples), axis=1, dtype=np.uint8)
    planes = bytes_.reshape(len(rows), size, layout.row_samples)
    return np.ascontiguousarray(np.moveaxis(planes, 1, 2)).view(f">f{size}")[..., 0]
