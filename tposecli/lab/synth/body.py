"""Trunk, limbs, hands, feet and the clothes on them, as one skinned mesh. Tables are in fractions of the height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tposecli.lab.synth.arrays import Floats, smoothstep
from tposecli.lab.synth.extras import bag, skirt
from tposecli.lab.synth.head import head_meshes
from tposecli.lab.synth.mesh import Mesh, Rings, Weigh, chain, join, lathe, mirrored, only, tube
from tposecli.lab.synth.outfit import Material, Outfit
from tposecli.lab.synth.rig import BONE, Shape, rest_joints, stretched

Span = tuple[float, float, float, float, int]
"""A garment on a tube: upper y, lower y, distance from the skin at each in metres, material."""

WAIST: Final = 0.605
_TRUNK: Final = (
    (0.890, 0.031, 0.031, 0.031, -0.006),
    (0.862, 0.0325, 0.032, 0.033, -0.012),
    (0.850, 0.037, 0.033, 0.036, -0.015),
    (0.842, 0.051, 0.035, 0.041, -0.015),
    (0.834, 0.075, 0.038, 0.045, -0.014),
    (0.826, 0.099, 0.041, 0.049, -0.013),
    (0.815, 0.112, 0.046, 0.053, -0.012),
    (0.798, 0.111, 0.053, 0.058, -0.012),
    (0.775, 0.106, 0.060, 0.062, -0.011),
    (0.750, 0.100, 0.065, 0.064, -0.010),
    (0.715, 0.094, 0.067, 0.062, -0.009),
    (0.670, 0.085, 0.062, 0.055, -0.006),
    (0.635, 0.080, 0.058, 0.051, -0.004),
    (0.605, 0.082, 0.058, 0.053, -0.003),
    (0.575, 0.090, 0.060, 0.062, -0.003),
    (0.545, 0.096, 0.060, 0.070, -0.002),
    (0.515, 0.098, 0.059, 0.075, 0.0),
    (0.490, 0.090, 0.056, 0.071, 0.0),
    (0.474, 0.066, 0.048, 0.056, 0.0),
    (0.464, 0.030, 0.030, 0.030, 0.0),
    (0.460, 0.0, 0.0, 0.0, 0.0),
)
_LEG: Final = (
    (0.550, 0.0, 0.0, 0.0, 0.0),
    (0.545, 0.020, 0.025, 0.025, 0.0),
    (0.525, 0.037, 0.045, 0.047, 0.0),
    (0.490, 0.0475, 0.054, 0.056, 0.001),
    (0.445, 0.048, 0.053, 0.052, 0.004),
    (0.395, 0.043, 0.047, 0.045, 0.006),
    (0.340, 0.036, 0.039, 0.037, 0.007),
    (0.300, 0.0325, 0.036, 0.034, 0.006),
    (0.275, 0.031, 0.034, 0.032, 0.004),
    (0.245, 0.030, 0.030, 0.035, 0.0),
    (0.205, 0.0315, 0.029, 0.041, -0.003),
    (0.160, 0.028, 0.026, 0.036, -0.006),
    (0.115, 0.021, 0.022, 0.026, -0.009),
    (0.075, 0.0175, 0.020, 0.022, -0.012),
    (0.050, 0.019, 0.022, 0.024, -0.013),
    (0.036, 0.018, 0.020, 0.022, -0.012),
    (0.030, 0.0, 0.0, 0.0, -0.012),
)
_ARM: Final = (
    (0.8255, 0.0, 0.0, 0.0, -0.012),
    (0.8240, 0.0080, 0.010, 0.010, -0.012),
    (0.8190, 0.0165, 0.020, 0.020, -0.012),
    (0.8080, 0.0240, 0.029, 0.029, -0.012),
    (0.7900, 0.0280, 0.033, 0.033, -0.012),
    (0.7700, 0.0280, 0.034, 0.033, -0.012),
    (0.740, 0.0255, 0.031, 0.030, -0.013),
    (0.695, 0.0240, 0.028, 0.027, -0.014),
    (0.655, 0.0215, 0.024, 0.025, -0.014),
    (0.632, 0.0205, 0.023, 0.024, -0.014),
    (0.608, 0.0225, 0.025, 0.024, -0.013),
    (0.580, 0.0225, 0.025, 0.024, -0.012),
    (0.540, 0.0185, 0.021, 0.021, -0.009),
    (0.505, 0.0140, 0.0175, 0.0175, -0.007),
    (0.484, 0.0125, 0.0160, 0.0160, -0.006),
    (0.470, 0.0115, 0.0150, 0.0150, -0.006),
    (0.466, 0.0, 0.0, 0.0, -0.006),
)
_FOOT: Final = (
    # z, half width, top, from the ankle's z
    (-0.0405, 0.0, 0.022),
    (-0.040, 0.004, 0.022),
    (-0.036, 0.016, 0.036),
    (-0.026, 0.0205, 0.052),
    (-0.006, 0.0220, 0.064),
    (0.012, 0.0220, 0.063),
    (0.034, 0.0225, 0.049),
    (0.058, 0.0255, 0.037),
    (0.082, 0.0270, 0.029),
    (0.100, 0.0225, 0.024),
    (0.111, 0.0130, 0.018),
    (0.114, 0.003, 0.010),
    (0.1145, 0.0, 0.010),
)


def body_mesh(shape: Shape, outfit: Outfit, detail: float = 1.0) -> Mesh:
    """Return the mesh of a dressed person in the rest pose.

    Args:
        shape: The build.
        outfit: Hair and clothes.
        detail: Factor on the number of corners per ring; 1 suits people up to 500 pixels tall.
    """
    left = [*_arm(shape, outfit, detail), *_hand(shape), *_leg(shape, outfit, detail), _foot(shape, detail)]
    middle = [_trunk(shape, outfit, detail), *head_meshes(shape, outfit, detail)]
    if outfit.bottom_kind == "skirt":
        middle.append(skirt(shape, outfit, WAIST, detail))
    if outfit.bag:
        middle.append(bag(shape))
    return join([*middle, *left, *(mirrored(mesh) for mesh in left)])


def _sides(count: int, detail: float) -> int:
    return max(6, round(count * detail / 2) * 2)


def _dressed(rows: Floats, spans: Sequence[Span], shape: Shape) -> Rings:
    """Return the rings of (R, 5) fractions (y, side, front, back, z) with garments added; earlier spans lie on top."""
    edge = 0.0004
    cuts = [cut + nudge for span in spans for cut in span[:2] for nudge in (edge, -edge)]
    low, high = rows[-1, 0], rows[0, 0]
    ys = np.array(sorted({*rows[:, 0].tolist(), *(y for y in cuts if low < y < high)}, reverse=True))
    columns = [np.interp(-ys, -rows[:, 0], rows[:, column]) for column in range(1, 5)]
    half = np.stack(columns[:3], axis=1) * shape.height
    material = np.full(len(ys), Material.SKIN, np.int32)
    for upper, lower, at_top, at_bottom, kind in reversed(spans):
        inside = (ys < upper) & (ys > lower)
        off = at_top + (at_bottom - at_top) * (upper - ys) / (upper - lower)
        bare = material == Material.SKIN
        thick = np.where(bare, off, np.maximum(off, 0.0))[:, None] * (half > 0)
        half = np.where(inside[:, None], half + thick, half)
        material[inside] = kind
    cloth = np.where(material[:-1] == Material.SKIN, material[1:], material[:-1])
    centre = np.stack([np.zeros_like(ys), stretched(ys, shape), columns[3]], axis=1) * shape.height
    return Rings(centre.astype(np.float32), half.astype(np.float32), np.append(cloth, 0).astype(np.int32))


def _trunk(shape: Shape, outfit: Outfit, detail: float) -> Mesh:
    rows = np.array(_TRUNK, np.float32)
    y = rows[:, 0]
    hips = smoothstep((0.62 - y) / 0.08)
    wide = np.where(y > 0.85, 1, np.where(y > 0.7, shape.shoulders, 1 + (shape.hips - 1) * hips))
    rows[:, 1] *= wide
    soft = np.clip((0.84 - y) / 0.06, 0, 1)
    rows[:, 1:4] *= (1 + (shape.girth - 1) * soft)[:, None]
    rows[:, 2] += 0.040 * shape.belly * np.exp(-(((y - 0.615) / 0.055) ** 2))
    rows[:, 2] += 0.026 * shape.bust * np.exp(-(((y - 0.738) / 0.030) ** 2))
    rows[:, 1] += 0.012 * shape.belly * np.exp(-(((y - 0.61) / 0.05) ** 2))
    hem = WAIST - 0.115 * outfit.hem
    spans: list[Span] = [(0.842, hem, 0.003, outfit.loose + 0.010, Material.TOP)]
    spans.append((WAIST, 0.461, 0.003, 0.006, Material.BOTTOM))
    rings = _dressed(rows, spans, shape)
    return tube(rings, _sides(22, detail), _trunk_weights(shape), square=2.25)


def _trunk_weights(shape: Shape) -> Weigh:
    height = shape.height
    joints = rest_joints(shape)[[BONE["head"], BONE["neck"], BONE["chest"], BONE["spine"]], 1]
    core = chain(("head", "neck", "chest", "spine", "pelvis"), joints.tolist(), 0.028 * height)

    def weigh(points: Floats) -> Floats:
        weights = core(points)
        x, y = points[:, 0] / height, points[:, 1] / height
        ahead = smoothstep(points[:, 2] / height / 0.08 + 0.7)
        for side, sign in (("l_", 1), ("r_", -1)):
            raised = smoothstep((sign * x - 0.035) / 0.06) * smoothstep((y - 0.74) / 0.06) * 0.85
            weights[:, BONE[side + "clavicle"]] = raised * weights[:, BONE["chest"]]
            stepped = smoothstep((sign * x - 0.01) / 0.05) * smoothstep((0.55 - y) / 0.06) * (0.4 + 0.4 * ahead)
            weights[:, BONE[side + "thigh"]] = stepped * weights[:, BONE["pelvis"]]
        weights[:, BONE["chest"]] *= 1 - (weights[:, BONE["l_clavicle"]] + weights[:, BONE["r_clavicle"]]) / np.maximum(
            weights[:, BONE["chest"]], 1e-6
        )
        weights[:, BONE["pelvis"]] -= weights[:, BONE["l_thigh"]] + weights[:, BONE["r_thigh"]]
        return weights

    return weigh


def _on_bones(rings: Rings, shape: Shape, bones: Sequence[str]) -> Rings:
    """Move rings sideways onto the line through the joints of ``bones`` (top to bottom)."""
    joints = rest_joints(shape)[[BONE[bone] for bone in bones]]
    centre = rings.centre.copy()
    centre[:, 0] = np.interp(-centre[:, 1], -joints[:, 1], joints[:, 0])
    return Rings(centre, rings.half, rings.material)


def _limb_girth(rows: Floats, shape: Shape, share: float) -> Floats:
    rows = rows.copy()
    rows[:, 1:4] *= 1 + (shape.girth - 1) * share
    return rows


def _arm(shape: Shape, outfit: Outfit, detail: float) -> list[Mesh]:
    rows = _limb_girth(np.array(_ARM, np.float32), shape, 0.8)
    lower = 0.807 - outfit.sleeve * (0.807 - 0.480)
    spans: list[Span] = []
    if outfit.sleeve > 0.02:
        off = outfit.loose * (1.3 if outfit.sleeve < 0.6 else 0.7) + 0.003
        spans.append((0.8254, lower, 0.001, off, Material.TOP))
    bones = ("l_arm", "l_forearm", "l_hand")
    rings = _on_bones(_dressed(rows, spans, shape), shape, bones)
    joints = rest_joints(shape)[[BONE[bone] for bone in bones], 1]
    weigh = chain(("l_clavicle", *bones), [joints[0] + 0.022 * shape.height, *joints[1:]], 0.02 * shape.height)
    return [tube(rings, _sides(12, detail), weigh)]


def _leg(shape: Shape, outfit: Outfit, detail: float) -> list[Mesh]:
    rows = _limb_girth(np.array(_LEG, np.float32), shape, 0.85)
    lower = max(0.52 - 0.475 * outfit.leg, 0.032)
    spans: list[Span] = []
    if outfit.bottom_kind == "leggings":
        spans.append((0.5499, 0.06, 0.002, 0.002, Material.BOTTOM))
    elif outfit.bottom_kind != "skirt":
        spans.append((0.5499, lower, 0.003, outfit.loose + 0.006, Material.BOTTOM))
    if outfit.leg < 1 or outfit.bottom_kind == "leggings":
        spans.append((0.085, 0.031, 0.002, 0.002, Material.SOCK))
    bones = ("l_thigh", "l_shin", "l_foot")
    rings = _on_bones(_dressed(rows, spans, shape), shape, bones)
    joints = rest_joints(shape)[[BONE[bone] for bone in bones], 1]
    weigh = chain(("pelvis", *bones), [joints[0] + 0.012 * shape.height, *joints[1:]], 0.022 * shape.height)
    return [tube(rings, _sides(14, detail), weigh, square=2.1)]


def _foot(shape: Shape, detail: float) -> Mesh:
    rows = np.array(_FOOT, np.float32) * shape.height
    rest = rest_joints(shape)
    ankle = rest[BONE["l_foot"]]
    low = 0.001 * shape.height
    middle = low + (rows[:, 2] - low) * 0.4
    side = np.full(len(rows), ankle[0]) + np.maximum(rows[:, 0], 0) * 0.1
    centre = np.stack([side, middle, rows[:, 0] + ankle[2]], axis=1)
    half = np.stack([rows[:, 1], rows[:, 2] - middle, middle - low], axis=1)
    rings = Rings(centre, half, np.full(len(rows), Material.SHOE, np.int32))
    ball = float(rest[BONE["l_toe"], 2])
    weigh = chain(("l_toe", "l_foot"), [ball], 0.012 * shape.height, axis=2)
    return tube(rings, _sides(12, detail), weigh, square=2.6, lying=True)


def _hand(shape: Shape) -> list[Mesh]:
    """Return a slightly curled hand: palm (towards the thigh), four fingers and a thumb."""
    height = shape.height
    wrist = rest_joints(shape)[BONE["l_hand"]]
    weigh = only("l_hand")
    palm = [
        (0.006, 0.0110, 0.0145, 0.0145), (-0.012, 0.0115, 0.0175, 0.0165), (-0.030, 0.0115, 0.0220, 0.0200),
        (-0.046, 0.0100, 0.0240, 0.0220), (-0.058, 0.0085, 0.0235, 0.0215), (-0.063, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    table = np.array(palm, np.float32) * height
    centre = np.stack([np.zeros(6), table[:, 0], np.zeros(6)], axis=1) + wrist
    rings = Rings(centre.astype(np.float32), table[:, 1:], np.full(6, Material.SKIN, np.int32))
    meshes = [tube(rings, 10, weigh, square=2.5)]
    for z, length in ((0.018, 0.044), (0.006, 0.050), (-0.006, 0.047), (-0.0165, 0.036)):
        down = np.array([0.0, 0.05, 0.5, 0.9, 1.0]) * length
        curl = -0.30 * down**2 / length
        points = np.stack([curl, -0.056 - down, np.full(5, z)], axis=1) * height + wrist
        meshes.append(lathe(points.tolist(), (np.array([0, 62, 60, 48, 0]) * 1e-4 * height).tolist(), 6, weigh, 0))
    along = np.array(
        [[-0.002, -0.012, 0.012], [-0.004, -0.030, 0.026], [-0.009, -0.050, 0.034], [-0.012, -0.060, 0.036]]
    )
    radii = np.array([0.0, 0.0085, 0.0068, 0.0]) * height
    meshes.append(lathe((along * height + wrist).tolist(), radii.tolist(), 6, weigh, Material.SKIN))
    return meshes
