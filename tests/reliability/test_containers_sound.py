"""Sound and subtitles: copied as they are, or reported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pde_video as pv

HEIGHT, WIDTH, SAMPLES, SOUND_RATE = 48, 64, 1024, 48000
TIMES = [Fraction(t, 100) for t in (20, 24, 29, 60, 61, 80, 95, 120)]

WORDS = "1\n00:00:00,300 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,100\nBye\n"


def add_sound(container: Any, codec: str, seconds: float, language: str = "eng") -> Any:
    stream = container.add_stream(codec, rate=SOUND_RATE)
    stream.metadata["language"] = language
    rng = np.random.default_rng(3)

    def finish() -> None:
        for start in range(0, int(seconds * SOUND_RATE), SAMPLES):
            if codec == "aac":
                samples = (rng.random((2, SAMPLES), dtype=np.float32) - 0.5) / 4
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            else:
                whole = rng.integers(-9000, 9000, (1, 2 * SAMPLES), dtype=np.int16)
                frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return finish


def make(path: Path, sound: str | None = "aac", seconds: float = 1.3, rotation: int = 90, pixel="yuv420p10le") -> Path:
    base = Fraction(1, 1000)
    clock = {} if path.suffix == ".mkv" else {"movie_timescale": "1000"}
    with av.open(str(path), "w", container_options=clock) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.codec_context.time_base = HEIGHT, WIDTH, pixel, base
        stream.set_display_rotation(rotation)
        finish = add_sound(container, sound, seconds) if sound else None
        container.metadata["title"] = "A title"
        for index, time in enumerate(TIMES):
            wave = np.sin(np.mgrid[:HEIGHT, :WIDTH, :3].sum(0) / 5 + index)
            pixels = (32768 + 20000 * wave).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(format=pixel)
            frame.pts, frame.time_base = int(time * 1000), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if finish:
            finish()
    return path


def packets(path: Path, kind: str = "audio") -> list[tuple[bytes, Fraction, Fraction]]:
    with av.open(str(path)) as container:
        chosen = [stream for stream in container.streams if stream.type == kind]
        return [
            (bytes(p), p.pts * p.time_base, (p.duration or 0) * p.time_base)
            for p in (container.demux(chosen) if chosen else ())
            if p.size
        ]


@pytest.mark.parametrize("sound", ["aac", "pcm_s16le"])
@pytest.mark.parametrize(("source", "target"), [("in.mkv", "out.mkv"), ("in.mov", "out.mkv")])
def test_a_clip_with_sound_variable_rate_rotation_and_10_bits_is_kept(tmp_path, source, target, sound):
    path, out = make(tmp_path / source, sound), tmp_path / target
    video = pv.read(path)
    frames = list(video)
    assert (video.size, video.dtype, video.details["bits"]) == ((WIDTH, HEIGHT), np.uint16, 10)
    times = video.timestamps
    assert [time - times[0] for time in times] == [time - TIMES[0] for time in TIMES]
    assert "not_copied" not in pv.run(path, out, encoding={"lossless": True})
    again = pv.read(out)
    assert np.array_equal(np.stack(list(again)), np.stack(frames))
    assert again.timestamps == times
    before, after = packets(path), packets(out)
    assert [one[0] for one in after] == [one[0] for one in before]
    tick = Fraction(0) if source == "in.mkv" else Fraction(1, 1000)  # Matroska counts milliseconds.
    for which in (1, 2):
        assert all(abs(a[which] - b[which]) <= tick for a, b in zip(after, before, strict=True))
    with av.open(str(out)) as container:
        assert container.metadata["title"] == "A title"
        if source == "in.mkv":
            assert container.streams.audio[0].language == "eng"


@pytest.mark.parametrize("target", ["out.mp4", "out.mov"])
@pytest.mark.parametrize("source", ["in.mp4", "in.mov"])
def test_sound_keeps_its_packets_and_times(tmp_path, source, target):
    path = make(tmp_path / source, pixel="yuv420p")
    assert "not_copied" not in pv.run(path, tmp_path / target)
    assert packets(tmp_path / target) == packets(path)
    video = pv.read(tmp_path / target)
    assert len(list(video)) == len(TIMES)
    assert video.timestamps == TIMES


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_audio_longer_than_video(tmp_path, suffix):
    path = make(tmp_path / f"in.{suffix}", seconds=4, pixel="yuv420p")
    pv.run(path, tmp_path / f"out.{suffix}")
    assert packets(tmp_path / f"out.{suffix}") == packets(path)
    assert packets(path)[-1][1] > 3.9


def test_a_comment_and_a_title_stay_without_sound_too(tmp_path):
    path = make(tmp_path / "in.mp4", sound=None, pixel="yuv420p")
    with av.open(str(path)) as source, av.open(str(tmp_path / "said.mp4"), "w") as out:
        out.metadata.update({"comment": "What I say", "title": "A title"})
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    pv.run(tmp_path / "said.mp4", tmp_path / "once.mp4")
    pv.run(tmp_path / "once.mp4", tmp_path / "twice.mp4")
    with av.open(str(tmp_path / "twice.mp4")) as container:
        assert container.metadata["title"] == "A title"
        assert container.metadata["comment"].startswith("What I say pde_video {")
        assert container.metadata["comment"].count("pde_video {") == 1
    assert pv.read(tmp_path / "twice.mp4").details["made"]["input"] == "once.mp4"


def test_audio_none(tmp_path):
    path = make(tmp_path / "in.mp4", sound=None, pixel="yuv420p")
    assert "not_copied" not in pv.run(path, tmp_path / "out.mp4")
    assert packets(tmp_path / "out.mp4") == []


@pytest.mark.parametrize("target", ["out.webm", "out.gif"])
def test_audio_uncopyable(tmp_path, target):
    path = make(tmp_path / "in.mp4", pixel="yuv420p")
    report = pv.run(path, tmp_path / target)
    assert report["not_copied"] == [f"audio stream 1 (aac): {target[4:]} cannot store it"]
    assert len(list(pv.read(tmp_path / target))) == len(TIMES)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_part_of_a_video_has_the_same_part_of_the_sound(tmp_path, suffix):
    path, out = make(tmp_path / f"in.{suffix}", pixel="yuv420p"), tmp_path / f"out.{suffix}"
    pv.run(path, out, reading={"frames": (2, 6)})
    video = pv.read(out)
    assert len(list(video)) == 4
    times = pv.read(path)
    assert len(list(times)) == len(TIMES)
    begin, end = times.timestamps[2], times.timestamps[5] + 1 / times.rate
    assert video.timestamps == [time - begin for time in TIMES[2:6]]
    tick = Fraction(1, 1000) if suffix == "mkv" else Fraction(1, SOUND_RATE)
    inside = [p for p in packets(path) if begin <= p[1] < end]
    found = packets(out)
    assert [p[0] for p in found] == [p[0] for p in inside]
    assert all(abs(a[1] - (b[1] - begin)) <= tick for a, b in zip(found, inside, strict=True))


def test_with_a_rate_of_its_own_nothing_is_copied(tmp_path):
    path = make(tmp_path / "in.mp4", pixel="yuv420p")
    video = pv.read(path)
    pv.write(tmp_path / "out.mp4", video, like=video, rate=50)
    assert packets(tmp_path / "out.mp4") == []


def test_frames_that_a_filter_adds_leave_the_sound_alone(tmp_path):
    def twice(frames):
        for frame in frames:
            yield frame
        yield frame

    path = make(tmp_path / "in.mkv", pixel="yuv420p")
    assert pv.run(path, tmp_path / "out.mkv", twice)["frames"] == len(TIMES) + 1
    assert packets(tmp_path / "out.mkv") == packets(path)


@pytest.mark.parametrize(("target", "kept"), [("out.mkv", True), ("out.mp4", False)])
def test_subtitles_and_chapters(tmp_path, target, kept):
    plain, path = make(tmp_path / "plain.mkv", pixel="yuv420p"), tmp_path / "in.mkv"
    (tmp_path / "s.srt").write_text(
        "1\n00:00:00,300 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,100\nBye\n"
    )
    with (
        av.open(str(plain)) as source,
        av.open(str(tmp_path / "s.srt")) as words,
        av.open(str(path), "w") as out,
    ):
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        titles = out.add_stream_from_template(words.streams.subtitles[0])
        titles.metadata["language"] = "fre"
        chapter = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}
        out.set_chapters([chapter])
        for packet in words.demux():
            if packet.size:
                packet.stream = titles
                out.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    report = pv.run(path, tmp_path / target)
    if kept:
        assert "not_copied" not in report
        assert packets(tmp_path / target, "subtitle") == packets(path, "subtitle")
        assert len(packets(path, "subtitle")) == 2
        with av.open(str(tmp_path / target)) as container:
            assert container.streams.subtitles[0].language == "fre"
    else:
        assert report["not_copied"] == ["subtitle stream 2 (srt): mp4 cannot store it"]
    assert [p[0] for p in packets(tmp_path / target)] == [p[0] for p in packets(path)]
    with av.open(str(tmp_path / target)) as container:
        assert [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()] == [(0, "One")]


def test_a_cover_picture_is_no_video_stream(tmp_path):
    path = tmp_path / "in.mp4"
    plain = make(tmp_path / "plain.mp4", pixel="yuv420p")
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = 16, 16, "yuvj420p", Fraction(1, 25)
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        (data,) = [*encoder.encode(picture.reformat(format="yuvj420p")), *encoder.encode(None)]
        cover = out.add_mux_stream("mjpeg", width=16, height=16)
        cover.disposition = av.stream.Disposition.attached_pic
        stream = out.add_stream_from_template(source.streams.video[0])
        data.stream, data.time_base = cover, Fraction(1, 25)
        out.mux(data)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    video = pv.read(path)
    assert sorted(video.size) == [HEIGHT, WIDTH]
    assert video.details["video_streams"] == 1
    assert pv.run(path, tmp_path / "out.mp4")["not_copied"][0].endswith("a cover picture")
