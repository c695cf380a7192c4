"""Format results as tables: Markdown for people, JSON for programs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from tposecli.lab.bench.clock import Spread
from tposecli.utils.files import write_text
from tposecli.utils.report_tables import markdown_table, to_json
from tposecli.utils.system import cores, processor
from tposecli.utils.version import __version__

Cell = str | int | float | Spread | None

NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        key: Name in JSON.
        title: Heading.
        columns: Names of the columns, with units.
        rows: A cell per column; None if it was not measured.
        notes: Explanations.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: list[str] = field(default_factory=list)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries by column name; a spread as median, quartiles and count."""
        plain = [[asdict(cell) if isinstance(cell, Spread) else cell for cell in row] for row in self.rows]
        return [dict(zip(self.columns, row, strict=True)) for row in plain]

    def column(self, name: str) -> list[Cell]:
        """Return all cells of a column, from the top."""
        return [row[self.columns.index(name)] for row in self.rows]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All tables of a run, and where they were measured.

    Attributes:
        environment: Machine, versions, command.
        tables: The tables, in the order of measurement.
    """

    environment: dict[str, str]
    tables: list[Table]

    def table(self, key: str) -> Table | None:
        """Return the table of that key, if it was measured."""
        return next((table for table in self.tables if table.key == key), None)


def environment(command: str, device: torch.device) -> dict[str, str]:
    """Return the machine, versions and command to which the figures belong."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    threads = f"{cores()} cores, {torch.get_num_threads()} threads in torch"
    return {
        "command": command,
        "device": f"{device} ({name}; {threads})",
        "versions": f"tposecli {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def heading(environment: Mapping[str, str]) -> str:
    """Return a line with the machine, versions and command."""
    return f"`{environment['command']}`: {environment['device']}; {environment['versions']}"


def markdown(table: Table) -> str:
    """Return a table with its title and notes as Markdown."""
    cells = [[format_cell(cell) for cell in row] for row in table.rows]
    notes = ["", *table.notes] if table.notes else []
    return "\n".join([f"**{table.title}**", "", *markdown_table(table.columns, cells), *notes])


def save(path: Path, report: BenchReport) -> None:
    """Write the report as JSON.

    Raises:
        OutputError: The file cannot be written.
    """
    tables = {
        table.key: {"title": table.title, "notes": table.notes, "rows": table.records()} for table in report.tables
    }
    write_text(path, to_json({**report.environment, "tables": tables}))


def format_cell(cell: Cell) -> str:
    """Format a cell with three digits; a spread as median and quartiles."""
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, Spread):
        return f"{_number(cell.median)} ({_number(cell.low)}-{_number(cell.high)})"
    return _number(cell) if isinstance(cell, float) else str(cell)


def _number(value: float) -> str:
    """Format a number with at least three digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
