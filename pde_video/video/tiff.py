"""Multi-page TIFF, through tifffile: one page per frame, with axes and calibration."""

import io
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.video import calibration
from pde_video.video.provenance import MARK, found_in
from pde_video.video.source import Choice, Decoded, FileVideo, Target
from pde_video.video.untrusted import refuse_huge, untrusted

# Faults of a file are raised here; the library would also log them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_CLASSIC_LIMIT = 2**32 - 2**25  # Bytes of frames in a TIFF with 32-bit offsets; the rest is for directories.
_MANY = 10**9  # A placeholder for the number of frames: a description with the real one is not longer.
_MOST_TAGS = 4096
_DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", re.ASCII)
_ARTIST = 315  # The number of that tag.
_LENGTHS = ("resolution", "pixel_size", "unit", "yunit", "zunit", "spacing", "xorigin", "yorigin", "zorigin")


def read(path: Path, choice: Choice) -> FileVideo:
    """Return the pages of a TIFF as frames along the one axis besides rows, columns and samples."""
    pages, fault = _directories(path)
    # Without is_ome=False the library would open other files that an OME description names.
    with untrusted(f"{path}: not a TIFF that can be read"), tifffile.TiffFile(path, is_ome=False) as file:
        page = file.pages.first
        _check_page(path, page, choice)
        told = calibration.described(page, str(path))
        declared = math.prod(told.leading.values())  # 1 also if it is not declared.
        if told.kind != "plain" and declared < pages:
            told, declared = calibration.Described(), 1
        count, offset, fault = _extent(path, page, declared, pages, fault)
        if told.kind == "plain":
            told.leading = {"I": count} if fault else _series_axes(path, file, page, count)
        details = _details(page, told)
        shape, dtype, planar = page.shape, np.dtype(page.dtype), page.axes == "SYX"
    longer = [f"{axis} ({count})" for axis, count in told.leading.items() if count > 1]
    if len(longer) > 1 or "C" in "".join(longer):
        raise InputError(
            f"{path}: axes {details['axes']}, of which {', '.join(longer)}; a video has rows Y, columns X, samples S "
            "at most, and one more axis, of frames: split the others into files of their own"
        )
    *size, channels = (*shape[1:], shape[0]) if planar else (*shape[:2], math.prod(shape[2:]))

    def decode(video: FileVideo) -> Decoded:
        frames = _paged(video, count, shape) if offset is None else _mapped(video, offset, (count, *shape))
        for index, pixels in enumerate(frames):
            if pixels is not None:
                pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, -1) if planar else pixels)
                pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
            yield pixels, video.time(index)
        if fault:
            raise InputError(fault)

    interval = told.facts.get("interval") if "Z" not in told.leading else None
    rate, known_count = 1 / interval if interval else None, None if fault else count
    return FileVideo(path, (size[0], size[1]), channels, dtype, decode, rate, known_count, details=details)


def _directories(path: Path) -> tuple[int, str | None]:
    """Return the number of pages, and an error message for what follows; each directory points to the next."""
    with path.open("rb") as file:
        end = file.seek(0, 2)

        def number(at: int, size: int) -> int | None:
            file.seek(at)
            data = file.read(size)
            return int.from_bytes(data, order) if len(data) == size else None

        file.seek(0)
        order: Any = {b"II": "little", b"MM": "big"}.get(file.read(2))
        kind = number(2, 2) if order else None
        if kind not in (42, 43):
            raise InputError(f"{path}: not a TIFF that can be read (its first bytes are wrong)")
        counter, link, tag = (2, 4, 12) if kind == 42 else (8, 8, 20)  # Bytes.
        where, seen = 4 if kind == 42 else 8, set[int]()
        while (offset := number(where, link)) != 0:
            if offset is None:
                break
            if offset in seen:
                raise InputError(f"{path}: page {len(seen)} is an earlier page again; the file is damaged")
            tags = number(offset, counter) if offset < end else None
            if tags is None or tags > _MOST_TAGS:
                break
            where = offset + counter + tags * tag
            if where + link > end:
                break
            seen.add(offset)
        else:
            if seen:
                return len(seen), None
    fault = f"{path}: page {len(seen)} is missing or damaged; the file seems to be cut off"
    if not seen:
        raise InputError(fault)
    return len(seen), fault


def _check_page(path: Path, page: Any, choice: Choice) -> None:
    if page.axes not in ("YX", "YXS", "SYX") or page.dtype is None:
        raise InputError(
            f"{path}: axes {page.axes} in a page, dtype {page.dtype}; a page is rows Y, columns X, samples S"
        )
    meaning = tifffile.PHOTOMETRIC(page.photometric).name
    if meaning not in ("MINISBLACK", "RGB"):
        raise InputError(f"{path}: values mean {meaning}; only MINISBLACK and RGB are read: convert it")
    rows = page.shape if page.axes != "SYX" else (*page.shape[1:], page.shape[0])
    for shape in (rows, page.chunks if page.axes != "SYX" else page.chunks[1:]):
        refuse_huge(path, shape, choice.max_pixels)


def _extent(path: Path, page: Any, declared: int, pages: int, fault: str | None) -> tuple[int, int | None, str | None]:
    """Return the number of frames, where they are if they share one directory, and the error that follows them."""
    if declared <= 1 or declared == pages or fault:
        return pages, None, fault
    if pages > 1 or not page.is_final:
        return pages, None, f"{path}: page {pages} is missing: {declared} are declared"
    offset, end = page.dataoffsets[0], path.stat().st_size
    there = min(declared, max(0, end - offset) // page.nbytes)
    cut = f"{path}: page {there} is cut off: {declared} are declared" if there < declared else None
    return (there, offset, cut) if there else (pages, None, cut)


def _series_axes(path: Path, file: Any, page: Any, pages: int) -> dict[str, int]:
    """Return the axes as the library sees them, for a file without a known description."""
    series = file.series
    if len(series) > 1:
        raise InputError(f"{path}: the file holds several series of pictures, which differ in shape or dtype")
    axes, shape = series[0].axes, series[0].shape
    leading = dict(zip(axes[: -page.ndim], shape, strict=False)) or {"I": 1}
    if math.prod(leading.values()) != pages:
        raise InputError(f"{path}: {axes} of lengths {shape} in {pages} pages; save it with one page a frame")
    return leading


def _details(page: Any, told: calibration.Described) -> dict[str, Any]:
    details: dict[str, Any] = {"axes": "".join(told.leading) + page.axes, "tiff": told.kind, **told.facts}
    if "interval" in details:
        details["interval"] = float(details["interval"])  # The rate is exact.
    if resolution := calibration.resolution_of(page):
        unit = tifffile.RESUNIT(page.tags.valueof("ResolutionUnit", default=2)).name
        if resolution != [[1, 1], [1, 1]] or unit != "NONE":  # The default of writers that know none.
            details.update(resolution=resolution, resolution_unit=unit)
    if "IJMetadata" in page.tags:
        details["not_kept"] = [*details.get("not_kept", ()), "ImageJ's labels, regions and colour tables"]
    tags = [page.tags.valueof(name) for name in ("Software", "DateTime", "Artist")]
    software, date, artist = (text.strip() if isinstance(text, str) else "" for text in tags)
    if made := found_in(software):
        details["made"] = made
    said = {"description": told.text, "artist": artist, "software": software.partition(MARK.strip())[0].strip()}
    said["date_time"] = date if _DATE.fullmatch(date) else ""
    return details | {name: text for name, text in said.items() if text}


def _mapped(video: FileVideo, offset: int, shape: tuple[int, ...]) -> Iterator[Array | None]:
    with tifffile.TiffFile(video.path, is_ome=False) as file:
        dtype = video.dtype.newbyteorder(file.byteorder)
    for index, frame in enumerate(np.memmap(video.path, dtype, "r", offset, shape)):
        yield np.array(frame) if video.wants(index) else None


def _paged(video: FileVideo, pages: int, shape: tuple[int, ...]) -> Iterator[Array | None]:
    end = video.path.stat().st_size
    with tifffile.TiffFile(video.path, is_ome=False) as file:
        for index in range(pages):
            pixels = None
            with untrusted(f"{video.path}: page {index} cannot be read"):
                page: Any = file.pages[index]
                if page.shape != shape or page.dtype != video.dtype:
                    raise InputError(
                        f"{video.path}: page {index} has shape {page.shape} and dtype {page.dtype}; page 0 has {shape} "
                        f"and {video.dtype}"
                    )
                pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
                beyond = any(count < 1 or offset + count > end for offset, count in pieces)
                if not pieces or beyond or (page.is_contiguous and page.dataoffsets[0] + page.nbytes > end):
                    raise ValueError("its data lie beyond the end of the file")
                if video.wants(index):
                    pixels = page.asarray()
            yield pixels


class _Checked(io.FileIO):
    def fileno(self) -> int:
        raise io.UnsupportedOperation("NumPy's tofile does not report a disk that is full at the last flush")


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one page per frame; return the number of frames."""
    # 64-bit offsets unless 4 GB certainly suffice: a filter may return more frames than the source declares.
    big = target.count is None or 2 * target.count * target.first.nbytes > _CLASSIC_LIMIT
    photometric = "rgb" if target.channels in (3, 4) else "minisblack"
    facts, resolution = _kept(target)
    head = _head(target, facts)
    options: dict[str, Any] = {"photometric": photometric, "metadata": None, "contiguous": False, **resolution}
    count, text, free = 0, _description(target, facts, _MANY), facts.get("description", "")
    if text or free:
        head["description"] = text or free.encode()
    if text and free:
        target.omit("description")
    with io.BufferedRandom(_Checked(temporary, "w+")) as sink, tifffile.TiffWriter(sink, bigtiff=big) as file:
        for count, frame in enumerate(frames, 1):
            planar = None if frame.ndim == 2 else "contig"
            file.write(frame, planarconfig=planar, **options, **(head if count == 1 else {"software": False}))
        if count and text:
            file.overwrite_description(_description(target, facts, count) or b"")  # type: ignore[arg-type]
    return count


def _head(target: Target, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of the first page except its description."""
    made = f"{MARK}{target.made}" if target.made else MARK.strip()
    head: dict[str, Any] = {"software": " ".join([*filter(None, [facts.get("software")]), made]).encode()}
    if facts.get("date_time"):
        head["datetime"] = facts["date_time"]
    if facts.get("artist"):
        head["extratags"] = [(_ARTIST, tifffile.DATATYPE.ASCII, 0, facts["artist"].encode(), True)]
    return head


def _kept(target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the axes and units of the source, and the resolution, as far as they hold for frames of this size."""
    facts = dict(target.details)
    if target.known_rate is not None:
        facts["interval"] = 1 / target.known_rate
    if target.like is not None and target.size != target.like.size and set(_LENGTHS) & set(facts):
        # After cropping or resampling, the size of a pixel is unknown.
        facts = {name: fact for name, fact in facts.items() if name not in _LENGTHS}
        facts["imagej"] = {name: fact for name, fact in facts.get("imagej", {}).items() if name not in _LENGTHS}
        target.omit("pixel_size")
    if "resolution" in facts:
        sides = tuple(tuple(side) for side in facts["resolution"])
        return facts, {"resolution": sides, "resolutionunit": facts["resolution_unit"]}
    if "pixel_size" in facts and facts.get("unit"):
        return facts, {"resolution": tuple(1 / side for side in facts["pixel_size"]), "resolutionunit": "NONE"}
    return facts, {}


def _description(target: Target, facts: dict[str, Any], count: int) -> bytes | None:
    """Return the description of `count` frames, in the format of the name or the source."""
    axis, shape, dtype = str(facts.get("axes", "T"))[0], target.first.shape, target.first.dtype
    if Path(target.path.stem).suffix.lower() == ".ome":
        return calibration.ome_text(axis, count, target.first, facts).encode()
    if facts.get("tiff") == "imagej" and calibration.fits_imagej(shape, dtype):
        return calibration.imagej_text(axis, count, facts).encode()
    if ("tiff" in facts and axis not in "IQ") or {"interval", "unit", "spacing"} & set(facts):
        return calibration.shaped_text(axis, count, shape, facts).encode()
    return None
