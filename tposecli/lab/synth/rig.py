"""The skeleton of a rendered person: bones, proportions, forward kinematics, and COCO keypoints.

A person's axes are x to their left, y up and z forward, in metres. In the rest pose they stand upright, arms
hanging. A pose is (B, 3) degrees about the x, y and z axes of each bone's parent, applied as ``Rz @ Rx @ Ry``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tposecli.lab.synth.arrays import Floats

CORE: Final = ("pelvis", "spine", "chest", "neck", "head")
ARM: Final = ("clavicle", "arm", "forearm", "hand")
LEG: Final = ("thigh", "shin", "foot", "toe")
BONES: Final = (*CORE, *(f"{s}_{b}" for s in "lr" for b in ARM), *(f"{s}_{b}" for s in "lr" for b in LEG))
BONE: Final = {name: index for index, name in enumerate(BONES)}
PARENT: Final = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)


def _keypoint_depth() -> Floats:
    near = {
        ("arm", 0.05, 0.15): ("chest", "spine", "neck", "*clavicle", "*arm"),
        ("forearm", 0.04, 0.10): ("*arm", "*forearm"),
    }
    near |= {("hand", 0.04, 0.07): ("*forearm", "*hand"), ("thigh", 0.05, 0.24): ("pelvis", "spine", "*thigh")}
    near |= {("shin", 0.05, 0.14): ("*thigh", "*shin"), ("foot", 0.04, 0.12): ("*shin", "*foot")}
    table = np.full((17, len(BONES)), 0.03, np.float32)
    table[0], table[3:5] = 0.035, 0.035
    for row, ((_, other, own), bones) in enumerate(near.items()):
        for column, side in enumerate("lr"):
            table[5 + 2 * row + column] = other
            table[5 + 2 * row + column, [BONE[bone.replace("*", f"{side}_")] for bone in bones]] = own
    return table


KEYPOINT_DEPTH: Final = _keypoint_depth()
"""(17, B) metres: how far a bone's surface may lie in front of a keypoint that still counts as visible."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The build of one person; values are factors relative to the average, unless stated otherwise.

    Attributes:
        height: Height from sole to crown, metres.
        girth: Thickness of trunk and limbs.
        shoulders: Width of the shoulders.
        hips: Width of the hips.
        bust: 0 flat to 1 full.
        belly: 0 flat to 1 round.
        head: Size of the head.
        legs: Length of the legs.
    """

    height: float = 1.75
    girth: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    bust: float = 0.0
    belly: float = 0.2
    head: float = 1.0
    legs: float = 1.0


def random_shape(rng: np.random.Generator) -> Shape:
    """Return the random build of an adult between 1.50 and 1.95 m."""
    feminine = float(rng.random())
    tall = float(np.clip(rng.normal(1.79 - 0.13 * feminine, 0.07), 1.5, 1.95))
    return Shape(
        height=tall,
        girth=float(np.clip(rng.normal(1.02 - 0.08 * feminine, 0.12), 0.8, 1.45)),
        shoulders=float(rng.normal(1.07 - 0.12 * feminine, 0.04)),
        hips=float(rng.normal(0.96 + 0.12 * feminine, 0.05)),
        bust=float(np.clip(feminine * 1.6 - 0.7, 0, 1) * rng.uniform(0.5, 1)),
        belly=float(rng.beta(1.3, 3)),
        head=float(rng.normal(1.03, 0.03)),
        legs=float(rng.normal(1.0, 0.025)),
    )


def stretched(y: Floats, shape: Shape) -> Floats:
    """Adjust heights (fractions of the person's) for the length of the legs; the trunk keeps its size."""
    return np.asarray(y + (shape.legs - 1) * np.minimum(y, 0.52))


def rest_joints(shape: Shape) -> Floats:
    """Return the (B, 3) start points of the bones in the rest pose, metres."""
    hip, shoulder = 0.053 * shape.hips, 0.106 * shape.shoulders
    core = [(0, 0.53, 0), (0, 0.585, -0.008), (0, 0.68, -0.014), (0, 0.832, -0.018), (0, 0.872, -0.004)]
    arm = [(0.022, 0.815, 0.0), (shoulder, 0.807, -0.012), (shoulder + 0.004, 0.632, -0.014)]
    arm.append((shoulder + 0.006, 0.484, -0.006))
    leg = [(hip, 0.52, 0.0), (hip * 0.95, 0.285, 0.004), (hip * 0.9, 0.043, -0.012), (hip * 0.95 + 0.006, 0.012, 0.072)]
    flip = np.array([-1, 1, 1])
    joints = np.concatenate([core, arm, flip * arm, leg, flip * leg])
    joints[:, 1] = stretched(joints[:, 1], shape)
    return (joints * shape.height).astype(np.float32)


def head_points(shape: Shape) -> Floats:
    """Return the (5, 3) rest positions, metres, of nose tip, left eye, right eye, left ear and right ear."""
    face = np.array([(0, 0.0395, 0.0725), (0.0180, 0.0605, 0.0535), (0.0440, 0.0515, -0.004)]) * shape.head
    face = face[[0, 1, 1, 2, 2]] * np.array([(1, 1, 1), (1, 1, 1), (-1, 1, 1), (1, 1, 1), (-1, 1, 1)])
    return np.asarray((face * shape.height).astype(np.float32) + rest_joints(shape)[BONE["head"]])


def rotations(angles: Floats) -> Floats:
    """Return the (B, 3, 3) rotation matrices ``Rz @ Rx @ Ry`` of (B, 3) degrees about x, y, z."""
    cx, cy, cz = np.cos(np.radians(angles)).T
    sx, sy, sz = np.sin(np.radians(angles)).T
    rows = [
        [cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy],
        [sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy],
        [-cx * sy, sx, cx * cy],
    ]
    return np.array(rows, dtype=np.float32).transpose(2, 0, 1)


@dataclass(frozen=True, eq=False, slots=True)
class Bones:
    """The bones of one person in the world.

    Attributes:
        turn: (B, 3, 3) rotation from rest to the world.
        start: (B, 3) start points, metres.
        rest: (B, 3) start points in the rest pose, metres.
    """

    turn: Floats
    start: Floats
    rest: Floats

    def carry(self, points: Floats, bones: list[int]) -> Floats:
        """Transform (P, 3) rest points, each by one bone."""
        moved = np.einsum("pij,pj->pi", self.turn[bones], points - self.rest[bones])
        return np.asarray(moved + self.start[bones], np.float32)

    def moved(self, offset: Floats) -> Bones:
        """Return the bones shifted by (3,) metres."""
        return Bones(self.turn, self.start + offset, self.rest)

    def keypoints(self, shape: Shape) -> Floats:
        """Return the (17, 3) COCO keypoints in the world, metres."""
        head = self.carry(head_points(shape), [BONE["head"]] * 5)
        names = ("arm", "forearm", "hand", "thigh", "shin", "foot")
        joints = [self.start[BONE[f"{side}_{name}"]] for name in names for side in "lr"]
        return np.concatenate([head, np.stack(joints)]).astype(np.float32)


def pose_bones(shape: Shape, angles: Floats, heading: float = 0.0) -> Bones:
    """Compute the bones by forward kinematics, with the pelvis above the world's origin.

    Args:
        shape: The person.
        angles: (B, 3) degrees.
        heading: Rotation of the whole person about y, degrees; 0 faces +z.
    """
    rest = rest_joints(shape)
    local = rotations(angles)
    yaw = rotations(np.array([[0, heading, 0]], np.float32))[0]
    turn, start = np.empty_like(local), rest.copy()
    for bone, parent in enumerate(PARENT):
        if parent < 0:
            turn[bone] = yaw @ local[bone]
        else:
            turn[bone] = turn[parent] @ local[bone]
            start[bone] = start[parent] + turn[parent] @ (rest[bone] - rest[parent])
    return Bones(turn, start, rest)
