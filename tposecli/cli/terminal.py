"""What reaches the terminal: lines, tables and log records, with names of files shown so that they can do no harm."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH: Final = 400
"""Columns if the output is not a terminal, so that nothing that a program may read is cut or wrapped."""

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_DIRECTION: Final = {
    code: f"\\u{code:04x}" for code in (*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""Marks that reverse the direction of writing or end a line: with them a name can pass for another."""


def printable(text: str) -> str:
    """Return one line for a terminal: what a name of a file could do to it is shown as an escape.

    These are control characters (line ends too), marks of direction, and bytes that are no text in the name's encoding.
    """
    return text.translate(_CONTROL | _DIRECTION).encode(errors="backslashreplace").decode()


def say(*lines: object, err: bool = False) -> None:
    """Print lines, each of which stays one line whatever the names in it contain."""
    for line in lines:
        click.echo(printable(str(line)), err=err)


def emit_event(event: str, **fields: Any) -> None:
    """Write one event of ``--log-json``: a line with a JSON object on standard error."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(json.dumps({"event": event, "time": now, **fields}) + "\n")
    sys.stderr.flush()


def console(stderr: bool = False) -> Console:
    """Return a console on standard output or standard error, as wide as the terminal.

    Text is shown as it is: brackets and colons in names of files are neither markup nor emoji.
    """
    from rich.console import Console

    class PlainConsole(Console):
        """Escapes all text, that in cells and titles of tables as well."""

        def render_str(self, text: str, **style: Any) -> Any:
            """Return the text as rich draws it."""
            return super().render_str(printable(text), **style)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return PlainConsole(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def silence_libraries() -> None:
    """Let nobody but this program write to standard error.

    Python's warnings and other libraries' log records are dropped. Libraries in C write to file descriptor 2 whatever
    they are told, so that is given to the null device; ``sys.stderr`` goes on with a copy of what it was. Nothing is
    changed where ``sys.stderr`` is something else, as in tests and notebooks.
    """
    try:
        if sys.stderr.fileno() != 2:
            return
        sys.stderr.flush()
        copy = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
    except (OSError, ValueError, AttributeError):
        return
    warnings.simplefilter("ignore")
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.CRITICAL)
    os.dup2(null, 2)
    os.close(null)
    sys.stderr = open(copy, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115


class LineHandler(logging.Handler):
    """Writes log lines above a progress bar, unwrapped: a URL in them stays whole."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._console.print(self.format(record), soft_wrap=True)
        except Exception:  # noqa: BLE001 - a line that cannot be shown must not end the run
            self.handleError(record)
