"""The commands that do not filter: each parses, calls one function of the library, and prints the result."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from pde_video import __version__
from pde_video.cli.completion import completion
from pde_video.cli.options import (
    EXISTING,
    PATH,
    closed_range,
    force_option,
    isolated_option,
    numbers,
    place_option,
    quiet_option,
    reporting,
)
from pde_video.cli.progress import no_progress, shown_progress
from pde_video.cli.text import echo, put


@click.command("demo")
@click.argument("clip", required=False, type=PATH)
@click.option("--sigma", type=float, default=20.0, show_default=True, help="Noise to add, in units of the clip.")
@click.option(
    "--output", "-o", "folder", type=PATH, default="pde-video-demo", show_default=True, help="Folder for the results."
)
@click.option("--preset", metavar="NAME", help="As for `denoise`.")
@click.option("--method", metavar="NAME", help="As for `denoise`.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the noise.")
@place_option
@force_option
@reporting
def demo(**options: Any) -> dict[str, Any]:
    """Add noise to CLIP (default: a synthetic moving scene), denoise it, and measure the gain.

    Writes the noisy and the denoised video, clean, noisy and denoised side by side, and two labelled pictures of the
    middle frame: the same three, and an enlarged detail with the added noise, what was removed, and the error left.

    \b
    Example: pde-video demo
             pde-video demo clip.mp4 --sigma 20 -o results
    """
    from pde_video.tools.demo import demonstrate

    return demonstrate(**options, progress=shown_progress)


@click.command("info")
@click.argument("file", type=PATH)
@isolated_option
@reporting
def info(file: Path, isolated: bool) -> dict[str, Any]:
    """Describe FILE.

    \b
    Example: pde-video info clip.mp4
    """
    import pde_video as pv

    video = pv.read(file, isolated=isolated)
    height, width = video.size
    size = {"height": height, "width": width, "channels": video.channels, "dtype": str(video.dtype)}
    details = {key: f"{len(one):,} bytes" if isinstance(one, bytes) else one for key, one in video.details.items()}
    return {"file": str(file), **size, "rate": video.rate, "frames": video.count, **details}


@click.command("compare")
@click.argument("reference", type=PATH)
@click.argument("file", type=PATH)
@click.option("--output", "-o", "video", type=PATH, help="Write a video of both side by side.")
@click.option("--picture", type=PATH, help="Write an enlarged detail of the middle frame.")
@place_option
@isolated_option
@force_option
@reporting
def compare(reference: Path, file: Path, **options: Any) -> dict[str, Any]:
    """Measure FILE against REFERENCE: PSNR over all frames in dB, mean SSIM, and whiteness of the difference.

    Whiteness is 1 if REFERENCE − FILE is white noise: for a noisy REFERENCE and a denoised FILE, if only noise was
    removed. The picture shows REFERENCE, FILE, and their difference around mid-grey.

    \b
    Example: pde-video compare clean.mp4 denoised.mp4
             pde-video compare noisy.mp4 denoised.mp4 -o both.mp4 --picture crop.png
    """
    from pde_video.tools.pictures import compare_files

    figures = compare_files(reference, file, **options, progress=shown_progress)
    return {"reference": str(reference), "file": str(file), **figures}


@click.command("verify")
@click.argument("file", type=EXISTING)
@isolated_option
@reporting
def verify(file: str, isolated: bool) -> dict[str, Any]:
    """Decode all of FILE, and check it against what it declares and against its sidecar, if any.

    \b
    Example: pde-video verify clean.mp4
    """
    from pde_video.jobs.again import verify as verified

    return {"file": file, **verified(file, isolated=isolated)}


@click.command("rerun")
@click.argument("out", metavar="OUT", type=EXISTING)
@click.argument("target", metavar="AGAIN", type=EXISTING)
@click.option("--input", "source", metavar="FILE", type=EXISTING, help="Where the input is now, if it was moved.")
@click.option("--trust", is_flag=True, help="Trust OUT: read files outside its folder, accept any numbers.")
@quiet_option
@force_option
@reporting
def rerun(out: str, target: str, source: str | None, quiet: bool, **options: bool) -> dict[str, Any]:
    """Repeat the run that made OUT, as recorded in its metadata or sidecar, and write the result to AGAIN.

    The input must still have the recorded SHA-256. Without --trust, only files in OUT's folder and --input are read,
    and numbers that would make a run endless are refused.

    \b
    Example: pde-video rerun clean.mp4 again.mp4
             pde-video rerun clean.mp4 again.mp4 --input moved/noisy.mp4
    """
    from pde_video.jobs.again import repetition

    again = repetition(out, target=target, source=source, **options)
    if not quiet:
        echo(f"repeating: {again}", err=True)
    return {"output": target, **again.run(no_progress if quiet else shown_progress)}


@click.command("bench")
@click.argument("clips", nargs=-1, type=PATH)
@click.option(
    "--frames", type=closed_range, metavar="START:END", help="END is exclusive.  [default: the first 16, or all]"
)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Shrink clips by area averaging, e.g. 0.5.")
@click.option("--gray", is_flag=True, help="Convert clips to grey.")
@click.option(
    "--noise", "named", multiple=True, metavar="NAME[:KEY=VALUE,...]", help="A scenario (see below); repeatable."
)
@click.option(
    "--sigma", type=numbers, help="White Gaussian noise levels, of 255.  [default: 10,20,40, or with --noise none]"
)
@click.option("--peak", type=numbers, default="", help="Poisson–Gaussian noise: photons at white, e.g. 10,50.")
@click.option("--blind", "truthless", is_flag=True, help="Add no noise: CLIPS are noisy, and their truth is not known.")
@click.option("--clipped", is_flag=True, help="Also each noise rounded and clipped to 8 bits.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the noise.")
@click.option(
    "--method", "methods", multiple=True, metavar="NAME", help="Only methods with NAME in their name; repeatable."
)
@click.option("--output", "-o", "outputs", multiple=True, type=PATH, help="md, csv, json or tex; repeatable.")
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    clips: tuple[Path, ...],
    named: tuple[str, ...],
    sigma: list[float] | None,
    peak: list[float],
    truthless: bool,
    clipped: bool,
    seed: int,
    methods: tuple[str, ...],
    outputs: tuple[Path, ...],
    force: bool,
    as_json: bool,
    **part: Any,
) -> None:
    """Add noise to clean CLIPS (default: a synthetic moving scene) and compare denoisers.

    Measures the methods of this library, without any parameter, and those of other installed programs, each at the
    best of several strengths. Without --output, Markdown is printed.

    Scenarios are white, poisson, blurred, enlarged, demosaiced, jpeg, h264, impulse, hot, rows, columns, duplicates,
    flicker, bands and fade; docs/scenarios.md has their options. With --blind, methods are compared on noisy CLIPS as
    they are, by what they predict of frames and pixels that they are not given.

    \b
    Example: pde-video bench --sigma 20 --method denoise
             pde-video bench clip.mp4 --frames 100:116 --gray --peak 10,50 -o table.md -o table.json
             pde-video bench clip.mp4 --noise demosaiced --noise h264:crf=23,sigma=10
             pde-video bench --blind noisy.tif --method denoise
    """
    from pde_video.bench import blind, measuring, scenarios, tables
    from pde_video.bench.clips import load_all
    from pde_video.bench.methods import chosen
    from pde_video.errors import ParameterError

    tables.check(outputs, force)

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            echo(text, err=True)

    if truthless:
        if named or sigma or peak or clipped or not clips:
            raise ParameterError("--blind adds no noise: name noisy clips, without --noise, --sigma, --peak, --clipped")
        found = blind.run(load_all(clips, noisy=True, **part), chosen(methods), seed=seed, progress=progress)
    else:
        noises = scenarios.chosen(named, sigma, peak, clipped)
        found = measuring.run(load_all(clips or [None], **part), noises, chosen(methods), seed=seed, progress=progress)
    found.facts["command"] = shlex.join(["pde-video", *sys.argv[1:]])
    if as_json or not outputs:
        put(tables.as_json(found) if as_json else tables.markdown(found), nl=False)
    tables.write(found, outputs, force)


@click.command("sample")
@click.argument("target", metavar="OUT", type=PATH)
@click.option("--shape", type=int, nargs=3, default=(32, 96, 128), show_default=True, metavar="FRAMES HEIGHT WIDTH")
@click.option("--steps", type=click.IntRange(min=1), default=50, show_default=True, help="Noise levels visited.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@force_option
@reporting
def sample(target: Path, shape: tuple[int, int, int], steps: int, seed: int, force: bool) -> dict[str, Any]:
    """Draw a grey video from pure noise by the DDPM reverse process, and write it to OUT.

    The result is smooth clouds, in space and time, since the denoiser is a diffusion, not a network.

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
    help="Validate on the first 16 frames of this clip.  [default: the last 16 of each clip, which are held out]",
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=600, show_default=True, help="Training steps; more take longer."
)
@click.option("--width", type=click.IntRange(min=4), default=32, show_default=True, help="Channels inside the network.")
@click.option(
    "--cell", type=click.Choice(["gru", "rnn"]), default="gru", show_default=True, help="Type of recurrent cell."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Use N threads; 1 is best on a busy machine.")
@click.option("--resume", is_flag=True, help="Continue from MODEL.checkpoint, left by an interrupted run.")
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


@click.command("warmup")
@reporting
def warmup() -> dict[str, Any]:
    """Compile the kernels that are not cached yet, so that no later run has to wait for them.

    \b
    Example: pde-video warmup
    """
    from pde_video.tools.doctor import warm_up

    return warm_up()


@click.command("doctor")
@click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Time to measure for.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=["."],
    help="Folder to search for what interrupted runs left; repeatable.  [default: the current folder]",
)
@click.option("--clean", is_flag=True, help="Finish or roll back interrupted commits; remove unfinished outputs.")
@reporting
def doctor(seconds: float, folders: tuple[Path, ...], clean: bool) -> dict[str, Any]:
    """Show versions, threads, cache and processor, how fast a step is (1 is as fast as copying memory), and what
    interrupted runs have left in a folder.

    With --clean, sequences and zarr arrays that are only partly in place are finished or rolled back, and unfinished
    outputs and empty folders of runs with --resume are removed; each is named. Outputs of live runs, finished frames of
    runs with --resume, and files that this program did not write are left alone.

    \b
    Example: pde-video doctor --json
             pde-video doctor --folder results --clean
    """
    from pde_video.jobs.segment_folder import remove_empty, segments_in
    from pde_video.video.leftovers import clean_up, left_in

    if clean:
        cleaned = [(folder, *clean_up(folder)) for folder in folders]
        done = [line for folder, lines, _ in cleaned for line in (*lines, *remove_empty(folder))]
        left = [line for folder, _, lines in cleaned for line in (*lines, *segments_in(folder))]
        return {"folders": list(map(str, folders)), "cleaned": done, "leftovers": left}
    from pde_video.tools.doctor import examine, measure

    left = [line for folder in folders for line in (*left_in(folder), *segments_in(folder))]
    return {"version": __version__, **examine(), **measure(seconds), "leftovers": left}


ALL = (demo, info, compare, verify, rerun, bench, sample, train, export, warmup, doctor, completion)
