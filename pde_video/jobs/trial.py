"""Dry run: the first frames are processed in a temporary folder, and measured."""

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pde_video.jobs.run import Plan
from pde_video.protocols import Array
from pde_video.video.leftovers import check_unfinished

_FRAMES, _SECONDS = 24, 3.0  # The trial ends with the first of these.


def dry_run(plan: Plan) -> dict[str, Any]:
    """Return what the filters report of the first frames, and what the whole run is expected to take.

    Keys: ``frames`` of the output (None if the source does not say), ``tried``, ``duration`` in seconds (None without a
    rate), ``expected_seconds`` and ``expected_bytes``
    (None without the number of frames), ``free_bytes`` where the output is to be, and ``peak_bytes``, the memory that
    this process has needed, which does not grow with the number of frames. Nothing is changed at the target: what a
    killed run has begun there, and a run would finish or undo first, is told under ``warnings``.
    """
    arrived: list[float] = []
    target = plan.output.path

    def enough() -> bool:
        return len(arrived) == _FRAMES or arrived[-1] - arrived[0] > _SECONDS

    def first_frames(frames: Iterable[Array], count: int | None) -> Iterator[Array]:
        for frame in frames:
            arrived.append(time.monotonic())
            yield frame
            if enough():
                return  # Before the next frame is made, which may take seconds.

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pde-video-") as folder:
        elsewhere = replace(plan.output, path=Path(folder, target.name))
        report = replace(plan, output=elsewhere, sidecar=False).run(first_frames)
        elapsed = time.monotonic() - begun
        nbytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    tried = len(arrived)
    timing = plan.timing
    total = timing.count if enough() else tried
    if unfinished := check_unfinished(target):
        report["warnings"] = [*unfinished, *report.get("warnings", ())]
    of_a_frame = (arrived[-1] - arrived[0]) / (tried - 1) if tried > 1 else elapsed
    return {
        **report,
        "frames": total,
        "tried": tried,
        "duration": float(total / timing.rate) if total is not None and timing.rate else None,
        "expected_seconds": None if total is None else elapsed + of_a_frame * max(0, total - tried),
        "expected_bytes": None if total is None else round(nbytes * max(total, tried) / tried),
        "free_bytes": shutil.disk_usage(target.parent).free,
        "peak_bytes": peak_memory(),
    }


def peak_memory() -> int | None:
    """Return the most memory that this process has held, in bytes; None where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        # Not ru_maxrss, which on Linux begins with what the process had that started this one.
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
