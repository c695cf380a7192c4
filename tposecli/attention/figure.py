"""The figure of the TransPose paper: the attention of each layer for each keypoint of one person, in print quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.geometry import crop
from tposecli.types import Float32, Image, Poses
from tposecli.utils.errors import UsageError
from tposecli.utils.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARPNESS: Final = 4
"""Pixels of the printed crop per pixel of the net's crop."""
PANEL_INCHES: Final = 1.25
TEXT_POINTS: Final = 7
FORMATS: Final = (".pdf", ".png", ".svg", ".eps", ".jpg")


@dataclass(frozen=True, eq=False, slots=True)
class FigureData:
    """One person and the attention maps to show.

    Attributes:
        image: (H, W, 3) uint8 RGB, the whole frame.
        poses: The pose of the one person.
        maps: (L, Q, h, w) attention scores.
        points: (Q, 2) points whose attention is shown, frame pixels.
        names: Titles of the Q columns.
        layers: Titles of the L rows.
        stride: Crop pixels per cell of the attention grid.
        above_threshold: Sets the (h, w) scores of a map that are to be transparent to 0.
        title: Title of the figure: model, mode and so on.
    """

    image: Image
    poses: Poses
    maps: Float32
    points: Float32
    names: Sequence[str]
    layers: Sequence[str]
    stride: int
    above_threshold: Callable[[Float32], Float32]
    title: str


def save_figure(path: Path, data: FigureData) -> None:
    """Write the figure: a row per layer, with the person and the skeleton in the first column, then one map a column.

    Text stays text in PDF and SVG. Each row has its own colour bar, since the layers' maximum scores differ widely.

    Raises:
        UsageError: The file extension is not supported.
        OutputError: The file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: unsupported file extension; expected one of {', '.join(FORMATS)}")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = data.maps.shape[:2]
    height = PANEL_INCHES * data.maps.shape[2] / data.maps.shape[3]
    settings: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "font.size": TEXT_POINTS}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=((columns + 1.3) * PANEL_INCHES, rows * height + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns + 1, squeeze=False)
        figure.suptitle(data.title, fontsize=TEXT_POINTS + 1)
        _fill(figure, axes, data)
        with new_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=300)


def _fill(figure: Any, axes: Any, data: FigureData) -> None:
    """Draw all panels, and a colour bar at the end of each row."""
    clean, drawn, to_crop = _crops(data)
    points = data.points @ to_crop[:, :2].T + to_crop[:, 2]
    for row, (layer, maps) in enumerate(zip(data.layers, data.maps, strict=True)):
        vmax = float(maps.max())
        _show_crop(axes[row][0], drawn, data.maps.shape[2:], data.stride)
        axes[row][0].set_ylabel(layer)
        drawing = None
        for column, scores in enumerate(maps):
            panel: Axes = axes[row][column + 1]
            _show_crop(panel, clean, scores.shape, data.stride)
            drawing = _show_map(panel, scores, data, vmax)
            panel.plot(*points[column], "o", markersize=4, markerfacecolor="none", markeredgecolor="white")
            if row == 0:
                panel.set_title(data.names[column])
        figure.colorbar(drawing, ax=axes[row].tolist(), shrink=0.8, pad=0.01, label="attention score")


def _crops(data: FigureData) -> tuple[Image, Image, crop.Matrices]:
    """Return the person's crop at print size without and with the skeleton, and the frame-to-net-crop matrix."""
    height, width = (side * data.stride for side in data.maps.shape[2:])
    region = crop.crop_regions(data.poses.boxes.corners, width / height)
    size = (width * SHARPNESS, height * SHARPNESS)
    clean = crop.cut(data.image, crop.frame_to_crop(*region, size), size)[0]
    whole = SkeletonDrawer().draw(data.image.copy(), data.poses)
    drawn = crop.cut(whole, crop.frame_to_crop(*region, size), size)[0]
    return clean, drawn, crop.frame_to_crop(*region, (width, height))[0]


def _show_crop(panel: Axes, image: Image, grid_hw: Sequence[int], stride: int) -> None:
    """Show a crop, with the pixels of the net's crop as axis coordinates."""
    height, width = grid_hw[0] * stride, grid_hw[1] * stride
    panel.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="lanczos")
    panel.set_xticks([])
    panel.set_yticks([])


def _show_map(panel: Axes, scores: Float32, data: FigureData, vmax: float) -> Any:
    """Show a map over its crop: transparent below the threshold, more opaque the higher the score."""
    height, width = np.array(scores.shape) * data.stride
    opacity = (data.above_threshold(scores) / max(vmax, 1e-12)) ** 0.5 * 0.85
    return panel.imshow(
        scores,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap="inferno",
        vmin=0,
        vmax=vmax,
        alpha=opacity,
        interpolation="nearest",
    )
