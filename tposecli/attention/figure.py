"""The figure of the TransPose paper: what each layer looked at for each keypoint of one person, fit for print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.geometry import crop
from tposecli.types import Float32, Image, Poses
from tposecli.utils.errors import OutputError, UsageError
from tposecli.utils.files import part_path, publish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARPNESS: Final = 4
"""Pixels of the shown crop for each pixel of the net's, so that print is sharp."""
PANEL_INCHES: Final = 1.25
TEXT_POINTS: Final = 7
FORMATS: Final = (".pdf", ".png", ".svg", ".eps", ".jpg")


@dataclass(frozen=True, eq=False, slots=True)
class FigureData:
    """One person and the attention maps to show.

    Attributes:
        image: (H, W, 3) uint8 RGB, the whole picture.
        poses: The one person.
        maps: (L, Q, h, w) attention scores.
        points: (Q, 2) frame pixels: what each column explains.
        names: Of the Q columns.
        layers: Names of the L rows.
        stride: Crop pixels per cell of the grid.
        shown: Of each map, what is not to be left transparent: (h, w) scores to the same, the others 0.
        title: Model, mode and so on.
    """

    image: Image
    poses: Poses
    maps: Float32
    points: Float32
    names: Sequence[str]
    layers: Sequence[str]
    stride: int
    shown: Callable[[Float32], Float32]
    title: str


def save_figure(path: Path, explained: FigureData) -> None:
    """Rows are layers; the first column is the person with the skeleton, the others are one map each.

    Text stays text in PDF and SVG. Every row has its own colour bar, since layers differ in sharpness.

    Raises:
        UsageError: An extension that cannot be written.
        OutputError: The file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: figures are written as {', '.join(FORMATS)}")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = explained.maps.shape[:2]
    height = PANEL_INCHES * explained.maps.shape[2] / explained.maps.shape[3]
    settings: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "font.size": TEXT_POINTS}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=((columns + 1.3) * PANEL_INCHES, rows * height + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns + 1, squeeze=False)
        figure.suptitle(explained.title, fontsize=TEXT_POINTS + 1)
        _fill(figure, axes, explained)
        try:
            figure.savefig(part_path(path), format=path.suffix[1:].lower(), dpi=300)
            publish(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def _fill(figure: Any, axes: Any, explained: FigureData) -> None:
    """Every panel, and a colour bar at the end of each row."""
    clean, drawn, to_crop = _crops(explained)
    shown = explained.points @ to_crop[:, :2].T + to_crop[:, 2]
    for row, (layer, maps) in enumerate(zip(explained.layers, explained.maps, strict=True)):
        most = float(maps.max())
        _picture(axes[row][0], drawn, explained.maps.shape[2:], explained.stride)
        axes[row][0].set_ylabel(layer)
        drawing = None
        for column, scores in enumerate(maps):
            panel: Axes = axes[row][column + 1]
            _picture(panel, clean, scores.shape, explained.stride)
            drawing = _heat(panel, scores, explained, most)
            panel.plot(*shown[column], "o", markersize=4, markerfacecolor="none", markeredgecolor="white")
            if row == 0:
                panel.set_title(explained.names[column])
        figure.colorbar(drawing, ax=axes[row].tolist(), shrink=0.8, pad=0.01, label="attention score")


def _crops(explained: FigureData) -> tuple[Image, Image, crop.Matrices]:
    """The person's crop at print size without and with the skeleton, and the map from the frame to net crop pixels."""
    height, width = (side * explained.stride for side in explained.maps.shape[2:])
    region = crop.crop_regions(explained.poses.boxes.corners, width / height)
    size = (width * SHARPNESS, height * SHARPNESS)
    clean = crop.cut(explained.image, crop.frame_to_crop(*region, size), size)[0]
    whole = SkeletonDrawer().draw(explained.image.copy(), explained.poses)
    drawn = crop.cut(whole, crop.frame_to_crop(*region, size), size)[0]
    return clean, drawn, crop.frame_to_crop(*region, (width, height))[0]


def _picture(panel: Axes, image: Image, grid_hw: Sequence[int], stride: int) -> None:
    """A crop in coordinates of the net's crop."""
    height, width = grid_hw[0] * stride, grid_hw[1] * stride
    panel.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="lanczos")
    panel.set_xticks([])
    panel.set_yticks([])


def _heat(panel: Axes, scores: Float32, explained: FigureData, most: float) -> Any:
    """One map over its picture; transparent below the threshold, more opaque with the score."""
    height, width = np.array(scores.shape) * explained.stride
    opacity = (explained.shown(scores) / max(most, 1e-12)) ** 0.5 * 0.85
    return panel.imshow(
        scores,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap="inferno",
        vmin=0,
        vmax=most,
        alpha=opacity,
        interpolation="nearest",
    )
