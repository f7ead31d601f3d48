"""Multi-page TIFF, through tifffile, and NumPy files."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.outputs import checked_file
from pde_video.video.source import Choice, Decoded, FileVideo, Target

# What is wrong with a file is raised here, in one line; the library would log it as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

TIFF_SUFFIXES = (".tif", ".tiff")
_CLASSIC_LIMIT = 2**32 - 2**25  # Bytes that a TIFF of 32-bit offsets can hold, less room for its directories.


def read_tiff(path: Path, choice: Choice) -> FileVideo:
    """Return the pages of a TIFF as frames, along the one axis besides rows, columns and samples."""
    try:
        with tifffile.TiffFile(path) as file:
            series, page = file.series[0], file.series[0].keyframe
            axes, shape, dtype = series.axes, series.shape, series.dtype
            meaning, several = tifffile.PHOTOMETRIC(page.photometric).name, len(file.series) > 1
            paged = len(series) == math.prod(shape[: len(shape) - page.ndim])
            planar = page.axes == "SYX"
    except (tifffile.TiffFileError, IndexError, ValueError, TypeError) as fault:
        raise InputError(f"{path}: not a TIFF that can be read ({fault})") from fault
    if several:
        raise InputError(f"{path}: the file holds several series of pictures, which differ in shape or dtype")
    inside = 3 if "S" in axes else 2
    leading, frame_axes = axes[:-inside], axes[-inside:]
    longer = [f"{axis} ({n})" for axis, n in zip(leading, shape, strict=False) if n > 1]
    if frame_axes not in ("YX", "YXS", "SYX") or len(longer) > 1 or (longer and longer[0].startswith("C")):
        raise InputError(
            f"{path}: axes {axes} of lengths {shape}; a video has rows Y, columns X, samples S at most, and one more "
            "axis, of frames: split the others into files of their own"
        )
    if meaning not in ("MINISBLACK", "RGB"):
        raise InputError(f"{path}: values mean {meaning}; only MINISBLACK and RGB are read as they are: convert it")
    size, channels = shape[-2:], 1
    if inside == 3:
        size, channels = (shape[-2:], shape[-3]) if planar else (shape[-3:-1], shape[-1])
    decode = partial(_decode_tiff, paged=paged, planar=planar)
    count = math.prod(shape[: len(shape) - inside])
    return FileVideo(path, (size[0], size[1]), channels, np.dtype(dtype), decode, count=count, details={"axes": axes})


def _decode_tiff(video: FileVideo, *, paged: bool, planar: bool) -> Decoded:
    for index, page in enumerate(_pages(video.path) if paged else _mapped(video)):
        try:
            if page is None:
                raise ValueError("the page is missing")
            pixels = page.asarray() if paged else np.array(page)
        except (tifffile.TiffFileError, ValueError, RuntimeError, OSError, IndexError) as fault:
            raise InputError(f"{video.path}: page {index} cannot be read ({fault})") from fault
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if planar else pixels
        yield pixels.astype(pixels.dtype.newbyteorder("="), copy=False), None


def _pages(path: Path) -> Iterator[Any]:
    with tifffile.TiffFile(path) as file:
        yield from file.series[0].pages


def _mapped(video: FileVideo) -> Array:
    """Return the frames of a file that has one directory for all of them, as ImageJ writes beyond 4 GB."""
    try:
        array = tifffile.memmap(video.path, mode="r", series=0)
    except (tifffile.TiffFileError, ValueError, OSError) as fault:
        raise InputError(f"{video.path}: the frames cannot be read one by one ({fault})") from fault
    frame = array.shape[-2:] if video.channels == 1 else array.shape[-3:]
    return array.reshape(-1, *frame)


def write_tiff(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one page a frame; return the number of frames."""
    # Without a number of frames, 64-bit offsets: a classic TIFF that outgrows 4 GB would be lost at the end. The
    # number is that of the source, and a filter may add to it: hence the factor.
    big = target.count is None or 2 * target.count * target.first.nbytes > _CLASSIC_LIMIT
    photometric = "rgb" if target.channels in (3, 4) else "minisblack"
    count = 0
    with checked_file(temporary) as sink, tifffile.TiffWriter(sink, bigtiff=big) as file:
        for count, frame in enumerate(frames, 1):
            planar = None if frame.ndim == 2 else "contig"
            file.write(frame, photometric=photometric, planarconfig=planar, metadata=None, contiguous=False)
    return count


def count_pages(path: Path) -> int:
    """Return the number of pages of a file just written."""
    with tifffile.TiffFile(path) as file:
        return len(file.pages)


def read_npy(path: Path, choice: Choice) -> FileVideo:
    """Return an array (T, H, W) or (T, H, W, C) in a NumPy file, mapped rather than loaded."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as fault:
        raise InputError(f"{path}: not a NumPy array that can be read ({fault})") from fault
    if not isinstance(array, np.ndarray) or array.ndim not in (3, 4) or array.size == 0:
        raise InputError(
            f"{path}: the array has shape {getattr(array, 'shape', None)}; a video is (T, H, W) or (T, H, W, C)"
        )
    channels = 1 if array.ndim == 3 else array.shape[3]

    def decode(video: FileVideo) -> Decoded:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        for frame in mapped:
            yield np.array(frame), None

    return FileVideo(path, array.shape[1:3], channels, array.dtype, decode, count=len(array))


def write_npy(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write the frames behind a header that gets their number when it is known; return it."""
    if target.first.dtype.hasobject:
        raise ParameterError(f"frames of dtype {target.first.dtype} would have to be pickled; convert them")

    def header(count: int) -> dict[str, object]:
        descr = np.lib.format.dtype_to_descr(target.first.dtype)
        return {"descr": descr, "fortran_order": False, "shape": (count, *target.first.shape)}

    count = 0
    with temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header(0))
        start = file.tell()
        for count, frame in enumerate(frames, 1):
            file.write(np.ascontiguousarray(frame).data)
        file.seek(0)
        # NumPy pads headers so that the first axis may grow: the rewritten one has the same length.
        np.lib.format.write_array_header_1_0(file, header(count))
        if file.tell() != start:
            raise RuntimeError("the NumPy header changed its length")
    return count


def count_rows(path: Path) -> int:
    """Return the number of frames of a file just written."""
    return len(np.load(path, mmap_mode="r", allow_pickle=False))
