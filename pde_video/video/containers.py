"""mp4, mkv, mov, avi, webm and gif, through PyAV."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pde_video.errors import InputError, OutputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import FileVideo, Target

av.logging.set_level(None)  # Faults are raised, not printed.

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".gif")
_GREY_MARK = "pde_video grey"  # In the comment of files whose codec has no grey: read the luma alone.
_GREY_AS_LUMA = ("yuv420p", "yuvj420p", "yuv444p", "yuvj444p")
# Colour matrices by their numbers in ITU-T H.273, and those by which the scaler knows them.
_BT709, _BT601 = 1, 5
_SCALER_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_LIMITED, _FULL = 1, 2
_HIGHEST_RATE = {".gif": 100, ".avi": 1000}  # Frames per second that the format's clock can tell apart.


def read_container(path: Path) -> FileVideo:
    """Return the first video stream of a container, described but not decoded."""
    if path.suffix.lower() == ".gif" and not path.read_bytes().rstrip(b"\0").endswith(b";"):
        raise InputError(f"{path}: the file does not end as a GIF does; it is cut off")
    with _open(path) as container:
        stream = _video_stream(container, path)
        codec = stream.codec_context
        if codec.pix_fmt is None or not codec.width or not codec.height:
            raise InputError(f"{path}: the video stream says no size or pixel format; the file may be cut off")
        pixel = codec.format
        first = _first_frame(container, stream)
        marked = _GREY_MARK in _comment(container) and codec.color_range == _FULL
        grey = pixel.name.startswith("gray") or (marked and _is_neutral(first))
        alpha = any(c.is_alpha for c in pixel.components) and path.suffix.lower() != ".gif"
        bits = max(c.bits for c in pixel.components)
        height, width = codec.height, codec.width
        if first is not None and first.rotation % 180:
            height, width = width, height
        rate = stream.average_rate or stream.guessed_rate
        return FileVideo(
            path=path,
            size=(height, width),
            channels=1 if grey else 4 if alpha else 3,
            dtype=np.dtype(np.uint16 if bits > 8 else np.uint8),
            decode=_decode,
            rate=Fraction(rate) if rate else None,
            count=stream.frames or None,
            details={
                "codec": codec.name,
                "pixel_format": pixel.name,
                "bits": bits,
                "matrix": int(codec.colorspace),
                "range": int(codec.color_range),
                "time_base": Fraction(stream.time_base) if stream.time_base else None,
                "duration": _seconds(stream.metadata.get("DURATION")),
                "other_streams": [s.type for s in container.streams if s.index != stream.index],
            },
        )


def _seconds(clock: str | None) -> Fraction | None:
    """Return what a Matroska tag such as 00:00:01.200000000 says."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", clock or "")
    return Fraction(match[1]) * 3600 + Fraction(match[2]) * 60 + Fraction(match[3]) if match else None


def _open(path: Path) -> Any:
    try:
        # The prefix keeps names such as `a:b` and `http://...` what they are: names of local files.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, ValueError) as fault:
        raise InputError(f"{path}: not a video that can be read ({_reason(fault)})") from fault


def _reason(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault)


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise InputError(f"{path}: the file has no video stream")
    return container.streams.video[0]


def _comment(container: Any) -> str:
    return next((value for key, value in container.metadata.items() if key.lower() == "comment"), "")


def _first_frame(container: Any, stream: Any) -> Any:
    try:
        return next(container.decode(stream), None)
    except av.error.FFmpegError:
        return None  # The fault is raised, with the frame's number, when the file is decoded.


def _is_neutral(frame: Any) -> bool:
    """Tell whether a frame is luma of full range with colour planes that say grey, up to what a codec does to them."""
    if frame is None or frame.format.name not in _GREY_AS_LUMA:
        return False
    planes = (np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in frame.planes[1:])
    return all(np.abs(plane.astype(np.int16) - 128).max() <= 4 for plane in planes)


def _decode(video: FileVideo) -> Iterator[Array]:
    layout = (
        {1: "gray", 3: "rgb24", 4: "rgba"} if video.dtype == np.uint8 else {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}
    )
    target, index = layout[video.channels], 0
    with _open(video.path) as container:
        for frame in _frames(container, video):
            pixels = _to_array(frame, target)
            if pixels.shape[:2] != video.size:
                raise InputError(
                    f"{video.path}: frame {index} is {pixels.shape[0]} × {pixels.shape[1]} (height × width), "
                    f"the video {video.size[0]} × {video.size[1]}"
                )
            if index == len(video.timestamps):  # Not yet known from another iteration.
                video.timestamps.append(_time(frame, video, index))
            index += 1
            yield pixels
    end, rate = video.details["duration"], video.rate
    if index and end is not None and rate is not None and video.timestamps[index - 1] + 2 / rate < end:
        raise InputError(
            f"{video.path}: it declares {float(end):.2f} s, but the last frame that could be decoded is at "
            f"{float(video.timestamps[index - 1]):.2f} s"
        )
    if index == 0:
        raise InputError(f"{video.path}: the video stream holds no frame")


def _frames(container: Any, video: FileVideo) -> Iterator[Any]:
    """Yield decoded frames; fail where one is damaged, or where fewer packets come than the file declares.

    Packets are counted, not frames: a clip that was trimmed without encoding holds packets that are not shown.
    """
    stream = _video_stream(container, video.path)
    stream.thread_type = "AUTO"
    packets = index = 0
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise InputError(f"{video.path}: frame {index} is damaged")
                yield frame
                index += 1
    except av.error.FFmpegError as fault:
        raise InputError(f"{video.path}: frame {index} cannot be decoded ({_reason(fault)})") from fault
    if stream.frames and packets < stream.frames:
        raise InputError(f"{video.path}: it declares {stream.frames} frames, but holds {packets}: the file is cut off")


def _time(frame: Any, video: FileVideo, index: int) -> Fraction:
    if frame.pts is None:
        return Fraction(index) / (video.rate or 25)
    return frame.pts * Fraction(frame.time_base)


def _to_array(frame: Any, target: str) -> Array:
    source = frame.format.name
    if target.startswith("gray") and not source.startswith("gray"):
        # A grey picture stored as luma of full range: take that plane as it is.
        if not _is_neutral(frame):
            raise InputError("a frame is in colour, but the first one and the file's comment say grey; encode it anew")
        plane = frame.planes[0]
        pixels = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
    elif source == target:
        pixels = frame.to_ndarray()
    else:
        matrix = _known_matrix(int(frame.colorspace), frame.height)
        pixels = frame.reformat(format=target, src_colorspace=_SCALER_MATRICES[matrix]).to_ndarray()
    turns = int(frame.rotation) // 90
    return np.rot90(pixels, turns).copy() if turns else pixels


def _known_matrix(matrix: int, height: int) -> int:
    """Return the matrix, or what players assume of files that do not tag one."""
    if matrix in _SCALER_MATRICES:
        return matrix
    return _BT709 if height >= 720 else _BT601


def write_container(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Encode `frames` into `temporary`; return how many there were."""
    suffix = target.path.suffix.lower()
    try:
        return _encode(target, suffix, frames, temporary)
    except av.error.FFmpegError as fault:
        raise OutputError(fault.errno, f"{target.path} could not be written: {_reason(fault)}") from fault


def _encode(target: Target, suffix: str, frames: Iterator[Array], temporary: Path) -> int:
    source, codec, pixel, options = _encoding(target, suffix)
    like = target.like.details if target.like else {}
    matrix = _known_matrix(like.get("matrix", -1), target.size[0])
    subsampled = pixel.startswith("yuv")
    full = target.channels == 1 or not subsampled
    with av.open(f"file:{temporary}", "w", format=_muxer(suffix)) as container:
        if target.channels == 1 and not pixel.startswith("gray"):
            container.metadata["comment"] = _GREY_MARK
        stream: Any = container.add_stream(codec, rate=target.rate, options=options)
        stream.height, stream.width = target.size
        stream.pix_fmt = pixel
        counted = suffix in (".avi", ".gif")  # These count frames: one per tick.
        base = 1 / target.rate if counted else _time_base(like.get("time_base"), target.rate)
        stream.codec_context.time_base = base
        if subsampled:
            stream.codec_context.color_range = _FULL if full else _LIMITED
            stream.codec_context.colorspace = matrix
        count, previous = 0, -1
        for frame in frames:
            picture = _picture(frame, source, pixel, matrix, full)
            moment = count / target.rate if counted else _moment(target, count, like.get("time_base"))
            previous = picture.pts = max(round(moment / base), previous + 1)
            picture.time_base = base
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    return count


def _time_base(source: Fraction | None, rate: Fraction) -> Fraction:
    """Return a clock that tells both the source's ticks and frames of exact rate apart."""
    if source is None:
        return 1 / rate
    ticks = math.lcm(source.denominator, rate.numerator)
    return Fraction(1, ticks) if ticks < 2**31 else source


def _moment(target: Target, index: int, tick: Fraction | None) -> Fraction:
    """Return when a frame is shown: when its source was, or by the rate where that is within the source's rounding."""
    by_rate = index / target.rate
    stamps = target.like.timestamps if target.like else []
    if not stamps:
        return by_rate
    # Frames that a filter appended follow the last one of the source at its rate.
    shown = stamps[min(index, len(stamps) - 1)] - stamps[0] + max(0, index - len(stamps) + 1) / target.rate
    return by_rate if tick is not None and abs(shown - by_rate) <= tick else shown


def _muxer(suffix: str) -> str:
    return {".mkv": "matroska", ".m4v": "mp4"}.get(suffix, suffix[1:])


def _encoding(target: Target, suffix: str) -> tuple[str, str, str, dict[str, str]]:
    """Return the layout of the frames, codec, pixel format and options that keep them best in this container."""
    channels, dtype = target.channels, target.first.dtype
    wide = dtype == np.uint16
    if dtype not in (np.uint8, np.uint16) or channels not in (1, 3):
        raise ParameterError(
            f"{suffix} holds uint8 or uint16 frames with 1 or 3 channels; these are {dtype} with {channels}: "
            "write .tiff or .npy, which hold them as they are"
        )
    source = ("gray16le" if wide else "gray") if channels == 1 else ("rgb48le" if wide else "rgb24")
    if wide and suffix not in (".mkv", ".avi"):
        raise ParameterError(
            f"{suffix} would not keep 16 bits; write .mkv or .avi (lossless FFV1), .tiff or .npy, which do"
        )
    highest = _HIGHEST_RATE.get(suffix)
    if highest is not None and target.rate > highest:
        raise ParameterError(
            f"{suffix} holds at most {highest} frames per second; {float(target.rate):g} are asked for"
        )
    if suffix == ".gif":
        return source, "gif", "gray" if channels == 1 else "pal8", {}
    if wide or suffix == ".avi":
        lossless = {"gray": "gray", "gray16le": "gray16le", "rgb24": "bgr0", "rgb48le": "gbrp16le"}[source]
        return source, "ffv1", lossless, {"level": "3", "slicecrc": "1"}
    if suffix == ".webm":
        return source, "libvpx-vp9", "yuv420p", {"crf": "20", "b": "0", "row-mt": "1", "cpu-used": "4"}
    odd = target.size[0] % 2 or target.size[1] % 2  # Halved colour planes need even sides.
    return source, "libx264", "yuv444p" if odd else "yuv420p", {"crf": "16", "preset": "medium"}


def _picture(frame: Array, source: str, pixel: str, matrix: int, full: bool) -> Any:
    if pixel == "pal8":
        return _quantized(frame)
    if pixel.startswith("yuv") and source == "gray":
        # Luma of full range keeps all 256 levels; neutral chroma.
        picture = av.VideoFrame(frame.shape[1], frame.shape[0], pixel)
        for plane, level in zip(picture.planes, (None, 128, 128), strict=True):
            values = np.full((plane.height, plane.line_size), level or 0, np.uint8)
            if level is None:
                values[:, : plane.width] = frame
            plane.update(values.tobytes())
        picture.color_range = _FULL
        return picture
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=source)
    if not pixel.startswith("yuv"):
        return picture.reformat(format=pixel)
    picture = picture.reformat(
        format=pixel, dst_colorspace=_SCALER_MATRICES[matrix], dst_color_range=_FULL if full else _LIMITED
    )
    picture.colorspace, picture.color_range = matrix, _FULL if full else _LIMITED
    return picture


def _quantized(frame: Array) -> Any:
    """Return an RGB frame in the 256 colours that suit it best. (imageio would drop frames that repeat.)"""
    from PIL import Image  # It comes with imageio.

    image = Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE)
    colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255  # Opaque.
    palette[: len(colours), 1:] = colours
    pixels: Any = (np.asarray(image), palette)
    return av.VideoFrame.from_ndarray(pixels, format="pal8")
