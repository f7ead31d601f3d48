"""A scene or a clip with known truth, noise on it, and how much of it goes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import OutputError
from pde_video.filters.denoise import denoise
from pde_video.filters.noise import gaussian_noise
from pde_video.metrics import Psnr
from pde_video.protocols import Array
from pde_video.video.files import check_distinct, check_output, read, write

Progress = Callable[[Iterable[Array], int | None], Iterable[Array]]


def moving_scene(frames: int = 48, height: int = 240, width: int = 320) -> Iterator[Array]:
    """Yield uint8 colour frames of a textured plane that pans, with a disc and a bar that move across it."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for k in range(frames):
        x, y = columns + 1.5 * k, rows + 0.5 * k
        ground = 0.45 + 0.12 * np.sin(x / 31) * np.cos(y / 23) + 0.05 * np.sign(np.sin(x / 9) * np.sin(y / 9))
        picture = np.stack([ground, 0.9 * ground + 0.05, 0.7 * ground + 0.1 + 0.1 * y / height], axis=-1)
        centre = (height * (0.5 + 0.25 * np.sin(k / 8)), width * (0.2 + 0.6 * k / max(frames - 1, 1)))
        distance = np.hypot(rows - centre[0], columns - centre[1])
        _paint(picture, np.clip(height / 6 - distance + 0.5, 0, 1), (0.85, 0.35, 0.25))
        across = np.abs((rows - height / 2) * np.cos(k / 20) + (columns - width / 2) * np.sin(k / 20))
        _paint(picture, np.clip(height / 40 - across + 0.5, 0, 1), (0.15, 0.2, 0.5))
        yield np.rint(picture * 255).astype(np.uint8)


def _paint(picture: Array, cover: Array, colour: tuple[float, float, float]) -> None:
    picture += cover[..., np.newaxis] * (np.array(colour, np.float32) - picture)


def _kept(frames: Iterable[Array], number: int, where: list[Array]) -> Iterator[Array]:
    """Pass frames on, and put the one of that number aside."""
    for i, frame in enumerate(frames):
        if i == number:
            where.append(frame)
        yield frame


def _as_bytes(picture: Array) -> Array:
    """Return what a PNG can hold of a picture: floats in [0, 1] as 8 bits."""
    if picture.dtype.kind != "f":
        return picture
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def demonstrate(
    clip: str | Path | None,
    sigma: float,
    folder: Path,
    *,
    method: str = "perona-malik",
    seed: int = 0,
    force: bool = False,
    progress: Progress = lambda frames, count: frames,
) -> dict[str, Any]:
    """Write a noisy and a denoised video and a picture of both, and return the figures.

    The denoiser is told nothing. PSNR is taken on the frames themselves, before the videos are compressed.
    """
    video = read(clip) if clip is not None else None
    suffix = ".mp4" if video is None or video.dtype == np.uint8 else ".npy"
    if folder.exists() and not folder.is_dir():
        raise OutputError(errno.ENOTDIR, f"{folder} is a file; name a folder")
    paths = {name: folder / f"{name}{suffix}" for name in ("noisy", "denoised")} | {"picture": folder / "picture.png"}
    for path in paths.values():
        if folder.exists():
            check_output(path, force)
        if clip is not None:
            check_distinct(Path(clip), path)

    clean = (lambda: iter(video)) if video is not None else moving_scene
    count = video.count if video is not None else 48
    report: dict[str, Any] = {}

    def noisy(report: dict[str, Any] | None = None) -> Iterator[Array]:
        return gaussian_noise(clean(), sigma, rng=seed)

    def denoised(report: dict[str, Any] | None = None) -> Iterator[Array]:
        return denoise(noisy(), method=method, report=report)

    next(denoised())  # Parameters are refused here, before anything is written.
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    panels = [next(islice(clean(), (count or 1) // 2, None))]
    for stream in (noisy, denoised):
        meter, path = Psnr(), paths[stream.__name__]
        watched = _kept(meter.watch(clean(), stream(report)), (count or 1) // 2, panels)
        frames = progress(watched, count)
        figures["frames"] = write(path, frames, like=video, force=force)
        figures[f"psnr_{stream.__name__}"] = meter.value
    write(paths["picture"], [_as_bytes(np.concatenate(panels, axis=1))], force=force)
    figures["gain"] = figures["psnr_denoised"] - figures["psnr_noisy"]
    return {
        **figures,
        **report,
        "sigma_added": sigma,
        "files": {name: str(path) for name, path in paths.items()},
    }
