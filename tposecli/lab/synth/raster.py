"""A z-buffer rasteriser in numpy: triangles become spans, spans become pixels, and the nearest pixel is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.arrays import Floats, Ints

NEAR: Final = 0.1
"""Near plane: nothing is drawn closer to the camera than this, metres."""


@dataclass(frozen=True, eq=False, slots=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        turn: (3, 3) rotation from world to camera axes (x right, y down, z into the image).
        position: (3,) position in the world, metres.
        focal: Focal length, pixels.
        size_wh: Width and height in pixels; the optical axis passes through the image's centre.
    """

    turn: Floats
    position: Floats
    focal: float
    size_wh: tuple[int, int]

    def project(self, points: Floats) -> Floats:
        """Project (P, 3) world metres to (P, 3): x, y in pixels (first pixel's centre at 0, 0) and depth in metres."""
        seen = (points - self.position) @ self.turn.T
        depth = np.where(np.abs(seen[:, 2]) < 1e-6, 1e-6, seen[:, 2])
        centre = np.array([(self.size_wh[0] - 1) / 2, (self.size_wh[1] - 1) / 2])
        xy = seen[:, :2] * (self.focal / depth)[:, None] + centre
        return np.concatenate([xy, seen[:, 2:]], axis=1).astype(np.float32)

    def rays(self) -> Floats:
        """Return (H, W, 3) world directions through the pixels' centres, scaled to a depth of one metre."""
        width, height = self.size_wh
        x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / self.focal
        y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / self.focal
        across, down, ahead = self.turn.astype(np.float32)
        return np.asarray(x[None, :, None] * across + y[:, None, None] * down + ahead, np.float32)

    def magnified(self, factor: float) -> Camera:
        """Return the same view with ``factor`` times the pixels in each direction."""
        size = (round(self.size_wh[0] * factor), round(self.size_wh[1] * factor))
        return Camera(self.turn, self.position, self.focal * factor, size)


def look_at(position: Floats, target: Floats, focal: float, size_wh: tuple[int, int], roll: float = 0.0) -> Camera:
    """Return a camera at ``position`` that looks at ``target`` (world metres), rolled by ``roll`` degrees."""
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
    """The P pixels that are covered by triangles.

    Attributes:
        pixel: (P,) flat indices into the image.
        triangle: (P,) the nearest triangle at each pixel.
        weights: (3, P) perspective-correct barycentric weights of the triangle's corners.
        depth: (H, W) depth of the nearest surface, metres, infinite where there is none.
    """

    pixel: Ints
    triangle: Ints
    weights: Floats
    depth: Floats


def _drawable(corners: Floats, two_sided: NDArray[np.bool_], size_wh: tuple[int, int]) -> Ints:
    """Return the indices of the triangles that face the camera and may cover the centre of a pixel.

    Args:
        corners: (3, 3, T): x, y or depth; corner; triangle.
        two_sided: (T,) whether a triangle is visible from behind, too.
        size_wh: Width and height of the image.
    """
    (ax, bx, cx), (ay, by, cy) = corners[0], corners[1]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    keep = (corners[2].min(axis=0) > NEAR) & ((area < -1e-9) | (two_sided & (area > 1e-9)))
    for axis, size in enumerate(size_wh):
        low, high = corners[axis].min(axis=0), corners[axis].max(axis=0)
        keep &= (high >= 0) & (low <= size - 1) & (np.ceil(low) <= np.floor(high))
    return np.flatnonzero(keep)


def _repeat(counts: Ints) -> tuple[Ints, Ints]:
    """For items with ``counts`` parts each, return each part's item and its number within the item."""
    item = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return item, np.arange(len(item)) - first[item]


def _planes(corners: Floats) -> tuple[Ints, Ints, Ints]:
    """Return the barycentric coordinates of T triangles as planes ``a x + b y + c``, each (3, T) float64."""
    x, y = corners[0].astype(np.float64), corners[1].astype(np.float64)
    after, before = [1, 2, 0], [2, 0, 1]
    a, b = y[after] - y[before], x[before] - x[after]
    c = x[after] * y[before] - x[before] * y[after]
    whole = c.sum(axis=0)
    return a / whole, b / whole, c / whole


def _spans(planes: tuple[Ints, Ints, Ints], y: Floats, size_wh: tuple[int, int]) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the pixel rows of triangles with (3, T) corners' y: triangle, y, first x, number of pixels."""
    top = np.maximum(np.ceil(y.min(axis=0)), 0).astype(np.int32)
    bottom = np.minimum(np.floor(y.max(axis=0)), size_wh[1] - 1).astype(np.int32)
    triangle, step = _repeat(np.maximum(bottom - top + 1, 0))
    row = top[triangle] + step
    left, right = np.zeros(len(row)), np.full(len(row), size_wh[0] - 1.0)
    for a, b, c in zip(*planes, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = -(b[triangle] * row + c[triangle]) / a[triangle]
        rising, falling = (a > 0)[triangle], (a < 0)[triangle]
        left = np.where(rising & (cut > left), cut, left)
        right = np.where(falling & (cut < right), cut, right)
    first = np.ceil(np.minimum(left, size_wh[0]) - 1e-6).astype(np.int32)
    last = np.floor(np.maximum(right, -1) + 1e-6).astype(np.int32)
    return triangle, row, first, np.maximum(last - first + 1, 0)


def rasterise(points: Floats, triangles: Ints, two_sided: NDArray[np.bool_], size_wh: tuple[int, int]) -> Hits:
    """Rasterise triangles with a z-buffer.

    Args:
        points: (V, 3) x, y in pixels and depth in metres, from :meth:`Camera.project`.
        triangles: (T, 3) vertex indices, counter-clockwise seen from outside.
        two_sided: (T,) whether a triangle is visible from behind, too.
        size_wh: Width and height of the image.
    """
    corners = np.ascontiguousarray(points.T)[:, np.ascontiguousarray(triangles.T)]
    chosen = _drawable(corners, two_sided, size_wh)
    corners = corners[:, :, chosen]
    planes = _planes(corners)
    near = 1.0 / corners[2]
    row, y, first, count = _spans(planes, corners[1], size_wh)
    span, step = _repeat(count)
    pixel = (y * size_wh[0] + first)[span] + step
    slope, fall, level = ((near * plane).sum(axis=0) for plane in planes)
    start = slope[row] * first + fall[row] * y + level[row]
    nearness = (start[span] + slope[row][span] * step).astype(np.float32)
    best = np.zeros(size_wh[0] * size_wh[1], np.float32)
    np.maximum.at(best, pixel, nearness)
    owner = np.full(len(best), -1, np.int32)
    wins = np.flatnonzero(nearness == best[pixel])
    owner[pixel[wins]] = row[span[wins]]
    covered = np.flatnonzero(owner >= 0)
    local = owner[covered]
    across, down = covered % size_wh[0], covered // size_wh[0]
    a, b, c = (plane[:, local] for plane in planes)
    weights = (a * across + b * down + c) * near[:, local]
    weights /= weights.sum(axis=0)
    with np.errstate(divide="ignore"):
        depth = (1.0 / best).reshape(size_wh[1], size_wh[0])
    return Hits(covered, chosen[local], weights.astype(np.float32), depth)
