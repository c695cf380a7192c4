"""Heads: skull, nose, ears, several hairstyles, hats and glasses. Tables are in fractions of the height."""

from __future__ import annotations

from typing import Final

import numpy as np

from tposecli.lab.synth.arrays import Floats, smoothstep
from tposecli.lab.synth.mesh import Mesh, Rings, Weigh, chain, grid_mesh, lathe, only, ring_table, tube
from tposecli.lab.synth.outfit import Material, Outfit
from tposecli.lab.synth.rig import BONE, Shape, rest_joints

_SKULL: Final = (
    # y above the head's joint, half width, front, back
    (0.1290, 0.0, 0.0, 0.0),
    (0.1282, 0.0110, 0.0150, 0.0150),
    (0.1250, 0.0215, 0.0270, 0.0280),
    (0.1180, 0.0315, 0.0385, 0.0410),
    (0.1060, 0.0395, 0.0480, 0.0520),
    (0.0920, 0.0432, 0.0535, 0.0585),
    (0.0780, 0.0442, 0.0555, 0.0605),
    (0.0690, 0.0438, 0.0565, 0.0595),
    (0.0630, 0.0428, 0.0545, 0.0575),
    (0.0570, 0.0424, 0.0535, 0.0550),
    (0.0490, 0.0422, 0.0550, 0.0500),
    (0.0390, 0.0410, 0.0558, 0.0430),
    (0.0300, 0.0388, 0.0560, 0.0360),
    (0.0220, 0.0362, 0.0572, 0.0290),
    (0.0150, 0.0328, 0.0560, 0.0230),
    (0.0070, 0.0275, 0.0562, 0.0170),
    (0.0010, 0.0205, 0.0525, 0.0130),
    (-0.0040, 0.0110, 0.0430, 0.0090),
    (-0.0055, 0.0, 0.0, 0.0),
)


def head_meshes(shape: Shape, outfit: Outfit, detail: float) -> list[Mesh]:
    """Return the meshes of everything above the neck."""
    size = shape.height * shape.head
    origin = rest_joints(shape)[BONE["head"]]
    weigh = only("head")
    rings = ring_table(_SKULL, Material.FACE, size)
    skull = tube(_moved(rings, origin), _sides(24, detail), weigh, square=2.12)
    meshes = [skull, _nose(size, origin, weigh), *_ears(size, origin, weigh)]
    if outfit.hat:
        meshes += [_cap(rings, origin, detail), _brim(size, origin, weigh)]
    if outfit.hair_style != "bald":
        meshes.append(_hair(rings, origin, outfit, detail))
    meshes += _extra_hair(shape, outfit, origin, detail)
    if outfit.glasses:
        meshes += _glasses(size, origin, weigh)
    return meshes


def _sides(count: int, detail: float) -> int:
    return max(8, round(count * detail / 2) * 2)


def _moved(rings: Rings, origin: Floats) -> Rings:
    return Rings(rings.centre + origin, rings.half, rings.material)


def _nose(size: float, origin: Floats, weigh: Weigh) -> Mesh:
    rows = [
        (0.0660, 0.0, 0.0, 0.0, 0.0530), (0.0630, 0.0040, 0.0045, 0.01, 0.0530), (0.0550, 0.0045, 0.0080, 0.01, 0.0540),
        (0.0470, 0.0060, 0.0135, 0.01, 0.0540), (0.0415, 0.0085, 0.0185, 0.01, 0.0540),
        (0.0375, 0.0092, 0.0175, 0.01, 0.0540), (0.0345, 0.0070, 0.0110, 0.01, 0.0540), (0.0335, 0.0, 0.0, 0.0, 0.0540),
    ]  # fmt: skip
    return tube(_moved(ring_table(rows, Material.FACE, size), origin), 10, weigh)


def _ears(size: float, origin: Floats, weigh: Weigh) -> list[Mesh]:
    rows = [
        (0.0680, 0.0, 0.0, 0.0), (0.0650, 0.0050, 0.0080, 0.0090), (0.0580, 0.0062, 0.0090, 0.0115),
        (0.0480, 0.0055, 0.0070, 0.0085), (0.0400, 0.0045, 0.0050, 0.0045), (0.0360, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    rings = ring_table(rows, Material.FACE, size)
    shift = np.array([0.0440, 0.0, -0.004], np.float32) * size
    return [tube(_moved(rings, origin + shift * [sign, 1, 1]), 8, weigh) for sign in (1, -1)]


def _hair(skull: Rings, origin: Floats, outfit: Outfit, detail: float) -> Mesh:
    """Return the hair: a shell over the skull that lies under the skin below the hairline."""
    thick = {"short": 1.085, "curly": 1.27, "long": 1.13, "tail": 1.06, "bun": 1.06}[outfit.hair_style]
    if outfit.hat:
        thick = min(thick, 1.06)
    shell = tube(skull, _sides(28, detail), only("head"), square=2.12)
    points = shell.points.copy()
    size = float(skull.half[:, 0].max()) / 0.0442
    ahead = np.arctan2(points[:, 2], np.abs(points[:, 0])) / (np.pi / 2)
    nape = 0.034 if outfit.hair_style in ("short", "curly") else 0.020
    line = np.interp(
        ahead, [-1.0, -0.35, -0.05, 0.12, 0.45, 0.62, 1.0], [nape, nape, 0.052, 0.050, 0.086, 0.100, 0.104]
    )
    above = points[:, 1] / size - line
    grown = smoothstep((above + 0.004) / 0.012) * (thick - 0.90) + 0.90
    if outfit.hair_style == "curly":
        grown += 0.035 * np.sin(points[:, 1] * 190 / size * 1.7) * np.sin(np.arctan2(points[:, 2], points[:, 0]) * 9)
    centre = np.array([0, 0.072, -0.003], np.float32) * size
    points = (points - centre) * grown[:, None] + centre
    grid = points.reshape(len(skull.half), -1, 3) + origin
    return grid_mesh(grid.astype(np.float32), np.full((len(grid) - 1, grid.shape[1]), Material.HAIR), only("head"))


def _extra_hair(shape: Shape, outfit: Outfit, origin: Floats, detail: float) -> list[Mesh]:
    """Return long hair down the back, a ponytail or a bun, if the outfit has one."""
    size = shape.height * shape.head
    y = float(origin[1])
    fall = chain(("head", "neck", "chest"), [y, y - 0.06 * size], 0.03 * size)
    if outfit.hair_style == "long":
        rows = [
            (0.112, 0.0, 0.0, 0.0, -0.012), (0.100, 0.034, 0.02, 0.044, -0.016), (0.070, 0.048, 0.024, 0.050, -0.018),
            (0.030, 0.053, 0.028, 0.046, -0.022), (-0.010, 0.055, 0.024, 0.036, -0.030),
            (-0.045, 0.055, 0.016, 0.028, -0.040), (-0.080, 0.050, 0.012, 0.022, -0.050),
            (-0.105, 0.040, 0.006, 0.012, -0.055), (-0.112, 0.0, 0.0, 0.0, -0.055),
        ]  # fmt: skip
        return [tube(_moved(ring_table(rows, Material.HAIR, size), origin), _sides(18, detail), fall)]
    if outfit.hair_style == "tail":
        path = [
            (0, 0.095, -0.050),
            (0, 0.096, -0.066),
            (0, 0.080, -0.084),
            (0, 0.04, -0.088),
            (0, -0.02, -0.080),
            (0, -0.06, -0.075),
        ]
        points = np.array(path) * size + origin
        radii = np.array([0.006, 0.012, 0.017, 0.019, 0.013, 0.0]) * size
        return [lathe(points.tolist(), radii.tolist(), 10, fall, Material.HAIR)]
    if outfit.hair_style == "bun":
        bun = [
            (0.030, 0.0),
            (0.026, 0.014),
            (0.015, 0.025),
            (0.0, 0.029),
            (-0.015, 0.025),
            (-0.026, 0.014),
            (-0.03, 0.0),
        ]
        table = [(a + 0.105, r, r, r, -0.052) for a, r in bun]
        return [tube(_moved(ring_table(table, Material.HAIR, size), origin), 12, only("head"))]
    return []


def _cap(skull: Rings, origin: Floats, detail: float) -> Mesh:
    """Return a cap's crown: the upper rings of the skull, slightly enlarged."""
    upper = skull.centre[:, 1] > 0.0915 * skull.centre[0, 1] / 0.129
    size = float(skull.centre[0, 1]) / 0.129
    half = np.concatenate([skull.half[upper] * 1.13, skull.half[upper][-1:] * 1.13])
    centre = np.concatenate(
        [skull.centre[upper] + [0, 0.008 * size, 0], skull.centre[upper][-1:] - [0, 0.006 * size, 0]]
    )
    rings = Rings((centre + origin).astype(np.float32), half, np.full(len(half), Material.HAT, np.int32))
    return tube(rings, _sides(22, detail), only("head"), square=2.12)


def _brim(size: float, origin: Floats, weigh: Weigh) -> Mesh:
    rows = [
        (0.094, 0.0, 0.0, 0.0, 0.03),
        (0.093, 0.040, 0.060, 0.01, 0.03),
        (0.089, 0.040, 0.062, 0.01, 0.03),
        (0.088, 0, 0, 0, 0.03),
    ]
    return tube(_moved(ring_table(rows, Material.HAT, size), origin), 16, weigh, square=2.6)


def _glasses(size: float, origin: Floats, weigh: Weigh) -> list[Mesh]:
    """Return two rims as thin rings, and a bridge."""
    meshes = []
    around = np.arange(12) * (2 * np.pi / 12)
    across = np.array([0, 0.5, 1.0, 1.5, 2.0]) * np.pi
    for sign in (1, -1):
        radius = 0.0125 + 0.0009 * np.cos(across)[:, None]
        x = sign * 0.018 + radius * np.cos(around)
        y = 0.0595 + radius * 0.85 * np.sin(around)
        z = 0.0575 + 0.0010 * np.sin(across)[:, None] - 0.25 * np.maximum(np.abs(x) - 0.02, 0)
        grid = np.stack([x, y, z], axis=2) * size + origin
        meshes.append(grid_mesh(grid.astype(np.float32), np.full((4, 12), Material.GLASSES), weigh, two_sided=True))
    rows = [
        (0.064, 0.0, 0.0, 0.0, 0.061),
        (0.0635, 0.006, 0.0015, 0.0015, 0.061),
        (0.061, 0.006, 0.0015, 0.0015, 0.061),
        (0.0605, 0, 0, 0, 0.061),
    ]
    meshes.append(tube(_moved(ring_table(rows, Material.GLASSES, size), origin), 6, weigh))
    return meshes
