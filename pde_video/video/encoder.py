"""Frames into mp4, mkv, mov, avi, webm and gif, through PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pde_video.errors import OutputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.containers import FULL, GREY_MARK, LIMITED, SCALER_MATRICES, WAITING, known_matrix
from pde_video.video.opening import reason
from pde_video.video.overlap import behind
from pde_video.video.provenance import MARK
from pde_video.video.source import Target

H264 = ("libx264", {"crf": "16", "preset": "medium"})
_HIGHEST_RATE = {".gif": 100, ".avi": 1000}  # Frames per second that the format's clock can tell apart.


@dataclass(frozen=True)
class _Form:
    """How frames are kept: their layout, the codec, its pixel format and options, colour matrix and range."""

    layout: str
    codec: str
    pixel: str
    options: dict[str, str]
    matrix: int
    full: bool

    @property
    def is_yuv(self) -> bool:
        return self.pixel.startswith("yuv")


def write_container(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Encode `frames` into `temporary`, behind them in another thread; return how many there were."""
    form = _form(target)
    if target.like and target.like.details.get("other_streams"):
        target.told["not_copied"] = target.like.details["other_streams"]
    counted = target.suffix in (".avi", ".gif")  # These count frames: one per tick.
    # Copied and dated as they come: what becomes of a frame afterwards, or of its source, makes no difference.
    pictures = (
        (_picture(frame, form), index / target.rate if counted else _moment(target, index))
        for index, frame in enumerate(frames)
    )

    def encode(pictures: Iterator[tuple[Any, Fraction]]) -> int:
        try:
            return _encode(target, form, pictures, temporary, counted)
        except av.error.FFmpegError as fault:
            raise OutputError(fault.errno, f"{target.path} could not be written: {reason(fault)}") from fault

    return behind(encode, pictures, WAITING)


def _encode(
    target: Target, form: _Form, pictures: Iterator[tuple[Any, Fraction]], temporary: Path, counted: bool
) -> int:
    with av.open(f"file:{temporary}", "w", format=_muxer(target.suffix)) as container:
        marks = [GREY_MARK + " "] if target.channels == 1 and not form.pixel.startswith("gray") else []
        container.metadata["comment"] = "".join([*marks, MARK, target.made])
        stream: Any = container.add_stream(form.codec, rate=target.rate, options=form.options)
        stream.height, stream.width = target.size
        stream.pix_fmt = form.pixel
        stream.thread_type = "AUTO"  # As ffmpeg has it; PyAV's own would cut every frame of H.264 into slices.
        base = 1 / target.rate if counted else _time_base(target)
        stream.codec_context.time_base = base
        if form.is_yuv:
            stream.codec_context.color_range = FULL if form.full else LIMITED
            stream.codec_context.colorspace = form.matrix
        count, previous = 0, -1
        for picture, moment in pictures:
            picture = _converted(picture, form)
            previous = picture.pts = max(round(moment / base), previous + 1)
            picture.time_base = base
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    return count


def _tick(target: Target) -> Fraction | None:
    return target.like.details.get("time_base") if target.like else None


def _time_base(target: Target) -> Fraction:
    """Return a clock that tells both the source's ticks and frames of exact rate apart."""
    source = _tick(target)
    if source is None:
        return 1 / target.rate
    ticks = math.lcm(source.denominator, target.rate.numerator)
    return Fraction(1, ticks) if ticks < 2**31 else source


def _moment(target: Target, index: int) -> Fraction:
    """Return when a frame is shown: when its source was, or by the rate where that is within the source's rounding."""
    by_rate, tick = index / target.rate, _tick(target)
    stamps = target.like.timestamps if target.like else []
    if not stamps:
        return by_rate
    # Frames that a filter appended follow the last one of the source at its rate.
    shown = stamps[min(index, len(stamps) - 1)] - stamps[0] + max(0, index - len(stamps) + 1) / target.rate
    return by_rate if tick is not None and abs(shown - by_rate) <= tick else shown


def _muxer(suffix: str) -> str:
    return {".mkv": "matroska", ".m4v": "mp4"}.get(suffix, suffix[1:])


def _form(target: Target) -> _Form:
    """Return what keeps the frames best in this container, or refuse them."""
    channels, dtype, suffix = target.channels, target.first.dtype, target.suffix
    wide = dtype == np.uint16
    if dtype not in (np.uint8, np.uint16) or channels not in (1, 3):
        raise ParameterError(
            f"{suffix} holds uint8 or uint16 frames with 1 or 3 channels; these are {dtype} with {channels}: "
            "write .tiff or .npy, which hold them as they are"
        )
    if wide and suffix not in (".mkv", ".avi"):
        raise ParameterError(
            f"{suffix} would not keep 16 bits; write .mkv or .avi (lossless FFV1), .tiff or .npy, which do"
        )
    highest = _HIGHEST_RATE.get(suffix)
    if highest is not None and target.rate > highest:
        raise ParameterError(
            f"{suffix} holds at most {highest} frames per second; {float(target.rate):g} are asked for"
        )
    layout = ("gray16le" if wide else "gray") if channels == 1 else ("rgb48le" if wide else "rgb24")
    codec, pixel, options = _codec(suffix, layout, target)
    tagged = target.like.details.get("matrix", -1) if target.like else -1
    full = channels == 1 or not pixel.startswith("yuv")
    return _Form(layout, codec, pixel, options, known_matrix(tagged, target.size[0]), full)


def _codec(suffix: str, layout: str, target: Target) -> tuple[str, str, dict[str, str]]:
    """Return codec, pixel format and options."""
    if suffix == ".gif":
        return "gif", "gray" if layout == "gray" else "pal8", {}
    if suffix == ".avi" or layout.endswith("16le") or layout == "rgb48le":
        lossless = {"gray": "gray", "gray16le": "gray16le", "rgb24": "bgr0", "rgb48le": "gbrp16le"}[layout]
        return "ffv1", lossless, {"level": "3", "slicecrc": "1"}
    if suffix == ".webm":
        return "libvpx-vp9", "yuv420p", {"crf": "20", "b": "0", "row-mt": "1", "cpu-used": "4"}
    odd = target.size[0] % 2 or target.size[1] % 2  # Halved colour planes need even sides.
    codec, options = H264
    return codec, "yuv444p" if odd else "yuv420p", options


def _picture(frame: Array, form: _Form) -> Any:
    """Return a copy of a frame as the codec's library holds it, not always in the codec's pixel format yet."""
    if form.pixel == "pal8":
        return _quantized(frame)
    if not (form.is_yuv and form.layout == "gray"):
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=form.layout)
    # Luma of full range keeps all 256 levels; neutral chroma.
    picture = av.VideoFrame(frame.shape[1], frame.shape[0], form.pixel)
    for plane, level in zip(picture.planes, (None, 128, 128), strict=True):
        values = np.full((plane.height, plane.line_size), level or 0, np.uint8)
        if level is None:
            values[:, : plane.width] = frame
        plane.update(values.tobytes())
    picture.color_range = FULL
    return picture


def _converted(picture: Any, form: _Form) -> Any:
    if picture.format.name == form.pixel:
        return picture
    if not form.is_yuv:
        return picture.reformat(format=form.pixel)
    ends = FULL if form.full else LIMITED
    picture = picture.reformat(format=form.pixel, dst_colorspace=SCALER_MATRICES[form.matrix], dst_color_range=ends)
    picture.colorspace, picture.color_range = form.matrix, ends
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
