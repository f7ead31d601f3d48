"""Open untrusted containers: local files only, no playlists, bounded frame size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from pde_video.errors import InputError
from pde_video.video.source import MOST_PIXELS
from pde_video.video.untrusted import refuse_huge

# None of these opens another file unless told to. Playlists (HLS, DASH, concat) do, and are left out.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,asf,flv,mxf,ogg"
_ADDED = 2**16  # Pixels.


def opened(path: Path, most_pixels: int = MOST_PIXELS) -> Any:
    """Return an open container whose decoders refuse larger frames, or raise InputError."""
    # Decoders count their own padding, so their limit is looser; the size in the header is compared exactly.
    decoder = {"max_pixels": str(min(2 * most_pixels + _ADDED, 2**31 - 1))}
    closed = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, **decoder}
    try:
        # With the prefix, names such as `a:b` and `http://...` are those of local files.
        container: Any = av.open(f"file:{path}", options=closed)
    except (av.error.FFmpegError, ValueError) as fault:
        raise InputError(f"{path}: not a video that can be read ({reason(fault)})") from fault
    for stream in container.streams.video:
        if stream.codec_context is None:  # An unknown codec.
            continue
        stream.codec_context.options = decoder
        try:
            refuse_huge(path, (stream.height, stream.width), most_pixels)
        except InputError:
            container.close()
            raise
    return container


def reason(fault: Exception) -> str:
    """Return FFmpeg's description of an error."""
    return getattr(fault, "strerror", None) or str(fault)
