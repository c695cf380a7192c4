"""Paint attention over the frame it explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from tposecli.attention.stats import summarise
from tposecli.attention.steady import Steady
from tposecli.attention.style import AttentionStyle, PerPerson
from tposecli.drawing.labels import id_colour, paste, render_label
from tposecli.geometry.crop import Matrices
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Float32, Image, Result

COLOURS: Final = cv2.COLORMAP_INFERNO
DARKEST: Final = 60
"""Colour of the weakest attention that is shown, of 255: black would look like a shadow."""
PANEL: Final = 480
"""Longer side of a panel in the grid views, pixels."""
CONFIDENT: Final = (0.2, 0.4)
"""Scores at which a keypoint begins to count as confident, and at which it is shown in full strength."""
FLOOR, FULL = 1.5, 8.0
"""Multiples of a map's mean up to which nothing of it is shown, and from which its peak is shown in full strength."""
FINER: Final = 4
"""Factor by which maps are interpolated smoothly before they are put on the frame."""
FADED: Final = 2.0
"""Cells over which maps fade at the border of the crop."""
SCORE_S: Final = 0.5
PEAK_S: Final = 0.5
MAP_S: Final = 0.1
"""Time constants in seconds with which scores, peaks and maps are smoothed for the eye; of maps, limbs that move."""
MAX_MARKED: Final = 3
"""Keypoints are ringed only if at most this many are shown; more rings would hide the attention."""
LINES: Final = 3
"""Number of lines drawn from each keypoint."""


class AttentionPainter:
    """Turns the results of one input, in order, into images.

    Args:
        style: What to show.
        stride: Crop pixels per cell of the attention grid.
    """

    def __init__(self, style: AttentionStyle, stride: int) -> None:
        self.style = style
        self.stride = stride
        self._steady_scores, self._steady_peaks, self._steady_maps = Steady(SCORE_S), Steady(PEAK_S), Steady(MAP_S)

    def paint(self, result: Result) -> Image:
        """Return a new image of the frame with its attention; frames of equal size give images of equal size."""
        style, scene = self.style, self._scene(result)
        if style.view == "overlay":
            return self._with_label(self._panel(scene, -1, style.keypoints), self._legend(scene, -1, style.keypoints))
        if style.view == "layers":
            return _grid([self._titled(scene, layer, style.keypoints) for layer in range(len(style.layer_names))])
        chosen = tuple(range(len(KEYPOINTS))) if isinstance(style.keypoints, str) else style.keypoints
        return _grid([self._titled(scene, -1, (keypoint,)) for keypoint in chosen])

    def _scene(self, result: Result) -> _Scene:
        """Return the result with everything that must be steady over time; to be called once per frame."""
        poses, time_s = result.poses, result.frame.time_s
        maps = peaks = None
        if result.attention is not None:
            maps = self._steady_maps(result.attention, poses.track_id, time_s)
            peaks = self._steady_peaks(_peaks(maps), poses.track_id, time_s)
        return _Scene(result, self._steady_scores(poses.score, poses.track_id, time_s), maps, peaks)

    def _titled(self, scene: _Scene, layer: int, keypoints: tuple[int, ...] | PerPerson) -> Image:
        """Return a small panel with its label, for the grid views."""
        image = self._panel(scene, layer, keypoints)
        scale = min(1.0, PANEL / max(image.shape[:2]))
        small: Image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        return self._with_label(small, self._legend(scene, layer, keypoints))

    def _panel(self, scene: _Scene, layer: int, keypoints: tuple[int, ...] | PerPerson) -> Image:
        """Return the (H, W, 3) frame with the attention of one layer."""
        if self.style.style == "lines":
            return self._lines(scene, layer, keypoints)
        result = scene.result
        image = blend(result.frame.image, self._strength(scene, layer, keypoints), self.style.alpha)
        if keypoints == "strongest" or (keypoints != "confident" and len(keypoints) <= MAX_MARKED):
            for person, xy in enumerate(result.final.xy[: len(result.poses)]):
                for keypoint in scene.chosen(person, keypoints):
                    _mark(image, xy[keypoint])
        return image

    def _strength(self, scene: _Scene, layer: int, keypoints: tuple[int, ...] | PerPerson) -> Float32:
        """Return (H, W) float32 in 0..1: the maximum of all maps, each scaled by :func:`_scaled`."""
        result, style = scene.result, self.style
        width, height = result.frame.size_wh
        total = np.zeros((height, width), np.float32)
        if scene.maps is None or result.matrices is None or scene.peaks is None:
            return total
        for person, matrix in enumerate(result.matrices):
            maps = [
                scene.weight(person, keypoint, keypoints)
                * _scaled(
                    above_threshold(style, scores := scene.maps[person, layer, keypoint]),
                    float(scores.mean()),
                    float(scene.peaks[person, layer, keypoint]),
                )
                for keypoint in scene.chosen(person, keypoints)
            ]
            if maps:
                _merge_max(total, _finer(np.max(maps, axis=0)), matrix, self.stride / FINER)
        return total

    def _lines(self, scene: _Scene, layer: int, keypoints: tuple[int, ...] | PerPerson) -> Image:
        """Return the darkened frame with lines from each keypoint to the joints that it attends to most."""
        result = scene.result
        image: Image = (result.frame.image * (1 - 0.4 * self.style.alpha)).astype(np.uint8)
        if result.attention is None or not len(result.poses):
            return image
        summary = summarise(result, self.stride, layer)
        strongest = summary.strongest(LINES)
        for person, xy in enumerate(result.final.xy[: len(result.poses)]):
            colour = id_colour(int(result.poses.track_id[person]))
            for keypoint in scene.chosen(person, keypoints):
                joints = strongest[person, keypoint]
                weights = summary.joints[person, keypoint, joints]
                _draw_lines(image, xy[keypoint], xy[joints], weights / max(float(weights.max()), 1e-12), colour)
        return image

    def _legend(self, scene: _Scene, layer: int, keypoints: tuple[int, ...] | PerPerson) -> str:
        """Return the text of the label: keypoints, layer, mode and threshold."""
        if keypoints == "strongest":
            people = len(scene.result.poses)
            names = {KEYPOINTS[scene.chosen(person, keypoints)[0]].replace("_", " ") for person in range(people)}
            what = f"strongest: {', '.join(sorted(names))}" if 0 < len(names) <= MAX_MARKED else "strongest keypoints"
        elif keypoints == "confident":
            what = "all confident keypoints"
        elif len(keypoints) == len(KEYPOINTS):
            what = "all keypoints"
        else:
            what = ", ".join(KEYPOINTS[keypoint].replace("_", " ") for keypoint in keypoints)
        bound = self.style.bound if self.style.style == "heat" else ""
        return " - ".join(part for part in (what, self.style.layer_names[layer], self.style.mode, bound) if part)

    def _with_label(self, image: Image, text: str) -> Image:
        """Draw a label in the lower left corner of an image itself, and return it."""
        height = max(16, round(0.035 * max(image.shape[:2])))
        paste(
            image,
            *render_label(text, height, (244, 244, 238)),
            (height // 2, image.shape[0] - height - height // 2),
        )
        return image


@dataclass(frozen=True, eq=False, slots=True)
class _Scene:
    """One frame and what is steady over time.

    Attributes:
        result: The frame.
        score: (N, K) scores of the keypoints.
        maps: (N, L, K, h, w) attention; None without attention.
        peaks: (N, L, K) maxima of the maps; None likewise.
    """

    result: Result
    score: Float32
    maps: Float32 | None
    peaks: Float32 | None

    def chosen(self, person: int, keypoints: tuple[int, ...] | PerPerson) -> Sequence[int]:
        """Return the keypoints to show of one person."""
        if keypoints == "strongest":
            return (int(self.score[person].argmax()),)
        if keypoints == "confident":
            return np.flatnonzero(self.score[person] > CONFIDENT[0]).tolist()
        return keypoints

    def weight(self, person: int, keypoint: int, keypoints: tuple[int, ...] | PerPerson) -> float:
        """Return how strongly a keypoint is shown: those of middling confidence fade, they do not blink."""
        if keypoints != "confident":
            return 1.0
        low, high = CONFIDENT
        return float(np.clip((self.score[person, keypoint] - low) / (high - low), 0, 1))


def _peaks(attention: Float32) -> Float32:
    """Return the (N, L, K) maxima of (N, L, K, h, w) maps."""
    return np.asarray(attention.max(axis=(3, 4), initial=0), np.float32)


def _scaled(scores: Float32, mean: float, peak: float) -> Float32:
    """Return an (h, w) map in 0..1: 0 up to ``FLOOR`` times its mean, 1 at its peak or ``FULL`` times its mean.

    Maps that say little stay faint, and what is attended to hardly more than everything else is not shown.
    """
    floor = FLOOR * mean
    return np.asarray(np.clip((scores - floor) / max(max(peak, FULL * mean) - floor, 1e-12), 0, 1), np.float32)


def _finer(scores: Float32) -> Float32:
    """Return an (h, w) map of 0..1 with ``FINER`` times the cells in each direction and without edges.

    It fades towards the borders of its crop, which shall not be seen.
    """
    finer = cv2.GaussianBlur(
        cv2.resize(scores, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_CUBIC), (0, 0), FINER / 3
    )
    rows, columns = (
        np.minimum((np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / (FADED * FINER), 1)
        for side in finer.shape
    )
    return np.asarray(np.clip(finer, 0, 1) * np.outer(rows, columns), np.float32)


def _merge_max(total: Float32, scores: Float32, matrix: Matrices, stride: float) -> None:
    """Raise ``total`` to a map's values where the map is larger; only the crop's part of the frame is processed."""
    height, width = scores.shape
    scale, shift = matrix[0, 0], matrix[:, 2]
    left, top = np.maximum(np.floor((-stride - shift) / scale), 0).astype(int)
    right, bottom = np.ceil((np.array([width, height]) * stride + stride - shift) / scale).astype(int) + 1
    part = total[top : max(bottom, 0), left : max(right, 0)]
    if part.size:
        moved = matrix.copy()
        moved[:, 2] += scale * np.array([left, top])
        np.maximum(part, onto_frame(scores, moved, stride, (part.shape[1], part.shape[0])), out=part)


def onto_frame(grid: Float32, crop_matrix: Matrices, stride: float, size_wh: tuple[int, int]) -> Float32:
    """Warp a map of the attention grid onto the frame: (H, W) float32, 0 outside the crop.

    Args:
        grid: (h, w) scores; a cell covers the ``stride`` x ``stride`` crop pixels from (``stride * column``,
            ``stride * row``).
        crop_matrix: (2, 3) matrix from frame to crop pixels.
        stride: Crop pixels per cell.
        size_wh: Width and height of the frame.
    """
    to_grid = crop_matrix / stride
    to_grid[:, 2] += 0.5 / stride - 0.5
    moved = cv2.warpAffine(grid, to_grid, size_wh, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(moved, np.float32)


def blend(image: Image, strength: Float32, alpha: float) -> Image:
    """Return the image under a perceptually uniform heat map that is more opaque the stronger the attention.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: (H, W) float32 in 0..1.
        alpha: Opacity at strength 1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    level = (DARKEST + (255 - DARKEST) * strength).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(level, COLOURS), cv2.COLOR_BGR2RGB)
    opacity = (strength**0.6)[:, :, None] * np.float32(alpha)
    mixed: Image = (image + (colours.astype(np.float32) - image) * opacity).astype(np.uint8)
    return mixed


def _draw_lines(image: Image, start: Float32, ends: Float32, weights: Float32, colour: tuple[int, int, int]) -> None:
    """Draw lines from one joint to others, thicker the larger their weight."""
    unit = max(image.shape[:2]) / 480
    at = tuple(np.rint(start * 16).astype(int).tolist())
    for end, weight in zip(ends, weights, strict=True):
        to = tuple(np.rint(end * 16).astype(int).tolist())
        cv2.line(image, at, to, colour, max(1, round(4 * unit * float(weight))), cv2.LINE_AA, 4)
    cv2.circle(image, at, round(16 * 5 * unit), (255, 255, 255), -1, cv2.LINE_AA, 4)
    cv2.circle(image, at, round(16 * 3.5 * unit), colour, -1, cv2.LINE_AA, 4)


def _mark(image: Image, xy: Float32) -> None:
    """Draw a ring around the keypoint whose attention is shown."""
    unit = max(image.shape[:2]) / 480
    at = tuple(np.rint(xy * 16).astype(int).tolist())
    for colour, width in (((14, 17, 23), 3.0), ((255, 255, 255), 1.5)):
        cv2.circle(image, at, round(16 * 5 * unit), colour, max(1, round(width * unit)), cv2.LINE_AA, 4)


def _grid(panels: list[Image]) -> Image:
    """Arrange panels of equal size in a grid whose aspect ratio is about 16:9."""
    height, width = panels[0].shape[:2]
    columns = max(1, min(len(panels), round(math.sqrt(len(panels) * height / width * 16 / 9))))
    rows = -(-len(panels) // columns)
    page = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, panel in enumerate(panels):
        top, left = number // columns * height, number % columns * width
        page[top : top + height, left : left + width] = panel
    return page


def above_threshold(style: AttentionStyle, scores: Float32) -> Float32:
    """Return an (h, w) map with the scores below the threshold set to 0."""
    min_score = style.threshold if style.percentile is None else float(np.percentile(scores, style.percentile))
    return np.where(scores >= min_score, scores, np.float32(0))
