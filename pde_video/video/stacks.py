"""Multi-page TIFF, through tifffile, and NumPy files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import FileVideo, Target

# What is wrong with a file is raised here, in one line; the library would log it as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

TIFF_SUFFIXES = (".tif", ".tiff")
_CLASSIC_LIMIT = 2**32 - 2**25  # Bytes that a TIFF of 32-bit offsets can hold, less room for its directories.


def read_tiff(path: Path) -> FileVideo:
    """Return the pages of the first series as frames."""
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape, dtype, count = series.keyframe.shape, series.keyframe.dtype, len(series)
            if len(file.series) > 1:
                raise InputError(
                    f"{path}: the file holds {len(file.series)} series of pictures that differ in shape or dtype"
                )
    except (tifffile.TiffFileError, IndexError, ValueError, TypeError) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{path}: not a TIFF that can be read ({fault})") from fault
    if dtype is None or len(shape) not in (2, 3):
        raise InputError(f"{path}: a page has shape {shape}; a frame is (H, W) or (H, W, C)")
    channels = 1 if len(shape) == 2 else shape[2]
    return FileVideo(path, (shape[0], shape[1]), channels, np.dtype(dtype), _decode_tiff, count=count)


def _decode_tiff(video: FileVideo) -> Iterator[Array]:
    with tifffile.TiffFile(video.path) as file:
        for index, page in enumerate(file.series[0].pages):
            try:
                if page is None:
                    raise ValueError("the page is missing")
                pixels = page.asarray()
            except (tifffile.TiffFileError, ValueError, RuntimeError, OSError, IndexError) as fault:
                raise InputError(f"{video.path}: page {index} cannot be read ({fault})") from fault
            yield pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def write_tiff(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one page a frame; return the number of frames."""
    # Without a number of frames, 64-bit offsets: a classic TIFF that outgrows 4 GB would be lost at the end.
    big = target.count is None or target.count * target.first.nbytes > _CLASSIC_LIMIT
    photometric = "rgb" if target.channels in (3, 4) else "minisblack"
    count = 0
    with tifffile.TiffWriter(temporary, bigtiff=big) as file:
        for count, frame in enumerate(frames, 1):
            planar = None if frame.ndim == 2 else "contig"
            file.write(frame, photometric=photometric, planarconfig=planar, metadata=None, contiguous=False)
    return count


def read_npy(path: Path) -> FileVideo:
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

    def decode(video: FileVideo) -> Iterator[Array]:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        for frame in mapped:
            yield np.array(frame)

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
