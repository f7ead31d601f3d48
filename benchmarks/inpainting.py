"""What `inpaint` reaches inside the mask, and others frame by frame: the table of docs/inpainting.md.

Run as ``python -m benchmarks.inpainting [--clip NAME] [--detect | --lost | --flicker]`` with the extra `bench`.
Sixteen grey frames of each clip, with scratches that tremble and dust that is new in every frame. OpenCV gets 8 bits.
With `--detect`, what is found of dust, and of scratches, of 15 or 240 of 255; then, in 40 frames, what
`detect_dead_pixels` finds of one pixel in a thousand that is stuck at 0, 60, 128, 200 or 255, a black row and two
bright columns; and which frames `detect_damaged_frames` marks, of which 7 is noise, 13 is half black, and 20 is
grey; and of twelve titles in each part of 40 frames, where enough moves around, how many `detect_logo` finds. With
`--lost`, what frames that are lost, or half of one, gain over a fade. With `--flicker`, PSNR inside the mask where
light changes, and that of what is filled in even light, in the same light; and what is found of dust.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.protocols import Array
from pde_video.restoration.inpaint import METHODS

Fill = Callable[[Array, Array], Array]


def damage(frames: int, height: int, width: int, seed: int = 1, scratches: int = 4, dust: bool = True) -> Array:
    """Return a mask (T, H, W): scratches of two or three columns, and one speck for every 6,000 pixels."""
    rng = np.random.default_rng(seed)
    columns = rng.integers(5, width - 5, scratches)
    y, x = np.ogrid[:height, :width]
    mask = np.zeros((frames, height, width), bool)
    for frame in mask:
        for column in columns:
            left = column + rng.integers(-1, 2)
            frame[:, left : left + rng.integers(2, 4)] = True
        for _ in range(max(6, height * width // 6000) * dust):
            radius, shape, i, j = *rng.uniform((1, 0.6), (5, 1.6)), rng.integers(0, height), rng.integers(0, width)
            frame |= ((y - i) / radius) ** 2 + ((x - j) / (radius * shape)) ** 2 < 1
    return mask


def opencv(method: str) -> Fill:
    import cv2

    def fill(frame: Array, mask: Array) -> Array:
        found = cv2.inpaint(np.rint(255 * frame).astype(np.uint8), mask.astype(np.uint8), 3, getattr(cv2, method))
        return found.astype(np.float32) / 255

    return fill


def gmic(command: str) -> Fill:
    from gmic import Image, ImageList, run

    def fill(frame: Array, mask: Array) -> Array:
        pair = (np.ascontiguousarray(255 * one, np.float32) for one in (frame, mask))
        filled = run(f"v - {command}", ImageList([Image(one) for one in pair]))[0]
        return np.asarray(filled.to_numpy()).reshape(frame.shape) / np.float32(255)

    return fill


def biharmonic(frame: Array, mask: Array) -> Array:
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(frame, mask))


def by_frames(fill: Fill, video: Array, mask: Array) -> Array:
    return np.stack([fill(*pair) for pair in zip(video, mask, strict=True)])


def spoiled(video: Array, mask: Array, kind: str, rng: np.random.Generator) -> Array:
    """Return a video in which every speck of each frame, or every scratch, is dark or bright."""
    parts = mask if kind == "dust" else mask.any(axis=0)[np.newaxis]
    shades = []
    for part in parts:
        labels, count = ndimage.label(part)
        shades.append((np.where(rng.random(count + 1) < 0.5, 15, 240) / 255)[labels])
    return np.where(mask, np.stack(shades), video).astype(np.float32)


def lights(frames: int) -> dict[str, Array]:
    """Return changes of light: gains and offsets of each frame, (2, T, 1, 1)."""
    noise, ones = np.random.default_rng(7).standard_normal((2, frames, 1, 1)), np.ones((frames, 1, 1))
    flash = np.where(np.arange(frames) == frames // 2, 1.6, 1.0)[:, np.newaxis, np.newaxis]
    changes = {
        "none": (ones, 0 * ones),
        **{f"gain, {share:.0%}": (1 + share * noise[0], 0 * ones) for share in (0.02, 0.05, 0.1)},
        "gain, 5%, and offset, 3%": (1 + 0.05 * noise[0], 0.03 * noise[1]),
        "fade to black": (np.linspace(1, 0, frames)[:, np.newaxis, np.newaxis], 0 * ones),
        "flash of one frame, 60%": (flash, 0 * ones),
    }
    return {name: np.stack(both).astype(np.float32) for name, both in changes.items()}


def in_changing_light(clean: Array) -> list[str]:
    """Return PSNR inside the mask in each light, and of what is filled in even light."""
    mask, cells = damage(*clean.shape), []
    even = pv.inpaint(np.where(mask, np.float32(0.9), clean), mask)
    for gain, offset in lights(len(clean)).values():
        lit = gain * clean + offset
        found = pv.inpaint(np.where(mask, np.float32(0.9), lit), mask)
        errors = [np.square(one - lit)[mask].mean() for one in (found, gain * even + offset)]
        cells.append(" / ".join(f"{-10 * np.log10(error):.1f}" for error in errors))
    return cells


def detected(clean: Array, sigma: float, kind: str) -> list[str]:
    """Return precision and recall in percent, what is marked without damage, and PSNR of frames before and after."""
    mask = damage(*clean.shape, scratches=0) if kind == "dust" else damage(*clean.shape, dust=False)
    rng = np.random.default_rng(2)
    noisy = np.clip(clean + sigma / 255 * rng.standard_normal(clean.shape), 0, 1).astype(np.float32)
    bad = spoiled(noisy, mask, kind, rng)
    found, without = (pv.mask(video, detect=kind) > 0 for video in (bad, noisy))
    hits = np.count_nonzero(found & mask)
    figures = [f"{100 * hits / np.count_nonzero(one):.1f}" for one in (found, mask)] + [f"{100 * without.mean():.3f}"]
    return figures + [f"{pv.psnr(clean, video):.1f}" for video in (bad, pv.inpaint(bad, detect=kind))]


def on_a_sensor(clean: Array, sigma: float) -> list[str]:
    """Return precision and recall of dead pixels, recall of lines, what is marked without any, and damaged frames."""
    rng, (height, width) = np.random.default_rng(3), clean.shape[1:]
    stuck, lines = rng.random((height, width)) < 1e-3, np.zeros((height, width), bool)
    lines[height // 3], lines[:, width // 2 : width // 2 + 2] = True, True
    noisy = np.clip(clean + sigma / 255 * rng.standard_normal(clean.shape), 0, 1).astype(np.float32)
    bad, damaged = noisy.copy(), noisy.copy()
    bad[:, stuck] = rng.choice(np.array([0, 60, 128, 200, 255]) / 255, np.count_nonzero(stuck))
    bad[:, height // 3], bad[:, :, width // 2 : width // 2 + 2] = 0, 200 / 255
    damaged[7], damaged[13, height // 2 :], damaged[20] = rng.random((height, width)), 0, 0.5
    found, without = (pv.detect_dead_pixels(video)[0] > 0 for video in (bad, noisy))
    lost = [np.flatnonzero(pv.detect_damaged_frames(one).any(axis=(1, 2))).tolist() for one in (damaged, noisy)]
    shares = [found & ~lines, stuck], [stuck & ~lines, found], [lines, found]
    return [
        *(f"{100 * np.count_nonzero(one & other) / max(1, np.count_nonzero(one)):.1f}" for one, other in shares),
        f"{100 * without.mean():.3f}",
        *(", ".join(map(str, one)) or "none" for one in lost),
    ]


def title(height: int, width: int, rng: np.random.Generator) -> Array:
    """Return a mask (H, W) of five letters, each of two or three strokes, anywhere."""
    mask, top, left = np.zeros((height, width), bool), rng.integers(6, height - 30), rng.integers(6, width - 74)
    for at in range(left, left + 65, 13):
        strokes = [(0, 20, 0, 3), (0, 3, 0, 10), (17, 20, 0, 10), (9, 12, 0, 10), (0, 20, 7, 10)]
        for i, j, k, n in (strokes[one] for one in rng.choice(5, rng.integers(2, 4), replace=False)):
            mask[top + i : top + j, at + k : at + n] = True
    return mask


def titles(film: Array) -> list[str]:
    """Return how many of twelve titles have motion around; are found for the most part, or not; and marks without."""
    rng, shades, around, shares = np.random.default_rng(4), (0.95, 0.08, 0.6), [], []
    varies = film.std(axis=0)
    texture = np.mean([ndimage.generic_gradient_magnitude(one, ndimage.sobel) for one in film[::5]], axis=0) / 8
    for number in range(12):
        mask = title(*film.shape[1:], rng)
        found = pv.detect_logo(np.where(mask, np.float32(shades[number % 3]), film))[0] > 0
        ring = ndimage.binary_dilation(mask, iterations=12) & ~ndimage.binary_dilation(mask, iterations=5)
        around.append(np.mean((varies > texture)[ring]) > 0.8)
        shares.append(found[mask].mean())
    seen = np.array(shares)[around]
    without = 100 * np.mean(pv.detect_logo(film)[0] > 0)
    return [str(len(seen)), str(np.count_nonzero(seen > 0.8)), str(np.count_nonzero(seen < 0.1)), f"{without:.3f}"]


def gain_over_fade(clean: Array, frames: int, rows: float) -> str:
    """Return the gain in dB where so many frames are lost below a share of the rows, at every third place."""
    errors = []
    for first in range(1, len(clean) - frames, 3):
        mask, last = np.zeros(clean.shape, bool), first + frames
        mask[first:last, int(rows * clean.shape[1]) :] = True
        shares = (np.arange(1, frames + 1, dtype=np.float32) / (frames + 1))[:, np.newaxis, np.newaxis]
        fade = clean[first - 1] + shares * (clean[last] - clean[first - 1])
        both = pv.inpaint(np.where(mask, np.float32(0), clean), mask)[first:last], fade
        errors.append([np.square(one - clean[first:last])[mask[first:last]].mean() for one in both])
    found, faded = np.mean(errors, axis=0)
    return f"{10 * np.log10(faded / found):+.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="What inpaint reaches inside the mask, and others frame by frame.")
    parser.add_argument("--clip", default="", metavar="NAME", help="only those with NAME in the name")
    parser.add_argument("--detect", action="store_true", help="what is found of dust")
    parser.add_argument("--lost", action="store_true", help="what lost frames gain over a fade")
    parser.add_argument("--flicker", action="store_true", help="what is filled and found where light changes")
    arguments = parser.parse_args()
    clips = [clip for clip in real_clips() if arguments.clip in clip.name]
    if arguments.detect:
        for kind in ("dust", "scratches"):
            header = [kind, "σ", "precision, %", "recall, %", "marked without, %", "damaged, dB", "restored, dB"]
            rows = [[clip.name, str(s), *detected(clip.frames, s, kind)] for clip in clips for s in (0, 5)]
            print(table(header, rows), end="\n\n")
        longer = [clip for clip in real_clips(part=(0, 40)) if arguments.clip in clip.name]
        header = ["", "σ", "precision, %", "recall, %", "of lines, %", "marked without, %", "damaged", "without"]
        print(table(header, [[one.name, str(s), *on_a_sensor(one.frames, s)] for one in longer for s in (0, 5, 20)]))
        parts = [(one, k) for one in real_clips(part=(0, 120)) for k in range(0, 81, 20)]
        header = ["titles", "from frame", "in motion", "found", "missed", "marked without, %"]
        rows = [[one.name, str(k), *titles(one.frames[k : k + 40])] for one, k in parts if arguments.clip in one.name]
        print(f"\n{table(header, rows)}")
        return
    if arguments.flicker:
        columns = [list(lights(1)), *(in_changing_light(clip.frames) for clip in clips)]
        print(table(["light", *(clip.name for clip in clips)], [list(row) for row in zip(*columns, strict=True)]))
        header = ["dust, light", "", "precision, %", "recall, %", "marked without, %", "damaged, dB", "restored, dB"]
        rows = [
            [clip.name, name, *detected(np.clip(gain * clip.frames + offset, 0, 1), 0, "dust")]
            for clip in clips
            for name, (gain, offset) in list(lights(len(clip.frames)).items())[:4]
        ]
        print(f"\n{table(header, rows)}")
        return
    if arguments.lost:
        kinds = {
            "the lower half of a frame": (1, 0.5),
            "a frame": (1, 0),
            "two in a row": (2, 0),
            "four": (4, 0),
            "eight": (8, 0),
        }
        rows = [[name, *(gain_over_fade(clip.frames, *kind) for clip in clips)] for name, kind in kinds.items()]
        print(table(["lost", *(clip.name for clip in clips)], rows))
        return
    fills: dict[str, Fill] = {
        "OpenCV, Telea": partial(by_frames, opencv("INPAINT_TELEA")),
        "OpenCV, Navier–Stokes": partial(by_frames, opencv("INPAINT_NS")),
        "G'MIC, `inpaint_pde`": partial(by_frames, gmic("inpaint_pde[0] [1],75%,2,20")),
        "G'MIC, `inpaint_flow`": partial(by_frames, gmic("inpaint_flow[0] [1]")),
        "scikit-image, biharmonic": partial(by_frames, biharmonic),
        **{f'`method="{name}"`': partial(pv.inpaint, method=name) for name in reversed(METHODS)},
    }
    rows = []
    for name, fill in fills.items():
        row = [name]
        for clip in clips:
            mask = damage(*clip.frames.shape)
            bad = np.where(mask, np.float32(0.9), clip.frames)
            error = np.square(fill(bad, mask) - clip.frames)[mask].mean()
            row.append(f"{-10 * np.log10(error):.1f}")
        rows.append(row)
        print(*row, sep=" | ", flush=True)
    print(f"\n{table(['', *(clip.name for clip in clips)], rows)}")


if __name__ == "__main__":
    main()
