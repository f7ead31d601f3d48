"""Interleaved measurements and their report, shared by the benchmarks."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pde_video.bench.measuring import processor_time
from pde_video.tools.doctor import processor


def interleaved(runs: dict[str, Callable[[], object]], repeats: int) -> tuple[dict[str, list[float]], ...]:
    """Return the seconds of every run, by the clock and of all processors together, of its child processes as well.

    One round of all follows the other, so that a noisy minute hits all alike.
    """
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begun, used = time.perf_counter(), processor_time()
            run()
            wall[name].append(time.perf_counter() - begun)
            busy[name].append(processor_time() - used)
    return wall, busy


def median(times: Iterable[float]) -> float:
    return statistics.median(times)


def spread(times: list[float], unit: float) -> str:
    """Return the smallest and the largest time."""
    return f"{min(times) / unit:.3g} to {max(times) / unit:.3g}"


def machine(*packages: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    import pde_video as pv

    return {
        "processor": processor()["cpu"],
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "threads": pv.num_threads() if hasattr(pv, "num_threads") else None,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def parser(description: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    found.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    return found


def report(text: str, figures: dict[str, Any], path: Path | None) -> None:
    print(text)
    facts = ", ".join(f"{name} {value}" for name, value in figures["machine"].items())
    print(f"\n{facts}")
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
