"""Text for people: escaped, so that names and metadata can neither control a terminal nor imitate other text."""

import contextlib
import unicodedata
from collections.abc import Iterator

import click

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LONGEST = 4000  # Characters of an error message.


def printable(text: str) -> str:
    """Return text in one line, with control and format characters escaped, and undecodable bytes as \\xff."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def echo(text: str, *, err: bool = False) -> None:
    """Print a line that may contain untrusted text."""
    put(printable(text), err=err)


def put(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text as it is; raise OutputError if it cannot be printed."""
    with printing():
        click.echo(text, err=err, nl=nl)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Raise OutputError for an error of a standard stream, unless its reader has closed it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as fault:
        from pde_video.errors import OutputError

        raise OutputError(fault.errno, f"the result could not be printed: {fault.strerror or fault}") from fault


def shortened(text: str) -> str:
    """Return text without its middle, if it is very long."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} [...] {text[-_LONGEST // 2 :]}"


def _escaped(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":  # Spaces of any width.
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # A byte of a name that is not UTF-8.
        code -= 0xDC00
    return _SHORT.get(char) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
    )
