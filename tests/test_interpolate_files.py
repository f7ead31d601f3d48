"""Interpolation from file to file: times, sound, what is said beforehand and afterwards, and going on after a stop."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

import pde_video as pv
from pde_video.jobs.resuming import run_in_segments
from pde_video.jobs.run import prepared
from pde_video.video.timing import Timed

VARIABLE = [Fraction(t, 1000) for t in (200, 240, 280, 340, 360, 440, 480, 520)]
SOUND = 48000


def scene(count):
    """Bars that move, (T, H, W), uint8."""
    rows, columns = np.mgrid[:32, :48]
    return np.stack([np.rint(128 + 90 * np.sin((columns - 2 * k) / 5 + rows / 9)) for k in range(count)]).astype(
        np.uint8
    )


def film(path, times=VARIABLE, sound=True, rate=25):
    """Write frames without loss at some times, with sound of 0.7 s, in a container that counts milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "gray"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("pcm_s16le", rate=SOUND, layout="mono") if sound else None
        for picture, time in zip(scene(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts, frame.time_base = int(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            for start in range(0, 7 * SOUND // 10, 1600):
                samples = np.arange(start, start + 1600, dtype=np.int16).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(samples, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = SOUND, start, Fraction(1, SOUND)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def sound_of(path):
    with av.open(str(path)) as container:
        return [(bytes(p), p.pts * p.time_base) for p in container.demux(audio=0) if p.size]


def streams_of(path):
    with av.open(str(path)) as container:
        return sorted(stream.type for stream in container.streams)


def decoded(path):
    video = pv.read(path)
    return np.stack(list(video)), video


@pytest.mark.parametrize(("suffix", "tick"), [("mkv", Fraction(1, 1000)), ("avi", 0)])
def test_a_clip_of_variable_rate_gets_an_even_one_and_keeps_its_sound(tmp_path, call, suffix, tick):
    path, out = film(tmp_path / "in.mkv"), tmp_path / f"out.{suffix}"
    code, said, error = call("interpolate", path, out, "--rate", "50", "--codec", "ffv1", "--json")
    assert (code, error) == (0, "")
    before, source = decoded(path)
    after, video = decoded(out)
    assert video.rate == 50
    assert len(after) == 18  # 0.32 s from the first frame to the last, which is shown for a frame at the mean rate.
    begin = VARIABLE[0] if suffix == "mkv" else 0
    assert all(abs(time - begin - Fraction(k, 50)) <= tick for k, time in enumerate(video.timestamps))
    for number, time in enumerate(source.timestamps):
        if (50 * (time - VARIABLE[0])).denominator == 1:
            np.testing.assert_array_equal(after[int(50 * (time - VARIABLE[0]))], before[number])
    report = json.loads(said)
    assert (report["originals"], report["new"], report["repeated"], report["at_cuts"]) == (8, 9, 1, 0)
    assert 0.5 < report["reliable"] <= 1
    heard = sound_of(path) if suffix == "mkv" else [one for one in sound_of(path) if one[1] >= VARIABLE[0]]
    assert b"".join(one[0] for one in sound_of(out)) == b"".join(one[0] for one in heard)


def test_a_part_has_its_times_and_sound(tmp_path, call):
    path, out = film(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    code, _, error = call("interpolate", path, out, "--factor", "2", "--frames", "2:6", "--codec", "ffv1")
    assert (code, error) == (0, "")
    after, video = decoded(out)
    whole, source = decoded(path)
    assert video.timestamps[0] == 0
    np.testing.assert_array_equal(after[0], whole[2])
    end = video.timestamps[-1] + 1 / video.rate
    heard = sound_of(out)
    assert heard[0][1] < Fraction(1, 20)
    assert abs(heard[-1][1] + Fraction(1600, SOUND) - end) < Fraction(1, 20)
    assert end == pytest.approx(VARIABLE[5] - VARIABLE[2] + 1 / source.rate, abs=0.02)


def test_slow_motion_has_no_sound_and_says_so(tmp_path, call):
    path, out = film(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    code, said, error = call("interpolate", path, out, "--slow", "4", "--codec", "ffv1", "--json")
    assert code == 0
    assert "audio stream 1 (pcm_s16le): the video is shown 4 times as long" in error
    _, source = decoded(path)
    after, video = decoded(out)
    assert video.rate == source.rate
    assert streams_of(out) == ["video"]
    length = VARIABLE[-1] - VARIABLE[0] + 1 / source.rate
    assert 0 <= len(after) / video.rate - 4 * length < 1 / video.rate
    assert json.loads(said)["originals"] > 0
    report = pv.run(path, tmp_path / "out.y4m", pv.interpolate(slow=4))
    assert report["not_copied"] == ["audio stream: .y4m gets frames alone"]


def test_a_factor_of_1_leaves_times_that_vary(tmp_path, call):
    path, out = film(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    for more in ((), ("--duplicates", "replace")):
        code, _, error = call("interpolate", path, out, "--factor", "1", "--codec", "ffv1", "--force", *more)
        assert (code, error) == (0, "")
        (before, source), (after, video) = decoded(path), decoded(out)
        np.testing.assert_array_equal(after, before)
        assert video.timestamps == source.timestamps


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["out.mkv", "out.tif", "out.y4m", "out_%03d.png", "out.npy"])
def test_originals_are_kept_in_files_without_loss(tmp_path, name, depth):
    frames = scene(5).astype(depth) * (1 if depth == np.uint8 else 257)
    pv.write(tmp_path / "in.tif", frames, rate=24)
    lossless = {"lossless": True} if name.endswith(("mkv", "y4m")) else {}
    pv.run(tmp_path / "in.tif", tmp_path / name, pv.interpolate(factor=2), encoding=lossless)
    after, video = decoded(tmp_path / name)
    assert len(after) == 10
    assert after.dtype == depth
    np.testing.assert_array_equal(after[::2], frames)
    np.testing.assert_array_equal(after[9], frames[4])
    assert video.rate == (None if name.endswith(("png", "npy")) else 48)


def test_a_dry_run_tells_count_and_duration(tmp_path, call):
    pv.write(tmp_path / "in.avi", np.repeat(scene(8), 10, axis=0), rate=Fraction(24000, 1001), codec="ffv1")
    code, said, _ = call(
        "interpolate", tmp_path / "in.avi", tmp_path / "out.mkv", "--rate", "59.94", "--dry-run", "--json"
    )
    told = json.loads(said)
    assert code == 0
    assert (told["frames"], told["tried"]) == (200, 24)
    assert told["duration"] == pytest.approx(200 * 1001 / 60000)
    code, said, _ = call("interpolate", tmp_path / "in.avi", tmp_path / "out.mkv", "--slow", "2", "--dry-run", "--json")
    told = json.loads(said)
    assert told["frames"] == 160
    assert told["duration"] == pytest.approx(160 * 1001 / 24000)
    code, said, _ = call(
        "extrapolate", tmp_path / "in.avi", tmp_path / "out.mkv", "--count", "5", "--dry-run", "--json"
    )
    assert json.loads(said)["frames"] == 85


def test_progress_counts_the_frames_of_the_output(tmp_path):
    pv.write(tmp_path / "in.avi", scene(6), rate=25, codec="ffv1")
    counts = []

    def progress(frames, count):
        counts.append(count)
        yield from frames

    report = pv.run(tmp_path / "in.avi", tmp_path / "out.mkv", pv.interpolate(factor="5/2"), progress=progress)
    assert counts == [report["frames"]] == [15]


class Stop(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path):
    times = [Fraction(40 * k + (k % 3), 1000) for k in range(40)]
    path, a_filter = film(tmp_path / "in.mkv", times), pv.interpolate(factor=3)
    at_once = pv.run(path, tmp_path / "at_once.mkv", a_filter, made={"name": "a"}, encoding={"codec": "ffv1"})

    def go_on(progress=None):
        asked = {"made": {"name": "a"}, "encoding": {"codec": "ffv1"}, "resume": True}
        return run_in_segments(prepared(path, tmp_path / "out.mkv", a_filter, **asked), progress)

    def stopping(frames, count):
        for number, frame in enumerate(frames):
            if number == 60:
                raise Stop
            yield frame

    with pytest.raises(Stop):
        go_on(stopping)
    report = go_on()
    assert report["continued"] == "after frame 50 of 120"
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "at_once.mkv").read_bytes()
    assert {**report, "continued": None} == {**at_once, "continued": None}
    assert (report["frames"], report["originals"]) == (120, 14)  # The others are not at times of the output.


def test_frames_that_were_read_from_a_file_are_written_at_their_times(tmp_path):
    path = film(tmp_path / "in.mkv")
    video = pv.read(path)
    frames = pv.interpolate(pv.frame_difference(video, 0.0), rate=50)
    assert isinstance(frames, Timed)
    pv.write(tmp_path / "out.mkv", frames, like=video, codec="ffv1")
    pv.run(path, tmp_path / "same.mkv", pv.interpolate(rate=50), encoding={"codec": "ffv1"})
    (one, written), (other, run) = decoded(tmp_path / "out.mkv"), decoded(tmp_path / "same.mkv")
    np.testing.assert_array_equal(one, other)
    assert written.timestamps == run.timestamps
    assert streams_of(tmp_path / "out.mkv") == ["audio", "video"]
    pv.write(tmp_path / "plain.y4m", pv.interpolate(pv.read(path), rate=50))
    assert pv.read(tmp_path / "plain.y4m").rate == 50


def test_times_within_the_rounding_of_a_clock_are_kept_in_formats_with_that_clock(tmp_path):
    off = (0, 1, -1, 0, 0, 1, 0, -1, 1, 0, 0, -1, 0, 0, 1, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0)
    rate = Fraction(24000, 1001)
    times = [Fraction(round(1000 * k / rate) + early, 1000) for k, early in enumerate(off)]
    frames, video = decoded(film(tmp_path / "in.mkv", times, sound=False, rate=rate))
    assert video.rate == rate
    pv.write(tmp_path / "out.mkv", frames, like=video, codec="ffv1")
    assert decoded(tmp_path / "out.mkv")[1].timestamps == video.timestamps == times


def test_times_of_frames_that_do_not_tell_them_are_missed_in_the_report(tmp_path):
    video = pv.read(film(tmp_path / "in.mkv"))
    report = {}
    frames = (frame for frame in pv.interpolate(video, rate=50))
    pv.write(tmp_path / "out.mkv", frames, like=video, codec="ffv1", report=report)
    assert report["warnings"][-1].startswith("18 frames are more than the 8 of the source")
    for frames in (pv.interpolate(video, rate=50), pv.extrapolate(video, frames=3), iter(list(video)), scene(8)):
        report = {}
        pv.write(tmp_path / "out.mkv", frames, like=video, codec="ffv1", force=True, report=report)
        assert not any("are more than" in text for text in report.get("warnings", ()))


def test_a_pipeline_knows_the_rate_of_each_part(tmp_path, call):
    pv.write(tmp_path / "in.mkv", scene(6), rate=25, codec="ffv1")
    pv.write(tmp_path / "more.mkv", scene(4), rate=50, codec="ffv1")
    (tmp_path / "both.toml").write_text(
        '[[filter]]\nname = "interpolate"\nrate = "50"\n'
        f'[[filter]]\nname = "join"\nfollowing = "{tmp_path / "more.mkv"}"\nover = 0\n'
    )
    code, _, error = call(
        "pipeline", tmp_path / "both.toml", tmp_path / "in.mkv", tmp_path / "out.mkv", "--codec", "ffv1"
    )
    assert (code, error) == (0, "")
    after, video = decoded(tmp_path / "out.mkv")
    assert (len(after), video.rate) == (16, 50)
    np.testing.assert_array_equal(after[12:], scene(4))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("in.mkv", ["--rate", "400"], "in.mkv: interpolate: rate is 400, 16 times the 25 frames/s of the video"),
        ("in.npy", ["--rate", "50"], "in.npy: interpolate: the video has no rate"),
        ("in.mkv", ["--rate", "0"], "rate is 0.0; it must be a finite number above 0"),
        ("in.mkv", ["--factor", "0.5"], "in.mkv: interpolate: factor is 0.5; it must be from 1 to 8"),
        ("in.mkv", ["--factor", "2", "--slow", "2"], "in.mkv: interpolate: factor and slow are given"),
        ("one.npy", ["--factor", "2"], "one.npy: interpolate: the video has one frame"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_an_output(tmp_path, call, name, options, said):
    pv.write(tmp_path / "in.mkv", scene(4), rate=25, codec="ffv1")
    np.save(tmp_path / "in.npy", scene(4))
    np.save(tmp_path / "one.npy", scene(1))
    code, _, error = call("interpolate", tmp_path / name, tmp_path / "out.mkv", *options)
    assert code != 0
    assert said in error
    assert not (tmp_path / "out.mkv").exists()
