"""Hide the background of a frame, and blur heads."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.drawing.labels import Float64
from tposecli.drawing.style import Background
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Image, Poses

BLUR_SIDE: Final = 36
"""Shorter side, pixels, to which a blurred background is reduced: too few for a face, enough to recognise a room."""

HEAD_CELLS: Final = 5
"""Side, pixels, to which a blurred head is reduced."""

MIN_SCORE: Final = 0.1
"""Keypoints scored lower are not used to locate a head."""

HEAD: Final = slice(0, 5)
SHOULDERS: Final = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]
HIPS: Final = [KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")]


def hide_background(image: Image, background: Background) -> None:
    """Blur or black out (H, W, 3) ``image`` itself."""
    if background == "black":
        image[:] = 0
    elif background == "blur":
        height, width = image.shape[:2]
        scale = min(1.0, BLUR_SIDE / min(height, width))
        small = cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        soft = cv2.GaussianBlur(small, (0, 0), 0.9)
        cv2.resize(soft, (width, height), dst=image, interpolation=cv2.INTER_CUBIC)


def blur_heads(image: Image, poses: Poses) -> None:
    """Make the heads of all people unrecognisable in (H, W, 3) ``image`` itself; this cannot be undone.

    Heads that are cut off by the image border, or whose keypoints score low, are hidden too: the box, the shoulders and
    the trunk say where they must be.
    """
    for centre, radius in zip(*head_circles(poses), strict=True):
        _blur(image, centre, float(radius))


def head_circles(poses: Poses) -> tuple[Float64, Float64]:
    """Return (N, 2) centres and (N,) radii, in pixels, of circles that contain the heads."""
    xy = poses.xy.astype(np.float64)
    confident: NDArray[np.bool_] = np.asarray(poses.score >= MIN_SCORE)
    corners = poses.boxes.xyxy.astype(np.float64)
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 1)
    shoulders, hips = xy[:, SHOULDERS].mean(axis=1), xy[:, HIPS].mean(axis=1)
    has_shoulders, has_hips = (np.asarray(confident[:, pair].all(axis=1)) for pair in (SHOULDERS, HIPS))
    trunk = np.where(has_shoulders & has_hips, np.linalg.norm(shoulders - hips, axis=1), 0)
    across = np.where(has_shoulders, np.linalg.norm(np.diff(xy[:, SHOULDERS], axis=1)[:, 0], axis=1), 0)
    radius = np.stack([_face(xy, confident), 0.36 * across, 0.32 * trunk, 0.05 * sides.max(axis=1)]).max(axis=0)
    radius = np.clip(radius, 4, 0.75 * sides.max(axis=1) + 4)
    up = np.where(trunk[:, None] > 0, (shoulders - hips) / np.maximum(trunk, 1)[:, None], (0.0, -1.0))
    guess = np.where(has_shoulders[:, None], shoulders + 1.25 * radius[:, None] * up, _top(corners, radius))
    weight = np.where(confident, poses.score, 0)[:, HEAD, None].astype(np.float64)
    measured = (xy[:, HEAD] * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
    seen = np.asarray(confident[:, HEAD].any(axis=1))
    centres = np.where(seen[:, None], measured + 0.2 * radius[:, None] * up, guess)
    return centres, np.where(seen, radius, 1.4 * radius)


def _face(xy: Float64, confident: NDArray[np.bool_]) -> Float64:
    """Return (N,) radii derived from the head's keypoints: the largest distance between any two of them."""
    points = np.where(confident[:, HEAD, None], xy[:, HEAD], np.nan)
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    farthest: Float64 = 1.05 * np.fmax.reduce(apart, axis=(1, 2), initial=0.0)
    return farthest


def _top(corners: Float64, radius: Float64) -> Float64:
    """Return (N, 2) positions of the heads where only the boxes are known."""
    return np.stack([corners[:, [0, 2]].mean(axis=1), corners[:, 1] + radius], axis=1)


def _blur(image: Image, centre: Float64, radius: float) -> None:
    """Replace a disc by ``HEAD_CELLS`` x ``HEAD_CELLS`` averaged cells."""
    if not np.isfinite(centre).all():
        return
    low = np.clip(np.floor(centre - radius), 0, image.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(centre + radius) + 1, 0, image.shape[1::-1]).astype(int)
    if (low >= high).any():
        return
    part = image[low[1] : high[1], low[0] : high[0]]
    size = part.shape[1::-1]
    cells = cv2.resize(part, (HEAD_CELLS, HEAD_CELLS), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    disc = np.zeros(part.shape[:2], np.uint8)
    middle = np.rint(centre - low).astype(int).tolist()
    cv2.circle(disc, middle, round(radius), 255, -1)
    cv2.copyTo(blurred, disc, part)
