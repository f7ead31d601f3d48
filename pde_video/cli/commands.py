"""``pde-video``: each command parses, calls one function of the library, and prints what it returns."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from pde_video import __version__
from pde_video.cli.bench import bench
from pde_video.cli.learned import export, sample, train
from pde_video.cli.options import force_option, json_option, show, shown_progress

_preset = click.option("--preset", metavar="NAME", help="fast, balanced or best.  [default: balanced]")
_method = click.option(
    "--method", metavar="NAME", help="In place of a preset: perona-malik, tv or heat, every frame alone; ddpm; learned."
)
_place = click.option(
    "--crop",
    "place",
    type=int,
    nargs=4,
    metavar="TOP LEFT HEIGHT WIDTH",
    help="Pixels to enlarge.  [default: 96 × 96, where there is most texture]",
)
_EPILOG = (
    "Exit codes: 0 done, 1 a solve did not converge, 2 usage, 3 refused (an output exists), 4 bad input, "
    "5 output fault, 130/143 interrupted."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="pde-video")
@click.pass_context
def cli(context: click.Context) -> None:
    """Diffuse video frames by partial differential equations."""
    context.call_on_close(_show_compilation())


for _command in (bench, sample, train, export):
    cli.add_command(_command)


@cli.command("denoise")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@_preset
@click.option(
    "--sigma",
    type=float,
    help="Noise deviation in units of the input (of 255 for 8 bits). Default: estimated.",
)
@click.option(
    "--noise",
    default="auto",
    show_default=True,
    metavar="MODEL",
    help="gaussian (the same everywhere), poisson-gaussian (grows with brightness), auto, or SLOPE,OFFSET.",
)
@click.option("--radius", type=int, metavar="N", help="Frames to use on each side; 0 treats every frame alone.")
@click.option("--causal", is_flag=True, help="Use only frames before each, and look at none after it.")
@_method
@click.option("--model", type=click.Path(path_type=Path), help="A network's .safetensors or .onnx file, for `learned`.")
@click.option("--steps", type=int, metavar="N", help="Noise levels that `ddpm` or `learned` visits.")
@force_option
@json_option
def denoise(source: Path, target: Path, model: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Remove noise from the video IN and write OUT.

    Frames are averaged along the motion, and then diffused by what noise is left. Nothing need be chosen.

    \b
    Example: pde-video denoise noisy.mp4 clean.mp4
             pde-video denoise stack.tiff clean.tiff --preset best
             pde-video denoise stack.tiff clean.tiff --sigma 300
             pde-video denoise noisy.mp4 clean.mp4 --method learned
    """
    import pde_video as pv

    if model is not None:
        options |= {"denoiser": pv.load_denoiser(model), "method": options["method"] or "learned"}
    if "," in options["noise"]:
        options["noise"] = _numbers(options["noise"])
    report = pv.run(source, target, partial(pv.denoise, **options), force=force, progress=shown_progress)
    if report.get("sigma") == 0:
        click.echo(
            "no noise was found in the first frames, so nothing was changed; --sigma tells how much there is", err=True
        )
    if "not_copied" in report:
        click.echo(f"not in the output: {', '.join(report['not_copied'])}", err=True)
    show({"input": str(source), "output": str(target), **report}, as_json)


@cli.command("demo")
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("--sigma", type=float, default=20.0, show_default=True, help="Noise to add, in units of the clip.")
@click.option(
    "--output",
    "-o",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("pde-video-demo"),
    show_default=True,
    help="Folder for the results.",
)
@_preset
@_method
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the noise.")
@_place
@force_option
@json_option
def demo(
    clip: Path | None,
    sigma: float,
    folder: Path,
    preset: str | None,
    method: str | None,
    seed: int,
    place: tuple[int, int, int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Add noise to CLIP (default: a made-up moving scene), denoise it, and tell how much was won.

    Writes the noisy and the denoised video, clean, noisy and denoised side by side, and two pictures of the middle
    frame: one of the same three, one of a place enlarged, below them the noise added, what was taken away, and the
    error that is left.

    \b
    Example: pde-video demo
             pde-video demo clip.mp4 --sigma 20 -o results
    """
    from pde_video.demo import demonstrate

    figures = demonstrate(
        clip, sigma, folder, preset=preset, method=method, seed=seed, place=place, force=force, progress=shown_progress
    )
    show(figures, as_json)


@cli.command("info")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def info(file: Path, as_json: bool) -> None:
    """Tell what FILE holds.

    \b
    Example: pde-video info clip.mp4
    """
    import pde_video as pv

    video = pv.read(file)
    facts = {
        "file": str(file),
        "height": video.size[0],
        "width": video.size[1],
        "channels": video.channels,
        "dtype": str(video.dtype),
        "rate": video.rate,
        "frames": video.count,
        **video.details,
    }
    show(facts, as_json)


@cli.command("compare")
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write a video of both side by side.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a place of the middle frame, enlarged.")
@_place
@force_option
@json_option
def compare(
    reference: Path,
    file: Path,
    output: Path | None,
    picture: Path | None,
    place: tuple[int, int, int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure FILE against REFERENCE: PSNR over all frames in dB, mean SSIM, and whiteness of the difference.

    The whiteness is 1 if REFERENCE − FILE is like white noise: of a noisy REFERENCE and a denoised FILE, if nothing
    but noise was taken away. The picture shows REFERENCE, FILE, and their difference around mid-grey.

    \b
    Example: pde-video compare clean.mp4 denoised.mp4
             pde-video compare noisy.mp4 denoised.mp4 -o both.mp4 --picture crop.png
    """
    from pde_video.pictures import compare_files

    figures = compare_files(
        reference, file, video=output, picture=picture, place=place, force=force, progress=shown_progress
    )
    show({"reference": str(reference), "file": str(file), **figures}, as_json)


@cli.command("warmup")
@json_option
def warmup(as_json: bool) -> None:
    """Compile what is not compiled yet, so that no later run has to wait for it.

    \b
    Example: pde-video warmup
    """
    from pde_video.doctor import warm_up

    show(warm_up(), as_json)


@cli.command("doctor")
@click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Time to measure for.")
@json_option
def doctor(seconds: float, as_json: bool) -> None:
    """Tell versions, threads, cache and processor, and how fast a step is: 1 is as fast as copying memory.

    \b
    Example: pde-video doctor --json
    """
    from pde_video.doctor import examine, measure

    show({"version": __version__, **examine(), **measure(seconds)}, as_json)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no pair of numbers SLOPE,OFFSET", param_hint="--noise") from None


def _show_compilation() -> Callable[[], None]:
    """Let the line on the log that says what a first run waits for appear on standard error, until told not to."""
    import logging

    class OnStandardError(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            click.echo(f"pde-video: {record.getMessage()}", err=True)

    log, handler = logging.getLogger("pde_video.kernels"), OnStandardError()
    before, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

    def stop() -> None:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = propagate

    return stop


def _exit_code(fault: BaseException) -> int | None:
    from pde_video.errors import InputError, OutputError, ParameterError, SolverError

    codes: list[tuple[type[BaseException], int]] = [
        (FileExistsError, 3),
        (FileNotFoundError, 4),
        (InputError, 4),
        (OutputError, 5),
        (ParameterError, 2),
        (SolverError, 1),
        (PermissionError, 4),
    ]
    return next((code for kind, code in codes if isinstance(fault, kind)), None)


def _describe(fault: BaseException) -> str:
    if isinstance(fault, OSError) and fault.strerror:
        return f"{fault.filename}: {fault.strerror}" if fault.filename else fault.strerror
    return " ".join(str(fault).split())


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the documented code."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # Temporary files go first.
    try:
        cli(arguments, standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at exit.
        sys.exit(0)
    except Exception as fault:
        code = _exit_code(fault)
        if code is None:
            raise
        click.echo(f"pde-video: {_describe(fault)}", err=True)
        sys.exit(code)
    sys.exit(0)
