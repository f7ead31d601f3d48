"""Copy sound, subtitles and attachments from one container into another, packet by packet."""

import contextlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from pde_video.video.source import FileVideo
from pde_video.video.untrusted import opened, reason

_COPIED = ("audio", "subtitle", "attachment")
# Tags about the encoding of the old file.
_STALE = ("DURATION", "ENCODER", "_STATISTICS", "NUMBER_OF", "BPS", "ROTATE", "ALPHA_MODE")
_OF_THE_FILE = ("COMMENT", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "DURATION")
_OF_THE_WHOLE = "TIMECODE"  # Wrong for a part.
_LATEST = Fraction(2**63 - 1, 10**9)  # Seconds: chapters of Matroska count nanoseconds in 64 bits.
_EARLIEST = 1 - 2**63  # Ticks; one less means none.
_REORDERED = 32  # Packets; no codec reorders more between decoding and display.
_UNFRAMING = "aac_adtstoasc"  # FFmpeg's filter for AAC with a header before each packet, as in MPEG-TS.
# Errors for a packet that a container does not support, unlike those of a full disk.
_REFUSALS = (av.error.InvalidDataError, av.error.ArgumentError, av.error.PermissionError, av.error.PatchWelcomeError)


class Companions:
    """The other streams of a source, copied along with the video."""

    def __init__(self, source: FileVideo, container: Any, output: Any, video: Any, cut_at: Fraction | None) -> None:
        """Add to `output` the streams of `container` that it supports; the time `cut_at`, if given, becomes 0.

        `container` is the open source, `video` the output's own stream.
        """
        # What is not copied, with the reason.
        self.refused: list[str] = [f"side data: {said}" for said in source.details.get("side_data", ())]
        self.source, self._input, self._output, self._cut_at = source, container, output, cut_at
        self._pace = source.timing.pace
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
        elif self._pace != 1 and stream.type != "attachment":
            self.refused.append(f"{label}: the video is shown {self._pace} times as long")
        elif stream.type not in _COPIED:
            self.refused.append(f"{label}: streams of this kind are not copied")
        elif stream.codec_context is None and stream.type != "attachment":
            self.refused.append(f"{label}: FFmpeg does not know its codec, and cannot write it")
        else:
            with opened(self.source.path, self.source.choice.max_pixels, with_sound=True) as container:
                sample = container.streams[stream.index]
                template = _unframed(sample) or sample
                if not _takes(self._output.format.name, template):
                    self.refused.append(f"{label}: {self._output.format.name} cannot store it")
                    return
                self._streams[stream.index] = added = self._output.add_stream_from_template(template)
                _tag(added, stream)
                added.disposition = stream.disposition
            if template is not sample:
                self._filters[stream.index] = BitStreamFilterContext(_UNFRAMING, stream)

    def _describe(self, video: Any) -> None:
        """Copy metadata and chapters of the source, as far as they are valid for the part that is kept."""
        kept = {k: v for k, v in self._input.metadata.items() if k.upper() not in _OF_THE_FILE}
        self._output.metadata.update(kept)
        self._output.set_chapters(self._chapters())
        if self._cut_at is None or self.source.choice.is_everything:
            return
        for said in (self._output.metadata, video.metadata):
            for key in [key for key in said if key.upper() == _OF_THE_WHOLE]:
                self.refused.append(f"{key} {said.pop(key)}: it is valid for the whole file only")

    def _chapters(self) -> list[Any]:
        """Return the chapters of the part that is kept, on the output's clock."""
        kept = []
        for number, chapter in enumerate(self._input.chapters()):
            base = chapter["time_base"]
            start, end = chapter["start"] * base, chapter["end"] * base
            if self._pace != 1:
                self.refused.append(f"chapter {number}: the video is shown {self._pace} times as long")
            elif not 0 <= start <= end <= _LATEST:  # Muxers refuse the whole file for it.
                self.refused.append(f"chapter {number}: {float(start):g} to {float(end):g} s is not a valid time span")
            elif span := self._within(start, end):
                kept.append(chapter | {"start": round(span[0] / base), "end": round(span[1] / base)})
        return kept

    def _within(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return the part of a time span that is kept, on the output's clock, if any."""
        origin = self._cut_at or Fraction(0)
        first, last = max(start, origin), end if self._end is None else min(end, self._end)
        moment = origin <= start == end and (self._end is None or start < self._end)
        return (first - origin, last - origin) if first < last or moment else None

    def _demuxed(self) -> Iterator[Any]:
        wanted = [s for s in self._input.streams if s.index in self._streams and s.type != "attachment"]
        try:
            for packet in self._input.demux(wanted) if wanted else ():
                if packet.size and self._moved(packet):
                    yield packet
        except av.error.FFmpegError as fault:
            self.refused.append(f"the rest of sound or subtitles: it cannot be read ({reason(fault)})")

    def _moved(self, packet: Any) -> bool:
        """Shift a packet like the video; return whether it is within the part that is kept."""
        if self._cut_at is None or packet.pts is None:
            return True
        base = packet.time_base
        if packet.stream.type == "subtitle" and (packet.duration or 0) > 0:
            span = self._within(packet.pts * base, (packet.pts + packet.duration) * base)
            if span is None:
                return False
            packet.pts = packet.dts = round(span[0] / base)
            packet.duration = round((span[1] - span[0]) / base)
            return True
        by = round(self._cut_at / base)
        if packet.pts < by:
            return False
        packet.pts -= by
        packet.dts = None if packet.dts is None else max(packet.dts - by, _EARLIEST)
        return True

    @property
    def ticks(self) -> list[int]:
        """Ticks per second of the copied streams' clocks."""
        streams = [self._input.streams[index] for index in self._streams]
        return [stream.time_base.denominator for stream in streams if stream.time_base]

    def copy(self, until: Fraction | None) -> None:
        """Write the packets before the time `until` of the output, or all that are left."""
        while self._next is not None:
            packet = self._next
            if until is not None and packet.pts is not None and packet.pts * packet.time_base >= until:
                break
            index, label = packet.stream_index, _label(packet.stream)
            a_filter = self._filters.get(index)
            try:
                for one in [packet] if a_filter is None else map(_bare, a_filter.filter(packet)):
                    one.stream = self._streams[index]
                    self._output.mux(one)
            except _REFUSALS as fault:  # The container does not support the packet; the video is still written.
                self._failed[label, reason(fault)] += 1
            self._next = next(self._packets, None)

    @property
    def not_copied(self) -> list[str]:
        """The streams and packets that were not copied, with the reason."""
        muxer, counts = self._output.format.name, self._failed.items()
        failed = (f"{label}: {n} packets, which {muxer} does not accept ({why})" for (label, why), n in counts)
        return [*self.refused, *failed]


def _label(stream: Any) -> str:
    return f"{stream.type} stream {stream.index} ({getattr(stream, 'name', None) or 'unknown codec'})"


def _first_packet(stream: Any) -> Any:
    try:
        return next((packet for packet in stream.container.demux(stream) if packet.size), None)
    except av.error.FFmpegError:
        return None


def _unframed(stream: Any) -> Any:
    """Return an AAC stream with one header instead of one per packet, or None if that is not needed or possible."""
    if stream.type != "audio" or stream.name != "aac" or stream.codec_context.extradata:
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
    """Return a packet without the filter's header as side data, which Matroska would write again."""
    bare: Any = av.Packet(bytes(packet))
    bare.pts, bare.dts, bare.time_base, bare.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    bare.is_keyframe = packet.is_keyframe
    return bare


def _takes(muxer: str, stream: Any) -> bool:
    """Return whether a container supports a stream, by writing a header and, for sound, a packet to memory."""
    if stream.type == "attachment":  # Other muxers may leave it out without an error.
        return muxer == "matroska"
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


def _tag(added: Any, stream: Any) -> None:
    """Copy the tags of a stream, such as language and title."""
    added.metadata.update({k: v for k, v in stream.metadata.items() if not k.upper().startswith(_STALE)})


def _end_of_part(source: FileVideo) -> Fraction | None:
    """Return when the wanted part ends, on the source's clock, if it ends before the source."""
    choice = source.choice
    times: list[Fraction] = []
    if choice.is_to_the_end:
        return None
    with opened(source.path, source.choice.max_pixels) as container, contextlib.suppress(av.error.FFmpegError):
        stream = container.streams[source.details["stream_index"]]
        shown = (p.pts * p.time_base for p in container.demux(stream) if p.pts is not None and not p.is_discard)
        times.extend(itertools.islice(shown, (choice.last or 0) + _REORDERED))
    times.sort()
    ends = [times[0] + Fraction(choice.end)] if times and choice.end is not None else []
    ends += [times[choice.last]] if choice.last is not None and choice.last < len(times) else []
    return min(ends, default=None)
