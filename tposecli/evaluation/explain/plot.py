"""A plot of the deletion and insertion curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tposecli.evaluation.explain.curves import FRACTIONS
from tposecli.evaluation.explain.figures import Explanations, LayerFigures
from tposecli.utils.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "explanations.png"


def plot_curves(path: Path, title: str, found: Explanations) -> None:
    """Draw the score under deletion and insertion, and the movement under deletion; chance is dashed.

    Raises:
        OutputError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), dpi=150, layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, 3))
    for column in (*found.layers, found.chance):
        _draw(axes, column, "--" if column is found.chance else "-")
    axes[0].set(ylabel="score", title="deletion: score", ylim=(0, None))
    axes[1].set(title="insertion: score", ylim=(0, None))
    axes[2].set(ylabel="longer sides of the box", title="deletion: mean movement", ylim=(0, None))
    for panel in axes:
        panel.set(xlabel="share of the cells, the most attended first", xlim=(0, 1))
        panel.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle(f"{title}\n{found.title}", fontsize=10)
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: list[Axes], column: LayerFigures, line: str) -> None:
    """Draw the curves of one layer into the three panels."""
    if column.deletion is None or column.insertion is None:
        return
    colour = "0.4" if column.name == "chance" else None
    for panel, values in zip(axes, (column.deletion.score, column.insertion.score, column.deletion.moved), strict=True):
        panel.plot(FRACTIONS, values, line, label=column.name, marker=".", color=colour)
