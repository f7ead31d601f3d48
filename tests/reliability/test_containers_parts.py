"""What goes with the video: sound that must be written anew, tags, and what is left of chapters and subtitles."""

from __future__ import annotations

import errno
import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest

import pde_video as pv
from pde_video.video.copying import _REFUSALS

HEIGHT, WIDTH, FRAMES = 48, 64, 50
WORDS = """1
00:00:00,000 --> 00:00:01,000
First

2
00:00:00,400 --> 00:00:00,700
Second

3
00:00:01,100 --> 00:00:01,900
Third

4
00:00:01,950 --> 00:00:01,990
Fourth
"""
ABOUT = """;FFMETADATA1
title=A title
artist=An artist
[CHAPTER]
TIMEBASE=1/1000
START=0
END=150
title=Before
[CHAPTER]
TIMEBASE=1/1000
START=150
END=700
title=One
[CHAPTER]
TIMEBASE=1/1000
START=700
END=1600
title=Two
[CHAPTER]
TIMEBASE=1/1000
START=1600
END=2000
title=After
"""


def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    (folder / "words.srt").write_text(WORDS)
    (folder / "about.txt").write_text(ABOUT)
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25"]
    sound = ["-f", "lavfi", "-i", "sine=440"]
    more = ["-i", folder / "words.srt", "-i", folder / "about.txt", "-map", 0, "-map", 1, "-map", 2, "-map_metadata", 3]
    codecs = ["-t", 2, "-c:v", "libx264", "-g", 12, "-pix_fmt", "yuv420p", "-c:a", "aac"]
    tags = ["-metadata:s:v", "language=deu", "-metadata:s:v", "title=Wide"]
    ffmpeg(*picture, *sound, *more, *codecs, *tags, "-c:s", "srt", folder / "clip.mkv")
    ffmpeg("-i", folder / "clip.mkv", "-c", "copy", "-c:s", "mov_text", folder / "clip.mp4")
    ffmpeg("-i", folder / "clip.mkv", "-map", "0:v", "-map", "0:a", "-c", "copy", folder / "clip.ts")
    return folder


def shown(path):
    """Subtitles that say something: text, from, to."""
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(container.streams.subtitles[0]):
            words = bytes(packet)[2:] if path.suffix == ".mp4" else bytes(packet)
            if words:
                start, end = packet.pts * packet.time_base, (packet.pts + packet.duration) * packet.time_base
                found.append((words.decode(), round(start, 3), round(end, 3)))
        return found


def chapters(path):
    with av.open(str(path)) as container:
        return [
            (one["metadata"]["title"], one["start"] * one["time_base"], one["end"] * one["time_base"])
            for one in container.chapters()
        ]


def heard(path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.mark.parametrize("reading", [{}, {"start": 0.4, "end": 1.2}, {"frames": (0, 1)}], ids=["all", "part", "one"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "avi"])
def test_sound_of_mpegts(folder, tmp_path, suffix, reading):
    out = tmp_path / f"out.{suffix}"
    report = pv.run(folder / "clip.ts", out, reading=reading)
    assert "not_copied" not in report
    assert sum(1 for _ in pv.read(out)) == report["frames"]
    with av.open(str(out)) as container:
        assert len(container.streams) == 2
        assert container.streams.audio[0].codec_context.extradata
    assert heard(out).shape[1] >= (0.7 * 44100 if report["frames"] > 1 else 1024)
    if suffix == "mkv" and not reading:
        assert np.array_equal(heard(out), heard(folder / "clip.ts"))


def test_sound_of_mpegts_that_is_not_within_the_part(folder, tmp_path):
    source = tmp_path / "in.ts"
    ffmpeg("-i", folder / "clip.ts", "-f", "lavfi", "-i", "sine", "-map", "0:v", "-map", "1:a", "-t", 2, "-c:v", "copy",
           "-c:a", "aac", "-af", "atrim=0:0.5", source)  # fmt: skip
    for name in ("out.mkv", "out.mp4", "out.avi"):
        assert pv.run(source, tmp_path / name, reading={"start": 1.2})["frames"] == FRAMES - 30


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_packets_that_a_container_does_not_take_do_not_end_the_run(folder, tmp_path, suffix):
    data = (folder / "clip.ts").read_bytes()
    (tmp_path / "twice.ts").write_bytes(data + data)  # Time jumps back: no container takes sound of the past.
    out = tmp_path / f"out.{suffix}"
    report = pv.run(tmp_path / "twice.ts", out)
    assert report["frames"] == sum(1 for _ in pv.read(out)) == 2 * FRAMES
    with av.open(str(tmp_path / "twice.ts")) as before, av.open(str(out)) as after:
        lost = sum(p.size > 0 for p in before.demux(audio=0)) - sum(p.size > 0 for p in after.demux(audio=0))
    (said,) = report["not_copied"]
    assert said.startswith("audio stream 1 (aac): ")
    assert 0 < lost == int(said.split()[4])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ENOMEM])
def test_a_full_disk_is_no_fault_of_a_packet(code):
    with pytest.raises(av.error.FFmpegError) as raised:
        av.error.err_check(-code)
    assert not isinstance(raised.value, _REFUSALS)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_part_has_its_part_of_subtitles_and_chapters(folder, tmp_path, suffix):
    source, out = folder / f"clip.{suffix}", tmp_path / f"out.{suffix}"
    begin, end = Fraction(1, 5), Fraction(8, 5)
    for reading in ({"start": begin, "end": end}, {"frames": (5, 40)}):
        report = pv.run(source, out, reading=reading, force=True)
        assert report["frames"] == 35
        assert not any("subtitle" in said for said in report.get("not_copied", []))
        moved = [("First", 0, 0.8), ("Second", 0.2, 0.5), ("Third", 0.9, 1.4)]
        if suffix == "mp4":  # It shows one at a time.
            moved[0] = ("First", 0, shown(source)[0][2] - begin)
        found = shown(out)
        assert [one[0] for one in found] == [one[0] for one in moved]
        assert np.allclose(
            np.array([one[1:] for one in found], float), np.array([m[1:] for m in moved], float), atol=2e-3
        )
        expected = [("One", 0, 0.5), ("Two", 0.5, 1.4)]
        assert [one[0] for one in chapters(out)] == [one[0] for one in expected]
        spans = [[float(one[1]), float(one[2])] for one in chapters(out)]
        assert np.allclose(spans, [one[1:] for one in expected], atol=2e-3)


def test_a_part_without_an_end_keeps_what_comes_after_its_start(folder, tmp_path):
    pv.run(folder / "clip.mkv", tmp_path / "out.mkv", reading={"start": 1})
    assert shown(tmp_path / "out.mkv") == [
        ("Third", Fraction(1, 10), Fraction(9, 10)),
        ("Fourth", Fraction(95, 100), Fraction(99, 100)),
    ]
    assert [one[0] for one in chapters(tmp_path / "out.mkv")] == ["Two", "After"]


@pytest.mark.parametrize("reading", [{}, {"frames": (5, 40)}], ids=["all", "part"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_tags_of_the_file_and_of_the_video(folder, tmp_path, suffix, reading):
    pv.run(folder / "clip.mkv", tmp_path / f"out.{suffix}", reading=reading)
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        said = {key.lower(): value for key, value in container.metadata.items()}
        assert (said["title"], said["artist"]) == ("A title", "An artist")
        assert container.streams.video[0].language in ("deu", "ger")
        if suffix == "mkv":
            assert container.streams.video[0].metadata["title"] == "Wide"
            (duration,) = [v for k, v in container.streams.video[0].metadata.items() if k.startswith("DURATION")]
            assert duration.startswith("00:00:02" if not reading else "00:00:01.4")


def test_a_timecode_is_that_of_the_whole_file(folder, tmp_path):
    ffmpeg("-i", folder / "clip.mkv", "-map", "0:v", "-c", "copy", "-timecode", "01:00:00:00", tmp_path / "in.mkv")
    report = pv.run(tmp_path / "in.mkv", tmp_path / "out.mkv", reading={"frames": (5, 9)})
    assert any("01:00:00:00: it is valid for the whole file only" in said for said in report["not_copied"])
    assert "not_copied" not in pv.run(tmp_path / "in.mkv", tmp_path / "whole.mkv")


def test_hdr_that_is_not_written_is_reported(folder, tmp_path):
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    ffmpeg("-i", folder / "clip.mkv", "-map", "0:v", "-frames:v", 3, "-c:v", "libx265", "-pix_fmt", "yuv420p10le",
           "-x265-params", f"log-level=none:{light}", tmp_path / "hdr.mp4")  # fmt: skip
    report = pv.run(tmp_path / "hdr.mp4", tmp_path / "out.mp4")
    assert report["not_copied"][:2] == [
        "side data: mastering display (HDR)",
        "side data: content light level (HDR)",
    ]


@pytest.mark.parametrize(("rate", "warned"), [(2000, True), (1000, False), (600, False)])
def test_matroska_does_not_tell_frames_of_one_millisecond_apart(tmp_path, rate, warned):
    report = {}
    pv.write(tmp_path / "v.mkv", np.zeros((8, 16, 16), np.uint8), rate=rate, report=report)
    assert any("milliseconds" in said for said in report.get("warnings", [])) == warned


@pytest.mark.parametrize(("asked", "called"), [("h265", "hevc"), ("x264", "h264")])
def test_other_names_of_a_codec_are_answered_with_its_own(tmp_path, asked, called):
    with pytest.raises(pv.ParameterError, match=f"called {called}"):
        pv.write(tmp_path / "v.mp4", np.zeros((2, 16, 16), np.uint8), codec=asked)
