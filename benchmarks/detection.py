"""What `denoise`, told nothing, reports of each scenario of noise: the table of docs/noise.md.

Run as ``python -m benchmarks.detection [--colour] [--noise NAME:key=value] [--parts N] [--crop N]`` with the extra
`bench`. Every cell is the share of runs, in percent, in which something was reported at all; for changes of light,
repeats and cuts, the share of frames. Each run has the middle of twelve frames of a clip, rounded to 8 bits
except for photon noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks.quality import real_clips
from benchmarks.scenarios import cropped
from pde_video.bench.clips import Clip
from pde_video.bench.scenarios import Noise
from pde_video.bench.tables import table

SCENES = (
    "white:sigma=0.001",  # Clean, but for rounding.
    *(f"white:sigma={sigma}" for sigma in (2, 5, 20, 40)),
    *(f"blurred:radius={radius}" for radius in (0.5, 1.0)),
    "enlarged",
    "demosaiced",
    "jpeg",
    *(f"h264:crf={crf}" for crf in (18, 28)),
    *(f"impulse:share={share}" for share in (0.01, 0.05)),
    "hot",
    "rows",
    "columns",
    *(f"poisson:peak={peak}" for peak in (2, 10, 30)),
    "duplicates",
    "flicker",
    "bands",
    "fade",
)
_FRAMES, _SHORTEST = 12, 120
FOUND: dict[str, Callable[[dict[str, Any]], float]] = {
    "shared by neighbours": lambda report: "correlation" in report,
    "impulses": lambda report: "impulses" in report,
    "hot": lambda report: "hot" in report,
    "rows": lambda report: "rows" in report,
    "columns": lambda report: "columns" in report,
    "photons": lambda report: report["noise"] == "poisson-gaussian",
    "fixed": lambda report: report.get("fixed", 0) > 0,
    "repeats": lambda report: report.get("repeated", 0) / (_FRAMES - 1),
    "light": lambda report: report.get("relit", 0) / (_FRAMES - 1),
    "cuts": lambda report: len(report.get("cuts", ())) / (_FRAMES - 1),
    "warnings": lambda report: bool(report.get("warnings")),
}


def parts(count: int, *, gray: bool) -> list[Clip]:
    """Return so many parts of each clip, spread over the length of the shortest."""
    starts = np.linspace(0, _SHORTEST - _FRAMES, count).astype(int).tolist()
    return [clip for start in starts for clip in real_clips(gray=gray, part=(start, start + _FRAMES))]


def reported(noise: Noise, clip: Clip) -> dict[str, Any]:
    report: dict[str, Any] = {}
    pv.denoise(noise.on(clip.frames, 1)[0], preset="fast", report=report)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="What denoise, told nothing, reports of each scenario of noise.")
    parser.add_argument("--noise", metavar="NAME[:KEY=VALUE,...]", action="append", default=[], help="scenarios")
    parser.add_argument("--parts", type=int, default=3, metavar="N", help="of each clip (default 3)")
    parser.add_argument("--crop", type=int, default=320, metavar="N", help="only the middle N × N pixels (default 320)")
    parser.add_argument("--colour", action="store_true", help="colour clips")
    arguments = parser.parse_args()
    clips = [cropped(clip, arguments.crop) for clip in parts(arguments.parts, gray=not arguments.colour)]
    rows = []
    for text in arguments.noise or SCENES:
        noise = Noise(text, clipped=not text.startswith("poisson"))  # Of few photons, much would be clipped.
        if noise.name == "demosaiced" and not arguments.colour:
            continue
        reports = list(map(partial(reported, noise), clips))
        shares = [float(np.mean([find(report) for report in reports])) for find in FOUND.values()]
        rows.append([text, *(f"{100 * share:.0f}" if share else "" for share in shares)])
        print(*rows[-1], sep=" | ", flush=True)
    print(f"\n{len(clips)} runs each\n")
    print(table(["noise", *FOUND], rows))


if __name__ == "__main__":
    main()
