"""PNG and JPEG pictures, and numbered sequences of them, through Pillow and imageio."""

import struct
import sys
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio.v3 as iio
import numpy as np
from PIL import ImageOps, JpegImagePlugin, PngImagePlugin

from pde_video.access.opening import open_regular, reading
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.own_pictures import with_digest
from pde_video.video.picture_parts import JPEG, PNG, check_jpeg, check_png, without_texts
from pde_video.video.provenance import LONGEST_COMMENT, MARK, found_in
from pde_video.video.sequences import is_pattern, member_name, numbered
from pde_video.video.source import Choice, Decoded, FileVideo, Target, size_and_channels
from pde_video.video.untrusted import refuse_huge, refuse_inflated, untrusted

_HEADER = 33  # Bytes of a PNG's signature and header.
_INCH = 0.0254  # Metres.
_MOST_DPI = 65535  # In a JPEG.
_AT_ONCE = 2**22  # Pixels.
_OTHERS = {"exif": "EXIF data", "xmp": "XMP data"}


def _without_gap(pattern: Path) -> tuple[list[Path], str | None]:
    """Return the files before the first missing number, and an error message if there is one."""
    found = numbered(pattern)
    paths = [path for index, (number, path) in enumerate(found.items()) if number == min(found) + index]
    if len(paths) == len(found):
        return paths, None
    missing = member_name(pattern, min(found) + len(paths))
    return paths, f"{pattern}: frame {len(paths)}, {missing}, is missing, but later numbers exist; restore it"


def read(path: Path, choice: Choice) -> FileVideo:
    """Return one picture, or a numbered sequence, as a video."""
    paths, gap = _without_gap(path) if is_pattern(path) else ([path], None)
    if not paths:
        raise FileNotFoundError(f"{path}: no file name matches this pattern")
    if gap and not choice.keep_partial and (choice.last is None or choice.last > len(paths)):
        raise InputError(gap)
    details: dict[str, Any] = {}
    first = _picture(paths[0], choice, details)
    shape, dtype = first.shape, first.dtype
    del first

    def decode(video: FileVideo) -> Decoded:
        for index, file in enumerate(paths):
            if not video.wants(index):
                yield None, None
                continue
            pixels = _picture(file, choice)
            if pixels.shape != shape or pixels.dtype != dtype:
                raise InputError(
                    f"{file}: shape {pixels.shape} and dtype {pixels.dtype}; {paths[0].name} has {shape} and {dtype}"
                )
            yield pixels, None
        if gap and not choice.is_past(len(paths), None):
            raise InputError(gap)

    count = None if gap else len(paths)
    return FileVideo(path, *size_and_channels(shape), dtype, decode, count=count, details=details)


def _picture(path: Path, choice: Choice, details: dict[str, Any] | None = None) -> Array:
    """Return the pixels of a PNG or JPEG picture, and put its metadata into `details`; refuse other formats."""
    with reading(path), open_regular(path) as file:
        header = file.read(26)
    png = header.startswith(PNG)
    if not png and not header.startswith(JPEG):
        raise InputError(f"{path}: not a picture that can be read (neither PNG nor JPEG)")
    # Image.open would warn or refuse by a limit of its own.
    kind = PngImagePlugin.PngImageFile if png else JpegImagePlugin.JpegImageFile
    kinds = "damaged, cut off, or of a kind that is not supported"
    with untrusted(f"{path}: not a picture that can be read: {kinds}", "Pillow"):
        end = check_png(path) if png else check_jpeg(path)
        with kind(path) as image:
            refuse_huge(path, image.size, choice.max_pixels)
            pixels, deep = image.width * image.height, png and header[24] == 16
            samples = {"P": 3, "LA": 4}.get(image.mode, len(image.getbands()))
            refuse_inflated(path, pixels * samples * (2 if deep else 1), end, choice.max_pixels)
            if getattr(image, "n_frames", 1) > 1 and png:
                raise InputError(f"{path}: an animated PNG; convert it to a numbered sequence, or to .mkv")
            if png:
                image.verify()  # All checksums, so that a truncated file is found.
        layout = {2: "rgb48le", 4: "rgba64le", 6: "rgba64le"}.get(header[25]) if deep else None
        if layout:  # Pillow would silently reduce 16-bit colour to 8 bits.
            with open_regular(path) as file:
                array = _wide_pixels(without_texts(file.read(end)), layout)
        with kind(path) as image:
            if image.mode == "CMYK":
                raise InputError(f"{path}: the picture is CMYK; convert it to RGB")
            if not layout:
                ImageOps.exif_transpose(image, in_place=True)
                array = _as_array(image)
            if details is not None:
                image.load()  # The text of a PNG may follow the pixels.
                details.update(_details(image))
    return array


def _wide_pixels(png: bytes, layout: str) -> Array:
    """Decode 16-bit colour, which Pillow cannot do."""
    codec: Any = av.CodecContext.create("png", "r")
    frames = [*codec.decode(av.Packet(png)), *codec.decode(None)]
    pixels: Array = frames[0].to_ndarray(format=layout)
    return pixels


def _details(image: Any) -> dict[str, Any]:
    """Return the metadata of a picture."""
    said = image.info
    text = said.get("Comment", said.get("comment", ""))
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    details = {"icc_profile": said["icc_profile"]} if said.get("icc_profile") else {}
    if said.get("dpi"):  # Of EXIF, Pillow gives rational numbers of its own.
        details["dpi"] = tuple(side if isinstance(side, int) else float(side) for side in said["dpi"])
    comment = text.partition(MARK)[0].replace("\0", "").strip()
    if 0 < len(comment) <= LONGEST_COMMENT:
        details["comment"] = comment
    if made := found_in(text):
        details["made"] = made
    not_kept = [name for name in getattr(image, "text", {}) if name not in ("Comment", "XML:com.adobe.xmp")]
    not_kept += [name for key, name in _OTHERS.items() if said.get(key)]
    not_kept += ["comment"] if len(comment) > LONGEST_COMMENT else []
    return details | ({"not_kept": not_kept} if not_kept else {})


def _as_array(image: Any) -> Array:
    """Return grey, RGB or RGBA pixels, however they are stored; row by row, since Pillow makes two copies."""
    deep = image.mode.startswith("I")
    mode = {"1": "L", "P": "RGB", "LA": "RGBA"}.get(image.mode, image.mode)
    mode = "RGBA" if "transparency" in image.info and not deep else mode
    samples = () if deep or mode == "L" else (len(mode),)
    array = np.empty((image.height, image.width, *samples), np.uint16 if deep else np.uint8)
    step = max(1, _AT_ONCE // image.width)
    for top in range(0, image.height, step):
        rows = image.crop((0, top, image.width, min(top + step, image.height)))
        array[top : top + step] = np.asarray(rows if rows.mode == mode else rows.convert(mode))
    return array


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one picture, or a sequence, to the name or pattern `temporary`; return the number of frames."""
    jpeg = target.suffix != ".png"
    target.check_frames(target.suffix, ("uint8",) if jpeg else ("uint8", "uint16"), (1, 3) if jpeg else (1, 3, 4))
    many, count, said = is_pattern(target.path), 0, _said(target)
    options, chunks = ({"quality": 95, **said}, b"") if jpeg else ({}, _chunks(said))
    for count, frame in enumerate(frames, 1):
        if not many and count == 2:
            raise ParameterError(
                f"{target.path.name} holds one frame, but there are more; name a sequence: "
                f"{target.path.stem}_%04d{target.path.suffix}"
            )
        file = temporary.with_name(member_name(temporary, count)) if many else temporary
        if not jpeg and frame.dtype == np.uint16 and frame.ndim == 3:
            data = _wide_png(frame)
        else:  # To memory: Pillow does not report a disk that is full at the end of a JPEG.
            data = iio.imwrite("<bytes>", frame, extension=file.suffix, plugin="pillow", **options)
        file.write_bytes(with_digest(data[:_HEADER] + chunks + data[_HEADER:]))
    return count


def _said(target: Target) -> dict[str, Any]:
    """Return the metadata to write: those of the source that still hold."""
    details = target.details
    said: dict[str, Any] = {"comment": details.get("comment", "")}
    if target.made:
        said["comment"] = f"{said['comment']} {MARK}{target.made}".strip()
    if dpi := details.get("dpi"):
        same = target.like is not None and target.size == target.like.size
        said |= {"dpi": dpi} if same and all(0 < side < _MOST_DPI for side in dpi) else {}
    if profile := details.get("icc_profile"):
        of_these = b"GRAY" if target.channels == 1 else b"RGB "
        said |= {"icc_profile": profile} if profile[16:20] == of_these else {}
    target.omit(*(key for key in ("dpi", "icc_profile") if key in details and key not in said))
    return said


def _chunks(said: dict[str, Any]) -> bytes:
    """Return the chunks of a PNG that follow its header."""
    chunks = []
    if "icc_profile" in said:
        chunks.append(b"iCCPICC profile\0\0" + zlib.compress(said["icc_profile"]))
    if "dpi" in said:
        chunks.append(b"pHYs" + struct.pack(">IIB", *(round(side / _INCH) for side in said["dpi"]), 1))
    if text := said["comment"]:
        latin = all(ord(letter) < 256 for letter in text)
        chunks.append(b"tEXtComment\0" + text.encode("latin-1") if latin else b"iTXtComment" + bytes(5) + text.encode())
    return b"".join(struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)


def _wide_png(frame: Array) -> bytes:
    """Encode 16-bit colour, which Pillow cannot do."""
    layout = {3: "rgb48", 4: "rgba64"}[frame.shape[2]]
    codec: Any = av.CodecContext.create("png", "w")
    codec.height, codec.width = frame.shape[0], frame.shape[1]
    codec.pix_fmt, codec.time_base = f"{layout}be", Fraction(1, 25)
    native = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=f"{layout}le")
    picture = native.reformat(format=f"{layout}be")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(picture), *codec.encode()])


def count(path: Path) -> int:
    """Return the number of pictures of a sequence just written, or 1 for a readable picture."""
    if is_pattern(path):
        return len(numbered(path))
    _picture(path, Choice(max_pixels=sys.maxsize))
    return 1
