"""The tables of docs/learned.md: denoisers in the loop against equations, on frames that no network was trained on.

Run as ``python -m benchmarks.learned`` with the extra `bench`: some minutes. The clips and noise are those of
docs/benchmark.md, the noise level is told, as a denoiser must be; times are of the whole call, on all threads.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.clips import Clip
from pde_video.bench.scenarios import Noise

SIGMAS = (10, 25, 50)
WAYS = {
    "`--method perona-malik`": partial(pv.denoise, method="perona-malik"),
    "`--method tv`": partial(pv.denoise, method="tv"),
    "diffusion by cosine filters (`radius=0`)": partial(pv.denoise, radius=0),
    'cosine filters twice (`preset="best", radius=0`)': partial(pv.denoise, preset="best", radius=0),
    "`--method ddpm`: posterior means of the cosine filters": partial(pv.denoise, method="ddpm"),
    "samples of the same (ancestral, every level)": None,
    "`--method learned`": partial(pv.denoise, method="learned"),
    "`--method learned`, one level": partial(pv.denoise, method="learned", steps=1),
    "`--preset fast`": partial(pv.denoise, preset="fast"),
    "`denoise`": pv.denoise,
}


def sampled(noisy: np.ndarray, sigma: float) -> np.ndarray:
    times = pv.ddpm(pv.Schedule.linear(), start=sigma, value_range=(-1, 1))
    return pv.reverse(pv.cosine_diffusion, times, pv.ancestral(2))(noisy)


def measured(clip: Clip, level: float) -> dict[str, tuple[float, float]]:
    noisy, found = Noise(f"white:sigma={level}").on(clip.frames, seed=0)[0], {}
    for name, way in WAYS.items():
        run = partial(sampled, sigma=level / 255) if way is None else partial(way, sigma=level / 255)
        run(noisy[:2])  # Compiled.
        begun = time.perf_counter()
        result = run(noisy)
        found[name] = pv.psnr(clip.frames, result), 1e3 * (time.perf_counter() - begun) / len(noisy)
    return found


def main() -> None:
    clips = real_clips()
    found = {(clip.name, level): measured(clip, level) for clip in clips for level in SIGMAS}
    print("| | " + " | ".join(f"σ = {level}" for level in SIGMAS) + " | ms per frame of 272 × 640 |")
    print("|---|" + "--:|" * (len(SIGMAS) + 1))
    for name in WAYS:
        cells = []
        for level in SIGMAS:
            values = [found[clip.name, level][name][0] for clip in clips]
            cells.append(f"{np.mean(values):.2f} ({', '.join(f'{value:.1f}' for value in values)})")
        took = np.median([found["bikes", level][name][1] for level in SIGMAS])
        print(f"| {name} | " + " | ".join(cells) + f" | {took:.0f} |")


if __name__ == "__main__":
    main()
