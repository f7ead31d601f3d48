"""Completion of commands, options and names in a shell."""

import click

from pde_video.cli.text import put


@click.command("completion")
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options and names.

    \b
    Example: pde-video completion bash >> ~/.bashrc
             pde-video completion zsh >> ~/.zshrc
             pde-video completion fish > ~/.config/fish/completions/pde-video.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    script = kind(context.find_root().command, {}, "pde-video", "_PDE_VIDEO_COMPLETE")
    put(ShellComplete.source(script))  # Without a check of the shell's version.
