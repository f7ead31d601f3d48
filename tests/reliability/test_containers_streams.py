"""Streams, chapters and attachments that cannot be copied are named, and never end a run."""

from __future__ import annotations

import av
import numpy as np
import pytest
from matroska import attachment, block, chapter, element, number, track, write

import pde_video as pv

FRAMES = 5
PART = {"frames": (1, 4)}
LATE = 2**63 - 1
LINE = b"Hello"
STEREO = element("E1", number("9F", 2), number("6264", 16))


def copied(path):
    """Return the packets of sound and subtitles, and the chapters."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
        packets = [p for p in container.demux(streams) if p.size] if streams else []
        spans = [(one["start"], one["end"]) for one in container.chapters()]
        return [(bytes(p), p.pts, p.duration) for p in packets], spans


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm", "avi"])
@pytest.mark.parametrize(
    ("kind", "codec"),
    [(17, b"S_TEXT/WEBVTT"), (17, b"S_TEXT/USF"), (17, b"S_XYZ"), (2, b"A_XYZ"), (1, b"V_XYZ"), (18, b"B_VOBBTN")],
)
def test_a_stream_of_an_unknown_codec_is_named_and_left_out(tmp_path, kind, codec, suffix):
    path = write(tmp_path / "in.mkv", track(2, kind, codec), block(2, 0, LINE, 80))
    for reading in ({}, PART):
        report = pv.run(path, tmp_path / f"out.{suffix}", reading=reading, force=True)
        assert report["frames"] == len(list(pv.read(tmp_path / f"out.{suffix}"))) == (3 if reading else FRAMES)
        if kind != 18:  # FFmpeg leaves out buttons itself.
            assert "stream 1 (unknown codec)" in report["not_copied"][0]


@pytest.mark.parametrize("codec", [b"A_AAC", b"A_OPUS", b"A_VORBIS", b"A_FLAC", b"A_AC3", b"A_PCM/INT/LIT"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_without_its_header_never_ends_a_run(tmp_path, codec, suffix):
    path = write(tmp_path / "in.mkv", track(2, 2, codec), block(2, 0, LINE))
    out = tmp_path / f"out.{suffix}"
    report = pv.run(path, out)
    assert report["frames"] == FRAMES
    assert len(copied(out)[0]) + len(report.get("not_copied", [])) == 1


@pytest.mark.parametrize(
    "blocks",
    [
        block(2, 0, LINE),
        block(2, 0, LINE, 0),
        block(2, 0, LINE, -5),
        block(2, 0, LINE, LATE),
        block(2, -3000, LINE, 8000),
        block(2, 0, b"", 80) + block(2, 40, b"\0", 80),
        block(2, 0, LINE, 80) + element("1F43B675", number("E7", 2**60), block(2, 0, LINE, 80)),
        block(2, 0, LINE, 80) + element("1F43B675", number("E7", 2**63 + 5), block(2, 0, LINE, 80)),
        block(2, 40, LINE, 80) * 3,
    ],
    ids=["none", "zero", "negative", "endless", "before", "empty", "late", "beyond", "repeated"],
)
def test_subtitles_of_absurd_times_are_copied_and_never_end_a_run(tmp_path, blocks):
    inside, cluster, rest = blocks.partition(bytes.fromhex("1F43B675"))
    path = write(tmp_path / "in.mkv", track(2, 17, b"S_TEXT/UTF8"), inside, clusters=cluster + rest)
    assert "not_copied" not in pv.run(path, tmp_path / "out.mkv")
    assert copied(tmp_path / "out.mkv") == copied(path)
    assert pv.run(path, tmp_path / "part.mkv", reading=PART)["frames"] == 3
    assert all(0 <= time < 3 * 40 for _, time, _ in copied(tmp_path / "part.mkv")[0])


def test_packets_out_of_order_are_named_if_the_container_refuses_them(tmp_path):
    blocks = block(2, 160, LINE, 80) + block(2, 0, LINE, 80)
    path = write(tmp_path / "in.mkv", track(2, 17, b"S_TEXT/UTF8"), blocks)
    assert "1 packets, which matroska does not accept" in pv.run(path, tmp_path / "out.mkv")["not_copied"][0]


def test_eighteen_subtitle_tracks_are_copied(tmp_path):
    tracks = b"".join(track(index, 17, b"S_TEXT/UTF8") for index in range(2, 20))
    path = write(tmp_path / "in.mkv", tracks, b"".join(block(index, index, LINE, 80) for index in range(2, 20)))
    pv.run(path, tmp_path / "out.mkv")
    assert copied(tmp_path / "out.mkv") == copied(path)
    assert len(copied(path)[0]) == 18


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "webm"])
@pytest.mark.parametrize(
    ("start", "end"),
    [(-5, 10**8), (-(10**9), -(10**8))],
)
def test_a_chapter_before_the_beginning_is_named_and_left_out(tmp_path, start, end, suffix):
    path = write(tmp_path / "in.mkv", chapters=chapter(10**8, 2 * 10**8) + chapter(start, end))
    for reading in ({}, PART):
        report = pv.run(path, tmp_path / f"out.{suffix}", reading=reading, force=True)
        assert report["frames"] == (3 if reading else FRAMES)
        assert len(copied(tmp_path / f"out.{suffix}")[1]) == 1
        assert "chapter 1" in report["not_copied"][0]


@pytest.mark.parametrize(
    "chapters",
    [
        chapter(LATE, LATE),
        chapter(10**8, 0),
        chapter(0, None) + chapter(10**8, None),
        chapter(0, 2**62) + chapter(2**62, LATE),
        chapter(0, 10**8) * 2,
    ],
    ids=["last", "reversed", "without-end", "endless", "twice"],
)
def test_chapters_of_absurd_times_are_copied(tmp_path, chapters):
    path = write(tmp_path / "in.mkv", chapters=chapters)
    assert "not_copied" not in pv.run(path, tmp_path / "out.mkv")
    assert copied(tmp_path / "out.mkv") == copied(path)
    for suffix in ("mkv", "mp4"):
        assert pv.run(path, tmp_path / f"part.{suffix}", reading=PART)["frames"] == 3


def test_a_chapter_without_length_stays_in_a_part(tmp_path):
    path = write(tmp_path / "in.mkv", chapters=chapter(10**8, 10**8) + chapter(10**10, 10**10))
    pv.run(path, tmp_path / "out.mkv", reading=PART)
    assert copied(tmp_path / "out.mkv")[1] == [(60 * 10**6, 60 * 10**6)]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
@pytest.mark.parametrize(
    ("name", "kind", "video"),
    [
        (b"a.ttf", b"font/ttf", False),
        (b"", b"font/ttf", False),
        (b"a", b"", False),
        (b"a\xff/../b", b"\xff", False),
        (b"cover.jpg", b"image/jpeg", True),
        (b"cover.png", b"image/png", True),
    ],
)
def test_attachments_are_copied_or_named(tmp_path, name, kind, video, suffix):
    path = write(tmp_path / "in.mkv", attachments=attachment(name, b"data", kind))
    out = tmp_path / f"out.{suffix}"
    report = pv.run(path, out)
    assert report["frames"] == FRAMES
    with av.open(str(out), metadata_errors="replace") as container:
        there = [stream for stream in container.streams if stream.type == "attachment"]
    assert len(there) + len(report.get("not_copied", [])) == 1
    assert not video or "a cover picture" in report["not_copied"][0]
    assert np.all(next(iter(pv.read(out))) < 3)
