"""Interleaved measurements, and their tables: what `files` and `peers` share."""

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


def interleaved(runs: dict[str, Callable[[], object]], repeats: int) -> tuple[dict[str, list[float]], ...]:
    """Return the seconds of every run, by the clock and of all processors together, of its child processes as well.

    One round of all follows the other, so that a noisy minute hits all alike.
    """
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begun, used = time.perf_counter(), _busy()
            run()
            wall[name].append(time.perf_counter() - begun)
            busy[name].append(_busy() - used)
    return wall, busy


def _busy() -> float:
    children = os.times()  # By the hundredth of a second, but these run for seconds.
    return time.process_time() + children.children_user + children.children_system


def median(times: Iterable[float]) -> float:
    return statistics.median(times)


def spread(times: list[float], unit: float) -> str:
    """Return the smallest and the largest time."""
    return f"{min(times) / unit:.3g} to {max(times) / unit:.3g}"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(*packages: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    import pde_video as pv

    return {
        "processor": _processor(),
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


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


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
