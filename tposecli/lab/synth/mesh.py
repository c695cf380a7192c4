"""Triangle meshes with skin weights, made of rings: every part of a person or an object is a tube."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.arrays import Floats, smoothstep
from tposecli.lab.synth.rig import BONE, BONES, Bones

Weigh = Callable[[Floats], Floats]
"""Maps (V, 3) rest points to (V, B) bone weights that sum to 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Mesh:
    """A triangle mesh in the rest pose.

    Attributes:
        points: (V, 3) metres.
        normals: (V, 3) unit, outward.
        weights: (V, B) weight of each bone.
        triangles: (T, 3) vertex indices, counter-clockwise seen from outside.
        material: (T,) values of ``Material``.
        two_sided: (T,) whether it is visible from behind, too.
    """

    points: Floats
    normals: Floats
    weights: Floats
    triangles: NDArray[np.int32]
    material: NDArray[np.int32]
    two_sided: NDArray[np.bool_]

    def skinned(self, bones: Bones) -> Mesh:
        """Return the mesh in the world, posed by the bones."""
        shift = bones.start - np.einsum("bij,bj->bi", bones.turn, bones.rest)
        matrix = np.concatenate([bones.turn, shift[:, :, None]], axis=2).reshape(len(BONES), 12)
        blend = (self.weights @ matrix).reshape(-1, 3, 4)
        points = np.einsum("vij,vj->vi", blend[:, :, :3], self.points) + blend[:, :, 3]
        normals = np.einsum("vij,vj->vi", blend[:, :, :3], self.normals)
        return replace(self, points=points, normals=normals)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes into one."""
    first = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
    triangles = [mesh.triangles + start for mesh, start in zip(meshes, first[:-1], strict=True)]
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.weights for mesh in meshes]),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate([mesh.material for mesh in meshes]),
        np.concatenate([mesh.two_sided for mesh in meshes]),
    )


def mirrored(mesh: Mesh) -> Mesh:
    """Return the mesh of the other side of the body: x is negated, left bones become right ones."""
    flip = np.array([-1, 1, 1], np.float32)
    swap = [BONE[{"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]] for name in BONES]
    return replace(
        mesh,
        points=mesh.points * flip,
        normals=mesh.normals * flip,
        weights=mesh.weights[:, swap],
        triangles=mesh.triangles[:, ::-1].copy(),
    )


def only(bone: str) -> Weigh:
    """Return the weights of a part that follows a single bone."""

    def weigh(points: Floats) -> Floats:
        weights = np.zeros((len(points), len(BONES)), np.float32)
        weights[:, BONE[bone]] = 1.0
        return weights

    return weigh


def chain(bones: Sequence[str], joints: Sequence[float], width: float, axis: int = 1) -> Weigh:
    """Return weights along a chain of bones, blended over +-``width`` where ``axis`` falls below each joint."""

    def weigh(points: Floats) -> Floats:
        weights = np.zeros((len(points), len(BONES)), np.float32)
        rest = np.ones(len(points), np.float32)
        for bone, joint in zip(bones[:-1], joints, strict=True):
            beyond = smoothstep((joint + width - points[:, axis]) / (2 * width))
            weights[:, BONE[bone]] += rest * (1 - beyond)
            rest = rest * beyond
        weights[:, BONE[bones[-1]]] += rest
        return weights

    return weigh


@dataclass(frozen=True, eq=False, slots=True)
class Rings:
    """The cross-sections of a tube.

    Attributes:
        centre: (R, 3) centres, metres.
        half: (R, 3) half axes, metres: sideways, front, back (for a lying tube: sideways, up, down).
        material: (R,) materials of the surface from each ring to the next; the last one is not used.
    """

    centre: Floats
    half: Floats
    material: NDArray[np.int32]


def ring_table(rows: Sequence[Sequence[float]], material: int, scale: float = 1.0) -> Rings:
    """Return a standing tube's rings from rows of (y, side, front, back[, centre z[, centre x]]) times ``scale``."""
    full = np.array([[*row, *[0.0] * (6 - len(row))] for row in rows], np.float32) * scale
    centre = full[:, [5, 0, 4]]
    return Rings(centre, full[:, 1:4], np.full(len(full), material, np.int32))


def tube(rings: Rings, sides: int, weigh: Weigh, square: float = 2.0, lying: bool = False) -> Mesh:
    """Return the surface through rings, from top to bottom (lying: from back to front).

    Args:
        rings: Cross-sections in order.
        sides: Number of corners per ring.
        weigh: Computes the skin weights.
        square: Exponent of the superellipse: 2 is an ellipse, higher values approach a rounded box.
        lying: Whether the rings are in the x-y plane and run along z, instead of in x-z and running down.
    """
    around = np.arange(sides, dtype=np.float32) * (2 * np.pi / sides)
    c, s = np.cos(around), np.sin(around)
    c, s = (np.sign(t) * np.abs(t) ** (2.0 / square) for t in (c, s))
    depth = np.where(s > 0, rings.half[:, 1:2], rings.half[:, 2:3]) * s
    grid = np.repeat(rings.centre[:, None], sides, axis=1).astype(np.float32)
    grid[:, :, 0] += rings.half[:, :1] * c
    grid[:, :, 1 if lying else 2] += depth
    return grid_mesh(grid, np.repeat(rings.material[:-1, None], sides, axis=1), weigh)


def grid_mesh(grid: Floats, material: NDArray[np.int32], weigh: Weigh, two_sided: bool = False) -> Mesh:
    """Return the mesh of an (R, M, 3) grid of points closed around its second axis, with (R - 1, M) materials."""
    count, sides = grid.shape[:2]
    points = grid.reshape(-1, 3)
    index = np.arange(count * sides).reshape(count, sides)
    after = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], after[:-1], after[1:], index[1:]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=2).reshape(-1, 3)
    both = np.repeat(material.reshape(-1), 2).astype(np.int32)
    flags = np.full(len(triangles), two_sided)
    return Mesh(points, grid_normals(grid), weigh(points), triangles.astype(np.int32), both, flags)


def grid_normals(grid: Floats) -> Floats:
    """Return the (V, 3) unit normals of a grid closed around its second axis; at a pole they point along the tube."""
    round_ = np.roll(grid, -1, axis=1) - np.roll(grid, 1, axis=1)
    along = np.gradient(grid, axis=0)
    normal = np.cross(round_, along)
    size = np.linalg.norm(normal, axis=2, keepdims=True)
    middle = grid.mean(axis=1)
    pole = np.zeros((len(grid), 1, 3), np.float32)
    pole[0, 0], pole[-1, 0] = middle[0] - middle[1], middle[-1] - middle[-2]
    pole /= np.maximum(np.linalg.norm(pole, axis=2, keepdims=True), 1e-9)
    flat = size < 1e-10
    normal = np.where(flat, pole, normal / np.where(flat, 1, size))
    return np.asarray(normal.reshape(-1, 3), np.float32)


def lathe(points: Sequence[Sequence[float]], radii: Sequence[float], sides: int, weigh: Weigh, material: int) -> Mesh:
    """Return a round tube through (R, 3) points that run mostly downwards, with a radius at each."""
    centre = np.array(points, np.float32)
    half = np.repeat(np.array(radii, np.float32)[:, None], 3, axis=1)
    return tube(Rings(centre, half, np.full(len(centre), material, np.int32)), sides, weigh)
