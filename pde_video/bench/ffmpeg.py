"""Denoising filters and VMAF of the ffmpeg that comes with imageio-ffmpeg."""

import functools
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pde_video.filters.conversion import to_gray
from pde_video.protocols import Array

# Full-range luma and chroma of BT.601 (rows) from red, green and blue.
_YUV = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_OFFSET = np.array([0, 0.5, 0.5])


def said(*arguments: str, given: bytes | None = None, folder: str | None = None) -> bytes:
    """Return what ffmpeg writes to its output; raise RuntimeError if it fails."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-v", "error", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, cwd=folder, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip() or f"ffmpeg ended with {done.returncode}")
    return done.stdout


@functools.cache
def version() -> str:
    """Return the version of the binary."""
    found = re.match(r"ffmpeg version (\S+)", said("-version").decode())
    return found[1] if found else "unknown"


@functools.cache
def filters() -> frozenset[str]:
    """Return the names of the binary's filters."""
    return frozenset(re.findall(r"^ \S{2,3} (\w+) +\S+->\S+", said("-filters").decode(), re.MULTILINE))


def lacks(name: str) -> str | None:
    """Return why a filter cannot be used, or None."""
    try:
        return None if name in filters() else f"the bundled ffmpeg {version()} has no filter {name}"
    except (ImportError, OSError, RuntimeError) as fault:
        return f"there is no ffmpeg: {fault}"


@dataclass(frozen=True)
class Filter:
    """A filter of ffmpeg as ``(video, strength) -> video``; in `text`, {0} is the strength.

    Frames have `depth` bits and a format that ffmpeg need not convert: grey, or 4:2:0 with constant chroma for a filter
    without grey; 4:4:4 for colour.
    """

    name: str
    text: str
    depth: int
    gray: bool

    def __call__(self, video: Array, strength: float) -> Array:
        """Filter the clip in one run of ffmpeg."""
        dtype, full, tail = (np.dtype("u1"), 255, "") if self.depth == 8 else (np.dtype("<u2"), 65535, "16le")
        planes = [video] if video.ndim == 3 else list(np.moveaxis(video @ _YUV.T + _OFFSET, -1, 0))
        frames, height, width = planes[0].shape
        if len(planes) == 1 and not self.gray:
            planes += 2 * [np.full((frames, -(-height // 2), -(-width // 2)), 0.5)]
        layout = "yuv444p" if video.ndim == 4 else "gray" if self.gray else "yuv420p"
        raw = np.concatenate([plane.reshape(frames, -1) for plane in planes], axis=1)
        raw = np.rint(full * np.clip(raw, 0, 1)).astype(dtype)
        shape = ["-f", "rawvideo", "-pix_fmt", layout + tail]
        source, text = _source(layout + tail, height, width, "pipe:0"), self.text.format(f"{strength:.6g}")
        out = np.frombuffer(said(*source, "-vf", text, *shape, "pipe:1", given=raw.tobytes()), dtype)
        if out.size != raw.size:
            raise RuntimeError(f"{self.name} returned {out.size} values for {raw.size}")
        values = (out.reshape(raw.shape) / full).astype(np.float32)
        if video.ndim == 3:
            return values[:, : height * width].reshape(video.shape)
        yuv = np.moveaxis(values.reshape(frames, 3, height, width), 1, -1)
        return ((yuv - _OFFSET) @ np.linalg.inv(_YUV).T).astype(np.float32)


def _source(layout: str, height: int, width: int, name: str) -> list[str]:
    return ["-f", "rawvideo", "-pix_fmt", layout, "-s", f"{width}x{height}", "-r", "25", "-i", name]


def vmaf(clean: Array, other: Array) -> float:
    """Return the mean VMAF of the 8-bit luma, from 0 to 100."""
    with tempfile.TemporaryDirectory() as folder:
        sources: list[str] = []
        for name, video in (("other", other), ("clean", clean)):
            grey = np.rint(255 * np.clip(to_gray(video), 0, 1)).astype(np.uint8)
            Path(folder, name).write_bytes(grey.tobytes())
            sources += _source("gray", grey.shape[1], grey.shape[2], name)
        said(*sources, "-lavfi", "libvmaf=log_fmt=json:log_path=vmaf.json", "-f", "null", "-", folder=folder)
        return float(json.loads(Path(folder, "vmaf.json").read_text())["pooled_metrics"]["vmaf"]["mean"])
