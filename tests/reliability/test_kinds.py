"""Files of many kinds, each made by the library that people make them with, and not by this one: all is read right."""

from __future__ import annotations

from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image

import pde_video as pv
from pde_video.jobs.again import verify

FRAMES, HEIGHT, WIDTH = 5, 32, 48
RATE = Fraction(30000, 1001)


def scene(dtype="uint8", channels=3):
    """Return a smooth moving scene (T, H, W) or (T, H, W, C) that lossy codecs keep well."""
    t, y, x = np.mgrid[:FRAMES, :HEIGHT, :WIDTH]
    waves = [0.5 + 0.4 * np.sin((x + 2 * t) / 6 + k) * np.cos(y / 7 - k) for k in range(channels)]
    video = np.stack(waves, axis=-1) if channels > 1 else waves[0]
    return (video * np.iinfo(dtype).max).round().astype(dtype) if np.dtype(dtype).kind == "u" else video.astype(dtype)


def container(codec, pixel, layout, **options):
    def make(path, frames):
        with av.open(str(path), "w") as file:
            stream = file.add_stream(codec, rate=RATE, options=options)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixel
            stream.codec_context.color_range = 1
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=layout)))
            file.mux(stream.encode())

    return make


def pillow(**options):
    def make(path, frames):
        first, *others = [Image.fromarray(frame) for frame in frames]
        first.save(path, save_all=len(others) > 0, append_images=others, **options) if others else first.save(path)

    return make


def stack(**options):
    return lambda path, frames: tifffile.imwrite(path, frames, **options)


def sequence(path, frames):
    for index, frame in enumerate(frames):
        iio.imwrite(str(path) % (7 + index), frame)


def y4m(path, frames):
    header = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30000:1001 Cmono\n".encode()
    path.write_bytes(header + b"".join(b"FRAME\n" + frame.tobytes() for frame in frames))


def zarr_array(path, frames):
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    zarr.create_array(str(path), data=frames, chunks=(2, 20, 20, *frames.shape[3:]))


RGB, GREY, DEEP, FLOAT = scene(), scene(channels=1), scene("uint16", 1), scene("float32", 1)
LOSSLESS, LOSSY = 0, 4  # Mean difference of the first frame at most, in levels; a shift by a pixel makes 6.9.
# File name: what makes it, the frames, and how far the first may be off.
KINDS = {
    "h264.mp4": (container("libx264", "yuv420p", "rgb24", crf="10"), RGB, LOSSY),
    "h264.mov": (container("libx264", "yuv444p", "rgb24", crf="10"), RGB, LOSSY),
    "rgb.mp4": (container("libx264rgb", "rgb24", "rgb24", qp="0"), RGB, LOSSLESS),
    "vp9.webm": (container("libvpx-vp9", "yuv420p", "rgb24", crf="10", b="0"), RGB, LOSSY),
    "mpeg4.avi": (container("mpeg4", "yuv420p", "rgb24", b="4000000"), RGB, LOSSY),
    "mjpeg.avi": (container("mjpeg", "yuvj420p", "rgb24", q="2"), RGB, LOSSY),
    "ffv1.mkv": (container("ffv1", "bgr0", "rgb24"), RGB, LOSSLESS),
    "ffv1.avi": (container("ffv1", "gray", "gray"), GREY, LOSSLESS),
    "deep.mkv": (container("ffv1", "gray16le", "gray16le"), DEEP, LOSSLESS),
    "png.mov": (container("png", "rgb24", "rgb24"), RGB, LOSSLESS),
    "mpeg2.ts": (container("mpeg2video", "yuv420p", "rgb24", b="4000000"), RGB, LOSSY),
    "mpeg2.mpg": (container("mpeg2video", "yuv420p", "rgb24", b="4000000"), RGB, LOSSY),
    "wmv2.wmv": (container("wmv2", "yuv420p", "rgb24", b="4000000"), RGB, LOSSY),
    "flv1.flv": (container("flv1", "yuv420p", "rgb24", b="4000000"), RGB, LOSSY),
    "grey.gif": (pillow(duration=40), GREY, LOSSLESS),
    "still.png": (pillow(), RGB[:1], LOSSLESS),
    "still.jpg": (pillow(), RGB[:1], LOSSY),
    "frame_%03d.png": (sequence, DEEP, LOSSLESS),
    "imagej.tif": (stack(imagej=True, metadata={"axes": "TYX", "finterval": 0.5}), DEEP, LOSSLESS),
    "ome.ome.tif": (stack(metadata={"axes": "TYX"}), DEEP, LOSSLESS),
    "tiled.tif": (stack(tile=(16, 16), photometric="rgb"), RGB, LOSSLESS),
    "deflated.tif": (stack(compression="zlib"), FLOAT, LOSSLESS),
    "big.tif": (stack(bigtiff=True, byteorder=">"), DEEP, LOSSLESS),
    "stack.npy": (np.save, FLOAT, LOSSLESS),
    "columns.npy": (lambda path, frames: np.save(path, np.asfortranarray(frames)), FLOAT, LOSSLESS),
    "chunks.zarr": (zarr_array, RGB, LOSSLESS),
    "grey.y4m": (y4m, GREY, LOSSLESS),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_by_another_library(tmp_path, name):
    make, frames, off = KINDS[name]
    path = tmp_path / name
    make(path, frames)
    video = pv.read(path)
    read = np.stack(list(video))
    if name.endswith(".gif"):  # Always RGB.
        frames = np.repeat(frames[..., np.newaxis], 3, axis=-1)
    assert (read.shape, read.dtype) == (frames.shape, frames.dtype)
    assert np.abs(read[0].astype(float) - frames[0]).mean() <= off
    assert video.count in (None, len(frames))
    if name.endswith((".mp4", ".mov", ".mkv", ".y4m")):
        assert video.rate == RATE
    assert verify(path)["frames"] == len(frames)
