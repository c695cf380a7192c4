"""Statistics of attention maps: how sharp they are, where they lie, and which joints they attend to.

All functions take one frame's :class:`Result` with attention maps of all keypoints, in the order of the raw poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.crop import grid_cells
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Float32, Result

Cells = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """Attention of N people and K keypoints in one layer.

    Attributes:
        entropy: (N, K) nats, from 0 (a single cell) to log(h w) (uniform).
        inside: (N, K) share of the attention inside the person's box.
        joints: (N, K, K) share of keypoint k's attention in the 3 x 3 cells around joint j.
    """

    entropy: Float32
    inside: Float32
    joints: Float32

    def strongest(self, count: int = 3) -> Cells:
        """Return the (N, K, count) joints, other than itself, that each keypoint attends to most, strongest first."""
        others = self.joints.copy()
        keypoints = np.arange(others.shape[2])
        others[:, keypoints, keypoints] = -1
        return np.argsort(-others, axis=2, kind="stable")[:, :, :count]


def summarise(result: Result, stride: int, layer: int = -1) -> AttentionSummary:
    """Return the statistics of one layer.

    Args:
        result: A result with attention maps of every keypoint.
        stride: Crop pixels per cell of the attention grid.
        layer: Index among the layers that were read.
    """
    assert result.attention is not None
    maps = result.attention[:, layer].astype(np.float64)
    total = np.maximum(maps.sum(axis=(2, 3), keepdims=True), 1e-12)
    share = maps / total
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=(2, 3))
    inside = (share * _box_masks(result, stride, maps.shape[2:])[:, None]).sum(axis=(2, 3))
    return AttentionSummary(
        entropy.astype(np.float32), inside.astype(np.float32), _around_joints(result, share, stride).astype(np.float32)
    )


def describe(result: Result, stride: int) -> list[dict[str, Any]]:
    """Return the statistics of each person in the last layer that was read, ready for JSON.

    ``entropy`` and ``inside_box`` hold a number per keypoint, ``leans_on`` the names of the three joints that it
    attends to most, strongest first.
    """
    if result.attention is None or not len(result.poses):
        return [{} for _ in range(len(result.poses))]
    summary = summarise(result, stride)
    strongest = summary.strongest()
    return [
        {
            "entropy": [round(float(value), 4) for value in summary.entropy[person]],
            "inside_box": [round(float(value), 4) for value in summary.inside[person]],
            "leans_on": [[KEYPOINTS[joint] for joint in joints] for joints in strongest[person]],
        }
        for person in range(len(result.poses))
    ]


def _around_joints(result: Result, share: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """Return the (N, K, K) sums over the 3 x 3 cells around each joint."""
    assert result.matrices is not None
    height, width = share.shape[2:]
    cells = grid_cells(result.poses.xy, result.matrices, stride, (height, width))
    padded = np.pad(share, ((0, 0), (0, 0), (1, 1), (1, 1)))
    nearby = sum(padded[:, :, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3))
    people = np.arange(len(share))[:, None, None]
    keypoints = np.arange(share.shape[1])[None, :, None]
    picked: NDArray[np.float64] = np.asarray(nearby)[people, keypoints, cells[:, None, :, 0], cells[:, None, :, 1]]
    return picked


def _box_masks(result: Result, stride: int, grid_hw: Sequence[int]) -> NDArray[np.bool_]:
    """Return the (N, h, w) mask of cells whose centre lies in the person's box."""
    assert result.matrices is not None
    rows, columns = np.mgrid[: grid_hw[0], : grid_hw[1]]
    corners = result.poses.boxes.xyxy.reshape(-1, 2, 2)
    matrices = result.matrices
    placed = np.einsum("nij,nkj->nki", matrices[:, :, :2], corners) + matrices[:, None, :, 2]
    left_top, right_bottom = placed[:, 0, :, None, None], placed[:, 1, :, None, None]
    x, y = (columns + 0.5) * stride - 0.5, (rows + 0.5) * stride - 0.5
    mask: NDArray[np.bool_] = (
        (x >= left_top[:, 0]) & (x <= right_bottom[:, 0]) & (y >= left_top[:, 1]) & (y <= right_bottom[:, 1])
    )
    return mask
