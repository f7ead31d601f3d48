"""The command line: arguments in, figures out; no numerics."""

from pde_video.cli.main import main

__all__ = ["main"]
