"""Load: what holds for a moment should hold for long and for many.

Run as ``python -m benchmarks.reliability [--json FILE] [--frames N]``. Peak memory of runs at 1080p of several lengths,
file to file, and along one of 2,000 frames with one and with two threads; twenty commands at once on a cold cache; and
a long stream, of which memory and descriptors are looked at on the way. Exits with 1 if outputs differ, or something
grows.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

import pde_video as pv
from benchmarks import measuring
from pde_video.bench.tables import table

WAYS = {
    "no filter": "()",
    "perona-malik, 5 steps": '(pv.framewise(pv.PeronaMalik(0.02, "rational"), pv.uniform(1.0, dt=0.2)),)',
    "denoise, fast": '(partial(pv.denoise, preset="fast"),)',
    "denoise": "(pv.denoise,)",
}
RUN = """
import sys
from functools import partial
import pde_video as pv
from pde_video.jobs.trial import peak_memory
pv.run(sys.argv[1], sys.argv[2], *{filters}, force=True)
print(peak_memory() / 1e6)
"""
LONG = 2000  # Frames.
ALONG = """
import os, sys
import pde_video as pv
from pde_video.jobs.trial import peak_memory

def watched(frames, count):
    for k, frame in enumerate(frames, 1):
        yield frame
        if k % (count // 10) == 0:
            print(k, peak_memory() / 1e6, flush=True)

cpus = sorted(os.sched_getaffinity(0))[: int(sys.argv[3])]
os.sched_setaffinity(0, cpus)
pv.set_num_threads(len(cpus))
pv.run(sys.argv[1], sys.argv[2], force=True, progress=watched)
"""
STREAM = """
import os, sys
import numpy as np, pde_video as pv

def source(frames):
    picture = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    for k in range(frames):
        yield np.roll(picture, k, axis=1)

frames = int(sys.argv[1])
for count, _ in enumerate(pv.denoise(source(frames), preset="fast"), 1):
    if count % (frames // 10) == 0:
        resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        print(count, resident, len(os.listdir("/proc/self/fd")), flush=True)
"""


def noisy_clip(path: Path, frames: int) -> None:
    """Write a moving pattern under noise, 1080p in colour."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:1080, :1920]
    noise = rng.normal(0, 10, (8, 1080, 1920, 3))
    scene = 128 + 60 * np.sin(columns / 23)[..., None] * np.cos(rows / 31)[..., None] * np.array([1, 0.8, 0.6])
    pictures = (np.roll(scene, 2 * k, axis=1) + noise[k % 8] for k in range(frames))
    pv.write(path, (np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in pictures))


def peaks(folder: Path, lengths: tuple[int, ...]) -> dict[str, list[float]]:
    """Return the peak memory in MB of each way for each length."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for frames in lengths:
        clip = folder / f"{frames}.mp4"
        noisy_clip(clip, frames)
        for name, filters in WAYS.items():
            command = [sys.executable, "-c", RUN.format(filters=filters), str(clip), str(folder / "out.mp4")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(float(done.stdout))
    return found


def along(folder: Path, frames: int) -> dict[int, list[float]]:
    """Return the peak memory in MB after each tenth of a run without a filter, for one and two threads."""
    clip, found = folder / f"{frames}.mp4", {}
    source = f"testsrc2=size=1920x1080:rate=25,trim=end_frame={frames}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-preset", "ultrafast"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(clip)], check=True, stdin=subprocess.DEVNULL)
    for threads in (1, 2):
        command = [sys.executable, "-c", ALONG, str(clip), str(folder / "out.mp4"), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[threads] = [float(line.split()[1]) for line in done.stdout.splitlines()]
    return found


def twenty_commands(folder: Path) -> int:
    """Return how many different outputs twenty equal commands have that start at once on a cold cache."""
    source = folder / "in.npy"
    np.save(source, np.random.default_rng(0).integers(0, 256, (8, 60, 80), np.uint8))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    outputs = [folder / f"out{k}.npy" for k in range(20)]
    command = [sys.executable, "-m", "pde_video", "heat", str(source)]
    processes = [
        subprocess.Popen([*command, str(output)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for output in outputs
    ]
    if any(process.wait() for process in processes):
        raise SystemExit("a command failed")
    return len({hashlib.sha256(output.read_bytes()).hexdigest() for output in outputs})


def long_stream(frames: int) -> list[list[float]]:
    """Return frames, memory in MB and descriptors, ten times along a stream."""
    done = subprocess.run([sys.executable, "-c", STREAM, str(frames)], capture_output=True, text=True, check=True)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def main() -> None:
    parser = measuring.parser("Memory, many processes, long streams.")
    parser.add_argument("--frames", type=int, default=100_000, help="length of the stream")
    arguments = parser.parse_args()
    lengths = (30, 90)
    with tempfile.TemporaryDirectory() as name:
        memory = peaks(Path(name), lengths)
        long = along(Path(name), LONG)
        different = twenty_commands(Path(name))
    stream = long_stream(arguments.frames)
    figures = {
        "machine": measuring.machine("pde-video", "numpy", "numba", "av"),
        "lengths": lengths,
        "peak_mb": memory,
        "peak_mb_along": long,
        "different_outputs": different,
        "stream": stream,
    }
    rows = [[name, *(f"{value:.0f}" for value in values)] for name, values in memory.items()]
    text = table(["1080 × 1920 in colour, peak MB", *(f"{n} frames" for n in lengths)], rows)
    header = ["no filter, peak MB after", *(f"{LONG * k // 10} frames" for k in range(1, 11))]
    rows = [[f"{threads} thread(s)", *(f"{value:.0f}" for value in values)] for threads, values in long.items()]
    text += f"\n\n{table(header, rows)}"
    text += f"\n\ntwenty commands at once on a cold cache: {different} different output(s)\n\n"
    rows = [[f"{count:,.0f}", f"{resident:.1f}", f"{descriptors:.0f}"] for count, resident, descriptors in stream]
    text += table(["frames so far", "MB", "descriptors"], rows)
    measuring.report(text, figures, arguments.json)
    # Not the short runs: they grow until the encoder's look-ahead and the filter's window are full.
    grows = [f"no filter, {threads} thread(s)" for threads, values in long.items() if values[-1] > 1.05 * values[0]]
    if grows or different != 1 or stream[-1][1] > stream[1][1] + 20 or stream[-1][2] > stream[1][2]:
        raise SystemExit(f"something grows or differs: {', '.join(grows) or 'see above'}")


if __name__ == "__main__":
    main()
