"""PNG and JPEG pictures and numbered sequences of them, through imageio."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio.v3 as iio
import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import Choice, Decoded, FileVideo, Target

SUFFIXES = (".png", ".jpg", ".jpeg")
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
    first = _picture(paths[0])

    def decode(video: FileVideo) -> Decoded:
        for file in paths:
            pixels = _picture(file)
            if pixels.shape != first.shape or pixels.dtype != first.dtype:
                raise InputError(
                    f"{file}: shape {pixels.shape} and dtype {pixels.dtype}; {paths[0].name} has {first.shape} "
                    f"and {first.dtype}"
                )
            yield pixels, None

    channels = 1 if first.ndim == 2 else first.shape[2]
    return FileVideo(path, first.shape[:2], channels, first.dtype, decode, count=len(paths))


def _picture(path: Path) -> Array:
    try:
        layout = _wide_colour(path)
        if layout:  # Pillow, the default, would cut 16-bit colour to 8 bits without a word.
            return np.asarray(iio.imread(path.read_bytes(), plugin="pyav", index=0, format=layout))
        pixels = np.asarray(iio.imread(path, plugin="pillow", rotate=True))
    except (OSError, ValueError, SyntaxError) as fault:
        raise InputError(f"{path}: not a picture that can be read ({str(fault).splitlines()[0]})") from fault
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels


def _wide_colour(path: Path) -> str | None:
    with path.open("rb") as file:
        header = file.read(26)
    if header[:8] != b"\x89PNG\r\n\x1a\n" or header[24:25] != b"\x10":
        return None
    return {2: "rgb48le", 6: "rgba64le"}.get(header[25])


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
        _write_picture(temporary / member_name(target.path, count) if many else temporary, frame, jpeg)
    return count


def member_name(pattern: Path, number: int) -> str:
    """Return the name of the sequence's file of that number."""
    return _NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern.name)


def _write_picture(path: Path, frame: Array, jpeg: bool) -> None:
    frame = frame[..., 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame
    if frame.dtype == np.uint16 and frame.ndim == 3:
        path.write_bytes(_wide_png(frame))
    else:
        options: dict[str, Any] = {"quality": 95} if jpeg else {}
        # Not to the file: Pillow does not tell that the disk was full at the end of a JPEG.
        path.write_bytes(iio.imwrite("<bytes>", frame, extension=path.suffix, plugin="pillow", **options))


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
    _picture(path)
    return 1
