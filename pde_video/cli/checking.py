"""Commands around files that were made, and around the shell."""

from __future__ import annotations

from pathlib import Path

import click

from pde_video.cli.options import EXISTING, force_option, json_option, show
from pde_video.cli.progress import shown_progress


@click.command("verify")
@click.argument("file", type=EXISTING)
@json_option
def verify(file: str, as_json: bool) -> None:
    """Decode all of FILE, and compare it with what it declares and with its sidecar, if it has one.

    \b
    Example: pde-video verify clean.mp4
    """
    from pde_video.jobs.again import verify as verified

    show({"file": file, **verified(Path(file))}, as_json)


@click.command("rerun")
@click.argument("file", metavar="OUT", type=EXISTING)
@click.argument("target", metavar="AGAIN", type=EXISTING)
@click.option("--input", "source", metavar="FILE", type=EXISTING, help="Where the input is now, if it was moved.")
@force_option
@json_option
def rerun(file: str, target: str, source: str | None, force: bool, as_json: bool) -> None:
    """Do again what made the file OUT, by its metadata or its sidecar, and write it to AGAIN.

    The input must have the SHA-256 that it had.

    \b
    Example: pde-video rerun clean.mp4 again.mp4
             pde-video rerun clean.mp4 again.mp4 --input moved/noisy.mp4
    """
    from pde_video.jobs.again import rerun as done_again

    where = None if source is None else Path(source)
    report = done_again(Path(file), target=Path(target), source=where, force=force, progress=shown_progress)
    show({"output": target, **report}, as_json)


@click.command("completion")
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options and names.

    \b
    Example: pde-video completion bash >> ~/.bashrc
             pde-video completion zsh >> ~/.zshrc
             pde-video completion fish > ~/.config/fish/completions/pde-video.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    script = kind(context.find_root().command, {}, "pde-video", "_PDE_VIDEO_COMPLETE")
    click.echo(ShellComplete.source(script))  # Without the look at which version of the shell is here.
