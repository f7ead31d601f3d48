"""The command line: arguments in, figures out; no numerics."""

from pde_video.cli.commands import main

__all__ = ["main"]
