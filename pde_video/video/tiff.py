"""Multi-page TIFF: one page per frame, with axes, calibration and tags; written through tifffile."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tifffile

from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.video import calibration, tiff_tags
from pde_video.video.facts import DATE
from pde_video.video.provenance import MARK, found_in
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.tiff_directory import Directory, Pages, Source, name_of
from pde_video.video.tiff_picture import GREY, PALETTE, RGB, Picture, check, layout_of
from pde_video.video.untrusted import untrusted

_CLASSIC_LIMIT = 2**32 - 2**25  # Bytes of frames in a TIFF with 32-bit offsets; the rest is for directories.
_MANY = 10**9  # A placeholder for the number of frames: a description with the real one is not longer.
_CHANNELS = re.compile(r"hChannels\.channelSave = \[([^\]\n]{1,999})\]")
_SOFTWARE, _DATE_TIME, _PLANES = 305, 306, 33629  # The numbers of these tags.
_LENGTHS = ("resolution", "dpi", "pixel_size", "unit", "yunit", "zunit", "spacing", "xorigin", "yorigin", "zorigin")


def read(path: Path, choice: Choice) -> FileVideo:
    """Return the pages of a TIFF as frames along the one axis besides rows, columns and samples."""
    with untrusted(f"{path}: not a TIFF that can be read"), Source(path) as source:
        pages, fault = source.pages()
        page = Directory(source, pages.offsets[0])
        layout = layout_of(page)
        check(source, layout, choice)
        told = calibration.described(page, layout.samples, str(path))
        first = Picture(page, plain_values=told.kind in ("imagej", "ome"))
        first.refuse_inflated(choice)
        declared = math.prod(told.leading.values())  # 1 also if it is not declared.
        if told.kind != "plain" and declared < len(pages.offsets):
            told, declared = calibration.Described(), 1
        count, place, fault = _extent(first, declared, pages, fault)
        if told.kind == "plain":
            told.leading = {"I": count}
            _refuse_unknown_axes(page, count)
        details = _details(first, told, pages)
    longer = [f"{axis} ({count})" for axis, count in told.leading.items() if count > 1]
    if len(longer) > 1 or "C" in "".join(longer):
        raise InputError(
            f"{path}: its axes are {details['axes']}, with {', '.join(longer)}; a video has a single axis of frames "
            "besides rows Y, columns X and samples S: split it into separate files"
        )
    offsets = pages.offsets if place is None else None

    def decode(video: FileVideo) -> Decoded:
        for index, pixels in enumerate(_frames(video, first, count, offsets)):
            yield pixels, video.time(index)
        if fault:
            raise InputError(fault)

    interval = told.facts.get("interval") if "Z" not in told.leading else None
    rate, known_count = 1 / interval if interval else None, None if fault else count
    return FileVideo(path, *size_and_channels(first.shape), first.dtype, decode, rate, known_count, details=details)


def _extent(first: Picture, declared: int, pages: Pages, fault: str | None) -> tuple[int, int | None, str | None]:
    """Return the number of frames, their place if they share one directory, and the error that follows them."""
    source, there = first.source, len(pages.offsets)
    if declared <= 1 or declared == there or fault:
        return there, None, fault
    place = first.place if there == 1 and not pages.reduced else None
    if place is None:
        return there, None, f"{source.path}: page {there} is missing: {declared} are declared"
    there = min(declared, (source.size - place) // first.layout.frame_bytes)
    cut = f"{source.path}: page {there} is truncated: {declared} are declared" if there < declared else None
    return (there, place, cut) if there else (1, None, cut)


def _refuse_unknown_axes(page: Directory, count: int) -> None:
    vendor, path = tiff_tags.vendor_of_axes(page), page.source.path
    planes = page.tags[_PLANES].number if _PLANES in page else 1
    if vendor and max(count, planes) > 1:
        raise InputError(
            f"{path}: only tags of {vendor} say along which axes its {max(count, planes)} pages lie, and these are "
            "not read; save it as an OME-TIFF, or from ImageJ"
        )
    channels = _CHANNELS.search(page.text(_SOFTWARE)) if count > 1 else None
    if channels and len(channels[1].replace(";", " ").replace(",", " ").split()) > 1:
        raise InputError(f"{path}: its pages belong to several channels of ScanImage; split them into separate files")


def _details(first: Picture, told: calibration.Described, pages: Pages) -> dict[str, Any]:
    page, layout = first.page, first.layout
    axes = "".join(told.leading) + ("YX" if len(first.shape) == 2 else "SYX" if layout.planar else "YXS")
    details: dict[str, Any] = {"axes": axes, "tiff": told.kind, **told.facts}
    if "interval" in details:
        details["interval"] = float(details["interval"])  # The rate is exact.
    if resolution := calibration.resolution_of(page):
        unit = name_of(tifffile.RESUNIT, page.number(296, 2))
        if resolution != [[1, 1], [1, 1]] or unit != "NONE":  # The default of writers that know none.
            details.update(resolution=resolution, resolution_unit=unit)
    if layout.is_turned:
        details |= {name: details[name][::-1] for name in ("resolution", "pixel_size") if name in details}
    details |= {"photometric": layout.meaning, "compression": name_of(tifffile.COMPRESSION, layout.compression)}
    if layout.extra:
        details["extra_samples"] = list(layout.extra)
    as_stored = layout.photometric in (GREY, RGB) and layout.bits >= 8
    facts, lost = tiff_tags.found(page, layout.orientation == 1, as_stored)
    lost += tiff_tags.of_later_pages(first.source, page, pages.offsets)
    lost += [f"{pages.reduced} pictures of reduced size, or masks"] if pages.reduced else []
    lost += ["the palette: its indices are the values"] if layout.plain_values and layout.photometric == PALETTE else []
    if not_kept := [*told.facts.get("not_kept", ()), *lost]:
        details["not_kept"] = list(dict.fromkeys(not_kept))
    software, date = (page.text(code).strip() for code in (_SOFTWARE, _DATE_TIME))
    if made := found_in(software):
        details["made"] = made
    said = {"description": told.text, "software": software.partition(MARK.strip())[0].strip()}
    said["date_time"] = date if DATE.fullmatch(date) else ""
    return details | {name: text for name, text in said.items() if text} | facts


def _frames(video: FileVideo, first: Picture, count: int, offsets: Sequence[int] | None) -> Iterator[Array | None]:
    """Yield the frames, one a page, or without offsets one after another under the directory of the first page."""
    with Source(video.path) as source:
        picture = Picture(Directory(source, first.page.offset), first.layout.plain_values)
        for index in range(count):
            with untrusted(f"{video.path}: page {index} cannot be read"):
                if offsets is not None:
                    picture = Picture(Directory(source, offsets[index]), like=picture)
                    if picture.layout != first.layout:
                        check(source, picture.layout, video.choice)
                        picture.refuse_inflated(video.choice)
                if (picture.shape, picture.dtype) != (first.shape, first.dtype):
                    raise InputError(
                        f"{video.path}: page {index} has shape {picture.shape} and dtype {picture.dtype}; page 0 has "
                        f"{first.shape} and {first.dtype}"
                    )
                _ = picture.pieces  # Refuses what is not in the file, also where no frame is wanted.
                pixels = None
                if video.wants(index):
                    pixels = picture.decode(0 if offsets is not None else index * picture.layout.frame_bytes)
            yield pixels


class _Checked(io.FileIO):
    def fileno(self) -> int:
        raise io.UnsupportedOperation("NumPy's tofile does not report a disk that is full at the last flush")


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one page per frame; return the number of frames."""
    # 64-bit offsets unless 4 GB certainly suffice: a filter may return more frames than the source declares.
    big = target.count is None or 2 * target.count * target.first.nbytes > _CLASSIC_LIMIT
    facts, resolution = _kept(target)
    head = _head(target, facts)
    options: dict[str, Any] = {**_meaning(target), "metadata": None, "contiguous": False, **resolution}
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
    return head | tiff_tags.written(target, facts)


def _meaning(target: Target) -> dict[str, Any]:
    """Return what the samples mean: as in a source with as many of them, else RGB for three or four."""
    like = target.like
    alike = target.details if like is not None and like.channels == target.channels else {}
    grey = alike.get("photometric") in ("MINISBLACK", "MINISWHITE") or target.channels not in (3, 4)
    extra = {"extrasamples": alike["extra_samples"]} if alike.get("extra_samples") else {}
    return {"photometric": "minisblack" if grey else "rgb", **extra}


def _kept(target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the axes and units of the source, and the resolution, as far as they hold for frames of this size."""
    facts = dict(target.details)
    if target.known_rate is not None:
        facts["interval"] = 1 / target.known_rate
    if target.like is not None and target.size != target.like.size and set(_LENGTHS) & set(facts):
        # After cropping or resampling, the pixel size is unknown.
        facts = {name: fact for name, fact in facts.items() if name not in _LENGTHS}
        facts["imagej"] = {name: fact for name, fact in facts.get("imagej", {}).items() if name not in _LENGTHS}
        target.omit("pixel_size")
    if "resolution" in facts:
        sides = tuple(tuple(side) for side in facts["resolution"])
        return facts, {"resolution": sides, "resolutionunit": facts["resolution_unit"]}
    if "dpi" in facts:
        return facts, {"resolution": facts["dpi"], "resolutionunit": "INCH"}
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
