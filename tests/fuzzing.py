"""Coverage-guided fuzzing of this project's own parsers, with atheris: made for a night, of use for a minute.

Run as ``python -m tests.fuzzing [--seconds N] [TARGET ...]`` (``pip install atheris``; Linux and macOS). Every target
runs in a process of its own, with limits on memory and on the time of an input; what breaks it is kept in the current
folder as ``crash-...``, and the exit code is 1. An input that is refused by an error of the library is a clean end;
anything else that is raised is a finding.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

_INSTRUMENTED = ["pde_video.video", "pde_video.jobs", "pde_video.denoising.noise_estimate"]
_MEMORY, _PATIENCE = 1024, 10  # MB; seconds for one input.


def as_file(suffix: str) -> Callable[[Path], Callable[[bytes], object]]:
    """Return a target that reads a file with this ending to its end."""

    def target(folder: Path) -> Callable[[bytes], object]:
        import pde_video as pv

        path = folder / f"input{suffix}"

        def one(data: bytes) -> object:
            path.write_bytes(data)
            return sum(1 for _ in pv.read(path, max_pixels=2**16, frames=(0, 4)))

        return one

    return target


def of_a_path(module: str, name: str) -> Callable[[Path], Callable[[bytes], object]]:
    """Return a target that gives a file to a function of a module of ``pde_video.video``."""

    def target(folder: Path) -> Callable[[bytes], object]:
        parse, path = getattr(import_module(f"pde_video.video.{module}"), name), folder / "input"
        return lambda data: (path.write_bytes(data), parse(path))

    return target


def notes(folder: Path) -> Callable[[bytes], object]:
    from pde_video.jobs.notes import parsed

    return refusing(parsed)


def journal(folder: Path) -> Callable[[bytes], object]:
    from pde_video.video.staging import Journal

    return refusing(Journal.parsed)


def seal(folder: Path) -> Callable[[bytes], object]:
    from pde_video.video.seal import unsealed

    return lambda data: unsealed(data, "context")


def refusing(parse: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Return a parser whose callers know that it raises ValueError, or RecursionError of deep JSON."""

    def one(data: bytes) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            parse(data)

    return one


def packet(folder: Path) -> Callable[[bytes], object]:
    from pde_video.video.damage import count_slices, is_whole
    from pde_video.video.picture_parts import jpeg_size, without_texts

    size = refusing(lambda data: jpeg_size(data, to_the_end=True))
    return lambda data: (is_whole(data), count_slices(data), without_texts(data), size(data))


def provenance(folder: Path) -> Callable[[bytes], object]:
    from pde_video.video.provenance import MARK, found_in

    return lambda data: found_in(MARK + data.decode("utf-8", "replace"))


def sidecar(folder: Path) -> Callable[[bytes], object]:
    import numpy as np

    from pde_video.jobs.again import verify
    from pde_video.video.files import write

    video = folder / "out.npy"
    write(video, np.zeros((2, 2, 2), np.uint8))
    beside = folder / "out.npy.json"
    return lambda data: (beside.write_bytes(data), verify(video))


def recipe(folder: Path) -> Callable[[bytes], object]:
    from pde_video.jobs.recipes import build, from_toml

    path = folder / "recipe.toml"
    return lambda data: (path.write_bytes(data), build(from_toml(path)))


def noise(folder: Path) -> Callable[[bytes], object]:
    from pde_video.denoising.noise_estimate import NoiseEstimate

    return lambda data: NoiseEstimate.from_json(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[Path], Callable[[bytes], object]]] = {
    "y4m": as_file(".y4m"),
    "npy": as_file(".npy"),
    "tiff": as_file(".tif"),
    "png": as_file(".png"),
    "cut_off": of_a_path("damage", "cut_off"),
    "boxes": of_a_path("boxes", "check_tables"),
    "elements": of_a_path("matroska", "check_elements"),
    "lists": of_a_path("riff", "check_lists"),
    "packet": packet,
    "provenance": provenance,
    "sidecar": sidecar,
    "notes": notes,
    "journal": journal,
    "seal": seal,
    "recipe": recipe,
    "noise": noise,
}


def seeds(name: str, folder: Path) -> None:
    """Write a few good inputs, from which the fuzzer starts."""
    import av
    import numpy as np

    import pde_video as pv

    video = np.random.default_rng(0).integers(0, 256, (2, 6, 8), np.uint8)
    if name in ("y4m", "npy", "tiff", "png"):
        suffix = {"tiff": ".tif"}.get(name, f".{name}")
        pv.write(folder / f"good{suffix}", video[:1] if name == "png" else video)
    elif name in ("cut_off", "boxes", "elements", "lists"):
        for suffix in (".mp4", ".mkv", ".avi"):
            pv.write(folder / f"good{suffix}", np.zeros((2, 16, 16), np.uint8))
    elif name == "packet":
        with tempfile.TemporaryDirectory() as elsewhere:
            pv.write(Path(elsewhere, "good.mkv"), video, lossless=True)
            with av.open(str(Path(elsewhere, "good.mkv"))) as container:
                packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        (folder / "ffv1").write_bytes(packets[0])
        pv.write(folder / "good.png", video[:1])
        pv.write(folder / "good.jpg", video[:1])
    elif name == "noise":
        (folder / "good").write_text(pv.NoiseEstimate(0.1, 1.0, colours=(1, 1, 1)).to_json())
    elif name == "notes":
        from pde_video.jobs.notes import Notes, Segment

        job = {"input": 64 * "0", "parameters": {}, "version": "1"}
        (folder / "good").write_text(Notes(job, (Segment("000000.npy", 2, 64 * "0"),), {"sigma": 2.5}).as_text())
    elif name == "journal":
        from pde_video.video.staging import Journal

        (folder / "good").write_text(Journal("f_%03d.png", {1: 5, 2: 6}, {1: 3}).as_text())
    elif name == "seal":
        from pde_video.video.seal import sealed

        (folder / "good").write_text(sealed("{}", "context"))
    elif name == "recipe":
        (folder / "good").write_text('[[filter]]\nname = "denoise"\nsigma = 2.0\npreset = "fast"\n')
    else:
        (folder / "good").write_text('{"recipe": [{"filter": "heat", "time": 1.5}], "report": {"frames": 2}}')


def _child(name: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(
        include=["pde_video.video", "pde_video.jobs", "pde_video.denoising.noise_estimate"]
    ):
        import pde_video as pv
        from pde_video.errors import OutputError

        with tempfile.TemporaryDirectory() as folder:
            target = TARGETS[name](Path(folder))
            for seed in Path(options[-1]).iterdir():  # Now, so that all that it imports is instrumented.
                target(seed.read_bytes())

            refusals = (pv.InputError, pv.ParameterError, OutputError, FileNotFoundError, ImportError)

            def one(data: bytes) -> None:
                with contextlib.suppress(*refusals):
                    target(data)

            atheris.Setup([name, *options], one)
            atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the parsers of pde_video.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    arguments = parser.parse_args()
    failed = []
    for name in arguments.targets or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            seeds(name, Path(folder))
            limits = [f"-max_total_time={arguments.seconds}", f"-rss_limit_mb={_MEMORY}", f"-timeout={_PATIENCE}"]
            command = [sys.executable, "-m", "tests.fuzzing", "--child", name, *limits, folder]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        lines = done.stderr.splitlines()
        print(f"{name}: exit code {done.returncode}, {next((line for line in lines[::-1] if 'exec/s' in line), '')}")
        if done.returncode:
            failed.append(name)
            print("\n".join(lines[-30:]))
    if failed:
        raise SystemExit(f"found something in {', '.join(failed)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3:])
    else:
        main()
