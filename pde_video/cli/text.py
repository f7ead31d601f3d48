"""Text for people: escaped, so that names and metadata can neither control a terminal nor imitate other text."""

import unicodedata

import click

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LONGEST = 4000  # Characters of an error message.


def printable(text: str) -> str:
    """Return text in one line, with control and format characters escaped, and undecodable bytes as \\xff."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def echo(text: str, *, err: bool = False) -> None:
    """Print a line that may contain untrusted text."""
    click.echo(printable(text), err=err)


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
