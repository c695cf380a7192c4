"""Objects that hide people and fill rooms: boxes and posts."""

from __future__ import annotations

import numpy as np

from tposecli.lab.synth.mesh import Mesh, lathe, only
from tposecli.lab.synth.outfit import Colour, random_cloth
from tposecli.lab.synth.rig import BONES
from tposecli.lab.synth.scene import Thing

_FACES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((-1, 0, 0), (0, 0, 1), (0, 1, 0)), ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0), (0, 1, 0)), ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
)  # fmt: skip


def box(base: tuple[float, float, float], size: tuple[float, float, float], turn: float, colour: Colour) -> Thing:
    """Return a box.

    Args:
        base: Centre of its base, world metres.
        size: Width, height and depth, metres.
        turn: Rotation about y, degrees.
        colour: Its colour.
    """
    points, normals, triangles = [], [], []
    for face, (normal, u, v) in enumerate(_FACES):
        n, a, b = (np.array(axis, np.float32) for axis in (normal, u, v))
        points += [n - a - b, n + a - b, n + a + b, n - a + b]
        normals += [n] * 4
        triangles += [[4 * face + k for k in corner] for corner in ((0, 1, 2), (0, 2, 3))]
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    matrix = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    half = np.array(size, np.float32) / 2
    placed = (np.stack(points) * half + [0, half[1], 0]) @ matrix.T + np.array(base, np.float32)
    return Thing(
        _static(placed.astype(np.float32), np.stack(normals) @ matrix.T, np.array(triangles, np.int32)), colour
    )


def _static(points: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> Mesh:
    count = len(triangles)
    weights = np.zeros((len(points), len(BONES)), np.float32)
    flags = np.zeros(count, np.bool_)
    return Mesh(points, normals.astype(np.float32), weights, triangles, np.zeros(count, np.int32), flags)


def post(x: float, z: float, radius: float, height: float, colour: Colour) -> Thing:
    """Return a round post that stands on the floor."""
    points = [(x, height + 0.01, z), (x, height, z), (x, height / 2, z), (x, 0.02, z), (x, 0.0, z)]
    return Thing(lathe(points, [0.0, radius, radius, radius * 1.1, 0.0], 14, only("pelvis"), 0), colour)


def random_thing(rng: np.random.Generator, x: float, z: float) -> Thing:
    """Return a random box or post centred on x, z metres."""
    colour = (
        random_cloth(rng).colour if rng.random() < 0.5 else tuple(float(v) for v in rng.uniform(0.15, 0.8) * np.ones(3))
    )
    if rng.random() < 0.3:
        return post(x, z, float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.6, 3.5)), colour)  # type: ignore[arg-type]
    wide, tall, deep = rng.uniform(0.3, 1.6), rng.uniform(0.25, 1.25), rng.uniform(0.2, 0.7)
    size = (float(wide), float(tall), float(deep))
    return box((x, 0.0, z), size, float(rng.uniform(-40, 40)), colour)  # type: ignore[arg-type]
