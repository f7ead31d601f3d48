"""The cases of containers: what is broken is named, what is unusual is kept."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matroska
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import pde_video as pv
from pde_video.video.containers import _check_declared, _decode

HEIGHT, WIDTH, FRAMES = 48, 64, 12
LOSSLESS = {"level": "3", "slicecrc": "1"}


def noise(frames: int = FRAMES, shape: tuple[int, ...] = (HEIGHT, WIDTH, 3)) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (frames, *shape), dtype=np.uint8)


def make(
    path: Path,
    frames: np.ndarray,
    codec: str = "ffv1",
    pixel: str = "bgr0",
    rate: Fraction | int = 25,
    times: Sequence[Fraction] | None = None,
    base: Fraction | None = None,
    rotation: int | None = None,
    options: dict[str, str] | None = None,
    more: Any = None,
) -> Path:
    """Write a clip straight through PyAV; `more(container)` adds streams and gives what is to be muxed at the end."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=LOSSLESS if codec == "ffv1" else options or {})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel
        base = base or 1 / Fraction(rate)
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        finish = more(container) if more else None
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel)
            frame.pts = round((times[index] if times else index / Fraction(rate)) / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if finish:
            finish()
    return path


def second_video(container: Any) -> Any:
    other = container.add_stream("ffv1", rate=25, options=LOSSLESS)
    other.height, other.width, other.pix_fmt = 20, 30, "bgr0"

    def finish() -> None:
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((20, 30, 3), 90, np.uint8), format="rgb24")
            frame = frame.reformat(format="bgr0")
            frame.pts = index
            container.mux(other.encode(frame))
        container.mux(other.encode())

    return finish


def packet_positions(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def load(path: Path, **options: Any) -> np.ndarray:
    return np.stack(list(pv.read(path, **options)))


def test_audio_only(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(pv.InputError, match="no video stream"):
        pv.read(tmp_path / "a.mp4")


def test_several_video_streams(tmp_path):
    path = make(tmp_path / "two.mkv", noise(), more=second_video)
    assert pv.read(path).size == (HEIGHT, WIDTH)
    assert pv.read(path).details["video_streams"] == 2
    assert np.array_equal(load(path, stream=1), np.full((3, 20, 30, 3), 90))
    with pytest.raises(pv.InputError, match=r"stream 2 .* has 2"):
        pv.read(path, stream=2)
    report = pv.run(path, tmp_path / "out.mkv", reading={"stream": 1}, encoding={"lossless": True})
    assert "2 video streams; this is number 1" in report["warnings"][0]
    assert report["not_copied"] == ["video stream 0 (ffv1): only one video stream is written"]
    assert load(tmp_path / "out.mkv").shape == (3, 20, 30, 3)


def test_avi_cut_mid_frame(tmp_path):
    frames = noise()
    path = make(tmp_path / "v.avi", frames)
    position, size = packet_positions(path)[7]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    with pytest.raises(pv.InputError):
        load(path)
    kept = pv.read(path, keep_partial=True)
    assert np.array_equal(np.stack(list(kept)), frames[:7])
    assert str(path) in kept.lost
    assert pv.run(path, tmp_path / "out.avi", reading={"keep_partial": True})["lost"]


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4"])
def test_cut_on_a_packet_boundary(tmp_path, suffix):
    codec, pixel = ("libx264", "yuv444p") if suffix == "mp4" else ("ffv1", "bgr0")
    path = make(tmp_path / f"v.{suffix}", noise(), codec, pixel, options={"movflags": "faststart"})
    if suffix == "mp4":  # The index must come first for anything to be left of it.
        fast = tmp_path / "fast.mp4"
        with av.open(str(path)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        path = fast
    position, size = packet_positions(path)[7]
    path.write_bytes(path.read_bytes()[: position + (0 if suffix == "mkv" else size)])
    with pytest.raises(pv.InputError, match=r"declares|cannot be decoded|damaged"):
        load(path)


def test_frames_that_are_declared_and_not_there_are_missed_from_the_first_on(tmp_path):
    _check_declared(tmp_path, 5, 5)
    with pytest.raises(pv.InputError, match="declares 5 frames, but contains 4"):
        _check_declared(tmp_path, 5, 4)


def test_an_end_that_is_declared_and_not_reached_is_missed_from_two_frames_on(tmp_path):
    video = pv.read(make(tmp_path / "v.mkv", noise(10)))  # At 25 frames a second, so the last begins at 9/25.
    assert len(list(_decode(video, Fraction(11, 25)))) == 10
    with pytest.raises(pv.InputError, match="last frame that could be decoded is at"):
        list(_decode(video, Fraction(11, 25) + Fraction(1, 100)))


def test_mp4_without_moov(tmp_path):
    path = make(tmp_path / "v.mp4", noise(), "libx264", "yuv420p")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    begun = time.monotonic()
    with pytest.raises(pv.InputError, match=str(path)):
        pv.read(path)
    assert time.monotonic() - begun < 10  # It is not searched for by decoding.


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("where", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_bit_flips_and_ffv1_crc_mismatch(tmp_path, suffix, where, bit):
    path = make(tmp_path / f"v.{suffix}", noise())
    position, size = packet_positions(path)[5]
    data = bytearray(path.read_bytes())
    data[position + (8 if suffix == "avi" else 12) + int(where * (size - 20))] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(pv.InputError, match=r"frame 5 .*(checksum|decoded)"):
        load(path)


def test_ffv1_without_checksums_is_read(tmp_path):
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25, options={"level": "3", "slicecrc": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        for pixels in noise(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    assert np.array_equal(load(tmp_path / "v.mkv"), noise(3))


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.mov", "out.webm"])
@pytest.mark.parametrize("first", [Fraction(0), Fraction(2, 5)])
def test_variable_frame_rate(tmp_path, first, target):
    times = [first + Fraction(t, 1000) for t in (0, 41, 100, 133, 300, 341, 702, 703, 800, 1900, 1901, 2500)]
    path = make(tmp_path / "v.mkv", noise(), times=times, base=Fraction(1, 1000))
    report = pv.run(path, tmp_path / target)
    out = pv.read(tmp_path / target)
    assert report["frames"] == sum(1 for _ in out) == FRAMES
    assert out.timestamps == times


def test_a_format_without_timestamps_says_that_they_are_lost(tmp_path):
    times = [Fraction(t, 1000) for t in (0, 41, 100, 133, 300, 341, 702, 703, 800, 1900, 1901, 2500)]
    path = make(tmp_path / "v.mkv", noise(), times=times, base=Fraction(1, 1000))
    assert any("no timestamps" in one for one in pv.run(path, tmp_path / "out.avi")["warnings"])
    make(tmp_path / "even.mkv", noise())
    assert "warnings" not in pv.run(tmp_path / "even.mkv", tmp_path / "even.avi")


@pytest.mark.parametrize("rate", [Fraction(1000), Fraction(1, 60), Fraction(24000, 1001)], ids=["1000", "1-60", "film"])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_1000_fps_1_60_fps_24000_1001(tmp_path, rate, suffix):
    path, out = tmp_path / f"v.{suffix}", tmp_path / f"out.{suffix}"
    pv.write(path, noise(), rate=rate)
    assert pv.run(path, out)["frames"] == FRAMES
    video = pv.read(out)
    assert sum(1 for _ in video) == FRAMES
    assert video.rate == rate
    tick = Fraction(1, 2000) if suffix == "mkv" else 0  # Matroska counts milliseconds.
    assert all(abs(time - index / rate) <= tick for index, time in enumerate(video.timestamps))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_side_data_of_a_kind_that_pyav_does_not_know(tmp_path, orientation):
    picture, memory = Image.linear_gradient("L").resize((64, 48)), io.BytesIO()  # Dark above, bright below.
    picture.paste(0, (0, 0, 32, 48))
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(memory, "JPEG", exif=exif, quality=95)
    path = matroska.write(tmp_path / "v.mkv", picture=memory.getvalue())
    video = pv.read(path)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(memory))).astype(int)
    assert (*video.size,) == upright.shape
    assert np.abs(next(iter(video)) - upright).max() <= 2
    report = pv.run(path, tmp_path / "out.mp4")
    assert "side data: of a kind that PyAV does not know" in report["not_copied"]


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_rotated_90(tmp_path, suffix, rotation):
    frames = noise(3)
    path = make(tmp_path / f"v.{suffix}", frames, "libx264rgb", "rgb24", rotation=rotation, options={"qp": "0"})
    upright = np.rot90(frames, rotation // 90, axes=(1, 2))
    video = pv.read(path)
    assert video.size == upright.shape[1:3]
    assert np.array_equal(np.stack(list(video)), upright)
    pv.run(path, tmp_path / f"out.{suffix}", encoding={"lossless": True})
    assert np.array_equal(load(tmp_path / f"out.{suffix}"), upright)
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize(("across", "along"), [(True, False), (False, True)])
@pytest.mark.parametrize("rotation", [0, 90])
def test_mirrored(tmp_path, rotation, across, along):
    frames = noise(2)
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "rgb24"
        stream.set_display_rotation(rotation, hflip=across, vflip=along)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    expected = np.rot90(frames, rotation // 90, axes=(1, 2))
    expected = expected[:, :: -1 if along else 1, :: -1 if across else 1]
    assert np.array_equal(load(tmp_path / "v.mp4"), expected)


@pytest.mark.parametrize("size", [(45, 61), (1, 1), (1, 7), (7, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "gif"])
def test_odd_size_1x1_1xn(tmp_path, suffix, size):
    for name, frames in {"colour": noise(3, (*size, 3)), "grey": noise(3, size)}.items():
        path, out = tmp_path / f"{name}.{suffix}", tmp_path / f"{name}_out.{suffix}"
        assert pv.write(path, frames) == 3
        assert pv.run(path, out)["frames"] == 3
        assert load(out).shape[:3] == (3, *size)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "gif"])
def test_one_frame(tmp_path, suffix):
    assert pv.write(tmp_path / f"v.{suffix}", noise(1)) == 1
    assert pv.run(tmp_path / f"v.{suffix}", tmp_path / f"out.{suffix}")["frames"] == 1
    assert len(load(tmp_path / f"out.{suffix}")) == 1


def test_size_change_mid_stream(tmp_path):
    encoders = []
    for height in (HEIGHT, 2 * HEIGHT):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = height, WIDTH, "yuvj420p", Fraction(1, 25)
        encoders.append(encoder)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuvj420p"
        for index in range(6):
            encoder = encoders[index >= 4]
            pixels = np.full((encoder.height, WIDTH, 3), 99, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p")
            frame.pts = index
            for packet in encoder.encode(frame):
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                container.mux(packet)
    with pytest.raises(pv.InputError, match=f"frame 4 is {2 * HEIGHT} × {WIDTH}"):
        load(tmp_path / "v.mkv")


def test_alpha(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (3, HEIGHT, WIDTH, 4), dtype=np.uint8)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgra"
        for one in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="rgba").reformat(format="bgra")))
        container.mux(stream.encode())
    assert np.array_equal(load(tmp_path / "v.mkv"), pixels)
    with pytest.raises(pv.ParameterError, match=r"4.*\.tiff"):
        pv.run(tmp_path / "v.mkv", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_palette_and_gif(tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (200, 3), dtype=np.uint8)
    frames = colours[np.random.default_rng(3).integers(0, 200, (4, HEIGHT, WIDTH))]
    pv.write(tmp_path / "v.gif", frames, rate=10)
    video = pv.read(tmp_path / "v.gif")
    assert (video.channels, video.dtype, video.rate) == (3, np.uint8, 10)
    assert np.array_equal(np.stack(list(video)), frames)
    pv.run(tmp_path / "v.gif", tmp_path / "out.gif")
    assert np.array_equal(load(tmp_path / "out.gif"), frames)


def test_interlaced(tmp_path):
    path = make(tmp_path / "v.mp4", noise(), "libx264", "yuv420p", options={"x264-params": "tff=1"})
    assert "interlaced" in pv.read(path).details["warnings"][0]
    assert "interlaced" in pv.run(path, tmp_path / "out.mp4")["warnings"][0]


def test_a_colour_profile_with_a_name_does_no_harm(tmp_path):
    """PyAV frees the name of an ICC profile, which FFmpeg frees again: the whole program ended."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with av.open(tmp_path / "in.mov", "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 32, 24, "rgb24", Fraction(1, 25)
        for k in range(3):
            picture = io.BytesIO()
            Image.new("RGB", (32, 24), (40 * k, 9, 9)).save(picture, "png", icc_profile=profile)
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, k, k, True
            packet.time_base = stream.time_base
            container.mux(packet)
    code = "import gc, sys, pde_video as pv; print([f[0, 0].tolist() for f in pv.read(sys.argv[1])]); gc.collect()"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "in.mov")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{[[40 * k, 9, 9] for k in range(3)]}\n"), done.stderr
