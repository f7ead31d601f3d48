"""Sound, subtitles and attachments: packets that go from one container into another as they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from pde_video.video.opening import opened, reason
from pde_video.video.source import FileVideo

_COPIED = ("audio", "subtitle", "attachment")
_STALE = ("DURATION", "ENCODER", "_STATISTICS", "NUMBER_OF", "BPS")  # Tags that say how the old file was written.
_OF_THE_FILE = ("COMMENT", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "DURATION")


class Companions:
    """The other streams of a source, copied along with the video, packet by packet."""

    def __init__(self, source: FileVideo, output: Any, cut_at: Fraction | None) -> None:
        """Add to `output` the streams that it takes; `cut_at` is the time that is to become 0, if any.

        What is not taken is in ``refused``, with the reason.
        """
        self.refused: list[str] = []
        self._output, self._cut_at = output, cut_at
        self._input = opened(source.path)
        self._streams: dict[int, Any] = {}
        for stream in self._input.streams:
            if stream.index != source.details["stream_index"]:
                self._add(stream)
        self._packets = self._demuxed()
        self._next: Any = next(self._packets, None)
        if cut_at is None:
            self._describe()

    def _add(self, stream: Any) -> None:
        name = getattr(stream, "name", None) or "unknown codec"
        label = f"{stream.type} stream {stream.index} ({name})"
        if stream.type == "video":
            picture = stream.disposition & av.stream.Disposition.attached_pic
            self.refused.append(f"{label}: " + ("a cover picture" if picture else "only one video stream is written"))
        elif stream.type not in _COPIED:
            self.refused.append(f"{label}: streams of this kind are not copied")
        elif not _takes(self._output.format.name, stream):
            self.refused.append(f"{label}: {self._output.format.name} does not hold it")
        else:
            self._streams[stream.index] = _added(self._output, stream)

    def _describe(self) -> None:
        """Copy what the source says of itself as a whole."""
        self._output.set_chapters(self._input.chapters())
        kept = {k: v for k, v in self._input.metadata.items() if k.upper() not in _OF_THE_FILE}
        self._output.metadata.update(kept)

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
        by = round(self._cut_at / packet.time_base)
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
            packet.stream = self._streams[packet.stream_index]
            self._output.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def _takes(muxer: str, stream: Any) -> bool:
    """Tell whether a container takes a stream, by writing a file of nothing else: only its header says for sure."""
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            _added(trial, stream)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _added(output: Any, stream: Any) -> Any:
    added = output.add_stream_from_template(stream)
    added.metadata.update({k: v for k, v in stream.metadata.items() if not k.upper().startswith(_STALE)})
    added.disposition = stream.disposition
    return added
