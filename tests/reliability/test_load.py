"""Many at once, for long, and killed: equal results, flat memory, never a wrong file."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.jobs.segment_folder import folder_of

LONG = """
import os, sys
import numpy as np, pde_video as pv

def memory():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def source(frames):
    picture = np.zeros((16, 16), np.uint8)
    for k in range(frames):
        picture[k % 16] = k % 256
        yield picture

stream = pv.pipeline(pv.framewise(pv.Heat(), pv.uniform(0.5)), lambda frames: pv.frame_difference(frames, -0.5))
for count, _ in enumerate(stream(source(24_000)), 1):
    if count in (5_000, 24_000):
        print(count, memory(), len(os.listdir("/proc/self/fd")))
"""
RESUMED = """
import sys
from pde_video.jobs.recipes import planned
from pde_video.jobs.resuming import run_in_segments
run_in_segments(planned(sys.argv[1], sys.argv[2], [{"filter": "denoise", "method": "perona-malik"}]))
"""


def program(code, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], **options)


@pytest.mark.parametrize("options", [{"method": "tv"}, *slow({"preset": "balanced"}, {"preset": "fast"})], ids=str)
def test_eight_threads(threads, rng, options):
    """As the threads of dask do it: many tasks that share the library's one pool."""
    videos = [rng.integers(0, 256, (4, 32, 40), np.uint8) for _ in range(12)]
    alone = [pv.denoise(video, sigma=10, **options) for video in videos]
    threads(2)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda video: pv.denoise(video, sigma=10, **options), videos, timeout=120))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc, which tells memory and descriptors")
def test_24000_frames():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    (_, before, open_before), (_, after, open_after) = (map(float, line.split()) for line in done.stdout.splitlines())
    assert after - before < 1  # MB: less than 53 bytes a frame, where a frame has 256.
    assert open_after == open_before


def test_abandoned_streams_leave_no_thread_and_no_descriptor(tmp_path):
    pv.write(tmp_path / "in.mp4", np.zeros((40, 32, 32), np.uint8))
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    next(pv.denoise(iter(pv.read(tmp_path / "in.mp4")), sigma=5))
    threads = threading.active_count()
    for _ in range(30):
        stream = pv.denoise(iter(pv.read(tmp_path / "in.mp4")), sigma=5)
        next(stream)
        del stream
    assert threading.active_count() <= threads
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


@pytest.mark.slow
def test_kill_9_at_ten_random_moments(tmp_path):
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    rng = np.random.default_rng(1)
    pv.write(source, (rng.integers(0, 65536, (120, 160), np.uint16) for _ in range(600)))
    expected = pv.denoise(np.stack(list(pv.read(source))), method="perona-malik")
    moments, kills, ended = random.Random(2), 0, False
    while kills < 10 or not ended:
        process = program(RESUMED, source, target)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moments.uniform(0.2, 1.2) if kills < 10 else 120)
        ended = process.poll() is not None
        assert not ended or process.returncode == 0
        if not ended:
            process.kill()
            process.wait()
            kills += 1
        if target.exists():  # Whole, and then the next job begins.
            np.testing.assert_array_equal(np.stack(list(pv.read(target))), expected)
            target.unlink()
    assert not folder_of(target).exists()
