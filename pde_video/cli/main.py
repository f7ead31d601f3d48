"""``pde-video``: the group of commands, and what a fault of theirs becomes: one line and an exit code."""

import contextlib
import errno
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from pde_video import __version__
from pde_video.cli import commands
from pde_video.cli.filter_command import FilterCommand, pipeline, schema
from pde_video.cli.interruption import listen
from pde_video.jobs.registry import names

_NAME = "pde-video"
_EPILOG = (
    "Exit codes: 0 done, 1 a solve did not converge, or a fault of this program, 2 usage, 3 refused (an output "
    "exists), 4 bad input, 5 output fault, 130/143 interrupted."
)
_ON_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name=_NAME)
@click.option("--debug", is_flag=True, help="Show where in the program a fault arose.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Filter video with partial differential equations; above all, remove noise."""
    context.obj["debug"] = debug
    context.with_resource(_compilation_shown())


for _command in (*map(FilterCommand, names()), pipeline, schema, *commands.ALL):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the documented code."""
    listen()
    arguments = sys.argv[1:] if arguments is None else arguments
    shared: dict[str, Any] = {"command": shlex.join([_NAME, *arguments]), "debug": False}
    try:
        cli.main(arguments, prog_name=_NAME, standalone_mode=False, obj=shared)
        sys.stdout.flush()  # A full disk or a reader that left is noticed here, not at exit.
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at exit.
        sys.exit(0)
    except Exception as fault:
        if shared["debug"]:
            traceback.print_exc()
        code, text = _exit_code(fault), _describe(fault)
        if code is None:
            code, text = 1, f"internal fault ({type(fault).__name__}: {text}): run again with --debug"
        click.echo(f"{_NAME}: {text}", err=True)
        sys.exit(code)
    sys.exit(0)


def _exit_code(fault: BaseException) -> int | None:
    from pde_video.errors import InputError, OutputError, ParameterError, SolverError

    kinds: dict[int, Any] = {
        1: (SolverError, MemoryError),
        2: ParameterError,
        3: FileExistsError,
        4: (InputError, FileNotFoundError, PermissionError),
        5: OutputError,
    }
    if isinstance(fault, OSError) and fault.errno in _ON_DISK:
        return 5
    return next((code for code, kind in kinds.items() if isinstance(fault, kind)), None)


def _describe(fault: BaseException) -> str:
    if isinstance(fault, MemoryError):
        return "there is not enough memory; take a smaller part of the video, or --threads 1"
    if isinstance(fault, OSError) and fault.strerror:
        text = f"{fault.filename}: {fault.strerror}" if fault.filename else fault.strerror
    else:
        text = str(fault)
    return " ".join(text.split())


@contextlib.contextmanager
def _compilation_shown() -> Iterator[None]:
    """Let the line on the log that says what a first run waits for appear on standard error."""
    log, handler = logging.getLogger("pde_video.kernels"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{_NAME}: %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
