"""Files that are easy to read wrong: trimmed, turned, planar, marked, in pieces."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from functools import partial

import av
import imageio_ffmpeg
import numpy as np
import pytest
import tifffile
from PIL import Image

import pde_video as pv


def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def test_a_clip_trimmed_without_encoding_is_read_to_its_end(clips, tmp_path):
    trimmed = tmp_path / "trimmed.mp4"
    ffmpeg("-ss", "1.3", "-i", clips["carphone_pristine"], "-c", "copy", trimmed)
    whole = [frame for frame in pv.read(clips["carphone_pristine"])]
    frames = list(pv.read(trimmed))
    assert len(frames) == 81
    np.testing.assert_array_equal(frames[-1], whole[-1])


def test_a_clip_cut_off_behind_its_index_is_bad_input(clips, tmp_path):
    fast, cut = tmp_path / "fast.mp4", tmp_path / "cut.mp4"
    ffmpeg("-i", clips["carphone_pristine"], "-c", "copy", "-movflags", "faststart", fast)
    data = fast.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(pv.InputError, match=r"truncated|cannot be decoded"):
        list(pv.read(cut))


def test_the_grey_mark_is_not_believed_of_a_file_that_somebody_coloured(tmp_path):
    grey = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (3, 48, 1))
    pv.write(tmp_path / "grey.mp4", grey)
    assert pv.read(tmp_path / "grey.mp4").channels == 1
    ffmpeg("-i", tmp_path / "grey.mp4", "-vf", "pseudocolor=preset=turbo,format=yuv420p", tmp_path / "colour.mp4")
    video = pv.read(tmp_path / "colour.mp4")
    assert video.channels == 3
    assert np.ptp(next(iter(video)).astype(int), axis=-1).max() > 50
    ffmpeg("-i", tmp_path / "grey.mp4", "-pix_fmt", "yuv420p10le", tmp_path / "ten.mp4")
    ten = next(iter(pv.read(tmp_path / "ten.mp4")))
    assert ten.dtype == np.uint16
    assert np.abs(ten[..., 0] / 257 - grey[0]).mean() < 4


def test_colour_is_right_whatever_the_matrix(tmp_path):
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 32, 0), 16, 1)
    for name in ("bt709", "smpte170m", "bt2020nc"):
        pv.write(tmp_path / "rgb.avi", picture[None], force=True)
        path = tmp_path / f"{name}.mp4"
        scale = f"scale=out_color_matrix={name.removesuffix('nc')}:out_range=tv,format=yuv444p"
        ffmpeg("-i", tmp_path / "rgb.avi", "-vf", scale, "-colorspace", name, "-crf", 5, path)
        assert pv.read(path).details["matrix"] == name
        assert np.abs(next(iter(pv.read(path))).astype(int) - picture).max() <= 8
        pv.run(path, tmp_path / "again.mp4", force=True)
        assert (
            np.abs(next(iter(pv.read(tmp_path / "again.mp4")))[8:24, 6:10].astype(int) - picture[8:24, 6:10]).max() < 9
        )


def test_a_photograph_stands_upright(tmp_path):
    pixels = np.zeros((32, 40, 3), np.uint8)
    pixels[:8] = 255  # The top of the stored picture is the right side of the upright one.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    frame = next(iter(pv.read(tmp_path / "turned.jpg")))
    assert frame.shape == (40, 32, 3)
    assert frame[:, -6:].mean() > 245
    assert frame[:, :20].mean() < 10


def test_tiff_planes_and_directories_of_every_kind_are_read_right(tmp_path, rng):
    colour = rng.integers(0, 255, (4, 10, 12, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "planar.tif") as file:
        for frame in colour:
            file.write(np.moveaxis(frame, -1, 0), photometric="rgb", planarconfig="separate", metadata=None)
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "planar.tif"))), colour)
    stack = rng.integers(0, 60000, (5, 10, 12), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "one.tif", stack, photometric="minisblack", truncate=True)
    video = pv.read(tmp_path / "one.tif")
    assert (video.count, video.size, video.channels) == (5, (10, 12), 1)
    np.testing.assert_array_equal(np.stack(list(video)), stack)
    tifffile.imwrite(tmp_path / "imagej.tif", stack, imagej=True, metadata={"axes": "TYX"})
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "imagej.tif"))), stack)
    tifffile.imwrite(tmp_path / "big.tif", stack.astype(">u2"), byteorder=">", photometric="minisblack")
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "big.tif"))), stack)


def test_tiffs_of_more_axes_or_other_meaning_are_refused(tmp_path):
    stack = np.zeros((4, 2, 10, 12), np.uint16)
    tifffile.imwrite(tmp_path / "tc.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    with pytest.raises(pv.InputError, match="axes are TCYX"):
        pv.read(tmp_path / "tc.tif")
    tifffile.imwrite(tmp_path / "c.tif", stack[0], imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(pv.InputError, match="axes are CYX"):
        pv.read(tmp_path / "c.tif")
    tifffile.imwrite(tmp_path / "lab.tif", np.zeros((10, 12, 3), np.uint8), photometric="cielab")
    with pytest.raises(pv.InputError, match="CIELAB"):
        pv.read(tmp_path / "lab.tif")


def test_a_sequence_that_came_to_be_in_the_meantime_is_not_lost(tmp_path):
    def frames():
        yield np.zeros((4, 4), np.uint8)
        (tmp_path / "f_0009.png").write_bytes(b"mine")
        yield np.zeros((4, 4), np.uint8)

    with pytest.raises(FileExistsError):
        pv.write(tmp_path / "f_%04d.png", frames())
    assert [path.name for path in tmp_path.iterdir()] == ["f_0009.png"]


def test_a_forced_sequence_replaces_the_old_one_and_nothing_else(tmp_path, rng):
    old, new = rng.integers(0, 255, (5, 4, 4), dtype=np.uint8), rng.integers(0, 255, (2, 4, 4), dtype=np.uint8)
    pv.write(tmp_path / "f_%04d.png", old)
    (tmp_path / "f_7.png").write_bytes(b"mine")
    (tmp_path / "f_0001.txt").write_bytes(b"mine")
    pv.write(tmp_path / "f_%04d.png", new, force=True)
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "f_%04d.png"))), new)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f_0001.png", "f_0001.txt", "f_0002.png", "f_7.png"]


def test_sound_is_copied_or_reported(clips, tmp_path):
    short = tmp_path / "short.mp4"
    ffmpeg("-i", clips["bigbuckbunny"], "-t", "0.2", "-vf", "scale=64:36", "-c:a", "copy", short)
    report = pv.run(short, tmp_path / "out.mp4")
    assert "not_copied" not in report
    report = pv.run(short, tmp_path / "out.webm")
    assert "audio stream 1 (aac): webm cannot store it" in report["not_copied"]


def test_a_matroska_clock_of_milliseconds_keeps_the_exact_rate(tmp_path):
    video = np.zeros((40, 16, 16, 3), np.uint8)
    pv.write(tmp_path / "in.mkv", video, rate=Fraction(30000, 1001))
    pv.run(tmp_path / "in.mkv", tmp_path / "out.mp4")
    out = pv.read(tmp_path / "out.mp4")
    assert (out.rate, len(list(out))) == (Fraction(30000, 1001), 40)
    assert out.timestamps[-1] == 39 * Fraction(1001, 30000)


def test_frames_appended_to_a_clip_of_variable_rate_follow_at_its_rate(tmp_path):
    stamps = [Fraction(t, 1000) for t in (0, 40, 100, 400)]
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp in stamps:
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = int(stamp * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    pv.run(tmp_path / "in.mkv", tmp_path / "out.mp4", partial(pv.extrapolate, frames=2))
    out = pv.read(tmp_path / "out.mp4")
    assert len(list(out)) == 6
    assert out.timestamps[:4] == stamps
    steps = np.diff([float(t) for t in out.timestamps[3:]])
    np.testing.assert_allclose(steps, 1 / float(pv.read(tmp_path / "in.mkv").rate), atol=2e-3)
