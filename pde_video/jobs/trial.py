"""What a run would take: its first frames are done in a temporary folder, and measured."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pde_video.errors import ParameterError
from pde_video.jobs.job import Job
from pde_video.protocols import Array
from pde_video.video.pipes import is_standard

_FRAMES, _SECONDS = 24, 3.0  # The trial ends with the first of these.


def dry_run(job: Job, *, force: bool = False, sidecar: bool = False) -> dict[str, Any]:
    """Return what the filters report of the first frames, and what the whole run is expected to take.

    Keys: ``frames`` of the source (None if it does not say), ``tried``, ``expected_seconds`` and ``expected_bytes``
    (None without the number of frames), ``free_bytes`` where the output is to be, and ``peak_bytes``, the memory that
    this process has needed, which does not grow with the number of frames. Nothing is written at the target.
    """
    if is_standard(job.source) or is_standard(job.target):
        raise ParameterError("a dry run reads the input twice and measures a file; name files instead of '-'")
    plan, watch = job.prepare(force, sidecar), _Watch()
    with tempfile.TemporaryDirectory(prefix="pde-video-") as folder:
        report = replace(plan, output=replace(plan.output, path=Path(folder, plan.output.path.name))).run(watch)
        elapsed = time.monotonic() - watch.begun
        nbytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    tried, total = report["frames"], watch.count
    if not watch.stopped:
        total = tried  # That was all.
    of_a_frame = (watch.last - watch.first) / (tried - 1) if tried > 1 else elapsed
    seconds = None if total is None else elapsed + of_a_frame * max(0, total - tried)
    return {
        **report,
        "frames": total,
        "tried": tried,
        "expected_seconds": seconds,
        "expected_bytes": None if total is None else round(nbytes * max(total, tried) / tried),
        "free_bytes": shutil.disk_usage(Path(job.target).parent).free,
        "peak_bytes": peak_memory(),
    }


class _Watch:
    """Lets the first frames through, and remembers when they came."""

    def __init__(self) -> None:
        self.begun = self.first = self.last = time.monotonic()
        self.count: int | None = None
        self.stopped = False

    def __call__(self, frames: Iterable[Array], count: int | None) -> Iterator[Array]:
        self.count = count
        for number in itertools.count(1):
            frame = next(iter(frames), None)  # Not more frames than are wanted: each may take seconds.
            if frame is None:
                return
            self.last = time.monotonic()
            self.first = self.last if number == 1 else self.first
            yield frame
            if number == _FRAMES or self.last - self.first > _SECONDS:
                self.stopped = number != count
                return


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
