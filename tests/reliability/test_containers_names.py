"""Names as the system has them: bytes that are no text, control characters, and as long as they may be."""

from __future__ import annotations

import os

import numpy as np
import pytest

import pde_video as pv

LONGEST = 255  # Bytes of a name on Linux.
STEMS = (b"\xff\xfe", b"a\nb\r\t", b"file:a", b"*?[]{}", b"a\\b'\"", b"x" * LONGEST)
SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".gif", ".png", ".jpg", ".tif", ".npy", ".y4m")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("stem", STEMS, ids=lambda stem: repr(stem[:6]))
def test_a_name_of_any_bytes_is_written_and_read(tmp_path, stem, suffix):
    path = tmp_path / os.fsdecode(stem[: LONGEST - len(suffix)] + suffix.encode())
    frames = np.zeros((1, 32, 48, 3), np.uint8)
    pv.write(path, frames)
    assert len(list(pv.read(path))) == pv.run(path, tmp_path / "out.mkv")["frames"] == 1
    assert os.listdir(os.fsencode(tmp_path)).count(os.fsencode(path.name)) == 1


def test_a_name_that_is_too_long_is_refused_before_any_work(tmp_path):
    pv.write(tmp_path / "in.npy", np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(OSError, match="too long"):
        pv.run(tmp_path / "in.npy", tmp_path / ("x" * LONGEST + ".mkv"))
    with pytest.raises(pv.InputError, match="too long"):
        pv.read(tmp_path / ("x" * LONGEST + ".mkv"))
