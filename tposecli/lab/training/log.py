"""Record the metrics of a run in ``metrics.csv``, and plot them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tposecli.lab.training.validation import ValidationMetrics
from tposecli.utils.files import new_file

COLUMNS: Final = ("step", "minutes", "rate", "loss", "norm", "samples_per_s", "check", "ap", "ap50", "pck")
SIZE_INCHES: Final = (8.0, 6.0)


class MetricsLog:
    """Appends rows to ``metrics.csv``: each has either the loss since the last row, or the results of a check.

    Args:
        folder: Folder of the run.
        step: Step at which the run starts or resumes; rows of later steps, left by an interrupted run, are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._path = folder / "metrics.csv"
        self._rows = [row for row in self._read() if int(row["step"]) <= step] if step else []
        self._write("w", self._rows)

    def add_loss(self, step: int, minutes: float, rate: float, figures: tuple[float, float, float]) -> None:
        """Append the mean loss, the mean gradient norm and the samples per second since the last row."""
        loss, norm, speed = figures
        row = (step, f"{minutes:.2f}", f"{rate:.6g}", f"{loss:.9g}", f"{norm:.6g}", f"{speed:.1f}", "", "", "", "")
        self._add(row)

    def add_check(self, step: int, minutes: float, name: str, result: ValidationMetrics) -> None:
        """Append the results of a check."""
        values = ("" if value is None else f"{value:.4f}" for value in (result.ap, result.ap50, result.pck))
        self._add((step, f"{minutes:.2f}", "", "", "", "", name, *values))

    def plot(self) -> Path:
        """Plot the loss and the results of every check over the steps, as ``curves.png``; return its path."""
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
        with new_file(path) as temporary:
            figure.savefig(temporary, format="png")
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
