"""Results as tables: for people in Markdown, for programs in JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from tposecli.lab.bench.clock import Spread
from tposecli.utils.files import write_text
from tposecli.utils.system import cores, processor
from tposecli.utils.version import __version__

Cell = str | int | float | Spread | None

NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        key: Its name in JSON.
        title: Its heading.
        columns: Names with units.
        rows: A cell for each column; None: not measured.
        notes: What must be known to read it.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: list[str] = field(default_factory=list)

    def records(self) -> list[dict[str, Any]]:
        """Rows by the names of their columns; a spread as median, quartiles and number of measurements."""
        plain = [[asdict(cell) if isinstance(cell, Spread) else cell for cell in row] for row in self.rows]
        return [dict(zip(self.columns, row, strict=True)) for row in plain]

    def column(self, name: str) -> list[Cell]:
        """All cells of a column, from the top."""
        return [row[self.columns.index(name)] for row in self.rows]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All tables of a run, and where they come from.

    Attributes:
        facts: Machine, versions, command.
        tables: In the order in which they were measured.
    """

    facts: dict[str, str]
    tables: list[Table]

    def table(self, key: str) -> Table | None:
        """The one of that name, if it was measured."""
        return next((table for table in self.tables if table.key == key), None)


def facts(command: str, device: torch.device) -> dict[str, str]:
    """What the figures belong to."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    threads = f"{cores()} cores, {torch.get_num_threads()} threads in torch"
    return {
        "command": command,
        "device": f"{device} ({name}; {threads})",
        "versions": f"tposecli {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def heading(facts: Mapping[str, str]) -> str:
    """A line that says what the figures belong to."""
    return f"`{facts['command']}`: {facts['device']}; {facts['versions']}"


def markdown(table: Table) -> str:
    """A table with its title and notes, ready for a README."""
    cells = [[shown(cell) for cell in row] for row in table.rows]
    lines = [_line(table.columns), _line(["---"] * len(table.columns)), *map(_line, cells)]
    notes = ["", *table.notes] if table.notes else []
    return "\n".join([f"**{table.title}**", "", *lines, *notes])


def save(path: Path, report: BenchReport) -> None:
    """Write JSON.

    Raises:
        OutputError: It cannot be written.
    """
    tables = {
        table.key: {"title": table.title, "notes": table.notes, "rows": table.records()} for table in report.tables
    }
    write_text(path, json.dumps({**report.facts, "tables": tables}, indent=1) + "\n")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def shown(cell: Cell) -> str:
    """Three digits; a spread as median and quartiles."""
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, Spread):
        return f"{_number(cell.median)} ({_number(cell.low)}-{_number(cell.high)})"
    return _number(cell) if isinstance(cell, float) else str(cell)


def _number(value: float) -> str:
    """At least three digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
