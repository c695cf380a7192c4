"""What a run leaves behind besides weights: ``metrics.csv``, and its curves as a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tposecli.training.validation import ValidationMetrics
from tposecli.utils.files import part_path, publish

COLUMNS: Final = ("step", "minutes", "rate", "loss", "norm", "samples_per_s", "check", "ap", "ap50", "pck")
SIZE_INCHES: Final = (8.0, 6.0)


class Log:
    """Appends to ``metrics.csv``; a row has either the loss since the row before, or what a check found.

    Args:
        folder: Of the run.
        step: Where the run goes on: rows of later steps, which an interrupted run wrote, go.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._path = folder / "metrics.csv"
        self._rows = [row for row in self._read() if int(row["step"]) <= step] if step else []
        self._write("w", self._rows)

    def loss(self, step: int, minutes: float, rate: float, figures: tuple[float, float, float]) -> None:
        """Mean loss, mean norm of the gradient, samples a second, since the last row."""
        loss, norm, speed = figures
        row = (step, f"{minutes:.2f}", f"{rate:.6g}", f"{loss:.9g}", f"{norm:.6g}", f"{speed:.1f}", "", "", "", "")
        self._add(row)

    def check(self, step: int, minutes: float, name: str, found: ValidationMetrics) -> None:
        """What a check found."""
        values = ("" if value is None else f"{value:.4f}" for value in (found.ap, found.ap50, found.pck))
        self._add((step, f"{minutes:.2f}", "", "", "", "", name, *values))

    def plot(self) -> Path:
        """Draw the loss, and the figures of every check, over the steps, as ``curves.png``."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE_INCHES, dpi=120, layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        losses = [row for row in self._rows if row["loss"]]
        upper.plot([int(row["step"]) for row in losses], [float(row["loss"]) for row in losses])
        upper.set(ylabel="loss", yscale="log")
        names = dict.fromkeys(row["check"] for row in self._rows if row["check"])
        for name in names:
            for column, label, style in (("ap", "AP", "-o"), ("pck", "PCK@0.2", "--s")):
                rows = [row for row in self._rows if row["check"] == name and row[column]]
                x, y = [int(row["step"]) for row in rows], [float(row[column]) for row in rows]
                lower.plot(x, y, style, label=f"{label}, {name}", markersize=3)
        lower.set(xlabel="step", ylabel="AP, PCK", ylim=(0, 1))
        if names:
            lower.legend(fontsize="small")
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
        path = self._folder / "curves.png"
        figure.savefig(part_path(path), format="png")
        publish(path)
        return path

    def _add(self, values: tuple[Any, ...]) -> None:
        row = dict(zip(COLUMNS, map(str, values), strict=True))
        self._rows.append(row)
        self._write("a", [row])

    def _read(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if None not in row.values() and (row["step"] or "").isdigit()]

    def _write(self, mode: str, rows: Iterable[dict[str, str]]) -> None:
        with self._path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)
