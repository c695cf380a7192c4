"""Random poses: base poses with random variation, within the limits of the joints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tposecli.lab.synth.arrays import Floats
from tposecli.lab.synth.motion import Gait, Joint, Stance, lift_shoulders, pose
from tposecli.lab.synth.rig import BONE, BONES

Rng = np.random.Generator

_TEXT: Final = {
    "stand": "l_arm 2 6; r_arm 0 6; l_forearm 12; r_forearm 14; l_thigh 0 3 6; r_thigh 2 4 6",
    "hips": "arm -12 42 -25; forearm 105; thigh 0 8 8",
    "crossed": "l_arm 38 -4 -42; r_arm 36 -4 -40; l_forearm 102; r_forearm 96; l_thigh 0 5 5; r_thigh 0 4 5",
    "up": "arm 20 155; forearm 15; chest -6; thigh 0 6",
    "wave": "r_arm 10 95 85; r_forearm 70; l_arm 0 7; l_forearm 12; head 0 -6 -8; l_thigh 0 3 5",
    "goal": "arm 0 92 80; forearm 85; thigh 0 10 5",
    "cross": "arm 0 88; thigh 0 14 4",
    "reach": (
        "r_arm 95 5; r_forearm 12; spine 14 0 12; l_arm -12 14; l_forearm 20; l_thigh 20 4; l_shin 22; "
        "r_thigh -10 2; r_shin 8"
    ),
    "phone": "r_arm 25 16 -10; r_forearm 130; neck 12 0 -8; l_arm 30 5 -20; l_forearm 70",
    "throw": (
        "r_arm 60 100 60; r_forearm 85; l_arm 70 20; l_forearm 30; spine -4 -4 -22; l_thigh 40 6; l_shin 30; "
        "r_thigh -12 8 6; r_shin 18"
    ),
    "kick": (
        "r_thigh 68 8; r_shin 22; r_foot -25; l_thigh 4 5 4; l_shin 16; spine 8 0 10; l_arm 50 45; l_forearm 30; "
        "r_arm -35 40; r_forearm 25"
    ),
    "squat": "thigh 98 14 18; shin 112; foot 24; spine 22; pelvis 12; arm 75 8; forearm 30",
    "lunge": (
        "l_thigh 80 4; l_shin 82; r_thigh -18 4; r_shin 50; r_foot -5; r_toe 35; l_arm -20 12; r_arm 45 8; "
        "l_forearm 60; r_forearm 70"
    ),
    "sit": "thigh 86 7 5; shin 84; arm 34 8 -8; forearm 48; spine 6",
    "floor": "pelvis -8; thigh 92 32 40; shin 122; spine 20; arm 30 18; forearm 60",
    "kneel": (
        "l_thigh 88 5; l_shin 92; r_thigh 2 6; r_shin 96; r_foot -35; l_arm 35 5; l_forearm 50; r_arm 10 10; "
        "r_forearm 25; spine 8"
    ),
    "bend": "pelvis 38; spine 28; chest 14; thigh 46 4; shin 16; arm 82 5; forearm 15; neck -14",
    "dance": (
        "l_arm 30 120 20; r_arm 10 60 30; l_forearm 60; r_forearm 75; spine 0 14 10; pelvis 0 -12 8; "
        "l_thigh 20 18 10; l_shin 34; r_thigh 4 16 8; r_shin 12"
    ),
    "star": "arm 0 130; thigh 0 32; foot -25",
    "swing": (
        "l_arm 105 -12 -20; r_arm 100 10 -20; l_forearm 20; r_forearm 35; spine 12 0 42; chest 6 0 22; "
        "pelvis 8 0 20; l_thigh 14 10; r_thigh 18 12; l_shin 22; r_shin 30"
    ),
    "leap": (
        "l_thigh 82 6; l_shin 30; r_thigh -38 6; r_shin 44; r_foot -30; l_foot -20; l_arm 30 70; r_arm 70 70; "
        "forearm 20; spine -4"
    ),
}
"""Poses by name: bones with degrees as for ``motion.pose``; a limb without a side stands for both."""


def _read(text: str) -> Floats:
    """Parse a line of ``_TEXT`` into (B, 3) degrees."""
    joints: dict[str, Joint | float] = {}
    for part in text.split("; "):
        name, *degrees = part.split()
        for bone in (name,) if name in BONE else (f"l_{name}", f"r_{name}"):
            joints[bone] = tuple(float(value) for value in degrees)
    return pose(**joints)


BASE: Final[dict[str, Floats]] = {name: _read(text) for name, text in _TEXT.items()}
"""The poses by name, (B, 3) degrees."""

_LIMIT: Final = {
    "spine": (-22, 45, 22, 32), "chest": (-15, 30, 15, 25), "neck": (-30, 35, 25, 40), "head": (-25, 25, 20, 40),
    "arm": (-50, 175, 175, 90), "forearm": (0, 145, 4, 40), "hand": (-50, 50, 20, 20), "thigh": (-35, 115, 48, 45),
    "shin": (0, 140, 4, 12), "foot": (-40, 25, 14, 16), "toe": (-15, 45, 2, 2),
}  # fmt: skip
"""For each bone: minimum and maximum flexion, maximum abduction and maximum twist in either direction, degrees."""

_SHAKE: Final = {"arm": 16.0, "forearm": 14.0, "hand": 14.0, "thigh": 7.0, "shin": 7.0, "foot": 5.0, "head": 10.0}


def _limited(angles: Floats) -> Floats:
    """Clip angles to the limits of the joints."""
    for name, (low, high, out, twist) in _LIMIT.items():
        for bone in (name,) if name in BONE else (f"l_{name}", f"r_{name}"):
            sign = -1 if name in ("arm", "forearm", "hand", "thigh", "foot", "toe") else 1
            angles[BONE[bone], 0] = sign * np.clip(sign * angles[BONE[bone], 0], low, high)
            angles[BONE[bone], 1:] = np.clip(angles[BONE[bone], 1:], (-twist, -out), (twist, out))
    return lift_shoulders(angles)


def mirrored_pose(angles: Floats) -> Floats:
    """Return the pose with left and right swapped."""
    swap = [BONE[{"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]] for name in BONES]
    return np.asarray(angles[swap] * [1, -1, -1], np.float32)


def shaken(rng: Rng, angles: Floats, amount: float = 1.0) -> Floats:
    """Return the pose with random variation in every joint, within its limits."""
    spread = np.array([_SHAKE.get(name.removeprefix("l_").removeprefix("r_"), 4.0) for name in BONES])
    moved = angles + rng.standard_normal((len(BONES), 3)) * spread[:, None] * amount
    return _limited(moved.astype(np.float32))


def _gait(rng: Rng) -> Floats:
    gait = Gait(
        swing=float(rng.uniform(0.4, 1.8)), stride=float(rng.uniform(0.6, 1.15)), running=bool(rng.random() < 0.35)
    )
    return gait.angles(float(rng.random()))


def _mixed(rng: Rng) -> Floats:
    """Combine the arms of one base pose with the legs of another."""
    first, second = (BASE[str(rng.choice(list(BASE)))] for _ in range(2))
    legs = np.arange(len(BONES)) >= BONE["l_thigh"]
    legs[0] = True
    return np.asarray(np.where(legs[:, None], first, second), np.float32)


def _free(rng: Rng) -> Floats:
    """Return arms anywhere within reach, and legs within a smaller range."""
    joints: dict[str, Joint | float] = {}
    for side in "lr":
        joints[f"{side}_arm"] = tuple(rng.uniform((-40, -5, -60), (150, 150, 80)).tolist())
        joints[f"{side}_forearm"] = float(rng.uniform(0, 135))
        joints[f"{side}_thigh"] = tuple(rng.uniform((-20, 0, -10), (90, 35, 25)).tolist())
        joints[f"{side}_shin"] = float(rng.uniform(0, 110))
    return pose(**joints)


def _base(rng: Rng) -> Floats:
    return BASE[str(rng.choice(list(BASE)))]


_SOURCES: Final[tuple[tuple[float, Callable[[Rng], Floats]], ...]] = (
    (0.22, _gait),
    (0.43, _base),
    (0.20, _mixed),
    (0.15, _free),
)


def random_stance(rng: Rng, wild: float = 0.08) -> Stance:
    """Return a random pose and heading at the origin of the floor.

    Args:
        rng: The random generator.
        wild: Probability of a person who is lying, tumbling or upside down.
    """
    shares = np.array([share for share, _ in _SOURCES])
    source = _SOURCES[int(rng.choice(len(_SOURCES), p=shares / shares.sum()))][1]
    angles = shaken(rng, source(rng), float(rng.uniform(0.3, 1.3)))
    if rng.random() < 0.5:
        angles = mirrored_pose(angles)
    lift = float(rng.uniform(0.05, 0.5)) if rng.random() < 0.08 else 0.0
    if rng.random() < wild:
        angles[0] += rng.uniform(-1, 1, 3) * (170, 40, 120)
    towards = float(rng.normal(0, 45)) if rng.random() < 0.6 else float(rng.uniform(-180, 180))
    return Stance(angles.astype(np.float32), 0.0, 0.0, towards, lift)


def seated(angles: Floats) -> bool:
    """Return whether a pose needs a seat: thighs forward, knees bent, trunk upright."""
    thighs = -angles[[BONE["l_thigh"], BONE["r_thigh"]], 0]
    shins = angles[[BONE["l_shin"], BONE["r_shin"]], 0]
    return bool((thighs > 60).all() and (shins > 60).all() and (shins < 105).all() and abs(angles[0, 0]) < 25)
