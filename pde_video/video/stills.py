"""PNG and JPEG pictures and numbered sequences of them, through Pillow and imageio."""

from __future__ import annotations

import re
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

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.caps import refuse_huge
from pde_video.video.provenance import MARK, found_in
from pde_video.video.source import Choice, Decoded, FileVideo, Target

SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg")
_PNG = b"\x89PNG\r\n\x1a\n"
_HEADER = 33  # Bytes of a PNG's signature and header.
_NUMBER = re.compile(r"%0?(\d*)d")


def is_pattern(path: Path) -> bool:
    """Tell whether `path` stands for many files: `frame_%04d.png`, unless a file has just that name."""
    return path.suffix.lower() in SUFFIXES and len(_NUMBER.findall(path.name)) == 1 and not path.exists()


def members(pattern: Path) -> list[Path]:
    """Return the files of a numbered sequence, in the order of their numbers, whatever the first is."""
    head, tail = (re.escape(part) for part in re.split(r"%0?\d*d", pattern.name))
    name = re.compile(f"{head}([0-9]+){tail}")
    found = []
    for path in pattern.parent.iterdir() if pattern.parent.is_dir() else ():
        match = name.fullmatch(path.name)
        if match and member_name(pattern, int(match[1])) == path.name:
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found)]


def read_stills(path: Path, choice: Choice) -> FileVideo:
    """Return one picture, or a numbered sequence, as a video."""
    paths = members(path) if is_pattern(path) else [path]
    if not paths:
        raise FileNotFoundError(f"{path}: no file has a name of this pattern")
    first, comment = _picture(paths[0], choice)

    def decode(video: FileVideo) -> Decoded:
        for index, file in enumerate(paths):
            if not choice.wants(index, None):
                yield None, None
                continue
            pixels, _ = _picture(file, choice)
            if pixels.shape != first.shape or pixels.dtype != first.dtype:
                raise InputError(
                    f"{file}: shape {pixels.shape} and dtype {pixels.dtype}; {paths[0].name} has {first.shape} "
                    f"and {first.dtype}"
                )
            yield pixels, None

    channels = 1 if first.ndim == 2 else first.shape[2]
    made = found_in(comment)
    details = {} if made is None else {"made": made}
    return FileVideo(path, first.shape[:2], channels, first.dtype, decode, count=len(paths), details=details)


def _picture(path: Path, choice: Choice) -> tuple[Array, str]:
    """Return the pixels and the comment of a PNG or JPEG picture, whichever it is, and of nothing else."""
    with path.open("rb") as file:
        header = file.read(26)
    png = header.startswith(_PNG)
    if not png and not header.startswith(b"\xff\xd8"):
        raise InputError(f"{path}: not a picture that can be read (neither PNG nor JPEG)")
    # Not Image.open, which warns, or refuses, by a cap of its own.
    kind = PngImagePlugin.PngImageFile if png else JpegImagePlugin.JpegImageFile
    try:
        with kind(path) as image:
            refuse_huge(path, image.size, choice)
            if getattr(image, "n_frames", 1) > 1 and png:
                raise InputError(f"{path}: an animated PNG; convert it to a numbered sequence, or to .mkv")
            comment = image.info.get("comment" if not png else "Comment", "")
            if png:
                image.verify()  # All checksums; what is cut off has none.
        layout = {2: "rgb48le", 4: "rgba64le", 6: "rgba64le"}.get(header[25]) if png and header[24] == 16 else None
        if layout:  # Pillow would cut 16-bit colour to 8 bits without a word.
            pixels = np.asarray(iio.imread(path.read_bytes(), plugin="pyav", index=0, format=layout))
        else:
            with kind(path) as image:
                if image.mode == "CMYK":
                    raise InputError(f"{path}: values mean CMYK, amounts of ink; convert it to RGB")
                pixels = _as_array(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except Exception as fault:  # A library at work on bytes that nobody vouches for.
        reason = [*str(fault).splitlines(), type(fault).__name__][0]
        raise InputError(f"{path}: not a picture that can be read ({reason})") from fault
    return pixels, comment.decode(errors="replace") if isinstance(comment, bytes) else str(comment)


def _as_array(image: Any) -> Array:
    """Return grey, RGB or RGBA: what the pixels mean, whatever they are stored as."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "LA" or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if image.mode in ("1", "P"):
        return np.asarray(image.convert("L" if image.mode == "1" else "RGB"))
    return np.asarray(image)


def write_stills(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write one picture to `temporary`, or a sequence into the folder `temporary`; return the number of frames."""
    dtype, channels = target.first.dtype, target.channels
    jpeg = target.path.suffix.lower() != ".png"
    if dtype not in ((np.uint8,) if jpeg else (np.uint8, np.uint16)) or channels not in ((1, 3) if jpeg else (1, 3, 4)):
        raise ParameterError(
            f"{target.path.suffix} does not hold {dtype} frames with {channels} channels; write .tiff or .npy"
        )
    many, count = is_pattern(target.path), 0
    for count, frame in enumerate(frames, 1):
        if not many and count == 2:
            raise ParameterError(
                f"{target.path.name} holds one frame, but there are more; name a sequence: "
                f"{target.path.stem}_%04d{target.path.suffix}"
            )
        file = temporary / member_name(target.path, count) if many else temporary
        _write_picture(file, frame, jpeg, f"{MARK}{target.made}" if target.made else "")
    return count


def member_name(pattern: Path, number: int) -> str:
    """Return the name of the sequence's file of that number."""
    return _NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern.name)


def _write_picture(path: Path, frame: Array, jpeg: bool, comment: str) -> None:
    frame = frame[..., 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame
    options: dict[str, Any] = {"quality": 95, "comment": comment} if jpeg else {}
    if not jpeg and comment:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", comment)
    if frame.dtype == np.uint16 and frame.ndim == 3:
        path.write_bytes(_with_text(_wide_png(frame), comment))
    else:
        # Not to the file: Pillow does not tell that the disk was full at the end of a JPEG.
        path.write_bytes(iio.imwrite("<bytes>", frame, extension=path.suffix, plugin="pillow", **options))


def _with_text(data: bytes, comment: str) -> bytes:
    """Put a comment behind the header of a PNG, which has a fixed length."""
    chunk = b"tEXtComment\0" + comment.encode("latin-1", "replace")
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:_HEADER] + framed + data[_HEADER:] if comment else data


def _wide_png(frame: Array) -> bytes:
    """Encode 16-bit colour, which Pillow cannot."""
    layout = {3: "rgb48", 4: "rgba64"}[frame.shape[2]]
    codec: Any = av.CodecContext.create("png", "w")
    codec.height, codec.width = frame.shape[0], frame.shape[1]
    codec.pix_fmt, codec.time_base = f"{layout}be", Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=f"{layout}le").reformat(
        format=f"{layout}be"
    )
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(picture), *codec.encode()])


def count_frames(path: Path) -> int:
    """Return the number of pictures in a folder just written, or 1 for a picture that can be read."""
    if path.is_dir():
        return sum(1 for _ in path.iterdir())
    _picture(path, Choice(max_pixels=sys.maxsize))
    return 1
