"""Containers of whom nothing is known are opened closed: one local file, no playlist, no frame beyond a size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from pde_video.errors import InputError
from pde_video.video.caps import refuse_huge
from pde_video.video.source import MOST_PIXELS

# None of these refers to another file, or only if it is told to; playlists (HLS, DASH, concat) do nothing else.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,asf,flv,mxf,ogg"
_ADDED = 2**16  # Pixels.


def opened(path: Path, most_pixels: int = MOST_PIXELS) -> Any:
    """Return a container of those that are known, whose decoders refuse larger frames, or say why it is none."""
    # Decoders count what they add to frames for themselves; what the file says is held to the number exactly.
    decoder = {"max_pixels": str(min(2 * most_pixels + _ADDED, 2**31 - 1))}
    closed = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, **decoder}
    try:
        # The prefix keeps names such as `a:b` and `http://...` what they are: names of local files.
        container: Any = av.open(f"file:{path}", options=closed)
    except (av.error.FFmpegError, ValueError) as fault:
        raise InputError(f"{path}: not a video that can be read ({reason(fault)})") from fault
    for stream in container.streams.video:
        if stream.codec_context is None:  # A codec that nobody knows here.
            continue
        stream.codec_context.options = decoder
        try:
            refuse_huge(path, (stream.height, stream.width), most_pixels)
        except InputError:
            container.close()
            raise
    return container


def reason(fault: Exception) -> str:
    """Return what FFmpeg says is wrong."""
    return getattr(fault, "strerror", None) or str(fault)
