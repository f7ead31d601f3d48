"""Sound, subtitles and attachments: packets that go from one container into another as they are."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from pde_video.video.opening import opened, reason
from pde_video.video.source import FileVideo

_COPIED = ("audio", "subtitle", "attachment")
# Tags that say how the old file was written, or what is no longer so.
_STALE = ("DURATION", "ENCODER", "_STATISTICS", "NUMBER_OF", "BPS", "ROTATE", "ALPHA_MODE")
_OF_THE_FILE = ("COMMENT", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "DURATION")
_OF_THE_WHOLE = "TIMECODE"  # Wrong for a part.
_REORDERED = 32  # Packets: more than any codec exchanges between decoding and showing.
_UNFRAMING = "aac_adtstoasc"  # FFmpeg's filter for AAC that says what it is before each packet, as in MPEG-TS.
# What a container says of a packet that it does not take; a full disk, say, is another matter.
_REFUSALS = (av.error.InvalidDataError, av.error.ArgumentError, av.error.PermissionError, av.error.PatchWelcomeError)


class Companions:
    """The other streams of a source, copied along with the video, packet by packet."""

    def __init__(self, source: FileVideo, output: Any, video: Any, cut_at: Fraction | None) -> None:
        """Add to `output` the streams that it takes; `cut_at` is the time that is to become 0, if any.

        `video` is the output's own stream. What is not taken is in ``refused``, with the reason.
        """
        self.refused: list[str] = [f"side data: {said}" for said in source.details.get("side_data", ())]
        self._source, self._output, self._cut_at = source, output, cut_at
        self._input = opened(source.path)
        spans = bool(self._input.chapters() or self._input.streams.subtitles)
        self._end = _end_of_part(source) if spans else None
        self._streams: dict[int, Any] = {}
        self._filters: dict[int, Any] = {}
        self._failed: Counter[tuple[str, str]] = Counter()
        for stream in self._input.streams:
            if stream.index != source.details["stream_index"]:
                self._add(stream)
            else:
                _tag(video, stream)
        self._packets = self._demuxed()
        self._next: Any = next(self._packets, None)
        self._describe(video)

    def _add(self, stream: Any) -> None:
        label = _label(stream)
        if stream.type == "video":
            picture = stream.disposition & av.stream.Disposition.attached_pic
            self.refused.append(f"{label}: " + ("a cover picture" if picture else "only one video stream is written"))
        elif stream.type not in _COPIED:
            self.refused.append(f"{label}: streams of this kind are not copied")
        else:
            with opened(self._source.path) as container:
                sample = container.streams[stream.index]
                template = _unframed(sample) or sample
                if not _takes(self._output.format.name, template):
                    self.refused.append(f"{label}: {self._output.format.name} does not hold it")
                    return
                self._streams[stream.index] = _added(self._output, template, stream)
            if template is not sample:
                self._filters[stream.index] = BitStreamFilterContext(_UNFRAMING, stream)

    def _describe(self, video: Any) -> None:
        """Copy what the source says of itself as a whole, and of a part what holds for it."""
        kept = {k: v for k, v in self._input.metadata.items() if k.upper() not in _OF_THE_FILE}
        self._output.metadata.update(kept)
        if self._cut_at is None:
            self._output.set_chapters(self._input.chapters())
            return
        for said in () if self._source.choice.is_everything else (self._output.metadata, video.metadata):
            for key in [key for key in said if key.upper() == _OF_THE_WHOLE]:
                self.refused.append(f"{key} {said.pop(key)}: it is that of the whole file")
        moved = (self._chapter(one) for one in self._input.chapters())
        self._output.set_chapters([one for one in moved if one])

    def _chapter(self, chapter: Any) -> Any:
        """Return a chapter, moved and clipped as the video is, or None if nothing of it is left."""
        base = chapter["time_base"]
        span = self._within(chapter["start"] * base, chapter["end"] * base)
        return span and chapter | {"start": round(span[0] / base), "end": round(span[1] / base)}

    def _within(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return what is left of a span of time, on the output's clock, if anything."""
        origin = self._cut_at or Fraction(0)
        start, end = max(start, origin), end if self._end is None else min(end, self._end)
        return (start - origin, end - origin) if start < end else None

    def _demuxed(self) -> Iterator[Any]:
        wanted = [stream for stream in self._input.streams if stream.index in self._streams]
        wanted = [stream for stream in wanted if stream.type != "attachment"]
        try:
            for packet in self._input.demux(wanted) if wanted else ():
                if packet.size and self._moved(packet):
                    yield packet
        except av.error.FFmpegError as fault:
            self.refused.append(f"sound or subtitles from there on: they cannot be read ({reason(fault)})")

    def _moved(self, packet: Any) -> bool:
        """Shift a packet by what the video is shifted; tell whether it is within the part that is kept."""
        if self._cut_at is None or packet.pts is None:
            return True
        base = packet.time_base
        if packet.stream.type == "subtitle" and packet.duration:  # Shown for a while: what is left of that is kept.
            span = self._within(packet.pts * base, (packet.pts + packet.duration) * base)
            if span is None:
                return False
            packet.pts = packet.dts = round(span[0] / base)
            packet.duration = round((span[1] - span[0]) / base)
            return True
        by = round(self._cut_at / base)
        packet.pts -= by
        packet.dts = None if packet.dts is None else packet.dts - by
        return packet.pts >= 0

    @property
    def ticks(self) -> list[int]:
        """How many ticks a second the clocks of the copied streams have."""
        streams = [self._input.streams[index] for index in self._streams]
        return [stream.time_base.denominator for stream in streams if stream.time_base]

    def copy(self, until: Fraction | None) -> None:
        """Write the packets that come before a moment of the output; all that are left if there is none."""
        while self._next is not None:
            packet = self._next
            if until is not None and packet.pts is not None and packet.pts * packet.time_base >= until:
                break
            self._write(packet)
            self._next = next(self._packets, None)

    def _write(self, packet: Any) -> None:
        """Write a packet, or count it as one that the container does not take: the video is worth more."""
        index, label = packet.stream_index, _label(packet.stream)
        a_filter = self._filters.get(index)
        try:
            for one in [packet] if a_filter is None else map(_bare, a_filter.filter(packet)):
                one.stream = self._streams[index]
                self._output.mux(one)
        except _REFUSALS as fault:
            self._failed[label, reason(fault)] += 1

    @property
    def not_copied(self) -> list[str]:
        """What was not taken, with the reason."""
        muxer = self._output.format.name
        failed = (
            f"{label}: {n} packets, which {muxer} does not take ({why})" for (label, why), n in self._failed.items()
        )
        return [*self.refused, *failed]

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def _label(stream: Any) -> str:
    return f"{stream.type} stream {stream.index} ({getattr(stream, 'name', None) or 'unknown codec'})"


def _first_packet(stream: Any) -> Any:
    try:
        return next((packet for packet in stream.container.demux(stream) if packet.size), None)
    except av.error.FFmpegError:
        return None


def _unframed(stream: Any) -> Any:
    """Return AAC as a stream that says what it is once, in its header, or None if it is one or cannot be."""
    if stream.name != "aac" or stream.codec_context.extradata:
        return None
    packet, memory = _first_packet(stream), io.BytesIO()
    try:
        with av.open(memory, "w", format="mp4") as container:
            added = container.add_stream_from_template(stream)
            for one in BitStreamFilterContext(_UNFRAMING, stream).filter(packet):
                one.stream = added
                container.mux(one)
        memory.seek(0)
        return av.open(memory).streams[0]
    except (av.error.FFmpegError, ValueError):
        return None


def _bare(packet: Any) -> Any:
    """Return a packet without the header that the filter hangs on it: Matroska would write its own once more."""
    bare: Any = av.Packet(bytes(packet))
    bare.pts, bare.dts, bare.time_base, bare.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    bare.is_keyframe = packet.is_keyframe
    return bare


def _takes(muxer: str, stream: Any) -> bool:
    """Tell whether a container takes a stream, by writing a file of nothing else: its header, and a packet of sound."""
    packet = _first_packet(stream) if stream.type == "audio" else None
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            added = trial.add_stream_from_template(stream)
            trial.start_encoding()
            if packet is not None:
                packet.stream = added
                trial.mux(packet)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _added(output: Any, template: Any, stream: Any) -> Any:
    added = output.add_stream_from_template(template)
    _tag(added, stream)
    added.disposition = stream.disposition
    return added


def _tag(added: Any, stream: Any) -> None:
    """Copy the tags of a stream: its language, its title."""
    added.metadata.update({k: v for k, v in stream.metadata.items() if not k.upper().startswith(_STALE)})


def _end_of_part(source: FileVideo) -> Fraction | None:
    """Return when the part that is wanted ends, on the source's clock, if before the source does."""
    choice = source.choice
    times: list[Fraction] = []
    if choice.end is None and choice.last is None:
        return None
    with opened(source.path) as container, contextlib.suppress(av.error.FFmpegError):
        stream = container.streams[source.details["stream_index"]]
        shown = (p.pts * p.time_base for p in container.demux(stream) if p.pts is not None and not p.is_discard)
        times.extend(itertools.islice(shown, (choice.last or 0) + _REORDERED))
    times.sort()
    ends = [times[0] + choice.end] if times and choice.end is not None else []
    ends += [times[choice.last]] if choice.last is not None and choice.last < len(times) else []
    return min(ends, default=None)
