"""Attention laid over the picture it explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import cv2
import numpy as np

from tposecli.attention.stats import summarise
from tposecli.drawing.labels import id_colour, lay, plate
from tposecli.geometry.crop import Matrices
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Float32, Image, Poses, Result
from tposecli.utils.errors import UsageError

if TYPE_CHECKING:
    from tposecli.models.attention_readout import Attention, Combination, Mode

COLOURS: Final = cv2.COLORMAP_INFERNO
PANEL: Final = 480
"""Longer side, pixels, of a panel of the grid view."""
MARKED: Final = 3
"""At most so many keypoints are ringed; more would hide what they explain."""
LEANS: Final = 3
"""Joints that the lines of a keypoint lead to."""

Style = Literal["heat", "lines"]
View = Literal["overlay", "layers", "keypoints"]


@dataclass(frozen=True, slots=True)
class AttentionStyle:
    """Which attention is shown, and how.

    Attributes:
        keypoints: Indices; or ``strongest``: each person's surest keypoint.
        layers: As :class:`Attention`, or ``all``; only ``view="layers"`` shows more than one.
        mode: As :class:`Attention`.
        threshold: Absolute attention score below which nothing is shown.
        percentile: Instead: of each map, what lies below this percentile of it is not shown.
        style: ``heat``: colours; ``lines``: from the keypoint to the joints it leans on most.
        alpha: Opacity where the attention is highest, 0..1.
        view: One picture; or a grid with one panel for each layer or keypoint.
    """

    keypoints: tuple[int, ...] | Literal["strongest"] = "strongest"
    layers: tuple[int, ...] | Combination | Literal["all"] = (-1,)
    mode: Mode = "dependency"
    threshold: float = 0.0
    percentile: float | None = None
    style: Style = "heat"
    alpha: float = 0.8
    view: View = "overlay"

    def resolved(self, count: int) -> AttentionStyle:
        """The same for a net with so many layers: ``all`` spelled out, and those that are not there refused.

        Raises:
            UsageError: A layer that the net does not have.
        """
        if self.layers == "all":
            return replace(self, layers=tuple(range(count)))
        if not isinstance(self.layers, str) and any(not -count <= layer < count for layer in self.layers):
            raise UsageError(f"attention layer {max(self.layers)}: this model has {count} layers, 0 to {count - 1}")
        return self

    @property
    def request(self) -> Attention:
        """What must be read from the net for it: of every keypoint, as the surest one is not known before."""
        assert self.layers != "all", "resolve the style first"
        from tposecli.models.attention_readout import Attention

        return Attention(self.layers, mode=self.mode)

    def shown(self, scores: Float32) -> Float32:
        """(h, w): a map with what is not to be shown set to 0."""
        least = self.threshold if self.percentile is None else float(np.percentile(scores, self.percentile))
        return np.where(scores >= least, scores, np.float32(0))

    @property
    def bound(self) -> str:
        """Which scores are shown, in words; empty if all are."""
        if self.percentile is not None:
            return f"scores from p{self.percentile:g}"
        return f"scores from {self.threshold:g}" if self.threshold else ""

    @property
    def layer_names(self) -> list[str]:
        """A name for each layer that is read."""
        if isinstance(self.layers, str):
            return [f"{self.layers} of layers"]
        return ["last layer" if layer == -1 else f"layer {layer}" for layer in self.layers]


class AttentionPainter:
    """Turns results with attention into pictures.

    Args:
        style: What to show.
        stride: Crop pixels per cell of the attention grid.
    """

    def __init__(self, style: AttentionStyle, stride: int) -> None:
        self.style = style
        self.stride = stride

    def paint(self, result: Result) -> Image:
        """A new picture of the frame under its attention; all frames of one size give pictures of one size."""
        style = self.style
        if style.view == "overlay":
            picture = self._panel(result, -1, style.keypoints)
            return self._named(picture, self._legend(style.layer_names[-1], style.keypoints))
        if style.view == "layers":
            return _grid([self._titled(result, layer, style.keypoints) for layer in range(len(style.layer_names))])
        shown = tuple(range(len(KEYPOINTS))) if style.keypoints == "strongest" else style.keypoints
        return _grid([self._titled(result, -1, (keypoint,)) for keypoint in shown])

    def _titled(self, result: Result, layer: int, keypoints: tuple[int, ...] | Literal["strongest"]) -> Image:
        """A small panel with its name."""
        picture = self._panel(result, layer, keypoints)
        scale = min(1.0, PANEL / max(picture.shape[:2]))
        small: Image = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        return self._named(small, self._legend(self.style.layer_names[layer], keypoints))

    def _panel(self, result: Result, layer: int, keypoints: tuple[int, ...] | Literal["strongest"]) -> Image:
        """(H, W, 3): the frame with one layer's attention."""
        if self.style.style == "lines":
            return self._lines(result, layer, keypoints)
        picture = blend(result.frame.image, self._strength(result, layer, keypoints), self.style.alpha)
        if keypoints == "strongest" or len(keypoints) <= MARKED:
            for person, xy in enumerate(result.final.xy[: len(result.poses)]):
                for keypoint in _chosen(result.poses, person, keypoints):
                    _mark(picture, xy[keypoint])
        return picture

    def _strength(self, result: Result, layer: int, keypoints: tuple[int, ...] | Literal["strongest"]) -> Float32:
        """(H, W) float32 in 0..1; every map is scaled to its own maximum, the highest value of all wins."""
        style = self.style
        width, height = result.frame.size_wh
        total = np.zeros((height, width), np.float32)
        if result.attention is None or result.matrices is None:
            return total
        for person, matrix in enumerate(result.matrices):
            for keypoint in _chosen(result.poses, person, keypoints):
                shown = style.shown(result.attention[person, layer, keypoint])
                _lighten(total, shown / max(float(shown.max()), 1e-12), matrix, self.stride)
        return total

    def _lines(self, result: Result, layer: int, keypoints: tuple[int, ...] | Literal["strongest"]) -> Image:
        """The frame, paler, with lines from each keypoint to the joints that it leans on most."""
        picture: Image = (result.frame.image * (1 - 0.4 * self.style.alpha)).astype(np.uint8)
        if result.attention is None or not len(result.poses):
            return picture
        summary = summarise(result, self.stride, layer)
        strongest = summary.strongest(LEANS)
        for person, xy in enumerate(result.final.xy[: len(result.poses)]):
            colour = id_colour(int(result.poses.track_id[person]))
            for keypoint in _chosen(result.poses, person, keypoints):
                leans = strongest[person, keypoint]
                weights = summary.joints[person, keypoint, leans]
                _draw_leans(picture, xy[keypoint], xy[leans], weights / max(float(weights.max()), 1e-12), colour)
        return picture

    def _legend(self, layer: str, keypoints: tuple[int, ...] | Literal["strongest"]) -> str:
        """What is to be seen, in a few words."""
        if keypoints == "strongest":
            what = "surest keypoint"
        elif len(keypoints) == len(KEYPOINTS):
            what = "all keypoints"
        else:
            what = ", ".join(KEYPOINTS[keypoint].replace("_", " ") for keypoint in keypoints)
        bound = self.style.bound if self.style.style == "heat" else ""
        return " - ".join(part for part in (what, layer, self.style.mode, bound) if part)

    def _named(self, picture: Image, text: str) -> Image:
        """The picture with a plate in its lower left corner."""
        height = max(16, round(0.035 * max(picture.shape[:2])))
        lay(picture, *plate(text, height, (244, 244, 238)), (height // 2, picture.shape[0] - height - height // 2))
        return picture


def _chosen(poses: Poses, person: int, keypoints: tuple[int, ...] | Literal["strongest"]) -> Sequence[int]:
    """The keypoints that are meant of one person."""
    return (int(poses.score[person].argmax()),) if keypoints == "strongest" else keypoints


def _lighten(total: Float32, scores: Float32, matrix: Matrices, stride: int) -> None:
    """Raise ``total`` to a map's values where the map lies; only the crop's own part of the frame is touched."""
    height, width = scores.shape
    scale, shift = matrix[0, 0], matrix[:, 2]
    left, top = np.maximum(np.floor((-stride - shift) / scale), 0).astype(int)
    right, bottom = np.ceil((np.array([width, height]) * stride + stride - shift) / scale).astype(int) + 1
    part = total[top : max(bottom, 0), left : max(right, 0)]
    if part.size:
        moved = matrix.copy()
        moved[:, 2] += scale * np.array([left, top])
        np.maximum(part, onto_frame(scores, moved, stride, (part.shape[1], part.shape[0])), out=part)


def onto_frame(grid: Float32, crop_matrix: Matrices, stride: int, size_wh: tuple[int, int]) -> Float32:
    """(H, W) float32: a map of the attention grid, moved to where its crop lies in the frame; 0 elsewhere.

    Args:
        grid: (h, w) scores; cell (row, column) covers crop pixels from ``stride * column`` on, ``stride`` of them.
        crop_matrix: (2, 3) map from frame to crop pixels.
        stride: Crop pixels per cell.
        size_wh: Width and height of the frame.
    """
    to_grid = crop_matrix / stride
    to_grid[:, 2] += 0.5 / stride - 0.5
    moved = cv2.warpAffine(grid, to_grid, size_wh, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(moved, np.float32)


def blend(image: Image, strength: Float32, alpha: float) -> Image:
    """(H, W, 3) uint8 RGB: the picture under perceptually uniform colours, the more opaque the stronger.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: (H, W) float32 in 0..1.
        alpha: Opacity at 1.
    """
    colours = cv2.cvtColor(cv2.applyColorMap((strength * 255).astype(np.uint8), COLOURS), cv2.COLOR_BGR2RGB)
    opacity = (strength**0.6)[:, :, None] * np.float32(alpha)
    mixed: Image = (image + (colours.astype(np.float32) - image) * opacity).astype(np.uint8)
    return mixed


def _draw_leans(picture: Image, start: Float32, ends: Float32, weights: Float32, colour: tuple[int, int, int]) -> None:
    """Lines from one joint to others, the thicker the stronger."""
    unit = max(picture.shape[:2]) / 480
    at = tuple(np.rint(start * 16).astype(int).tolist())
    for end, weight in zip(ends, weights, strict=True):
        to = tuple(np.rint(end * 16).astype(int).tolist())
        cv2.line(picture, at, to, colour, max(1, round(4 * unit * float(weight))), cv2.LINE_AA, 4)
    cv2.circle(picture, at, round(16 * 5 * unit), (255, 255, 255), -1, cv2.LINE_AA, 4)
    cv2.circle(picture, at, round(16 * 3.5 * unit), colour, -1, cv2.LINE_AA, 4)


def _mark(picture: Image, xy: Float32) -> None:
    """A ring round the keypoint that is explained."""
    unit = max(picture.shape[:2]) / 480
    at = tuple(np.rint(xy * 16).astype(int).tolist())
    for colour, width in (((14, 17, 23), 3.0), ((255, 255, 255), 1.5)):
        cv2.circle(picture, at, round(16 * 5 * unit), colour, max(1, round(width * unit)), cv2.LINE_AA, 4)


def _grid(panels: list[Image]) -> Image:
    """Panels of one size side by side and below one another, about as wide as high in all."""
    height, width = panels[0].shape[:2]
    columns = max(1, min(len(panels), round(math.sqrt(len(panels) * height / width * 16 / 9))))
    rows = -(-len(panels) // columns)
    page = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, panel in enumerate(panels):
        top, left = number // columns * height, number % columns * width
        page[top : top + height, left : left + width] = panel
    return page
