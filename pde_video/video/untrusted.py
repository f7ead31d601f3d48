"""Guards for data that may be damaged or malicious.

Untrusted containers are opened with local files only, no playlists, and a bounded frame size.
"""

import contextlib
import functools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from pde_video.access.opening import open_regular, reading
from pde_video.errors import InputError, in_short
from pde_video.video.boxes import MOST_STREAMS, check_tables, refuse_streams
from pde_video.video.matroska import check_elements
from pde_video.video.riff import check_lists
from pde_video.video.source import MOST_PIXELS
from pde_video.video.transport import Transport

# None of these opens another file unless told to. Playlists (HLS, DASH, concat) do, and are left out.
_MOVIES, _OTHERS = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm,avi,gif,mpeg,mpegvideo,asf,flv,mxf"
_WATCHED = {"format_whitelist": "mpegts"}  # Read through `Transport`.
_ADDED, _PADDED = 2**16, 2**23  # Pixels.
_SAMPLES = 4  # Per pixel; further samples count as further pixels.
_SMALL = 2**27  # Bytes of a frame that a file of any size may hold; 8K has 100 million in RGB.
_RGB, _WIDEST = 3, 8  # Bytes of a pixel.
# FFmpeg would decode frames of every stream to learn their formats, of any size if no header declares the stream.
_NO_DECODERS = {"codec_whitelist": "none", "max_streams": str(MOST_STREAMS + 1)}
_MOST_SOUND = 16  # Streams of sound that are decoded; AAC of 48 channels takes 18 MB and 50 ms each.
_HEAVY = ("opus", "libopus")  # 48 MB and 0.3 s for 255 channels; their packets say all that a copy needs.
_RATIO = 64  # Of a larger frame to its file. Photographs reach 50, and an empty JPEG 85 or more.


@contextlib.contextmanager
def untrusted(message: str, library: str = "") -> Iterator[None]:
    """Raise InputError, with `message` and the reason, for whatever a library raises while it reads untrusted data.

    Where the reason is in the words of a library, its name is told before them.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as fault:
        words_of = f"{library}: " if library else ""
        raise InputError(f"{message} ({words_of}{in_short(fault)})") from fault


def refuse_huge(name: object, shape: Sequence[int], most_pixels: int) -> None:
    """Raise for a frame (H, W) or (H, W, C) larger than allowed, before memory is allocated for it."""
    pixels = math.prod(shape[:2]) * max(1, -(-math.prod(shape[2:]) // _SAMPLES))
    if pixels > most_pixels:
        raise InputError(
            f"{name}: a frame of {' × '.join(map(str, shape))} is larger than the {most_pixels} pixels that are "
            "allowed; if you trust the file, pass a larger max_pixels"
        )


def refuse_inflated(name: object, nbytes: int, stored: int, most_pixels: int) -> None:
    """Raise for a large frame from a small file, unless more pixels are allowed than by default."""
    if nbytes > most_bytes(stored, most_pixels):
        raise InputError(
            f"{name}: a frame of {nbytes} bytes is stored in {stored}, as in a decompression bomb; if you trust the "
            f"file, pass a max_pixels above {MOST_PIXELS}"
        )


def most_bytes(stored: int, most_pixels: int) -> int:
    """Return how many bytes a frame from a file of `stored` bytes may have."""
    return max(_SMALL, _RATIO * stored) if most_pixels <= MOST_PIXELS else sys.maxsize


@contextlib.contextmanager
def opened(path: Path, most_pixels: int = MOST_PIXELS, *, with_sound: bool = False) -> Iterator[Any]:
    """Open a container whose decoders refuse larger frames, or raise InputError.

    No frame is decoded: the format of pixels is known after the first one, and so is that of sound unless `with_sound`.
    """
    with reading(path):
        stored, has_boxes = path.stat().st_size, check_tables(path)
        check_elements(path)
        check_lists(path)
    most = most_pixels
    if most <= MOST_PIXELS:  # A frame may be decoded before the format of its pixels is known.
        most = min(most, max(_SMALL // _RGB, _RATIO * stored // _WIDEST))
    formats = f"{_MOVIES},{_OTHERS}" if has_boxes else _OTHERS  # What was not checked is not opened.
    options = {"protocol_whitelist": "file", "format_whitelist": formats} | _NO_DECODERS
    with contextlib.ExitStack() as stack:
        container = _container(path, options, stack)
        _check_streams(path, container, most_pixels)
        if with_sound and 0 < len(container.streams.audio) <= _MOST_SOUND:
            stack.close()
            container = _container(path, options | {"codec_whitelist": _decoders_of_sound()}, stack)
        for stream in container.streams.video:
            if (codec := stream.codec_context) is not None:  # Else unknown.
                pixels = stream.height * stream.width
                codec.options = _refusing(min(most, max(pixels, _PADDED)))
                refuse_frame(path, codec, most_pixels)
        yield container


def refuse_frame(path: Path, codec: Any, most_pixels: int) -> None:
    """Raise for frames of a decoder larger than allowed, by what is known of it so far."""
    refuse_huge(path, (codec.height, codec.width), most_pixels)
    nbytes = of_a_pixel(codec.format) * codec.height * codec.width
    refuse_inflated(path, nbytes, path.stat().st_size, most_pixels)


@functools.cache
def _decoders_of_sound() -> str:
    """Return the names of FFmpeg's decoders of sound."""
    names = []
    for name in av.codecs_available:
        with contextlib.suppress(ValueError):  # It only encodes.
            if name not in _HEAVY and av.Codec(name, "r").type == "audio":
                names.append(name)
    return ",".join(sorted(names))


def _container(path: Path, options: dict[str, str], stack: contextlib.ExitStack) -> Any:
    """Return a container that the stack will close."""
    try:
        # With the prefix, names such as `a:b` and `http://...` are those of local files.
        with contextlib.suppress(av.error.ArgumentError):  # Of a format that is not on the list.
            return stack.enter_context(av.open(f"file:{path}", options=options, metadata_errors="replace"))
        file = Transport(path, stack.enter_context(open_regular(path)))
        return stack.enter_context(av.open(file, options=options | _WATCHED, metadata_errors="replace"))
    except InputError:
        raise
    except (av.error.FFmpegError, ValueError) as fault:
        raise InputError(f"{path}: not a video that can be read ({reason(fault)})") from fault


def _check_streams(path: Path, container: Any, most_pixels: int) -> None:
    """Refuse more streams, or larger frames, than a video has."""
    refuse_streams(path, len(container.streams))
    pixels = sum(stream.width * stream.height for stream in container.streams.video if stream.codec_context)
    if pixels > most_pixels:
        raise InputError(
            f"{path}: the frames of its video streams have {pixels} pixels together, more than the {most_pixels} that "
            "are allowed; if you trust the file, pass a larger max_pixels"
        )


def _refusing(most: int) -> dict[str, str]:
    """Return the option of decoders that refuses larger frames; they count their own padding, so it is looser."""
    return {"max_pixels": str(min(2 * most, most + _PADDED, 2**31 - 1 - _ADDED) + _ADDED)}


def of_a_pixel(pixel: Any) -> int:
    """Return the bytes of a pixel in the decoder, or the number of its values if that is more."""
    if pixel is None:
        return _RGB
    alpha = any(part.is_alpha for part in pixel.components)
    values = 1 if pixel.name.startswith("gray") else _RGB + alpha
    return max(values, -(-pixel.padded_bits_per_pixel // 8))


def reason(fault: Exception) -> str:
    """Return how FFmpeg, or the system, describes an error."""
    return getattr(fault, "strerror", None) or str(fault)
