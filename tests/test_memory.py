"""A video's length does not show in the memory that running it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv

ALLOWED = 75  # MB, where 900 more frames kept whole would be 207.
SCRIPT = """
import sys
import pde_video as pv
from pde_video.jobs.trial import peak_memory
report = pv.run(sys.argv[1], sys.argv[2], pv.framewise(pv.Heat(), pv.uniform(0.5)))
print(report["frames"], peak_memory() / 1e6)
"""


def peak_of_run(source: Path, frames: int) -> float:
    pattern = (np.add.outer(np.arange(240), np.arange(320)) % 256).astype(np.uint8)
    picture = np.stack([pattern, pattern // 2, 255 - pattern], axis=-1)
    pv.write(source, (np.roll(picture, k, axis=1) for k in range(frames)))
    target = source.with_name(f"out-{source.name}")
    command = [sys.executable, "-c", SCRIPT, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written, peak = done.stdout.split()
    assert int(written) == frames
    return float(peak)


@pytest.mark.slow
def test_ten_times_the_frames_take_no_more_memory(tmp_path):
    short = peak_of_run(tmp_path / "short.mp4", 100)
    long = peak_of_run(tmp_path / "long.mp4", 1000)
    assert short > 30, "the peak is not in the unit assumed"
    assert long < short + ALLOWED
