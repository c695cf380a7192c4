"""A z-buffer for triangle meshes in numpy: triangles become spans, spans become pixels, the nearest pixel stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import Float32

Ints = NDArray[Any]
NEAR: Final = 0.1
"""Metres in front of the camera below which nothing is drawn."""


@dataclass(frozen=True, eq=False, slots=True)
class Camera:
    """A pinhole without distortion.

    Attributes:
        turn: (3, 3) world to camera axes (x right, y down, z into the picture).
        position: (3,) metres in the world.
        focal: Pixels.
        size_wh: Width and height in pixels; the optical axis meets the picture's centre.
    """

    turn: Float32
    position: Float32
    focal: float
    size_wh: tuple[int, int]

    def project(self, points: Float32) -> Float32:
        """(P, 3) world metres to (P, 3): x, y in pixels (first pixel's centre at 0, 0) and depth in metres."""
        seen = (points - self.position) @ self.turn.T
        depth = np.where(np.abs(seen[:, 2]) < 1e-6, 1e-6, seen[:, 2])
        centre = np.array([(self.size_wh[0] - 1) / 2, (self.size_wh[1] - 1) / 2])
        xy = seen[:, :2] * (self.focal / depth)[:, None] + centre
        return np.concatenate([xy, seen[:, 2:]], axis=1).astype(np.float32)

    def rays(self) -> Float32:
        """(H, W, 3) unnormalised world directions through the pixels' centres, one metre deep."""
        width, height = self.size_wh
        x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / self.focal
        y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / self.focal
        across, down, ahead = self.turn.astype(np.float32)
        return np.asarray(x[None, :, None] * across + y[:, None, None] * down + ahead, np.float32)

    def magnified(self, factor: float) -> Camera:
        """The same view with ``factor`` times the pixels."""
        size = (round(self.size_wh[0] * factor), round(self.size_wh[1] * factor))
        return Camera(self.turn, self.position, self.focal * factor, size)


def look_at(position: Float32, target: Float32, focal: float, size_wh: tuple[int, int], roll: float = 0.0) -> Camera:
    """A camera at ``position`` that looks at ``target`` (world metres), turned by ``roll`` degrees."""
    ahead = np.asarray(target, np.float64) - position
    ahead /= np.linalg.norm(ahead)
    across = np.cross(ahead, (0.0, 1.0, 0.0))
    across /= np.linalg.norm(across)
    down = np.cross(ahead, across)
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    turn = np.stack([c * across + s * down, c * down - s * across, ahead])
    return Camera(turn.astype(np.float32), np.asarray(position, np.float32), focal, size_wh)


@dataclass(frozen=True, eq=False, slots=True)
class Hits:
    """The pixels that triangles cover, P of them.

    Attributes:
        pixel: (P,) flat index into the picture.
        triangle: (P,) which triangle is nearest there.
        weights: (P, 3) perspective-correct barycentric weights of its corners.
        depth: (H, W) metres to the nearest surface, infinite where there is none.
    """

    pixel: Ints
    triangle: Ints
    weights: Float32
    depth: Float32


def _drawable(points: Float32, corners: Float32, two_sided: NDArray[np.bool_], size_wh: tuple[int, int]) -> Ints:
    """Indices of the triangles that face the camera, lie ahead of it and cross some pixel row of the picture."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low, high = corners[:, :, :2].min(axis=1), corners[:, :, :2].max(axis=1)
    keep = (corners[:, :, 2].min(axis=1) > NEAR) & ((area < -1e-9) | (two_sided & (area > 1e-9)))
    keep &= (high >= 0).all(axis=1) & (low <= np.array(size_wh) - 1).all(axis=1)
    keep &= (np.ceil(low) <= np.floor(high)).all(axis=1)
    return np.flatnonzero(keep)


def _repeat(counts: Ints) -> tuple[Ints, Ints]:
    """For items with ``counts`` parts each: the item of every part, and the part's number within its item."""
    item = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return item, np.arange(len(item)) - first[item]


def _planes(corners: Float32) -> Float32:
    """(T, 3, 3): the barycentric coordinates of (T, 3, 3) corners as planes ``a x + b y + c`` over the picture."""
    x, y = corners[:, :, 0].astype(np.float64), corners[:, :, 1].astype(np.float64)
    x1, x2, y1, y2 = np.roll(x, -1, 1), np.roll(x, -2, 1), np.roll(y, -1, 1), np.roll(y, -2, 1)
    a, b, c = y1 - y2, x2 - x1, x1 * y2 - x2 * y1
    return np.asarray(np.stack([a, b, c], axis=2) / c.sum(axis=1)[:, None, None])


def _spans(planes: Float32, corners: Float32, size_wh: tuple[int, int]) -> tuple[Ints, Ints, Ints, Ints]:
    """Rows of the triangles: triangle, y, first x, number of pixels."""
    top = np.clip(np.ceil(corners[:, :, 1].min(axis=1)), 0, None).astype(np.int32)
    bottom = np.clip(np.floor(corners[:, :, 1].max(axis=1)), None, size_wh[1] - 1).astype(np.int32)
    triangle, step = _repeat(np.maximum(bottom - top + 1, 0))
    y = top[triangle] + step
    slope = planes[triangle, :, 0]
    level = planes[triangle, :, 1] * y[:, None] + planes[triangle, :, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = -level / slope
    left = np.where(slope > 0, cut, -np.inf).max(axis=1)
    right = np.where(slope < 0, cut, np.inf).min(axis=1)
    first = np.ceil(np.clip(left, 0, size_wh[0]) - 1e-6).astype(np.int32)
    last = np.floor(np.clip(right, -1, size_wh[0] - 1) + 1e-6).astype(np.int32)
    return triangle, y, first, np.maximum(last - first + 1, 0)


def rasterise(points: Float32, triangles: Ints, two_sided: NDArray[np.bool_], size_wh: tuple[int, int]) -> Hits:
    """Draw triangles into a z-buffer.

    Args:
        points: (V, 3) x, y in pixels and depth in metres, from :meth:`Camera.project`.
        triangles: (T, 3) corner indices, counter-clockwise seen from outside.
        two_sided: (T,) triangles drawn from behind as well.
        size_wh: Width and height of the picture.
    """
    every = points[triangles]
    chosen = _drawable(points, every, two_sided, size_wh)
    corners = every[chosen]
    planes = _planes(corners)
    near = 1.0 / corners[:, :, 2]
    row, y, first, count = _spans(planes, corners, size_wh)
    span, step = _repeat(count)
    pixel = (y * size_wh[0] + first)[span] + step
    slopes = np.einsum("tk,tkc->tc", near, planes)
    start = slopes[row, 0] * first + slopes[row, 1] * y + slopes[row, 2]
    nearness = (start[span] + slopes[row, 0][span] * step).astype(np.float32)
    best = np.zeros(size_wh[0] * size_wh[1], np.float32)
    np.maximum.at(best, pixel, nearness)
    owner = np.full(len(best), -1, np.int32)
    wins = nearness == best[pixel]
    owner[pixel[wins]] = row[span[wins]]
    covered = np.flatnonzero(owner >= 0)
    local = owner[covered]
    across, down = covered % size_wh[0], covered // size_wh[0]
    plane = planes[local]
    weights = (plane[:, :, 0] * across[:, None] + plane[:, :, 1] * down[:, None] + plane[:, :, 2]) * near[local]
    weights /= weights.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        depth = (1.0 / best).reshape(size_wh[1], size_wh[0])
    return Hits(covered, chosen[local], weights.astype(np.float32), depth)
