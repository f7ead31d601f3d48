"""Containers that are whole are read to their end; what is truncated, wherever, is noticed."""

from __future__ import annotations

import gc
import io
import struct
import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.video.damage import cut_off

HEIGHT, WIDTH, FRAMES = 48, 64, 50


def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)


def count(path, **options):
    return sum(1 for _ in pv.read(path, **options))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """H.264 with B-frames and AAC: the sound's first packet comes before the first frame."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    source = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25", "-f", "lavfi", "-i", "sine=440"]
    ffmpeg(*source, "-t", 2, "-c:v", "libx264", "-bf", 3, "-g", 12, "-pix_fmt", "yuv420p", "-c:a", "aac", path)
    return path


def test_avi_with_sound_is_read_back(clip, tmp_path):
    out = tmp_path / "own.avi"
    assert pv.run(clip, out, encoding={"lossless": True})["frames"] == FRAMES
    video = pv.read(out)
    assert video.count == FRAMES
    assert np.array_equal(np.stack(list(video)), np.stack(list(pv.read(clip))))
    assert video.timestamps == [Fraction(index, 25) for index in range(FRAMES)]


@pytest.mark.parametrize("codecs", [["-c:v", "mpeg4", "-c:a", "libmp3lame"], ["-c", "copy"]], ids=["encoded", "copied"])
def test_avi_with_empty_ticks_is_whole(clip, tmp_path, codecs):
    ffmpeg("-i", clip, *codecs, tmp_path / "v.avi")
    with av.open(str(tmp_path / "v.avi")) as container:
        assert container.streams.video[0].frames > FRAMES  # It counts the empty ones.
    assert count(tmp_path / "v.avi") == pv.read(tmp_path / "v.avi").count == FRAMES


def test_avi_that_lost_a_frame_in_its_middle(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (8, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / "v.avi"
    pv.write(path, frames)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        position = [packet.pos for packet in container.demux(video=0) if packet.size][4]
    path.write_bytes(data[:position] + b"JUNK" + data[position + 4 :])
    with pytest.raises(pv.InputError, match=r"declares 8 frames, but contains 7|cannot be decoded|damaged"):
        count(path)


@pytest.mark.parametrize("part", [0.5, 0.96, *slow(0.9, 0.93, 0.98, 0.995)])
@pytest.mark.parametrize("kind", ["v.mkv", "v.webm", "v.avi", "fragmented.mp4"])
def test_cut_anywhere(clip, tmp_path, kind, part):
    whole, cut = tmp_path / kind, tmp_path / f"cut_{kind}"
    if kind == "fragmented.mp4":
        ffmpeg("-i", clip, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", whole)
    else:
        pv.run(clip, whole)
    assert count(whole) == FRAMES
    data = whole.read_bytes()
    cut.write_bytes(data[: int(part * len(data))])
    with pytest.raises(pv.InputError, match="truncated"):
        count(cut)
    kept = pv.read(cut, keep_partial=True)
    assert 0 < sum(1 for _ in kept) <= FRAMES
    assert str(cut) in kept.lost


def test_the_beginning_of_a_file_that_is_cut_off_can_be_read(clip, tmp_path):
    pv.run(clip, tmp_path / "v.mkv")
    data = (tmp_path / "v.mkv").read_bytes()
    (tmp_path / "v.mkv").write_bytes(data[: len(data) // 2])
    assert count(tmp_path / "v.mkv", frames=(0, 5)) == 5


def test_matroska_that_was_written_live_says_no_size(clip, tmp_path):
    live = io.BytesIO()
    live.seekable = lambda: False
    with av.open(str(clip)) as source, av.open(live, "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    (tmp_path / "live.mkv").write_bytes(live.getvalue())
    assert count(tmp_path / "live.mkv") == FRAMES


def box(kind, payload=b"", length=None):
    return struct.pack(">I4s", 8 + len(payload) if length is None else length, kind) + payload


@pytest.mark.parametrize(
    ("data", "lacks"),
    [
        (box(b"ftyp") + box(b"mdat", b"12345"), False),
        (box(b"ftyp") + box(b"mdat", b"12345", length=14), True),
        (box(b"ftyp") + box(b"mdat", b"12345", length=0), False),  # To the end of the file.
        (box(b"ftyp") + box(b"mdat", bytes(8), length=1), False),  # No length that a box can have.
        (box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 20) + b"1234", False),
        (box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 21) + b"1234", True),
        (box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1) + b"1234", True),
        (box(b"ftyp") + box(b"mdat") + bytes(4), False),
        (box(b"ftyp") + box(b"mdat") + b"\0\0\1\0mo", True),
        (box(b"ftyp") + box(b"mdat") + b"what somebody appended", False),
        (b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x83123", False),
        (b"\x1aE\xdf\xa3\x82ab" + b"\x18S\x80g\x83123", False),
        (b"\x1aE\xdf\xa3\x82ab" + b"\xec\x81v" + b"\x18S\x80g\x40\x0312", True),
        (b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\xff12", False),
        (b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x01" + 7 * b"\xff", False),
        (b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x01" + 6 * b"\xff" + b"\xfe", True),
        (b"\x1aE\xdf\xa3", False),
        (b"RIFF\x0c\0\0\0AVI 12345678" + b"RIFF\x0c\0\0\0AVIX12345678", False),
        (b"RIFF\x14\0\0\0AVI 12345678", False),  # Its writer counted the header, too.
        (b"RIFF\x0c\0\0\0AVI 12345678" + b"RIFF\x15\0\0\0AVIX12345678", True),
        (b"RIFF\0\0\0\0AVI 12345678", False),
        (b"GIF89a", False),
        (b"", False),
    ],
)
def test_sizes_that_a_file_declares(tmp_path, data, lacks):
    (tmp_path / "file").write_bytes(data)
    assert (cut_off(tmp_path / "file") is not None) == lacks


def test_a_gif_is_judged_by_its_end(tmp_path):
    pv.write(tmp_path / "v.gif", np.zeros((2, 8, 8, 3), np.uint8))
    data = (tmp_path / "v.gif").read_bytes()
    (tmp_path / "v.gif").write_bytes(data + bytes(100))
    assert count(tmp_path / "v.gif") == 2
    (tmp_path / "v.gif").write_bytes(data[:-1])
    with pytest.raises(pv.InputError, match="truncated"):
        pv.read(tmp_path / "v.gif")


def test_a_matroska_header_that_claims_exabytes_is_cut_off(tmp_path):
    path = tmp_path / "v.mkv"
    path.write_bytes(b"\x1aE\xdf\xa3" + b"\x01" + b"\x7f" + b"\xff" * 6 + bytes(40))
    assert "truncated" in cut_off(path)


def test_frames_are_freed_as_soon_as_they_are_dropped(clip):
    # What only the garbage collector frees adds up to hundreds of megabytes at 1080p.
    list(pv.read(clip, frames=(0, 2)))
    gc.collect()
    gc.disable()
    try:
        assert count(clip) == FRAMES
        assert gc.collect() < FRAMES
    finally:
        gc.enable()
