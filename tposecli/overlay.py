"""Attention laid over the picture it explains."""

from __future__ import annotations

import cv2
import numpy as np

from tposecli.crop import Matrices
from tposecli.types import Float32, Image, Result

COLOURS = cv2.COLORMAP_INFERNO
STRONGEST = 0.8
"""Opacity where the attention is highest."""


def strongest_attention(result: Result, stride: int, layer: int = -1) -> Float32:
    """(H, W) float32 in 0..1: each person's map for the strongest keypoint on the frame; the highest value wins.

    Every map is scaled to its own maximum, so that people far away show as clearly as near ones.

    Args:
        result: With attention.
        stride: Crop pixels per cell of the attention grid.
        layer: Which of the layers that were read.
    """
    width, height = result.frame.size_wh
    total = np.zeros((height, width), np.float32)
    if result.attention is None or result.matrices is None:
        return total
    for maps, matrix, score in zip(result.attention[:, layer], result.matrices, result.poses.score, strict=True):
        strongest = maps[int(score.argmax())]
        scaled = strongest / max(float(strongest.max()), 1e-12)
        np.maximum(total, onto_frame(scaled, matrix, stride, result.frame.size_wh), out=total)
    return total


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


def blend(image: Image, strength: Float32) -> Image:
    """(H, W, 3) uint8 RGB: the picture under perceptually ordered colours, the more opaque the stronger.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: (H, W) float32 in 0..1.
    """
    colours = cv2.cvtColor(cv2.applyColorMap((strength * 255).astype(np.uint8), COLOURS), cv2.COLOR_BGR2RGB)
    opacity = np.sqrt(strength)[:, :, None] * STRONGEST
    return (image * (1 - opacity) + colours * opacity).astype(np.uint8)
