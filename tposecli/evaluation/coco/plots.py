"""Plots of the precision-recall curves and of the histogram of OKS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tposecli.evaluation.coco.average_precision import Scores
from tposecli.evaluation.coco.per_keypoint import BINS, Details
from tposecli.utils.errors import OutputError
from tposecli.utils.files import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_INCHES: Final = (6.4, 4.4)


def paths(folder: Path) -> tuple[Path, Path]:
    """Return the paths of both plots."""
    return folder / "precision_recall.png", folder / "oks.png"


def plot(folder: Path, title: str, scores: Scores, details: Details) -> list[Path]:
    """Draw both plots into a folder, creating it if needed; return their paths.

    Raises:
        OutputError: They cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = _curves(title, scores), _histogram(title, details)
        return [_saved(figure, path) for figure, path in zip(figures, paths(folder), strict=True)]
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=SIZE_INCHES, dpi=150, layout="constrained")


def _curves(title: str, scores: Scores) -> Figure:
    figure = _figure()
    axes = figure.add_subplot()
    for name, curve in scores.precision.items():
        axes.plot(np.linspace(0, 1, len(curve)), curve, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=title)
    if scores.precision:
        axes.legend()
    axes.grid(alpha=0.3)
    return figure


def _histogram(title: str, details: Details) -> Figure:
    figure = _figure()
    axes = figure.add_subplot()
    axes.bar((np.arange(BINS) + 0.5) / BINS, details.histogram, width=0.9 / BINS)
    axes.set(xlabel="OKS of the best matching pose", ylabel="people", xlim=(0, 1), title=title)
    return figure


def _saved(figure: Figure, path: Path) -> Path:
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
