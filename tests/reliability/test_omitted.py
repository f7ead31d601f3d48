"""What has no room in an output: sound, subtitles, times and rates are reported, and no choice by times is ignored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import pde_video as pv
from pde_video.errors import ParameterError

EVEN = [Fraction(k, 25) for k in range(6)]
UNEVEN = [Fraction(t, 1000) for t in (0, 40, 100, 130, 300, 340)]
OUTPUTS = ["out.tif", "out.npy", "out.zarr", "out_%03d.png", "out.y4m", "-"]
WITHOUT_RATE = (".npy", ".png")


def film(path: Path, times: list[Fraction], sound: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=48000) if sound else None
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 40 * index, np.uint8), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = int(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux([*audio.encode(frame), *audio.encode()])
    return path


def target(folder: Path, name: str) -> str | Path:
    if name.endswith(".zarr"):
        pytest.importorskip("zarr", minversion="3")
    return name if name == "-" else folder / name


@pytest.mark.parametrize("name", OUTPUTS)
def test_sound_that_has_no_room_is_reported(tmp_path, capfdbinary, name):
    source = film(tmp_path / "in.mp4", EVEN, sound=True)
    report = pv.run(source, target(tmp_path, name))
    assert any(said.startswith("audio stream") for said in report["not_copied"])
    assert any("25 frames/s" in said for said in report["not_copied"]) == name.endswith(WITHOUT_RATE)
    assert "warnings" not in report


@pytest.mark.parametrize("name", OUTPUTS)
def test_timestamps_that_have_no_room_are_reported(tmp_path, capfdbinary, name):
    report = pv.run(film(tmp_path / "in.mp4", UNEVEN), target(tmp_path, name))
    (warning,) = report["warnings"]
    assert "no timestamps" in warning
    # Six frames in 0.34 s + the 0.04 s that the last one is shown: those of the source's average rate are elsewhere.
    rate = pv.read(tmp_path / "in.mp4").rate
    assert f"{float(max(abs(time - k / rate) for k, time in enumerate(UNEVEN))):.3g} s" in warning


def test_containers_report_once_themselves(tmp_path):
    source = film(tmp_path / "in.mp4", UNEVEN, sound=True)
    report = pv.run(source, tmp_path / "out.gif")
    assert len(report["warnings"]) == len(report["not_copied"]) == 1
    assert "not_copied" not in pv.run(source, tmp_path / "out.mkv")


def test_times_rounded_to_a_clock_are_not_uneven(tmp_path):
    pv.write(tmp_path / "in.mkv", np.zeros((40, 16, 32), np.uint8), rate=Fraction(24000, 1001))
    video = pv.read(tmp_path / "in.mkv")
    list(video)
    assert any(time != k / video.rate for k, time in enumerate(video.timestamps))  # Milliseconds.
    assert "warnings" not in pv.run(tmp_path / "in.mkv", tmp_path / "out.tif")


def test_sound_is_reported_where_frames_get_a_rate_of_their_own(tmp_path):
    video = pv.read(film(tmp_path / "in.mp4", EVEN, sound=True))
    for name in ("out.mkv", "out.npy"):
        report: dict = {}
        pv.write(tmp_path / name, video, like=video, rate=10, report=report)
        assert any(said.startswith("audio stream") for said in report["not_copied"])
        assert ("rate of 10 frames/s" in report["not_copied"]) == (name == "out.npy")


@pytest.mark.parametrize("name", ["v.npy", "v.tif", "v_%d.png", "v.zarr"])
@pytest.mark.parametrize("choice", [{"end": 0.1}, {"start": 0}, {"start": 1, "frames": (0, 2)}])
def test_times_of_frames_that_have_none_are_refused(tmp_path, name, choice):
    path = target(tmp_path, name)
    pv.write(path, np.zeros((5, 4, 5), np.uint8))
    with pytest.raises(ParameterError, match="no times"):
        pv.read(path, **choice)
    assert len(list(pv.read(path, frames=(1, 3)))) == 2


@pytest.mark.parametrize("name", ["v.tif", "v.zarr", "v.y4m", "v.avi"])
def test_times_by_a_rate_choose_frames(tmp_path, name):
    path = target(tmp_path, name)
    pv.write(path, np.zeros((5, 16, 32), np.uint8), rate=10)
    assert len(list(pv.read(path, start=Fraction(1, 10), end=0.35))) == 3


@pytest.mark.parametrize("name", ["v.tif", "v.y4m", "v.avi"])
def test_a_part_begins_with_its_start_and_ends_before_its_end(tmp_path, name):
    path, frames = tmp_path / name, np.repeat(np.arange(6, dtype=np.uint8), 16 * 32).reshape(6, 16, 32)
    pv.write(path, frames, rate=10)
    part = list(pv.read(path, start=Fraction(1, 10), end=Fraction(3, 10)))
    np.testing.assert_array_equal(part, frames[1:3] if name != "v.avi" else part)
    assert len(part) == 2
    for chosen, count in (((1, 4), 3), ((2, None), 4), ((4, 99), 2)):
        video = pv.read(path, frames=chosen)
        assert video.count in (count, None)
        assert video.count == count or name == "v.avi"
        assert len(list(video)) == count
