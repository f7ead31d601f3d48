"""Frames from mp4, mkv, mov, avi, webm and gif, through PyAV."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.video.overlap import ahead
from pde_video.video.provenance import found_in
from pde_video.video.source import Choice, Decoded, FileVideo

av.logging.set_level(None)  # Faults are raised, not printed.

SUFFIXES: tuple[str, ...] = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".gif")
GREY_MARK = "pde_video grey"  # In the comment of files whose codec has no grey: read the luma alone.
_GREY_AS_LUMA = ("yuv420p", "yuvj420p", "yuv444p", "yuvj444p")
# Colour matrices by their numbers in ITU-T H.273, and those by which the scaler knows them.
_BT709, _BT601 = 1, 5
SCALER_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
LIMITED, FULL = 1, 2
WAITING = 4  # Frames that may wait between decoder and filters, and between these and the encoder.


def read_container(path: Path, choice: Choice) -> FileVideo:
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
        marked = GREY_MARK in _comment(container) and codec.color_range == FULL
        grey = pixel.name.startswith("gray") or (marked and _is_neutral(first))
        alpha = any(c.is_alpha for c in pixel.components) and path.suffix.lower() != ".gif"
        bits = max(c.bits for c in pixel.components)
        height, width = codec.height, codec.width
        if first is not None and first.rotation % 180:
            height, width = width, height
        rate = stream.average_rate or stream.guessed_rate
        made = found_in(_comment(container))
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
                **({} if made is None else {"made": made}),
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
        raise InputError(f"{path}: not a video that can be read ({reason(fault)})") from fault


def reason(fault: Exception) -> str:
    """Return what FFmpeg says is wrong."""
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


def _decode(video: FileVideo) -> Decoded:
    index, time = -1, Fraction(0)
    with contextlib.closing(ahead(_decoded(video), WAITING)) as decoded:
        for index, (pixels, time) in enumerate(decoded):
            yield pixels, time
    end, rate = video.details["duration"], video.rate
    if index >= 0 and end is not None and rate is not None and time + 2 / rate < end:
        raise InputError(
            f"{video.path}: it declares {float(end):.2f} s, but the last frame that could be decoded is at "
            f"{float(time):.2f} s"
        )
    if index < 0:
        raise InputError(f"{video.path}: the video stream holds no frame")


def _decoded(video: FileVideo) -> Iterator[tuple[Array, Fraction]]:
    """Yield frames and when they are shown."""
    layout = (
        {1: "gray", 3: "rgb24", 4: "rgba"} if video.dtype == np.uint8 else {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}
    )
    target = layout[video.channels]
    with _open(video.path) as container:
        for index, frame in enumerate(_frames(container, video)):
            pixels = _to_array(frame, target)
            if pixels.shape[:2] != video.size:
                raise InputError(
                    f"{video.path}: frame {index} is {pixels.shape[0]} × {pixels.shape[1]} (height × width), "
                    f"the video {video.size[0]} × {video.size[1]}"
                )
            yield pixels, _time(frame, video, index)


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
        raise InputError(f"{video.path}: frame {index} cannot be decoded ({reason(fault)})") from fault
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
        pixels = frame.to_ndarray().copy()  # The decoder may still predict others from its own.
    else:
        matrix = known_matrix(int(frame.colorspace), frame.height)
        pixels = frame.reformat(format=target, src_colorspace=SCALER_MATRICES[matrix]).to_ndarray()
    turns = int(frame.rotation) // 90
    return np.rot90(pixels, turns).copy() if turns else pixels


def count_frames(path: Path) -> int:
    """Return the number of packets of the video stream: of a file just written, one a frame."""
    with _open(path) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))


def known_matrix(matrix: int, height: int) -> int:
    """Return the matrix, or what players assume of files that do not tag one."""
    if matrix in SCALER_MATRICES:
        return matrix
    return _BT709 if height >= 720 else _BT601
