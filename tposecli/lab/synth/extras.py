"""Skirts and backpacks. Tables are in fractions of the height."""

from __future__ import annotations

import numpy as np

from tposecli.lab.synth.arrays import Floats, smoothstep
from tposecli.lab.synth.mesh import Mesh, Rings, grid_mesh, only, tube
from tposecli.lab.synth.outfit import Material, Outfit
from tposecli.lab.synth.rig import BONE, BONES, Shape, stretched


def skirt(shape: Shape, outfit: Outfit, waist: float, detail: float) -> Mesh:
    """Return a skirt: a cone of cloth from the waist that follows the thighs."""
    height = shape.height
    low = 0.52 - 0.47 * min(outfit.leg, 0.9)
    flare = 0.010 + 1.1 * outfit.loose
    ys = np.linspace(waist, low, 9)
    down = (waist - ys) / 0.1
    hip = smoothstep(down.astype(np.float32))
    half = np.stack([0.082 + 0.027 * hip, 0.060 + 0.012 * hip, 0.054 + 0.027 * hip], axis=1)
    half = (half * [shape.hips, 1, 1] * shape.girth + (np.maximum(down - 0.6, 0) * flare)[:, None]) * height
    sides = max(8, round(12 * detail) * 2)
    around = np.arange(sides) * (2 * np.pi / sides)
    wave = 1 + 0.05 * np.sin(around * 7)[None] * np.clip((down - 0.8) / 2, 0, 1)[:, None]
    c, s = np.cos(around)[None] * wave, np.sin(around)[None] * wave
    depth = np.where(s > 0, half[:, 1:2], half[:, 2:3]) * s
    grid = np.stack(
        [half[:, :1] * c, np.repeat(stretched(ys, shape)[:, None], sides, 1) * height, depth - 0.002 * height], axis=2
    )

    def weigh(points: Floats) -> Floats:
        weights = np.zeros((len(points), len(BONES)), np.float32)
        share = smoothstep((0.54 - points[:, 1] / height) / 0.14) * 0.85
        left = smoothstep(points[:, 0] / height / 0.12 + 0.5)
        weights[:, BONE["pelvis"]] = 1 - share
        weights[:, BONE["l_thigh"]], weights[:, BONE["r_thigh"]] = share * left, share * (1 - left)
        return weights

    material = np.full((len(ys) - 1, sides), Material.BOTTOM, np.int32)
    return grid_mesh(grid.astype(np.float32), material, weigh, two_sided=True)


def bag(shape: Shape) -> Mesh:
    """Return a backpack."""
    rows = [(0.82, 0.0), (0.815, 0.05), (0.79, 0.068), (0.70, 0.075), (0.64, 0.075), (0.61, 0.062), (0.606, 0.0)]
    table = np.array(rows, np.float32) * shape.height
    half = np.stack([table[:, 1], table[:, 1] * 0.5, table[:, 1] * 0.75], axis=1)
    centre = np.stack([np.zeros(7), table[:, 0], np.full(7, -0.085 * shape.height)], axis=1)
    rings = Rings(centre.astype(np.float32), half, np.full(7, Material.BAG, np.int32))
    return tube(rings, 12, only("chest"), square=3.5)
