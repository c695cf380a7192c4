"""Plot a benchmark's tables as one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tposecli.lab.bench.clock import Spread
from tposecli.lab.bench.report import BenchReport, Table
from tposecli.utils.errors import OutputError, UsageError
from tposecli.utils.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT_COLOUR, GREY, BLUE = "#22252b", "#b9bec7", "#2f6fb3"
STACK: Final = ("#2f6fb3", "#d9822b", "#7a4fa3", "#3d9a5f", "#c94f5e", "#b9bec7")
"""Colours of stacked parts."""
WIDTH: Final = 9.0
"""Width of the figure, inches."""
BAR: Final = 0.32
"""Height per bar, inches."""


def plot(path: Path, report: BenchReport) -> None:
    """Plot people per second and time per frame, as far as they were measured.

    Raises:
        OutputError: The file cannot be written.
        UsageError: There is nothing to plot.
    """
    from matplotlib.figure import Figure

    panels = [(table, draw) for key, draw in PLOTTED.items() if (table := report.table(key)) is not None]
    if not panels:
        raise UsageError(f"--plot shows {', '.join(PLOTTED)}; measure one of them with --only")
    heights = [BAR * len(table.rows) + 0.9 for table, _ in panels]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (table, draw) in zip(axes, panels, strict=True):
        draw(axis, table)
    try:
        with new_file(path) as temporary:
            figure.savefig(temporary, dpi=140, format=path.suffix.lstrip(".").lower() or "png")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: the plot cannot be written ({error}); choose another file") from error


def _nets(axis: Axes, table: Table) -> None:
    """Plot people per second, with the authors' way in grey."""
    names = [f"{model}, {backend}, {precision}, batch {batch}" for model, backend, precision, batch, *_ in table.rows]
    theirs = [row[1] == "authors' way" for row in table.rows]
    _bars(axis, names, table.column("people/s"), [GREY if grey else BLUE for grey in theirs])
    axis.set_title("People per second (median, quartiles)", loc="left", color=TEXT_COLOUR)


def _stages(axis: Axes, table: Table) -> None:
    """Plot milliseconds per frame."""
    _bars(axis, [str(row[0]) for row in table.rows], table.column("ms a frame"), [BLUE] * len(table.rows))
    axis.set_title("Each stage alone: milliseconds per frame (median, quartiles)", loc="left", color=TEXT_COLOUR)


def _overhead(axis: Axes, table: Table) -> None:
    """Plot processor time per frame by thread, stacked, of runs whose nets cost nothing."""
    parts = [row for row in table.rows if str(row[0]).startswith("in thread")]
    for place, name in enumerate(table.columns[1:], start=1):
        left = 0.0
        for number, row in enumerate(parts):
            cell = row[place]
            width = max(cell.median, 0.0) if isinstance(cell, Spread) else 0.0
            label = str(row[0]).removeprefix("in ").replace("thread MainThread", "main thread") if place == 1 else None
            axis.barh(name, width, left=left, height=0.6, color=STACK[number % len(STACK)], label=label)
            left += width
        axis.annotate(f" {left:.3g}", (left, name), va="center", color=TEXT_COLOUR, fontsize=9)
    axis.invert_yaxis()
    axis.legend(frameon=False, fontsize=9, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.1))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)
    axis.set_title(f"{table.title}: CPU milliseconds per frame by thread", loc="left", color=TEXT_COLOUR)


PLOTTED: Final = {"nets": _nets, "stages": _stages, "overhead": _overhead}
"""The tables that are plotted, and the functions that do it."""


def _bars(axis: Axes, names: list[str], cells: list[Any], colours: list[str]) -> None:
    """Draw one bar per name, from the top, with its value beside it."""
    spreads = [cell if isinstance(cell, Spread) else Spread(0, 0, 0, 0) for cell in cells]
    medians = [spread.median for spread in spreads]
    low = [spread.median - spread.low for spread in spreads]
    high = [spread.high - spread.median for spread in spreads]
    places = range(len(names))
    axis.barh(places, medians, xerr=[low, high], color=colours, ecolor=TEXT_COLOUR, height=0.72, error_kw={"lw": 1})
    axis.set_yticks(places, names, color=TEXT_COLOUR)
    axis.invert_yaxis()
    for place, spread in zip(places, spreads, strict=True):
        axis.annotate(f" {spread.median:.3g}", (spread.high, place), va="center", color=TEXT_COLOUR, fontsize=9)
    axis.margins(x=0.12)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)
