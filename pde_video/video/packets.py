"""Packets of containers, checked before they are decoded: what FFmpeg would decompress or decode whatever its size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av

from pde_video.errors import InputError
from pde_video.video.damage import count_slices
from pde_video.video.picture_parts import has_texts, jpeg_size, without_texts
from pde_video.video.untrusted import most_bytes

_OF_A_SLICE = 3 * 2**20  # Bytes that the decoder of FFV1 keeps for a slice, at most.
_Check = Callable[[Any, Path, int], Any]


def checked(stream: Any, path: Path, most_pixels: int) -> Iterator[Any]:
    """Yield the packets of a stream; raise InputError before one that would take too much time or memory to decode."""
    check = _CHECKS.get(stream.codec_context.name, _unchanged)
    for packet in _read_whole(stream):
        yield check(packet, path, most_pixels) if packet.size else packet


def _read_whole(stream: Any) -> Iterator[Any]:
    """Yield the packets of a stream, but not the last one before the disk fails.

    FFmpeg returns as much of that as was read, and several decoders (GIF, MJPEG) do not notice.
    """
    last: list[Any] = []
    try:
        for packet in stream.container.demux(stream):
            yield from last
            last = [packet]
    except av.error.InvalidDataError:  # Of what was read.
        yield from last
        raise
    yield from last


def _unchanged(packet: Any, path: Path, most_pixels: int) -> Any:
    return packet


def _png(packet: Any, path: Path, most_pixels: int) -> Any:
    """Return a packet without texts and colour profile."""
    data = bytes(packet)
    if not has_texts(data):
        return packet
    bare = av.Packet(without_texts(data))
    for name in ("stream", "time_base", "pts", "dts", "duration", "is_keyframe"):
        setattr(bare, name, getattr(packet, name))
    return bare


def _jpeg(packet: Any, path: Path, most_pixels: int) -> Any:
    """Refuse far too many scans; interlaced video has two pictures in a packet."""
    try:
        jpeg_size(bytes(packet), to_the_end=True)
    except ValueError as fault:
        raise InputError(f"{path}: a frame cannot be read: {fault}") from None
    return packet


def _ffv1(packet: Any, path: Path, most_pixels: int) -> Any:
    """Refuse far too many slices."""
    if packet.stream.codec_context.extradata:  # Else a version that has one slice.
        slices, stored = count_slices(bytes(packet)), path.stat().st_size
        if slices * _OF_A_SLICE > most_bytes(stored, most_pixels):
            raise InputError(
                f"{path}: a frame of {slices} slices in a file of {stored} bytes, which may take "
                f"{slices * _OF_A_SLICE} bytes to decode; if you trust the file, pass a larger max_pixels"
            )
    return packet


_CHECKS: dict[str, _Check] = {"png": _png, "apng": _png, "mjpeg": _jpeg, "ffv1": _ffv1}
