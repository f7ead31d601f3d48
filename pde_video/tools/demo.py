"""The demo: noise is added to a clean clip and removed again, and the result is measured."""

import errno
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.denoising.denoise import denoise
from pde_video.errors import OutputError
from pde_video.filters.synthetic_noise import gaussian_noise
from pde_video.jobs.run import Progress
from pde_video.metrics.quality import Psnr, Whiteness
from pde_video.protocols import Array
from pde_video.tools.pictures import Place, cut, enlarged, labelled, most_textured, side_by_side
from pde_video.video.files import read, write_together
from pde_video.video.outputs import check_distinct, check_output, reported

_PANELS = ("clean", "noisy", "denoised")
_DIFFERENCES = {"noise added": (1, 0), "removed": (1, 2), "error left": (2, 0)}  # Of panels, the first − the second.


def moving_scene(frames: int = 48, height: int = 240, width: int = 320) -> Generator[Array, None, None]:
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


def _kept(frames: Iterable[Array], aside: deque[Array]) -> Iterator[Array]:
    """Yield the frames, and append each to `aside`."""
    for frame in frames:
        aside.append(frame)
        yield frame


def demonstrate(
    clip: str | Path | None,
    sigma: float,
    folder: Path,
    *,
    preset: str | None = None,
    method: str | None = None,
    seed: int = 0,
    place: Place | None = None,
    force: bool = False,
    progress: Progress = lambda frames, count: frames,
) -> dict[str, Any]:
    """Write the noisy, the denoised and a side-by-side video, and two pictures; return the figures.

    The denoiser estimates the noise. Figures are measured before the videos are compressed.
    """
    video = read(clip) if clip is not None else None
    suffix = ".mp4" if video is None or video.dtype == np.uint8 else ".npy"
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise OutputError(errno.ENOTDIR, f"{folder} is not a folder; name a folder")
    paths = {name: folder / f"{name}{suffix}" for name in ("noisy", "denoised", "side_by_side")}
    paths |= {name: folder / f"{name}.png" for name in ("picture", "crop")}
    for path in paths.values():
        if os.path.isdir(folder):
            check_output(path, force)
        if clip is not None:
            check_distinct(path, [Path(clip)])

    count = video.count if video is not None else 48
    report: dict[str, Any] = {}
    before, after, whiteness = Psnr(), Psnr(), Whiteness()
    clean_aside, noisy_aside = deque[Array](), deque[Array]()

    def rows(source: Iterable[Array]) -> Iterator[list[Array | None]]:
        noisy_frames = gaussian_noise(_kept(source, clean_aside), sigma, rng=seed)
        denoised_frames = denoise(_kept(noisy_frames, noisy_aside), preset=preset, method=method, report=report)
        for number, denoised in enumerate(progress(denoised_frames, count)):
            clean, noisy = clean_aside.popleft(), noisy_aside.popleft()
            before.add(clean, noisy)
            after.add(clean, denoised)
            whiteness.add(noisy, denoised)
            picture, crop = None, None
            if number == 0 and place is not None:
                cut(clean, place)  # Checked here, not in the middle of the video.
            if number == (count or 1) // 2:
                frames = dict(zip(_PANELS, (clean, noisy, denoised), strict=True))
                picture = np.concatenate([labelled(frame, name) for name, frame in frames.items()], axis=1)
                if picture.dtype.kind == "f":  # PNG holds integers.
                    picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
                report["crop_place"] = shown = place or most_textured(clean)
                panels = [cut(frame, shown) for frame in frames.values()]
                crop, report["crop_gain"] = enlarged(panels, [*_DIFFERENCES.values()], [*_PANELS, *_DIFFERENCES])
            yield [noisy, denoised, side_by_side(clean, noisy, denoised), picture, crop]

    with closing(iter(video) if video is not None else moving_scene()) as source:
        stream = rows(source)
        first = next(stream)  # Parameters are checked here, before anything is written.
        with reported(folder):
            folder.mkdir(parents=True, exist_ok=True)
        (frames, *_) = write_together(list(paths.values()), chain([first], stream), like=video, force=force)
    return {
        "frames": frames,
        "psnr_noisy": before.value,
        "psnr_denoised": after.value,
        "gain": after.value - before.value,
        "whiteness": whiteness.value,
        **report,
        "sigma_added": sigma,
        "files": {name: str(path) for name, path in paths.items()},
    }
