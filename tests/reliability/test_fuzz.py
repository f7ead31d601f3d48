"""Thousands of broken files: each ends in a result or a clean error, in bounded time and memory, and leaves nothing."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv

MUTATED, HEADERS = 800, 250  # Inputs; of the headers, hypothesis may find some twice.
WORKERS = 2
ADDRESSES, RESIDENT = 4 * 2**30, 700 * 2**20  # Bytes.
SECONDS = 300
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolated reading needs fork")
SEEDS = {
    "h264.mp4": "u1",
    "h264.mov": "u1",
    "ffv1.mkv": "u2",
    "ffv1.avi": "u1",
    "vp9.webm": "u1",
    "palette.gif": "u1",
    "colour.png": "u1",
    "deep.png": "u2",
    "colour.jpg": "u1",
    "pages.tiff": "u2",
    "stack.npy": "f4",
    "pipe.y4m": "u2",
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Path:
    """Small good files, one of each kind."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "seeds").mkdir()
    noise = np.random.default_rng(1).random((3, 24, 32, 3))
    for name, dtype in SEEDS.items():
        video = noise.astype("f4") if dtype == "f4" else (noise * np.iinfo(dtype).max).astype(dtype)
        still = name.endswith((".png", ".jpg"))
        pv.write(folder / "seeds" / name, video[:1] if still else video)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("isolated", [False, pytest.param(True, marks=needs_fork)], ids=["plain", "isolated"])
def test_fuzz(seeds, isolated):
    worker = Path(__file__).with_name("fuzz_worker.py")
    environment = {**os.environ, "FUZZ_MEMORY": str(ADDRESSES), "MALLOC_ARENA_MAX": "2"}
    environment |= {"FUZZ_ISOLATED": "1"} if isolated else {}
    first, end = (MUTATED, 5 * MUTATED // 4) if isolated else (0, MUTATED)  # Of the mutated inputs, by their numbers.
    jobs = {f"worker{n}": [str(n), str(WORKERS), str(end)] for n in range(first, first + WORKERS)}
    jobs |= {"headers": ["0", "0", "0"]}
    running = {
        name: subprocess.Popen(
            [sys.executable, str(worker), str(seeds), *job],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, job in jobs.items()
    }
    ended: collections.Counter[str] = collections.Counter()
    try:
        for name, process in running.items():
            said, errors = process.communicate(timeout=SECONDS)
            now = (seeds / name / "now").read_text() if (seeds / name / "now").exists() else "nothing yet"
            assert process.returncode == 0, f"{name} crashed or hung at {now}: {errors[-3000:]}"
            found = json.loads(said.splitlines()[-1])
            assert found["faults"] == [], f"{len(found['faults'])} of {name}:\n" + "\n".join(found["faults"][:20])
            assert found["memory"] < RESIDENT, f"{name}: {found['memory'] / 2**20:.0f} MiB"
            ended.update(found["ended"])
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    print(dict(ended))
    assert ended.total() >= end - first + HEADERS
    # The faults are small enough for some to be survived, and large enough for most not to be.
    assert ended["frames" if isolated else "frames / output"] > (end - first) / 16
    assert ended["InputError" if isolated else "InputError / InputError"] > (end - first) / 3
