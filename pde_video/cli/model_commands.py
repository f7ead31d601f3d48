"""Commands around denoisers that were learned: draw from one, train one, export one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pde_video.cli.options import PATH, force_option, reporting
from pde_video.cli.progress import shown_progress


@click.command("sample")
@click.argument("target", metavar="OUT", type=PATH)
@click.option("--shape", type=int, nargs=3, default=(32, 96, 128), show_default=True, metavar="FRAMES HEIGHT WIDTH")
@click.option("--steps", type=click.IntRange(min=1), default=50, show_default=True, help="Noise levels visited.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@force_option
@reporting
def sample(target: Path, shape: tuple[int, int, int], steps: int, seed: int, force: bool) -> dict[str, Any]:
    """Draw a grey video from pure noise by the DDPM reverse process, and write it to OUT.

    What is drawn are smooth clouds, in space and time: the denoiser is a diffusion, not a network.

    \b
    Example: pde-video sample clouds.mp4
             pde-video sample clouds.mp4 --shape 64 144 176 --seed 7
    """
    import numpy as np

    import pde_video as pv
    from pde_video.arrays.dtypes import as_dtype
    from pde_video.video.outputs import check_output

    check_output(target, force)
    bar, report = iter(shown_progress(range(steps), steps, " levels")), {"saturated": 0}
    drawn = pv.sample((*shape, 1), rng=seed, steps=steps, callback=lambda t, y: next(bar, None))
    eight_bit = (as_dtype(frame, np.dtype(np.uint8), 255.0, report)[..., 0] for frame in drawn)
    frames = pv.write(target, eight_bit, force=force)
    return {"output": str(target), "frames": frames, "steps": steps, **report}


@click.command("train")
@click.argument("clips", metavar="CLIPS...", nargs=-1, required=True, type=PATH)
@click.option("--output", "-o", required=True, metavar="MODEL", type=PATH, help=".safetensors")
@click.option(
    "--validate",
    "validation",
    multiple=True,
    metavar="CLIP",
    type=PATH,
    help="Measure on the first 16 frames of this clip.  [default: the last 16 of each of CLIPS, not trained on]",
)
@click.option("--steps", type=click.IntRange(min=1), default=600, show_default=True, help="More is better, and longer.")
@click.option("--width", type=click.IntRange(min=4), default=32, show_default=True, help="Channels inside the network.")
@click.option("--cell", type=click.Choice(["gru", "rnn"]), default="gru", show_default=True, help="What remembers.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Use N threads; 1 is best on a busy machine.")
@click.option("--resume", is_flag=True, help="Go on from MODEL.checkpoint, which an interrupted run leaves.")
@force_option
@reporting
def train(output: Path, steps: int, **options: Any) -> dict[str, Any]:
    """Train a denoiser on clean CLIPS (pictures too) and write it to MODEL. Needs the extra `torch`.

    \b
    Example: pde-video train clip.mp4 other.mp4 -o model.safetensors
             pde-video denoise noisy.mp4 clean.mp4 --model model.safetensors
    """
    from pde_video import learn

    record: dict[str, Any] = learn.train_on_files(output=output, steps=steps, **options, progress=shown_progress)
    psnr = {f"psnr_{level}": value for level, value in (record["psnr"] or {}).items()}
    return {"output": str(output), **psnr, "steps": steps}


@click.command("export")
@click.argument("model", type=PATH)
@click.argument("target", metavar="OUT", type=PATH)
@force_option
@reporting
def export(model: Path, target: Path, force: bool) -> dict[str, Any]:
    """Write a trained MODEL as ONNX to OUT. Needs the extra `torch`.

    \b
    Example: pde-video export model.safetensors model.onnx
    """
    from pde_video import learn

    learn.export_onnx(model, target, force=force)
    return {"input": str(model), "output": str(target)}
