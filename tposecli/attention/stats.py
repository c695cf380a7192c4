"""Statistics of attention maps: how sharp and how distinct they are, where they lie, and which joints they attend to.

Functions of a :class:`Result` take one frame's, with attention maps of all keypoints in the order of the raw poses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.crop import grid_cells
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Float32, Result

Cells = NDArray[np.intp]
Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

TINY = 1e-300
"""Smallest share whose logarithm is taken."""


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


def shares(maps: NDArray[np.floating]) -> Float64:
    """Return (..., h, w) maps in double precision, each divided by its sum."""
    double = maps.astype(np.float64)
    return np.asarray(double / np.maximum(double.sum(axis=(-2, -1), keepdims=True), 1e-12))


def entropies(share: Float64) -> Float64:
    """Return the (...) entropies in bits of (..., h, w) shares: 0 for a single cell, log2(h w) for a uniform map."""
    return np.asarray(-(share * np.log2(np.maximum(share, TINY))).sum(axis=(-2, -1)))


def distinctness(share: Float64) -> Float64:
    """Return the (N,) mean Jensen-Shannon divergences in bits of all pairs of each person's (N, K, h, w) shares.

    0 if all maps of a person are equal, or there is only one; 1 if no two of them overlap.
    """
    first, second = np.triu_indices(share.shape[1], 1)
    if not len(first):
        return np.zeros(len(share))
    alone = entropies(share)
    middle = np.stack([entropies((person[first] + person[second]) / 2) for person in share])
    return np.asarray((middle - (alone[:, first] + alone[:, second]) / 2).mean(axis=1))


def summarise(result: Result, stride: int, layer: int = -1) -> AttentionSummary:
    """Return the statistics of one layer.

    Args:
        result: A result with attention maps of every keypoint.
        stride: Crop pixels per cell of the attention grid.
        layer: Index among the layers that were read.
    """
    assert result.attention is not None
    share = shares(result.attention[:, layer])
    entropy = entropies(share) * np.log(2)
    inside = (share * box_masks(result, stride)[:, None]).sum(axis=(2, 3))
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


def _around_joints(result: Result, share: Float64, stride: int) -> Float64:
    """Return the (N, K, K) sums over the 3 x 3 cells around each joint."""
    assert result.matrices is not None
    height, width = share.shape[2:]
    cells = grid_cells(result.poses.xy, result.matrices, stride, (height, width))
    padded = np.pad(share, ((0, 0), (0, 0), (1, 1), (1, 1)))
    nearby = sum(padded[:, :, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3))
    people = np.arange(len(share))[:, None, None]
    keypoints = np.arange(share.shape[1])[None, :, None]
    picked: Float64 = np.asarray(nearby)[people, keypoints, cells[:, None, :, 0], cells[:, None, :, 1]]
    return picked


def joint_distances(result: Result, stride: int) -> Float64:
    """Return the (N, K, h, w) distances of the cells' centres from each joint, in longer sides of the person's box."""
    assert result.matrices is not None
    matrices = result.matrices
    joints = np.einsum("nij,nkj->nki", matrices[:, :, :2], result.poses.xy) + matrices[:, None, :, 2]
    apart = _cell_centres(result, stride) - joints[:, :, None, None]
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]) / box_sides(result)[:, None, None, None])


def box_sides(result: Result) -> Float64:
    """Return the (N,) longer sides of the boxes, in crop pixels."""
    assert result.matrices is not None
    corners = result.poses.boxes.xyxy
    longer = (corners[:, 2:] - corners[:, :2]).max(axis=1, initial=0)
    return np.asarray(longer * result.matrices[:, 0, 0], np.float64)


def box_masks(result: Result, stride: int) -> Mask:
    """Return the (N, h, w) mask of cells whose centre lies in the person's box."""
    assert result.matrices is not None
    corners = result.poses.boxes.xyxy.reshape(-1, 2, 2)
    matrices = result.matrices
    placed = np.einsum("nij,nkj->nki", matrices[:, :, :2], corners) + matrices[:, None, :, 2]
    left_top, right_bottom = placed[:, 0, None, None], placed[:, 1, None, None]
    centres = _cell_centres(result, stride)
    mask: Mask = ((centres >= left_top) & (centres <= right_bottom)).all(axis=3)
    return mask


def _cell_centres(result: Result, stride: int) -> Float64:
    """Return the (h, w, 2) centres x, y of the cells, in crop pixels."""
    assert result.attention is not None
    rows, columns = np.mgrid[: result.attention.shape[-2], : result.attention.shape[-1]]
    return np.asarray((np.stack((columns, rows), axis=2) + 0.5) * stride - 0.5)
