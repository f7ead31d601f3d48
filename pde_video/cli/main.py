"""``pde-video``: the group of commands; a fault of theirs becomes one line and an exit code."""

import contextlib
import errno
import logging
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from pde_video import __version__
from pde_video.cli import commands
from pde_video.cli.filter_command import FilterCommand, pipeline, schema
from pde_video.cli.interruption import listen
from pde_video.cli.text import echo, printable, printing, shortened
from pde_video.jobs.registry import names

_NAME = "pde-video"
_EPILOG = (
    "Exit codes: 0 done, 1 a solve did not converge, out of memory, or an internal fault, 2 usage, 3 refused (an "
    "output exists), 4 bad input, 5 output fault, 130/143 interrupted."
)
_ON_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # Only writing raises these.


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name=_NAME)
@click.option("--debug", is_flag=True, help="Print the traceback of a fault.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Filter video with partial differential equations; above all, remove noise."""
    context.obj["debug"] = debug
    context.with_resource(_notices_shown())


for _command in (*map(FilterCommand, names()), pipeline, schema, *commands.ALL):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the documented code."""
    listen()
    _keep_standard_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    shared: dict[str, Any] = {"command": shlex.join([_NAME, *arguments]), "debug": False}
    try:
        if any("\0" in argument for argument in arguments):
            raise click.UsageError("an argument contains a NUL character, which no file name may contain")
        cli.main(arguments, prog_name=_NAME, standalone_mode=False, obj=shared)
        if sys.stdout is not None:
            with printing():
                sys.stdout.flush()  # Here a full disk or a closed pipe is noticed, not at exit.
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as fault:
        fault.message = shortened(printable(fault.message))  # type: ignore[misc]  # Click echoes arguments.
        with contextlib.suppress(OSError):
            fault.show()
        sys.exit(fault.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at exit.
        sys.exit(0)
    except Exception as fault:
        for line in traceback.format_exc().splitlines() if shared["debug"] else ():
            echo(line, err=True)
        code, text = _exit_code(fault), _describe(fault)
        if code is None:
            code, text = 1, f"internal fault ({type(fault).__name__}: {text}): run again with --debug"
        with contextlib.suppress(OSError):  # If standard error is full, the exit code has to do.
            echo(shortened(f"{_NAME}: {text}"), err=True)
        sys.exit(code)
    sys.exit(0)


def _exit_code(fault: BaseException) -> int | None:
    from pde_video.errors import InputError, OutputError, ParameterError, SolverError

    kinds: dict[int, Any] = {
        1: (SolverError, MemoryError),
        2: (ParameterError, ImportError),  # Of an optional package that is not installed.
        3: FileExistsError,
        4: (InputError, FileNotFoundError, PermissionError),
        5: OutputError,
    }
    if isinstance(fault, OSError) and fault.errno in _ON_DISK:
        return 5
    return next((code for code, kind in kinds.items() if isinstance(fault, kind)), None)


def _describe(fault: BaseException) -> str:
    if isinstance(fault, MemoryError):
        return "not enough memory; process a smaller part of the video, or pass --threads 1"
    if isinstance(fault, OSError) and fault.strerror:
        text = f"{fault.filename}: {fault.strerror}" if fault.filename else fault.strerror
    else:
        text = str(fault)
    return text.strip()


def _keep_standard_streams() -> None:
    """Reserve the descriptors of closed standard streams, so that no file gets them; escape what cannot be encoded."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _OneLine(logging.Formatter):
    """A log record as one line, with control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _show_warning(message: Warning | str, *others: Any, **more: Any) -> None:
    echo(f"{_NAME}: warning: {message}", err=True)


@contextlib.contextmanager
def _notices_shown() -> Iterator[None]:
    """Show warnings, and the log line about compiling kernels, on standard error."""
    log, handler = logging.getLogger("pde_video.kernels"), logging.StreamHandler()
    handler.setFormatter(_OneLine(f"{_NAME}: %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
