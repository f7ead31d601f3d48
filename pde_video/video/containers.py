"""Frames from mp4, mkv, mov, avi, webm and gif, through PyAV."""

import contextlib
import itertools
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.video.damage import cut_off, is_whole
from pde_video.video.overlap import ahead
from pde_video.video.packets import checked
from pde_video.video.provenance import LONGEST_COMMENT, MARK, found_in
from pde_video.video.source import Choice, Decoded, FileVideo
from pde_video.video.untrusted import opened, reason, refuse_frame
from pde_video.video.yuv_planes import FULL, PACKED, known_matrix, lines, subsampling, tag_name, to_rgb

av.logging.set_level(None)  # Faults are raised, not printed.

GREY_MARK = "pde_video grey"  # In the comment of grey files whose codec has no grey: read the luma alone.
_GREY_AS_LUMA = ("yuv420p", "yuvj420p", "yuv444p", "yuvj444p")
# Colour matrices by their numbers in ITU-T H.273, and the scaler's numbers.
_SCALER_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
# Side data of a frame that describe the whole video, which PyAV does not write.
_NOT_WRITTEN = {
    "MASTERING_DISPLAY_METADATA": "mastering display (HDR)",
    "CONTENT_LIGHT_LEVEL": "content light level (HDR)",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
}
_UNKNOWN = "of a kind that PyAV does not know"  # Such as the views of spatial video, or EXIF.
_MOST_ENTRIES = 2**14  # Of an index that are looked at: 40 ms.
_TRIED = 64  # Packets in which a first frame is looked for.
_LOOKED_AT = 4096  # Bytes at the end of a GIF.
WAITING = 4  # Frames that may wait between decoder and filters, and between filters and encoder.


def read(path: Path, choice: Choice) -> FileVideo:
    """Return a video stream of a container as a video."""
    if path.suffix.lower() == ".gif":
        _check_end_of_gif(path)
    with opened(path, choice.max_pixels) as container:
        stream, videos = _video_stream(container, path, choice)
        codec = stream.codec_context
        if codec is None:
            raise InputError(f"{path}: the video stream's codec is not known")
        first = _first(checked(stream, path, choice.max_pixels))
        if codec.pix_fmt is None or not codec.width or not codec.height:
            raise InputError(
                f"{path}: the video stream has no size or pixel format; it is truncated, or larger than allowed"
            )
        refuse_frame(path, codec, choice.max_pixels)
        pixel = codec.format
        comment = next((value for key, value in container.metadata.items() if key.lower() == "comment"), "")
        remark = comment.partition(MARK + "{")[0].strip().removesuffix(GREY_MARK).strip()
        marked = GREY_MARK in comment and tag_name("range", int(codec.color_range)) == FULL
        grey = pixel.name.startswith("gray") or (marked and _is_neutral(first))
        alpha = any(c.is_alpha for c in pixel.components) and path.suffix.lower() != ".gif"
        bits = max(c.bits for c in pixel.components)
        held = _side_data(first) if first is not None else {}
        height, width = codec.height, codec.width
        aspect = stream.sample_aspect_ratio or codec.sample_aspect_ratio
        if first is not None and _orientation(first)[0]:
            height, width, aspect = width, height, 1 / aspect if aspect else None
        rate = stream.average_rate or stream.guessed_rate
        end = _seconds(stream.metadata.get("DURATION"))
        duration = end or (stream.duration and stream.duration * stream.time_base)
        tags = {"matrix": codec.colorspace, "range": codec.color_range}
        tags |= {"primaries": codec.color_primaries, "transfer": codec.color_trc}
        details = {
            "codec": codec.codec.canonical_name,
            "pixel_format": pixel.name,
            "bits": bits,
            **{kind: tag_name(kind, int(number)) for kind, number in tags.items()},
            "aspect": Fraction(aspect) if aspect and aspect != 1 else None,
            "time_base": Fraction(stream.time_base) if stream.time_base else None,
            "duration": float(duration) if duration else None,
            "stream_index": stream.index,
            "video_streams": len(videos),
            "other_streams": [s.type for s in container.streams if s.index != stream.index],
            "side_data": [said for kind, said in _NOT_WRITTEN.items() if kind in held]
            + [_UNKNOWN] * any(map(str.isdecimal, held)),
            "warnings": _warnings(container, first, videos, stream),
            "comment": remark if len(remark) <= LONGEST_COMMENT else "",
            "not_kept": ["comment"] if len(remark) > LONGEST_COMMENT else [],
            "made": found_in(comment),
        }
        dtype = np.dtype(np.uint16 if bits > 8 else np.uint8)
        size, channels = (height, width), 1 if grey else 4 if alpha else 3
        video = FileVideo(path, size, channels, dtype, partial(_decode, end=end), count=_shown(stream) or None)
        video.rate = Fraction(rate) if rate else None
        video.details = {key: value for key, value in details.items() if value not in (None, [], "")}
        return video


def _first(packets: Iterator[Any]) -> Any:
    """Return the first frame, or None; faults are raised, with its number, when the file is decoded."""
    for packet in itertools.islice(packets, _TRIED):
        with contextlib.suppress(av.error.FFmpegError):
            for frame in packet.decode():
                return frame
    return None


def _check_end_of_gif(path: Path) -> None:
    """Refuse a GIF without the last byte of one; zeros may follow."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOOKED_AT))
        if not file.read().rstrip(b"\0").endswith(b";"):
            raise InputError(f"{path}: the GIF trailer is missing; the file is truncated")


def _declared(stream: Any) -> int:
    """Return the declared number of packets of a stream, 0 if there is none.

    AVI counts ticks of its clock; ticks without a frame are empty packets, which its index leaves out. Of mp4, samples
    that an edit list does not need are left out of the index, and are not read.
    """
    entries, kind = stream.index_entries, stream.container.format.name
    if kind == "avi" and len(entries) and 2 * entries[-1].timestamp >= stream.frames:
        return len(entries)  # The file's index, not one built from the first packets.
    if "mp4" in kind and 0 < len(entries) < stream.frames and _is_trimmed(stream):
        return len(entries)
    return int(stream.frames)


def _is_trimmed(stream: Any) -> bool:
    """Tell whether an edit list ends before the samples: duration and index are shorter; by damage, the index alone."""
    entries, per_tick = stream.index_entries, (stream.average_rate or 0) * stream.time_base
    shown, indexed = (stream.duration or 0) * per_tick, (entries[-1].timestamp - entries[0].timestamp) * per_tick
    return bool(0 < shown <= stream.frames - 1 and indexed >= shown - 2)  # In frames at the mean rate.


def _shown(stream: Any) -> int:
    """Return the declared number of frames, without those of mp4 that are decoded, but hidden by an edit list."""
    declared, entries = _declared(stream), stream.index_entries
    hidden = 0 if len(entries) > _MOST_ENTRIES else sum(entry.is_discard for entry in entries)
    return max(0, declared - hidden)


def _check_declared(path: Path, declared: int, packets: int) -> None:
    if packets < declared:
        raise InputError(f"{path}: it declares {declared} frames, but contains {packets}: the file is truncated")


def _seconds(clock: str | None) -> Fraction | None:
    """Return the seconds of a Matroska tag such as 00:00:01.200000000."""
    match = re.fullmatch(r"(\d{1,9}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", clock or "", re.ASCII)
    return Fraction(match[1]) * 3600 + Fraction(match[2]) * 60 + Fraction(match[3]) if match else None


def _video_stream(container: Any, path: Path, choice: Choice) -> tuple[Any, list[Any]]:
    """Return the chosen video stream, or else the file's default, and all of them; cover pictures do not count."""
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        raise InputError(f"{path}: the file has no video stream")
    if choice.stream is None:
        return next((s for s in videos if s.disposition & Disposition.default), videos[0]), videos
    if choice.stream >= len(videos):
        raise InputError(
            f"{path}: video stream {choice.stream} was asked for; the file has {len(videos)}, counted from 0"
        )
    return videos[choice.stream], videos


def _warnings(container: Any, first: Any, videos: list[Any], chosen: Any) -> list[str]:
    """Return warnings about a readable file."""
    several = (
        f"the file has {len(videos)} video streams; this is number {videos.index(chosen)}, counted from 0"
        " (--stream, stream=, chooses another)"
    )
    garbled = any("\ufffd" in text for tagged in (container, chosen) for text in tagged.metadata.values())
    replaced = "some tags are not valid UTF-8; invalid characters become \ufffd"
    interlaced = "the video is interlaced: filters treat the two fields of a frame as one picture; deinterlace first"
    fields = first is not None and first.interlaced_frame
    return [several] * (len(videos) > 1) + [replaced] * garbled + [interlaced] * fields


def _is_neutral(frame: Any) -> bool:
    """Tell whether the colour planes of a frame are neutral, up to the losses of a codec."""
    if frame is None or frame.format.name not in _GREY_AS_LUMA:
        return False
    chroma = (lines(plane)[:, : plane.width].astype(np.int16) for plane in frame.planes[1:])
    return all(np.abs(values - 128).max() <= 4 for values in chroma)


def _decode(video: FileVideo, end: Fraction | None) -> Decoded:
    index, time, gap = -1, Fraction(0), 1 / (video.rate or Fraction(25))
    fault, choice = cut_off(video.path), video.choice
    if fault and choice.is_to_the_end and not choice.keep_partial:  # Before hours of work.
        raise InputError(fault)
    with contextlib.closing(ahead(_decoded(video), WAITING)) as decoded:
        for index, (pixels, shown) in enumerate(decoded):
            gap, time = max(gap, shown - time) if index else gap, shown
            yield pixels, time
    if index >= 0 and end is not None and time + 2 * gap < end:
        raise InputError(
            f"{video.path}: it declares {float(end):.2f} s, but the last frame that could be decoded is at "
            f"{float(time):.2f} s"
        )
    if index < 0:
        raise InputError(f"{video.path}: the video stream holds no frame")
    if fault:
        raise InputError(fault)


def _decoded(video: FileVideo) -> Iterator[tuple[Array, Fraction]]:
    """Yield frames and their timestamps."""
    target = PACKED[video.dtype.itemsize, video.channels]
    rotation, orientation, scaler = None, (False, False, False), VideoReformatter()
    with opened(video.path, video.choice.max_pixels) as container:
        for index, frame in enumerate(_frames(container, video)):
            # Not of each frame: PyAV's side data and their frame refer to each other, so that its memory would only be
            # freed by the garbage collector, which does not know how large a frame is.
            if frame.rotation != rotation:
                rotation, orientation = frame.rotation, _orientation(frame)
            pixels = _upright(_to_array(frame, target, scaler), *orientation)
            if pixels.shape[:2] != video.size:
                raise InputError(
                    f"{video.path}: frame {index} is {pixels.shape[0]} × {pixels.shape[1]} (height × width), "
                    f"the video {video.size[0]} × {video.size[1]}"
                )
            if frame.pts is None:
                yield pixels, index / (video.rate or Fraction(25))
            else:
                yield pixels, frame.pts * Fraction(frame.time_base or video.details["time_base"])


def _frames(container: Any, video: FileVideo) -> Iterator[Any]:
    """Yield decoded frames; raise if one is damaged, or if there are fewer packets than declared.

    Packets are counted, not frames: a clip that was trimmed without encoding has packets that are not shown.
    """
    stream, _ = _video_stream(container, video.path, video.choice)
    stream.thread_type = "AUTO"
    has_checksums = stream.codec_context.name == "ffv1" and stream.codec_context.extradata
    declared, packets, index = _declared(stream), 0, 0
    try:
        for packet in checked(stream, video.path, video.choice.max_pixels):
            damaged = bool(has_checksums and packet.size and not is_whole(bytes(packet)))
            packets += packet.size > 0
            for frame in stream.decode(None) if damaged else packet.decode():  # Damaged: the frames before it.
                if frame.is_corrupt:
                    raise InputError(f"{video.path}: frame {index} is damaged")
                yield frame
                index += 1
            if damaged:
                raise InputError(f"{video.path}: frame {index} is damaged: its checksum does not match")
    except av.error.FFmpegError as fault:
        raise InputError(f"{video.path}: frame {index} cannot be decoded ({reason(fault)})") from fault
    _check_declared(video.path, declared, packets)


def _to_array(frame: Any, target: str, scaler: Any) -> Array:
    source = frame.format.name
    if target.startswith("gray") and not source.startswith("gray"):
        # A grey picture stored as luma of full range.
        if not _is_neutral(frame):
            raise InputError("a frame is in colour, but the first one and the comment declare grey; encode it again")
        pixels = lines(frame.planes[0])[:, : frame.width].copy()
    elif source == target:
        pixels = frame.to_ndarray().copy()  # The decoder may still need its own for prediction.
    else:
        matrix = known_matrix(int(frame.colorspace), frame.height)
        if subsampling(source) and min(plane.line_size for plane in frame.planes) > 0:
            full = source.startswith("yuvj") or tag_name("range", int(frame.color_range)) == FULL
            pixels = to_rgb(frame, matrix, full)
        else:
            pixels = scaler.reformat(frame, format=target, src_colorspace=_SCALER_MATRICES[matrix]).to_ndarray()
    return pixels


def _upright(pixels: Array, swapped: bool, upside_down: bool, mirrored: bool) -> Array:
    pixels = pixels.swapaxes(0, 1) if swapped else pixels
    return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def _side_data(frame: Any) -> dict[str, Any]:
    """Return what a frame carries beside its pixels, by kind; what PyAV does not know, by its number."""
    unknown: dict[str, Any] = {}
    while True:
        try:
            return {data.type.name: data for data in frame.side_data} | unknown
        except ValueError as fault:  # "29 is not a valid Type": it gives none at all then.
            kind = str(fault).partition(" ")[0]
            if not kind.isdecimal() or kind in unknown:
                return unknown
            unknown[kind] = None
            try:
                frame = _without(frame, kind)
            except av.error.FFmpegError:
                return unknown


def _without(frame: Any, kind: str) -> Any:
    """Return a frame of the same pixels without its side data of one kind."""
    graph = Graph()
    clock = Fraction(frame.time_base or 1)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=clock)
    graph.link_nodes(source, graph.add("sidedata", f"mode=delete:type={kind}"), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull()


def _orientation(frame: Any) -> tuple[bool, bool, bool]:
    """Return whether to swap rows and columns, then to reverse rows, and columns, to show a frame upright."""
    matrix = _side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    right, down = np.frombuffer(matrix, np.int32).reshape(3, 3)[:2, :2].astype(np.int64)
    swapped = abs(right[1]) > abs(right[0])
    across, along = (down[0], right[1]) if swapped else (right[0], down[1])
    return bool(swapped), bool(along < 0), bool(across < 0)


def count(path: Path) -> int:
    """Return the number of packets of the video stream, in a file just written one per frame; raise as a reader."""
    with opened(path, sys.maxsize) as container:
        stream = container.streams.video[0]
        declared = _declared(stream)
        packets = sum(packet.size > 0 for packet in container.demux(stream))
    _check_declared(path, declared, packets)
    if fault := cut_off(path):
        raise InputError(fault)
    return packets
