"""Shadows: soft ones on the floor from the outlines of the parts, and on people from a shadow map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.arrays import Floats, Ints
from tposecli.lab.synth.mesh import Mesh
from tposecli.lab.synth.raster import NEAR, Camera, look_at, rasterise
from tposecli.lab.synth.shade import Light


def floor_shadow(camera: Camera, light: Light, casters: list[tuple[Floats, Ints]]) -> Floats:
    """Return the (H, W) darkening of the floor, 0..1.

    Args:
        camera: The view.
        light: Its direction and strength determine place and darkness.
        casters: For each mesh, its (V, 3) points and (V,) parts; each part casts its convex hull.
    """
    width, height = camera.size_wh
    toward = np.asarray(light.toward, np.float32)
    strength = sum(light.sun) / (sum(light.sun) + 1.6 * sum(light.sky))
    sun = _outlines(camera, casters, toward)
    under = _outlines(camera, casters, np.array([0.0, 1.0, 0.0], np.float32))
    soft = max(width, height) / 400
    sun_share = cv2.GaussianBlur(sun, (0, 0), soft).astype(np.float32) / 255
    contact = cv2.GaussianBlur(under, (0, 0), soft * 4).astype(np.float32) / 255
    return np.asarray(1 - (1 - 0.62 * strength * sun_share) * (1 - 0.4 * contact), np.float32)


def _outlines(camera: Camera, casters: list[tuple[Floats, Ints]], toward: Floats) -> NDArray[np.uint8]:
    mask = np.zeros((camera.size_wh[1], camera.size_wh[0]), np.uint8)
    for points, parts in casters:
        flat = points - toward * (np.clip(points[:, 1:2], 0, None) / toward[1])
        flat[:, 1] = 0
        seen = camera.project(flat)
        order = np.argsort(parts, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
        for group in groups:
            if len(group) < 3 or seen[group, 2].min() < NEAR:
                continue
            xy = np.clip(seen[group, :2], -4000, 4000)
            hull = cv2.convexHull(xy.astype(np.float32))
            cv2.fillConvexPoly(mask, np.rint(hull * 8).astype(np.int32), 255, cv2.LINE_AA, 3)
    return mask


@dataclass(frozen=True, eq=False, slots=True)
class SunMap:
    """A shadow map: the meshes' depth as seen from the sun.

    Attributes:
        camera: A distant camera in the direction of the sun.
        depth: (S, S) depth of the nearest surface, metres.
    """

    camera: Camera
    depth: Floats

    @classmethod
    def of(cls, meshes: list[Mesh], light: Light, size: int = 512) -> SunMap | None:
        """Return the shadow map of these meshes; None if there are none."""
        if not meshes:
            return None
        points = np.concatenate([mesh.points for mesh in meshes])
        low, high = points.min(axis=0), points.max(axis=0)
        middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
        far = 40.0 * radius
        place = middle + np.asarray(light.toward, np.float32) * far
        camera = look_at(place, middle + np.array([0, 0, 1e-3], np.float32), size * far / (2.1 * radius), (size, size))
        start = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
        triangles = np.concatenate([mesh.triangles + s for mesh, s in zip(meshes, start[:-1], strict=True)])
        sides = np.concatenate([mesh.two_sided for mesh in meshes])
        return cls(camera, rasterise(camera.project(points), triangles, sides, (size, size)).depth)

    def share(self, place: Floats, normal: Floats) -> Floats:
        """Return the (P,) shares of sunlight, 0..1, that reach (P, 3) world points with (P, 3) unit normals."""
        seen = self.camera.project(place + 0.012 * normal)
        size = self.camera.size_wh[0]
        total = np.zeros(len(place), np.float32)
        for dx, dy in ((-0.8, -0.4), (0.4, -0.8), (0.8, 0.4), (-0.4, 0.8)):
            x = np.clip(np.rint(seen[:, 0] + dx), 0, size - 1).astype(np.int32)
            y = np.clip(np.rint(seen[:, 1] + dy), 0, size - 1).astype(np.int32)
            total += np.clip((self.depth[y, x] - seen[:, 2]) / 0.02 + 1.5, 0, 1)
        return total / 4
