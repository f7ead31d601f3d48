"""Colours: depth, range, matrix and chroma of a source stay, and its levels with them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

import pde_video as pv
from pde_video.video.yuv_planes import from_rgb, known_matrix, to_rgb

HEIGHT, WIDTH = 48, 64
LIMITED, FULL = 1, 2
PRIMARIES, TRANSFER = {1: 1, 5: 5, 6: 6, 9: 9}, {1: 1, 5: 6, 6: 6, 9: 14}
MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}  # As FFmpeg calls them.
NAMED = {
    1: ("bt709", "bt709"),
    5: ("bt470bg", "smpte170m"),
    6: ("smpte170m", "smpte170m"),
    9: ("bt2020", "bt2020-10"),
}


def depth(pixel: str) -> int:
    return 12 if "12" in pixel else 10 if "10" in pixel else 8


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    dtype = np.uint8 if depth(frame.format.name) == 8 else np.uint16
    return [np.frombuffer(p, dtype).reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes]


def levels(path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as container:
        return [planes(frame) for frame in container.decode(video=0)]


def make_yuv(path: Path, pixel: str, matrix: int = 1, ends: int = LIMITED, size: tuple[int, int] = (HEIGHT, WIDTH)):
    """Write FFV1 whose luma is noise and whose chroma is smooth, of colours that RGB has; return the levels."""
    rng, bits = np.random.default_rng(5), depth(pixel)
    top = 2**bits - 1
    dark, bright = (0, top) if ends == FULL else (16 << (bits - 8), 235 << (bits - 8))
    written = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, options={"level": "3", "slicecrc": "1"})
        stream.height, stream.width, stream.pix_fmt = *size, pixel
        context = stream.codec_context
        context.color_range, context.colorspace = ends, matrix
        context.color_primaries, context.color_trc = PRIMARIES[matrix], TRANSFER[matrix]
        for index in range(3):
            frame = av.VideoFrame(size[1], size[0], pixel)
            for number, plane in enumerate(frame.planes):
                row, column = np.mgrid[: plane.height, : plane.width]
                if number == 0:
                    values = dark + (bright - dark) * (0.3 + 0.4 * rng.random((plane.height, plane.width)))
                else:
                    values = 2 ** (bits - 1) + 0.08 * (bright - dark) * np.sin((row + column) / 9 + number + index)
                padded = np.zeros((plane.height, plane.line_size // (1 if bits == 8 else 2)), int)
                padded[:, : plane.width] = np.rint(values)
                plane.update(padded.astype(np.uint8 if bits == 8 else np.uint16).tobytes())
            frame.color_range, frame.colorspace, frame.pts = ends, matrix, index
            written.append(planes(frame))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written


def differences(source: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> int:
    assert len(source) == len(found)
    pairs = [pair for one, other in zip(source, found, strict=True) for pair in zip(one, other, strict=True)]
    assert all(a.shape == b.shape for a, b in pairs)
    return max(int(np.abs(a - b).max()) for a, b in pairs)


DEPTHS = [("out.mp4", 10), ("out.mov", 10), ("out.mkv", 10), ("out.mp4", 12), ("out.mkv", 12)]


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize(("name", "bits"), DEPTHS)
def test_10_12_16_bit(tmp_path, name, bits, chroma):
    pixel = f"yuv{chroma}p{bits}le"
    source = make_yuv(tmp_path / "in.mkv", pixel)
    video = pv.read(tmp_path / "in.mkv")
    assert (video.dtype, video.details["bits"]) == (np.uint16, bits)
    assert len(np.unique(np.stack(list(video)))) > 2**8  # It did not go through 8 bits.
    pv.run(tmp_path / "in.mkv", tmp_path / name, encoding={"crf": 0})
    out = pv.read(tmp_path / name)
    assert (out.details["pixel_format"], out.details["bits"]) == (pixel, bits)
    luma, original = (np.stack([frame[0] for frame in video]) for video in (levels(tmp_path / name), source))
    assert len(np.unique(luma)) > 2**8
    assert np.abs(luma - original).mean() < 2 ** (bits - 8)  # Of a codec that loses some: one level of 256.


def test_16_bit_goes_into_ffv1_alone(tmp_path):
    frames = np.random.default_rng(0).integers(0, 2**16, (3, HEIGHT, WIDTH, 3), dtype=np.uint16)
    pv.write(tmp_path / "in.mkv", frames)
    pv.run(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert np.array_equal(np.stack(list(pv.read(tmp_path / "out.mkv"))), frames)
    for name in ("out.mp4", "out.mov", "out.webm"):
        with pytest.raises(pv.ParameterError, match=r"\.mkv"):
            pv.run(tmp_path / "in.mkv", tmp_path / name)


@pytest.mark.parametrize(("chroma", "bits"), list(product(["420", "422", "444"], [8, 10])))
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("ends", [LIMITED, FULL], ids=["limited", "full"])
def test_full_limited_601_709(tmp_path, ends, matrix, chroma, bits):
    source = make_yuv(tmp_path / "in.mkv", f"yuv{chroma}p" + ("" if bits == 8 else "10le"), matrix, ends)
    pv.run(tmp_path / "in.mkv", tmp_path / "out.mkv", encoding={"codec": "h264", "crf": 0})
    details = pv.read(tmp_path / "out.mkv").details
    found = [details[name] for name in ("range", "matrix", "primaries", "transfer")]
    assert found == ["limited" if ends == LIMITED else "full", MATRICES[matrix], *NAMED[matrix]]
    assert chroma in details["pixel_format"]
    if bits == 8:  # A crf of 0 is lossless.
        assert differences(source, levels(tmp_path / "out.mkv")) <= 1


@pytest.mark.parametrize("pixel", [f"yuv{c}p{b}" for c in ("420", "422", "444") for b in ("", "10le", "12le")])
@pytest.mark.parametrize("ends", [LIMITED, FULL], ids=["limited", "full"])
def test_levels_come_back_from_rgb(tmp_path, ends, pixel):
    source = make_yuv(tmp_path / "in.mkv", pixel, 1, ends, size=(45, 61))
    with av.open(str(tmp_path / "in.mkv")) as container:
        frames = list(container.decode(video=0))
    back = [planes(from_rgb(to_rgb(frame, 1, ends == FULL), pixel, 1, ends == FULL)) for frame in frames]
    assert differences(source, back) <= 1


@pytest.mark.parametrize("matrix", [1, 4, 5, 7, 9])
@pytest.mark.parametrize("ends", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("pixel", ["yuv444p", "yuv444p10le", "yuv444p12le"])
def test_red_green_and_blue_are_those_of_the_standard(tmp_path, pixel, ends, matrix):
    bits, rng = depth(pixel), np.random.default_rng(0)
    top, unit = (255 if bits == 8 else 65535), 2 ** (bits - 8)
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel)
    dtype = np.uint8 if bits == 8 else np.uint16
    for plane, (low, high) in zip(frame.planes, [(80, 150), (118, 138), (118, 138)], strict=True):
        values = rng.integers(low * unit, high * unit, (HEIGHT, plane.line_size // (1 if bits == 8 else 2)))
        plane.update(values.astype(dtype).tobytes())
    y, cb, cr = (values.astype(float) for values in planes(frame))
    span, colours = (2**bits - 1, 2**bits - 1) if ends == FULL else (219 * unit, 224 * unit)
    y, cb, cr = (
        (y - (0 if ends == FULL else 16 * unit)) / span,
        (cb - 128 * unit) / colours,
        (cr - 128 * unit) / colours,
    )
    kr, kb = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}[matrix]
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    expected = np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], axis=-1) * top
    found = to_rgb(frame, matrix, ends == FULL)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= 0.51
    again = planes(from_rgb(np.rint(expected).astype(dtype), pixel, matrix, ends == FULL))
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(again, planes(frame), strict=True))


def test_a_matrix_that_is_not_told_is_that_of_the_size():
    assert [known_matrix(2, height) for height in (576, 719, 720, 1080)] == [5, 5, 1, 1]  # BT.601, BT.709.
    assert known_matrix(9, 576) == 9


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_the_shape_of_pixels_is_kept(tmp_path, name):
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame.reformat(format="yuv420p")), *stream.encode()])
    pv.run(tmp_path / "in.mkv", tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
