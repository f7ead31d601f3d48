"""Frames that a file declares, holds, and shows: reading, `info` and `verify` agree."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

import pde_video as pv
from pde_video.jobs.again import verify

FRAMES, TICKS = 12, 512  # Of a frame, on the clock of 1/12800 s that FFmpeg takes for 25 frames a second.
MOVIE = 1000  # Ticks of an edit per second.


def edited(path, reordered: int, first: int, shown: int):
    """Write a clip whose edit list begins with frame `first` and shows `shown` frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": str(reordered), "g": "6"})
        stream.width, stream.height = 64, 48
        for index in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * index, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    data = path.read_bytes()
    at = data.index(b"elst") + 12
    begin = struct.unpack_from(">I", data, at + 4)[0] + first * TICKS
    path.write_bytes(data[:at] + struct.pack(">II", shown * MOVIE // 25, begin) + data[at + 8 :])
    return path


@pytest.mark.parametrize("reordered", [0, 2])
@pytest.mark.parametrize(("first", "shown"), [(0, 12), (3, 9), (0, 5), (4, 5), (0, 1), (11, 1)])
def test_a_clip_trimmed_by_its_edit_list_shows_what_is_left(tmp_path, reordered, first, shown):
    path = edited(tmp_path / "v.mp4", reordered, first, shown)
    video = pv.read(path)
    frames = np.stack(list(video))
    assert len(frames) == verify(path)["frames"] == shown
    assert np.abs(frames[:, 0, 0, 0].astype(int) - 20 * np.arange(first, first + shown)).max() <= 4
    assert shown <= video.count <= shown + reordered  # B-frames beyond the end may be decoded and not shown.
    assert pv.run(path, tmp_path / "out.mkv")["frames"] == shown


@pytest.mark.parametrize("reordered", [0, 2])
@pytest.mark.parametrize("lost", [1, 5])
def test_a_table_of_samples_that_is_too_short_is_no_edit_list(tmp_path, lost, reordered):
    path = edited(tmp_path / "v.mp4", reordered, 0, FRAMES)
    data = path.read_bytes()
    at = data.index(b"stsc") + 8  # One chunk for all samples.
    assert struct.unpack_from(">III", data, at) == (1, 1, FRAMES)
    path.write_bytes(data[: at + 8] + struct.pack(">I", FRAMES - lost) + data[at + 12 :])
    with pytest.raises(pv.InputError, match=f"declares 12 frames, but contains {FRAMES - lost}"):
        list(pv.read(path))
    with pytest.raises(pv.InputError, match=f"declares 12 frames, but contains {FRAMES - lost}"):
        verify(path)
