"""The errors a user can cause, each with the exit code that the command line gives it."""


class ParameterError(ValueError):
    """A parameter outside the range that the documentation gives (exit code 2)."""


class UnstableStepError(ParameterError):
    """An explicit step above the bound that keeps it stable (exit code 2)."""


class InputError(ValueError):
    """Data that cannot be used as it is: not a video, empty, NaN, wrong dimensions (exit code 4)."""


class DtypeError(InputError, TypeError):
    """Data, or an object, of a type that is not worked on (exit code 4)."""


class OutputError(OSError):
    """An output that could not be written whole (exit code 5)."""


class SolverError(RuntimeError):
    """A linear solve that did not reach its tolerance, or a model that failed (exit code 1)."""


REPLACE = "replace them first, or have them filled: masking(filter), on the command line --nan mask"


def in_short(fault: BaseException) -> str:
    """Return in one line, of at most 200 characters, what the system, a library or a model says of its fault."""
    said = str(getattr(fault, "strerror", None) or fault)
    return " ".join(said.split())[:200] or type(fault).__name__


def not_installed(what: str, package: str, extra: str) -> str:
    """Say that `what` needs an optional package, and how to install it."""
    first = " (without a GPU, install the CPU build of torch first)" if extra == "torch" else ""
    return f'{what}: {package} is not installed; in a checkout of pde_video, pip install ".[{extra}]"{first}'
