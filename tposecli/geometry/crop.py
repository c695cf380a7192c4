"""From a box in the frame to a crop for the net, and back: the only place where coordinates change.

The arithmetic is the authors' (``centre`` and ``scale`` in units of 200 pixels come from Simple Baselines, Xiao et al.,
ECCV 2018): the box grows to the net's aspect and by a quarter, and maps onto the crop by a similarity without rotation.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.types import Float32, Image

UNIT = 200.0
PADDING = 1.25

Matrices = NDArray[np.float64]


def crop_regions(xyxy: NDArray[np.floating], aspect: float) -> tuple[Float32, Float32]:
    """Return centre and scale of the region that the crop of each box shows.

    Args:
        xyxy: (N, 4) boxes, frame pixels.
        aspect: Width by height of the crop.

    Returns:
        ``center`` (N, 2) frame pixels, and ``scale`` (N, 2): width and height in units of 200 pixels, padded.
    """
    corner = xyxy[:, :2]
    size = xyxy[:, 2:].astype(np.float64) - corner
    center = (corner + (size - 1) * 0.5).astype(np.float32)
    wide = size[:, 0] > aspect * size[:, 1]
    width = np.where(wide, size[:, 0], size[:, 1] * aspect)
    height = np.where(wide, size[:, 0] / aspect, size[:, 1])
    scale = (np.stack((width, height), axis=1) / UNIT).astype(np.float32) * np.float32(PADDING)
    return center, scale


def frame_to_crop(center: Float32, scale: Float32, size_wh: tuple[int, int]) -> Matrices:
    """Return (N, 2, 3) maps from frame pixels to pixels of a crop, or of a heatmap, of that size.

    Each is solved from three corresponding points in single precision, like the authors': for a small box far from the
    origin, rounding moves the map by a thousandth of a pixel, enough to change a pixel value now and then.
    """
    half_width = (scale[:, 0] * np.float32(UNIT) - 1) * np.float32(0.5)
    source = _corner_points(center, half_width)
    target_center = np.array([[(size_wh[0] - 1) / 2, (size_wh[1] - 1) / 2]], np.float32)
    target = _corner_points(target_center, np.array([(size_wh[0] - 1) / 2], np.float32))[0]
    matrices = [cv2.getAffineTransform(points, target) for points in source]
    return np.array(matrices, np.float64).reshape(-1, 2, 3)


def _corner_points(center: Float32, half_width: Float32) -> Float32:
    """Return (N, 3, 2): the centre, the point ``half_width`` above it, and the point as far to the left of that."""
    points = np.empty((len(center), 3, 2), np.float32)
    points[:] = center[:, None]
    points[:, 1:, 1] -= half_width[:, None]
    points[:, 2, 0] -= center[:, 1] - points[:, 1, 1]
    return points


def cut(image: Image, matrices: Matrices, size_wh: tuple[int, int], out: Image | None = None) -> Image:
    """Cut (N, H, W, 3) uint8 crops: bilinear, black outside the frame.

    Args:
        image: (H, W, 3) frame.
        matrices: (N, 2, 3) from :func:`frame_to_crop`.
        size_wh: Width and height of a crop.
        out: Array to write to; None for a new one.
    """
    if out is None:
        out = np.empty((len(matrices), size_wh[1], size_wh[0], 3), np.uint8)
    if cv2.getNumThreads() != 1:  # With OpenCV 5, the last digits depend on how many threads share a crop.
        cv2.setNumThreads(1)
    for crop, matrix in zip(out, matrices, strict=True):
        cv2.warpAffine(image, matrix, size_wh, dst=crop, flags=cv2.INTER_LINEAR)
    return out


def to_frame(xy: Float32, center: Float32, scale: Float32, size_wh: tuple[int, int]) -> Float32:
    """Map (N, K, 2) positions on a crop or heatmap of that size to frame pixels."""
    matrices = frame_to_crop(center, scale, size_wh)
    return ((xy - matrices[:, None, :, 2]) / matrices[:, None, :1, 0]).astype(np.float32)


def grid_cells(
    points: NDArray[np.floating], matrices: Matrices, stride: int, grid_hw: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the (N, K, 2) row and column of the attention grid's cell under each position, clamped to the grid.

    Args:
        points: (N, K, 2) frame pixels.
        matrices: (N, 2, 3) maps from frame to crop pixels.
        stride: Crop pixels per cell.
        grid_hw: Height and width of the grid.
    """
    on_crop = np.einsum("nij,nkj->nki", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    cell = np.floor((on_crop + 0.5) / stride).astype(np.int64)
    clamped: NDArray[np.int64] = np.clip(cell[:, :, ::-1], 0, np.array(grid_hw) - 1)
    return clamped


def as_xyxy(xywh: Sequence[Sequence[float]] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (N, 4) left, top, width, height to left, top, right, bottom."""
    boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
