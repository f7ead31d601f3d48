"""How long it takes until something is there: imports, ``--help``, the first result, and compiling for the first time.

Run as ``python -m benchmarks.startup [--repeats N] [--json FILE]``. Every figure is the median of fresh processes, run
in turn, so that what disturbs one disturbs all; only ratios and differences of one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIP = "np.random.default_rng(0).random((3, 64, 80), np.float32)"
PROGRAMS = {
    "import numpy": "import numpy",
    "import pde_video": "import pde_video",
    "pde-video --help": "import sys; from pde_video.cli import main; main(['--help'])",
    "import numba": "import numba",
    "denoise": f"import pde_video as pv, numpy as np; pv.denoise({CLIP})",
    "evolve": (
        f"import pde_video as pv, numpy as np; pv.evolve(pv.PeronaMalik(0.1), {CLIP}, pv.uniform(1.0), channel_axis=0)"
    ),
}


def seconds(code: str, cache: str) -> float:
    """Wall time of a fresh process, its own start included."""
    begun = time.perf_counter()
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def measured(repeats: int, cold_repeats: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    cold = []
    for _ in range(cold_repeats):
        with tempfile.TemporaryDirectory() as empty:
            cold.append(seconds(PROGRAMS["denoise"], empty))
    with tempfile.TemporaryDirectory() as cache:
        for code in PROGRAMS.values():
            seconds(code, cache)  # Bytecode and kernels are cached, files are in memory.
        for _ in range(repeats):
            for name, code in PROGRAMS.items():
                taken[name].append(seconds(code, cache))
    return {**taken, "denoise, nothing compiled yet": cold}


def table(taken: dict[str, list[float]]) -> list[dict[str, object]]:
    median = {name: statistics.median(times) for name, times in taken.items()}
    beyond = {name: median[name] - median["import numba"] for name in ("denoise", "evolve")}
    cold = "denoise, nothing compiled yet"
    measures = {
        "import numpy": (),
        "import numba": (),
        "import pde_video": ("ratio to import numpy", median["import pde_video"] / median["import numpy"], 1.3),
        "pde-video --help": ("ratio to import numpy", median["pde-video --help"] / median["import numpy"], 2.0),
        "denoise": ("s beyond import numba, first result, warm cache", beyond["denoise"], 0.5),
        "evolve": ("s beyond import numba, first result, warm cache", beyond["evolve"], 0.5),
        cold: ("s, whole process", median[cold], 15.0),
    }
    return [
        {"program": name, "median_s": median[name], "spread_s": spread(taken[name])}
        | dict(zip(("measure", "value", "goal"), measure, strict=False))
        for name, measure in measures.items()
    ]


def spread(times: list[float]) -> float:
    """Distance of the quartiles."""
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (times * 3)
    return high - low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cold-repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    rows = table(measured(options.repeats, options.cold_repeats))
    print("| program | median s (quartiles apart) | measure | value | goal |\n|---|---|---|---|---|")
    for row in rows:
        goal = f"{row['measure']} | {row['value']:.2f} | ≤ {row['goal']:g}" if "goal" in row else "| |"
        print(f"| `{row['program']}` | {row['median_s']:.3f} ({row['spread_s']:.3f}) | {goal} |")
    if options.json:
        facts = {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}
        options.json.write_text(json.dumps({**facts, "repeats": options.repeats, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
