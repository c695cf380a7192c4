"""Where rich writes to."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_PIPES: Final = 400
"""Columns where nobody looks at a terminal: nothing is cut or wrapped that a program may read."""


def console(stderr: bool = False) -> Console:
    """On standard output or standard error, as wide as the terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH_OF_PIPES)


class LineHandler(logging.Handler):
    """Log lines above a progress bar, unbroken: an address in them stays whole."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; where that fails, logging's own way."""
        try:
            self._console.print(self.format(record), soft_wrap=True, markup=False, highlight=False)
        except Exception:  # noqa: BLE001 - a line that cannot be shown ends no run
            self.handleError(record)
