"""10 Train a network, and plug it in.

A network is trained to undo noise that was put on clean frames: of x, σ and ε at random, y = x + σ ε, minimise

    E σ^(−3/2) ‖D(y, σ) − x‖²    (a weight by which all noise levels count).

The best D is the mean of x given y, the denoiser of the rungs before. It is not left to find what is known:

    D(y, σ) = P(y, σ) + ½ σ F((y − ½)/s, (y − P)/σ, log σ),    s² = σ² + ¼²,

with a diffusion P, the spatial step of `denoise`. Before training F = 0, and D is as good as the PDE. F, a network of
convolutions, the same for every frame, sees inputs and gives outputs of about the same size at every noise level.

It also has a **state** h, which it carries along the video: h_t = (1 − z) h_{t−1} + z c, gates z and candidates c from
the frame and the old state. Some of the candidates are the frame's own pixels, so where nothing moves h can be an
average over time. It looks at the past alone, so that a camera's frames can be denoised as they come.

Whatever was trained, the pipeline sees a function (y, σ) → estimate. Below, a small network learns from a made-up scene
for some seconds. It runs in PyTorch and in the library's own kernels, which must agree, and then in one pipeline with a
PDE, frame by frame. This rung needs `pip install ".[plot,torch]"`.

Exercises
---------
1. Train for ten times as long, with three seeds. How much do the results differ, and how much is won?
2. Train with `cell="rnn"`, and with single frames (`frames=1`). What does the memory bring, and where?
"""

import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv

STEPS, SIGMA = 600, 25 / 255


def scene(start, frames, height=96, width=128):
    """A grey ground that pans slowly behind a disc that moves fast."""
    i, j = np.mgrid[:height, :width]
    video = []
    for k in range(start, start + frames):
        ground = 0.5 + 0.15 * np.sin((j + k / 2) / 3) * np.cos(i / 5) + 0.1 * np.sign(np.sin((i + j + k) / 9))
        disc = np.hypot(i - height / 2, j - width * (0.5 + 0.3 * np.sin(k / 4))) < height / 5
        video.append(np.where(disc, 0.85, ground))
    return np.array(video, np.float32)


def main(folder):
    """Train, compare three ways to run what was trained, and denoise what was not trained on."""
    import torch

    from pde_video.learn.footage import Footage
    from pde_video.learn.model import load_model
    from pde_video.learn.training import Settings, train

    told = []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "model.safetensors")
        settings = Settings(steps=STEPS, batch=2, frames=4, size=32, width=16, decay=0.97, sigma=(10.0, 60.0))
        train([Footage("scene", scene(0, 48))], path, settings=settings, every=50, tell=told.append)
        module, network = load_model(path), pv.load_denoiser(path)

    clean = scene(60, 12)
    noisy = clean + SIGMA * np.random.default_rng(10).standard_normal(clean.shape, np.float32)
    with torch.inference_mode():
        guide = pv.cosine_diffusion(noisy[..., np.newaxis], SIGMA)[..., 0]
        by_torch = module.along(*(torch.from_numpy(x)[None] for x in (noisy, guide)), torch.tensor([SIGMA]))[0].numpy()
    by_kernels = network(noisy[..., np.newaxis], SIGMA)[..., 0]
    assert np.abs(by_torch - by_kernels).max() < 1e-4

    learned = partial(pv.denoise, method="learned", denoiser=network, sigma=SIGMA)
    shown = {
        "noisy": noisy,
        "the PDE alone": pv.denoise(noisy, radius=0, sigma=SIGMA),
        "with the network": learned(noisy),
    }
    # A PDE and a network in one pipeline, one frame in, one frame out.
    pipe = pv.pipeline(learned, pv.framewise(pv.PeronaMalik(0.02), pv.uniform(0.5)))
    assert np.array_equal(np.stack(list(islice(pipe(iter(noisy)), 12))), pipe(noisy))

    psnr = {name: pv.psnr(clean, video) for name, video in shown.items()}
    losses = [float(line.rpartition(" ")[2]) for line in told]
    figure = Figure(figsize=(10.5, 2.8), layout="constrained")
    curve, *rest = figure.subplots(1, 4, width_ratios=[1.2, 1, 1, 1])
    curve.plot(50 * np.arange(1, len(losses) + 1), losses, ".-")
    curve.set(xlabel="step", ylabel="loss, mean of 50 steps", ylim=(0, None))
    for axes, (name, video) in zip(rest, shown.items(), strict=True):
        axes.imshow(video[-1], cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{name}: {psnr[name]:.1f} dB", fontsize="medium")
        axes.set_axis_off()
    figure.savefig(Path(folder, "10_train_and_plug_in.png"), dpi=80)
    return {"loss": losses, "PSNR, dB": psnr}


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
