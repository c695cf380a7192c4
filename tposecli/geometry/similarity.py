"""Similarity of boxes and of poses (IoU, OKS), assignment, and non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import OKS_SIGMAS
from tposecli.types import Float32

Float64 = NDArray[np.float64]
Indices = NDArray[np.intp]


def box_iou(first: Float32, second: Float32) -> Float32:
    """Return the (N, M) intersection over union of (N, 4) and (M, 4) boxes, left-top-right-bottom."""
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.clip(right_bottom - left_top, 0, None).prod(axis=2)
    union = _area(first)[:, None] + _area(second)[None, :] - overlap
    return np.where(union > 0, overlap / np.maximum(union, 1e-9), 0).astype(np.float32)


def _area(boxes: Float32) -> Float32:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1), np.float32)


def get_ready() -> None:
    """Import what :func:`matched` needs ahead of its first call: it takes a third of a second."""
    import scipy.optimize  # noqa: F401


def matched(similarity: NDArray[np.floating]) -> tuple[Indices, Indices]:
    """Return the rows and columns of the assignment with the greatest total similarity.

    Args:
        similarity: (N, M); min(N, M) pairs are returned.
    """
    if 0 in similarity.shape:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns


def box_nms(xyxy: Float32, score: Float32, threshold: float) -> Indices:
    """Return the indices of the boxes to keep, best first: greedy suppression at an IoU above ``threshold``."""
    order = np.argsort(-score, kind="stable")
    iou = box_iou(xyxy[order], xyxy[order])
    return order[_greedy(iou, threshold)]


def _greedy(similarity: NDArray[np.floating], threshold: float) -> Indices:
    """Return, of items sorted best first, those whose similarity to every kept one is at most ``threshold``."""
    kept: list[int] = []
    for candidate in range(len(similarity)):
        if not kept or similarity[kept, candidate].max() <= threshold:
            kept.append(candidate)
    return np.array(kept, dtype=np.intp)


def oks(
    first: Float64,
    second: Float64,
    first_area: Float64,
    second_area: Float64,
    sigmas: Float32 | Float64 = OKS_SIGMAS,
) -> Float64:
    """Return the (N, M) object keypoint similarity of (N, K, 2) and (M, K, 2) keypoints, all with equal weight.

    Distances are relative to the mean of the two areas, as in the suppression step of the
    authors' evaluation (Simple Baselines, ECCV 2018, ``lib/nms/nms.py``).
    """
    variance = (np.asarray(sigmas, np.float64) * 2) ** 2
    distance = ((first[:, None] - second[None]) ** 2).sum(axis=3)
    size = (first_area[:, None] + second_area[None]) / 2 + np.spacing(1)
    return np.asarray(np.exp(-distance / variance / size[:, :, None] / 2).mean(axis=2), np.float64)


def weighted_oks(
    first: Float64, second: Float64, size: Float64, weight: Float64, sigmas: Float32 | Float64 = OKS_SIGMAS
) -> Float64:
    """Return the (N, M) object keypoint similarity with weighted keypoints; 0 where all weights are 0.

    Args:
        first: (N, K, 2) keypoints, pixels.
        second: (M, K, 2) keypoints, pixels.
        size: (N, M) area that distances are relative to, square pixels.
        weight: (N, M, K), not negative.
        sigmas: (K,) constants, or anything that broadcasts to (N, M, K).
    """
    variance = (np.asarray(sigmas, np.float64) * 2) ** 2
    distance = ((first[:, None] - second[None]) ** 2).sum(axis=3)
    terms = np.exp(-distance / variance / np.maximum(size, np.spacing(1))[:, :, None] / 2)
    total = weight.sum(axis=2)
    return np.where(total > 0, (terms * weight).sum(axis=2) / np.where(total > 0, total, 1), 0)


def oks_nms(
    xy: Float64, area: Float64, score: Float64, threshold: float, sigmas: Float32 | Float64 = OKS_SIGMAS
) -> Indices:
    """Return the indices of the poses to keep, best first: greedy suppression at an OKS above ``threshold``.

    Args:
        xy: (N, K, 2) keypoints of one image, pixels.
        area: (N,) padded width times height of each pose's crop, square pixels.
        score: (N,) rescored confidence.
        threshold: The authors use 0.9.
        sigmas: (K,) constants of the keypoints.
    """
    order = np.argsort(score, kind="stable")[::-1]
    return order[_greedy(oks(xy[order], xy[order], area[order], area[order], sigmas), threshold)]
