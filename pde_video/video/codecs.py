"""The choice of a codec, pixel format and options for frames in a container."""

import os
from dataclasses import dataclass, replace

import av
import numpy as np

from pde_video.errors import ParameterError
from pde_video.video.source import Target
from pde_video.video.yuv_planes import FULL, PACKED, UNKNOWN, known_matrix, tag_number

H264 = ("libx264", {"crf": "16", "preset": "medium"})
_HIGHEST_RATE = {".gif": 100, ".avi": 1000}  # Frames per second that the format's clock can count.
_ALSO_CALLED = {"h265": "hevc", "x265": "hevc", "libx265": "hevc", "x264": "h264", "libx264": "h264", "avc": "h264"}
_ANY = ("420", "422", "444")
_HEVC = {"preset": "medium", "x265-params": "log-level=none"}
# x264's AVX-512 code for the macroblock tree computes with memory that nothing was written to; the rest is as fast.
_UP_TO_AVX2 = {"x264-params": "asm=mmx2,sse,sse2,sse3,ssse3,sse4.1,sse4.2,lzcnt,avx,fma3,bmi1,bmi2,avx2"}
# Below this width, x265's AVX2 code for the macroblock tree writes behind the end of a row (seen up to 48).
_SAFE_WIDTH_OF_TREE = 64


@dataclass(frozen=True)
class Form:
    """How to encode frames: their layout, the codec, its pixel format and options, colour matrix and range."""

    layout: str
    codec: str
    pixel: str
    options: dict[str, str]
    matrix: int = 0
    full: bool = True

    @property
    def is_yuv(self) -> bool:
        """Whether colours are stored as luma and chroma."""
        return self.pixel.startswith("yuv")


@dataclass(frozen=True)
class _Codec:
    """FFmpeg's encoder, its options, chroma formats for each depth, and the default and highest crf of a lossy one."""

    encoder: str
    options: dict[str, str]
    chroma: dict[int, tuple[str, ...]]
    crf: int = 0
    highest: int = 0
    even: bool = False  # Whether subsampled sides must be even.
    least: int = 1  # Smallest side in pixels.


_CODECS = {
    "h264": _Codec(H264[0], {"preset": "medium"}, {8: _ANY, 10: _ANY}, int(H264[1]["crf"]), 51, even=True),
    "hevc": _Codec("libx265", _HEVC, {8: _ANY, 10: _ANY, 12: _ANY}, 16, 51, even=True, least=16),
    "vp9": _Codec("libvpx-vp9", {"b": "0", "row-mt": "1", "cpu-used": "4"}, {8: _ANY}, 20, 63),
    "av1": _Codec("libsvtav1", {"preset": "6"}, {8: ("420",), 10: ("420",)}, 20, 63, least=16),
    "ffv1": _Codec("ffv1", {"level": "3", "slicecrc": "1"}, {8: (), 10: (), 12: (), 16: ()}),
    "gif": _Codec("gif", {}, {8: ()}),
}
_HOLDS: dict[str, tuple[str, ...]] = {
    ".mp4": ("h264", "hevc", "vp9", "av1"),
    ".m4v": ("h264", "hevc", "vp9", "av1"),
    ".mov": ("h264", "hevc"),
    ".mkv": ("h264", "hevc", "vp9", "av1", "ffv1"),
    ".avi": ("ffv1",),
    ".webm": ("vp9", "av1"),
    ".gif": (),
}


def choose(target: Target) -> Form:
    """Return the best way to encode the frames in this container, or refuse them."""
    channels, dtype, suffix = target.channels, target.first.dtype, target.suffix
    target.check_frames(suffix, ("uint8", "uint16"), (1, 3))
    highest = _HIGHEST_RATE.get(suffix)
    if highest is not None and target.rate > highest:
        raise ParameterError(
            f"{suffix} holds at most {highest} frames per second; {float(target.rate):g} are asked for"
        )
    bits = _bits(target)
    codec = _codec(target, bits)
    known, layout = _CODECS[codec], PACKED[dtype.itemsize, channels]
    if known.encoder not in av.codecs_available:
        raise ParameterError(f"this build of FFmpeg cannot write {codec}; choose another codec")
    if codec == "gif":
        return Form(layout, known.encoder, "gray" if channels == 1 else "pal8", known.options)
    if codec == "ffv1":
        pixel = {"gray": "gray", "gray16le": "gray16le", "rgb24": "bgr0", "rgb48le": "gbrp16le"}[layout]
        slices = {"slices": "1"} if min(target.size) < 4 else {}  # Too small for four slices.
        return Form(layout, known.encoder, pixel, known.options | slices)
    if target.encoding.lossless:
        return _lossless(target, codec, layout)
    return _lossy(target, codec, layout, bits)


def _bits(target: Target) -> int:
    """Return how many bits to keep: from a source of 9 to 12 bits, no more than it has."""
    if target.first.dtype == np.uint8:
        return 8
    source = target.details.get("bits", 16)
    return 16 if source > 12 or target.channels == 1 else 10 if source <= 10 else 12


def _codec(target: Target, bits: int) -> str:
    """Return the codec that was asked for, or the container's default."""
    suffix, asked = target.suffix, target.encoding
    held = _HOLDS[suffix]
    if asked.codec is not None and asked.codec not in held:
        allowed = ", ".join(held) or "no choice of codec"
        where = ", ".join(ending for ending, codecs in _HOLDS.items() if asked.codec in codecs)
        remedy = f"; {asked.codec} goes into {where}" if where else ""
        if asked.codec in _ALSO_CALLED:
            remedy = f"; here it is called {_ALSO_CALLED[asked.codec]}"
        raise ParameterError(f"the codec is {asked.codec!r}; {suffix} holds {allowed}{remedy}")
    if asked.lossless and asked.crf is not None:
        raise ParameterError(f"crf is {asked.crf} although lossless is given; give one of them")
    choices = held or ("gif",)
    fitting = [one for one in choices if bits in _CODECS[one].chroma]
    codec = asked.codec or ("ffv1" if asked.lossless and "ffv1" in held else (fitting or choices)[0])
    _check_loss(target, codec, bits)
    return codec


def _check_loss(target: Target, codec: str, bits: int) -> None:
    suffix, asked, known = target.suffix, target.encoding, _CODECS[codec]
    wide = target.first.dtype == np.uint16
    if asked.lossless and codec != "ffv1" and (wide or codec not in ("h264", "vp9")):
        raise ParameterError(
            f"{codec} in {suffix} would not keep every value of {target.first.dtype}; "
            "write .mkv or .avi with FFV1, .tiff or .npy, which do"
        )
    if bits not in known.chroma:
        raise ParameterError(
            f"{codec} in {suffix} would not keep {bits} bits; write .mkv or .avi (lossless FFV1), .tiff or .npy, "
            "which do"
        )
    if asked.crf is not None:
        if not known.highest:
            raise ParameterError(f"crf is {asked.crf}; {codec} takes none: it is for h264, hevc, vp9 and av1")
        if not isinstance(asked.crf, int) or not 0 <= asked.crf <= known.highest:
            raise ParameterError(f"crf is {asked.crf}; {codec} takes whole numbers from 0 (best) to {known.highest}")


def _lossy(target: Target, codec: str, layout: str, bits: int) -> Form:
    known, (height, width) = _CODECS[codec], target.size
    if min(height, width) < known.least:
        raise ParameterError(f"frames are {height} × {width}; {codec} takes {known.least} × {known.least} or more")
    details = target.details
    chroma = next((one for one in _ANY if one in details.get("pixel_format", "")), "420")
    if known.even and (width % 2 or (height % 2 and chroma == "420")):
        chroma = "444"  # Planes of half the size need even sides.
    if chroma not in known.chroma[bits]:
        target.warn(f"{codec} keeps colours at half the resolution (4:2:0)")
        chroma = known.chroma[bits][0]
    crf = target.encoding.crf if target.encoding.crf is not None else known.crf
    if codec == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # Print errors only.
    pixel = f"yuv{chroma}p" + ("" if bits == 8 else f"{bits}le")
    full = target.channels == 1 or details.get("range") == FULL
    matrix = known_matrix(tag_number("matrix", details.get("matrix", UNKNOWN)), height)
    options = {"crf": str(crf), **known.options}
    if codec == "h264" and _has_avx512():
        options |= _UP_TO_AVX2
    if codec == "hevc" and width < _SAFE_WIDTH_OF_TREE:
        options["x265-params"] += ":cutree=0"
    return Form(layout, known.encoder, pixel, options, matrix, full)


def _has_avx512() -> bool:
    import llvmlite.binding as llvm  # The converter of colours has loaded it.

    return bool(llvm.get_host_cpu_features().get("avx512f"))


def _lossless(target: Target, codec: str, layout: str) -> Form:
    """Return a lossless form for uint8: colours as RGB, grey as luma of full range."""
    options = {"h264": {"qp": "0", "preset": "medium"}, "vp9": {"lossless": "1", "row-mt": "1", "cpu-used": "4"}}[codec]
    if target.channels == 3:
        encoder, pixel = {"h264": ("libx264rgb", "rgb24"), "vp9": ("libvpx-vp9", "gbrp")}[codec]
        return Form(layout, encoder, pixel, options)
    return replace(_lossy(target, codec, layout, 8), options=options)
