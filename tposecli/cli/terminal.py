"""Rich consoles on standard output and standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH: Final = 400
"""Columns if the output is not a terminal, so that nothing that a program may read is cut or wrapped."""


def console(stderr: bool = False) -> Console:
    """Return a console on standard output or standard error, as wide as the terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PIPE_WIDTH)


_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """Return text for a terminal: control characters, as names of files may have them, are shown as escapes."""
    return text.translate(_CONTROL)


class LineHandler(logging.Handler):
    """Writes log lines above a progress bar, unwrapped: a URL in them stays whole."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._console.print(printable(self.format(record)), soft_wrap=True, markup=False, highlight=False)
        except Exception:  # noqa: BLE001 - a line that cannot be shown must not end the run
            self.handleError(record)
