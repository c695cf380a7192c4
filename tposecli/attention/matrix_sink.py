"""Write which joints attend to which, averaged over all people of a run: a table and a plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from tposecli.attention.stats import summarise
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Result
from tposecli.utils.files import new_file, write_text


def plot_path(path: Path) -> Path:
    """Return the path of the plot that is written beside a table."""
    return path.with_suffix(".png")


class AttentionMatrix:
    """Writes ``NAME.csv``, a matrix of keypoints by the joints they attend to, and ``NAME.png``, a plot of it.

    Each value is the share of the row keypoint's attention, in the last layer that was read, in the 3 x 3 cells around
    the column's joint, averaged over all people and frames.

    Args:
        path: The ``.csv`` file; the plot is written beside it.
        stride: Crop pixels per cell of the attention grid.
    """

    def __init__(self, path: Path, stride: int) -> None:
        self.path = path
        self.stride = stride
        self.total = np.zeros((len(KEYPOINTS), len(KEYPOINTS)))
        self.people = 0

    def write(self, result: Result) -> None:
        """Add the people of one frame."""
        if result.attention is not None and len(result.poses):
            self.total += summarise(result, self.stride).joints.sum(axis=0)
            self.people += len(result.poses)

    def close(self, complete: bool) -> None:
        """Write both files, or neither if the run is not complete."""
        if complete:
            mean = self.total / max(self.people, 1)
            write_text(self.path, _table(mean))
            _plot(plot_path(self.path), mean, self.people)


def _table(mean: np.ndarray[Any, Any]) -> str:
    """Return the matrix as CSV, with keypoint names as the header and the first column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["keypoint", *KEYPOINTS])
    writer.writerows([name, *(f"{value:.6f}" for value in row)] for name, row in zip(KEYPOINTS, mean, strict=True))
    return text.getvalue()


def _plot(path: Path, mean: np.ndarray[Any, Any], people: int) -> None:
    """Plot the matrix as a heat map."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name.replace("_", " ") for name in KEYPOINTS]
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawing = axes.imshow(mean, cmap="inferno", vmin=0)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("attends to")
    axes.set_title(f"share of attention, mean of {people} poses")
    figure.colorbar(drawing)
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
