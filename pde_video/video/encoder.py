"""Frames into mp4, mkv, mov, avi, webm and gif, through PyAV."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pde_video.errors import OutputError
from pde_video.protocols import Array
from pde_video.video.codecs import Form, choose
from pde_video.video.containers import GREY_MARK, WAITING
from pde_video.video.copying import Companions
from pde_video.video.overlap import behind
from pde_video.video.provenance import MARK
from pde_video.video.source import Target
from pde_video.video.untrusted import opened, reason
from pde_video.video.yuv_planes import FULL, LIMITED, UNKNOWN, from_rgb, lines, tag_number

_COUNTING = (".avi", ".gif")  # One frame per tick from 0 on, without timestamps.
_MILLISECONDS = (".mkv", ".webm")
_QUICKTIME = (".mp4", ".m4v", ".mov")
_MOST_TICKS = 2**31  # Per second.
_MUXERS = {".mkv": "matroska", ".m4v": "mp4"}  # Of the other endings, the name is the ending.


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Encode `frames` into `temporary` in another thread; return how many there were."""
    form = choose(target)
    # Frames are copied and get their times here, so that later changes of a frame or its source have no effect.
    pictures = ((_picture(frame, form), _moment(target, index)) for index, frame in enumerate(frames))

    def encode(pictures: Iterator[tuple[Any, Fraction]]) -> int:
        try:
            return _encode(target, form, pictures, temporary)
        except av.error.FFmpegError as fault:
            raise OutputError(fault.errno, f"{target.path} could not be written: {reason(fault)}") from fault

    return behind(encode, pictures, WAITING)


def _encode(target: Target, form: Form, pictures: Iterator[tuple[Any, Fraction]], temporary: Path) -> int:
    counting = target.suffix in _COUNTING
    base = 1 / target.rate if counting else _time_base(target)
    count, previous, uneven, close, moment = 0, -1, False, False, Fraction(0)
    coarse = target.suffix in _MILLISECONDS
    with contextlib.ExitStack() as stack:
        muxer = _MUXERS.get(target.suffix, target.suffix[1:])
        container = stack.enter_context(av.open(f"file:{temporary}", "w", format=muxer))
        stream = _video_stream(container, target, form, base)
        companions = None
        if target.like is not None and target.like.has_companions:
            reading = opened(target.like.path, target.like.choice.max_pixels, with_sound=True)
            source = stack.enter_context(reading)
            companions = Companions(target.like, source, container, stream, _cut_at(target))
        container.container_options.update(_clock(target.suffix, base, companions))
        container.container_options["fflags"] = "bitexact"  # Matroska would number each file at random.
        grey = GREY_MARK if target.channels == 1 and not form.pixel.startswith("gray") else None
        said = filter(None, [target.details.get("comment"), grey, MARK + target.made])
        container.metadata["comment"] = " ".join(said)
        container.start_encoding()  # Here, so that an error of the header is not mistaken for one of a packet.
        for picture, shown in pictures:
            close = close or (coarse and count > 0 and round(shown * 1000) == round(moment * 1000))
            picture, moment = _converted(picture, form), shown
            uneven = uneven or (counting and abs(moment - count / target.rate) > base)
            previous = picture.pts = max(count if counting else round(moment / base), previous + 1)
            picture.time_base = base
            if companions is not None:
                companions.copy(moment)
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
        if companions is not None:
            companions.copy(None if companions.source.choice.is_to_the_end else moment + 1 / target.rate)
            target.omit(*companions.not_copied)
    if uneven:
        target.warn(f"{target.suffix} has no timestamps: frames are shown at a constant rate")
    if close:
        target.warn(f"{target.suffix} stores time in milliseconds: frames that are closer get equal times")
    return count


def _video_stream(container: Any, target: Target, form: Form, base: Fraction) -> Any:
    details = target.details
    stream = container.add_stream(form.codec, rate=target.rate, options=form.options)
    stream.height, stream.width = target.size
    stream.pix_fmt = form.pixel
    stream.thread_type = "AUTO"  # ffmpeg's default; PyAV's would cut every frame of H.264 into slices.
    context = stream.codec_context
    context.time_base = base
    if form.is_yuv:
        context.color_range = tag_number("range", FULL if form.full else LIMITED)
        context.colorspace = form.matrix
    context.color_primaries = tag_number("primaries", details.get("primaries", UNKNOWN))
    context.color_trc = tag_number("transfer", details.get("transfer", UNKNOWN))
    if aspect := details.get("aspect"):
        context.sample_aspect_ratio = aspect
    if form.codec == "libx265" and target.suffix in _QUICKTIME:
        context.codec_tag = "hvc1"  # The tag that all players know.
    return stream


def _time_base(target: Target) -> Fraction:
    """Return a clock that represents both the source's ticks and frames at the exact rate."""
    source: Fraction | None = target.details.get("time_base")
    if source is None:
        return 1 / target.rate
    ticks = math.lcm(source.denominator, target.rate.numerator)
    return Fraction(1, ticks) if ticks < _MOST_TICKS else source


def _clock(suffix: str, base: Fraction, companions: Companions | None) -> dict[str, str]:
    """Return options with which streams that do not begin at 0 keep their exact start."""
    if suffix in _MILLISECONDS:
        return {"avoid_negative_ts": "disabled"}  # Else the priming samples of a sound codec would shift all streams.
    if suffix not in _QUICKTIME:
        return {}
    ticks = math.lcm(base.denominator, *(companions.ticks if companions else []))
    return {"movie_timescale": str(ticks if ticks < _MOST_TICKS else base.denominator)}


def _cut_at(target: Target) -> Fraction | None:
    """Return the time in the source that becomes 0, if it is a part or the format counts from 0."""
    if target.like is None or (target.like.choice.is_everything and target.suffix not in _COUNTING):
        return None
    return next(iter(target.like.timestamps), None)


def _moment(target: Target, index: int) -> Fraction:
    """Return when a frame is shown: as in the source, or by the rate where that is within the source's rounding."""
    if target.like is None or not target.like.timestamps:
        return index / target.rate
    timing = replace(target.like.timing, rate=target.rate)
    if target.suffix in _MILLISECONDS:
        timing = replace(timing, tick=None)  # As exact as the format.
    return target.like.timestamps[0] - (_cut_at(target) or 0) + timing.at(index)


def _picture(frame: Array, form: Form) -> Any:
    """Return a copy of a frame for the encoder's thread, not always in the codec's pixel format yet."""
    if form.pixel == "pal8":
        return _quantized(frame)
    if form.is_yuv and form.layout != "gray":
        return np.array(frame, order="C")  # Converted in the encoder's thread.
    if not form.is_yuv:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=form.layout)
    # Luma of full range keeps all 256 levels; neutral chroma.
    picture = av.VideoFrame(frame.shape[1], frame.shape[0], form.pixel)
    luma, *chroma = map(lines, picture.planes)
    luma[:, : frame.shape[1]] = frame
    for plane in chroma:
        plane[:] = 128
    picture.color_range = tag_number("range", FULL)
    return picture


def _converted(picture: Any, form: Form) -> Any:
    if isinstance(picture, np.ndarray):
        return from_rgb(picture, form.pixel, form.matrix, form.full)
    return picture if picture.format.name == form.pixel else picture.reformat(format=form.pixel)


def _quantized(frame: Array) -> Any:
    """Return an RGB frame in 256 colours of its own. (imageio would drop frames that repeat.)"""
    from PIL import Image  # It comes with imageio.

    image = Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE)
    colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255  # Opaque.
    palette[: len(colours), 1:] = colours
    pixels: Any = (np.asarray(image), palette)
    return av.VideoFrame.from_ndarray(pixels, format="pal8")
