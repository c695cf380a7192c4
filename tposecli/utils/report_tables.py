"""What reports share: cells, Markdown tables, and writing a report as ``.md`` or ``.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tposecli.utils.errors import UsageError
from tposecli.utils.files import write_text

SUFFIXES: Final = (".json", ".md")


def format_number(value: float | None, spec: str) -> str:
    """Return a number formatted by ``spec``; a dash for None."""
    return "-" if value is None else format(value, spec)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "---") -> list[str]:
    """Return the lines of a Markdown table.

    Args:
        head: Column titles.
        rows: Cells, as many as there are titles.
        rule: Alignment of all columns but the first, which is aligned to the left: ``---`` or ``---:``.
    """
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return [lines[0], f"|{'|'.join(['---', *[rule] * (len(head) - 1)])}|", *lines[1:]]


def to_json(content: Mapping[str, Any]) -> str:
    """Return strict, indented JSON; raise ValueError if a number is not finite."""
    return json.dumps(content, allow_nan=False, indent=1) + "\n"


def check_report(path: Path | None) -> None:
    """Raise UsageError if a report has a suffix other than ``SUFFIXES``."""
    if path is not None and path.suffix not in SUFFIXES:
        raise UsageError(f"--report {path}: expected a file name that ends in {' or '.join(SUFFIXES)}")


def write_report(path: Path, markdown: Callable[[], str], content: Callable[[], Mapping[str, Any]]) -> None:
    """Write a report in the format of its suffix.

    Args:
        path: The file.
        markdown: Returns the report as Markdown.
        content: Returns the report as a JSON object.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, markdown() if path.suffix == ".md" else to_json(content()))
