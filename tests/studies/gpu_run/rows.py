"""Markdown tables whose rows appear one by one."""

from __future__ import annotations

from collections.abc import Sequence

from tposecli.lab.bench.report import Cell, format_cell
from tposecli.utils.report_tables import markdown_table


def head(columns: Sequence[str]) -> None:
    """Print the head of a table."""
    print("\n".join(markdown_table(columns, [])), flush=True)  # noqa: T201


def row(*cells: Cell) -> None:
    """Print a row."""
    print(f"| {' | '.join(map(format_cell, cells))} |", flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print a line below a table."""
    print(f"\n{text}", flush=True)  # noqa: T201
