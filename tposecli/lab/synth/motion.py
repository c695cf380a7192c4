"""How people move: gaits from joint-angle curves, and key poses with smooth transitions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from tposecli.lab.synth.arrays import Floats
from tposecli.lab.synth.rig import BONE, BONES, Bones, Shape, pose_bones

Joint = tuple[float, ...]
"""Degrees of flexion, abduction and outward twist; for the trunk: bend, lean to the left, turn to the left."""

_FORWARD: Final = {"arm": -1, "forearm": -1, "hand": -1, "thigh": -1, "shin": 1, "foot": -1, "toe": -1, "clavicle": 1}


def pose(**joints: Joint | float) -> Floats:
    """Return (B, 3) degrees from anatomical angles by bone name; raised arms lift their shoulders.

    ``l_arm=(90, 0, 0)`` lifts the left arm forward, ``l_arm=(0, 90, 0)`` sideways; ``r_shin=40`` bends the right
    knee; ``spine=(20, 0, 0)`` bends forward, ``head=(0, 0, 30)`` looks to the left.
    """
    angles = np.zeros((len(BONES), 3), np.float32)
    for name, value in joints.items():
        flex, out, twist = (*(value if isinstance(value, tuple) else (value,)), 0.0, 0.0)[:3]
        sign = {"l_": 1, "r_": -1}.get(name[:2], 0)
        if sign:
            angles[BONE[name]] = (_FORWARD[name[2:]] * flex, sign * twist, sign * out)
        else:
            angles[BONE[name]] = (flex, twist, -out)
    return lift_shoulders(angles)


def lift_shoulders(angles: Floats) -> Floats:
    """Raise the clavicles with the arms, in place, and return the angles."""
    for side, sign in (("l_", 1), ("r_", -1)):
        flex, _, out = angles[BONE[side + "arm"]] * [-1, 1, sign]
        raised = max(abs(out), flex * 0.9)
        angles[BONE[side + "clavicle"], 2] = sign * 0.22 * max(raised - 35, 0)
    return angles


@dataclass(frozen=True, eq=False, slots=True)
class Stance:
    """The pose and position of a person at one time.

    Attributes:
        angles: (B, 3) degrees.
        x, z: Position on the floor, metres.
        heading: Degrees; 0 faces +z.
        lift: Height above the floor, metres.
    """

    angles: Floats
    x: float = 0.0
    z: float = 0.0
    heading: float = 0.0
    lift: float = 0.0


class Motion(Protocol):
    """A person's stance as a function of time."""

    def at(self, time_s: float, shape: Shape) -> Stance:
        """Return the stance at a time in seconds."""
        ...


_SOLES: Final = ((0.0, 0.001, -0.048), (0.0, 0.001, 0.075), (0.0, 0.001, 0.098))


def stand(shape: Shape, stance: Stance) -> Bones:
    """Return the bones in the world, with the lowest part of the body touching the floor."""
    bones = pose_bones(shape, stance.angles, stance.heading)
    low = float(sole_heights(bones, shape).min())
    rough = ("pelvis", "l_shin", "r_shin", "l_hand", "r_hand", "l_forearm", "r_forearm", "head", "chest")
    thick = np.array([0.10, 0.05, 0.05, 0.06, 0.06, 0.03, 0.03, 0.07, 0.10]) * shape.height
    low = min(low, float((bones.start[[BONE[name] for name in rough], 1] - thick).min()))
    return bones.moved(np.array([stance.x, stance.lift - low, stance.z], np.float32))


def sole_heights(bones: Bones, shape: Shape) -> Floats:
    """Return the (2, 3) heights, metres, of heel, ball and toes, left and right, before placement on the floor."""
    heights = []
    for side in "lr":
        ankle = bones.rest[BONE[f"{side}_foot"]] * [1, 0, 0]
        points = (np.array(_SOLES) * shape.height + ankle).astype(np.float32)
        carried = bones.carry(points, [BONE[f"{side}_foot"], BONE[f"{side}_foot"], BONE[f"{side}_toe"]])
        heights.append(carried[:, 1])
    return np.stack(heights)


# Degrees over the gait cycle, starting at heel strike, modelled on the curves of clinical gait analysis.
_PHASE: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.66, 0.72, 0.8, 0.88, 0.95, 1.0)
_WALK: Final = {
    "thigh": (27, 24, 15, 5, -4, -10, -9, -4, 6, 17, 27, 30, 29, 27),
    "shin": (4, 15, 16, 9, 6, 13, 24, 40, 58, 63, 50, 24, 5, 4),
    "foot": (0, -6, 1, 6, 10, 7, -3, -15, -14, -6, 1, 2, 1, 0),
    "toe": (8, 0, 0, 0, 6, 20, 26, 22, 8, 0, 2, 6, 8, 8),
}
_RUN: Final = {
    "thigh": (32, 26, 12, -4, -16, -10, 4, 22, 38, 48, 52, 48, 38, 32),
    "shin": (18, 36, 38, 22, 12, 40, 66, 86, 98, 98, 78, 44, 20, 18),
    "foot": (4, 14, 16, 2, -20, -22, -14, -6, 0, 2, 4, 4, 4, 4),
    "toe": (4, 0, 0, 10, 26, 8, 0, 0, 0, 0, 0, 2, 4, 4),
}


@lru_cache(maxsize=4)
def _curves(running: bool) -> Floats:
    """Return (4, 128) smooth periodic curves of thigh, shin, foot and toe."""
    table = _RUN if running else _WALK
    grid = np.arange(128) / 128
    rough = np.stack([np.interp(grid, _PHASE, table[name]) for name in ("thigh", "shin", "foot", "toe")])
    spectrum = np.fft.rfft(rough, axis=1)
    spectrum[:, 8:] = 0
    return np.fft.irfft(spectrum, 128, axis=1).astype(np.float32)


def _curve(running: bool, phase: float) -> Floats:
    place = (phase % 1.0) * 128
    index, part = int(place) % 128, place % 1.0
    curves = _curves(running)
    return np.asarray(curves[:, index] * (1 - part) + curves[:, (index + 1) % 128] * part)


@dataclass(frozen=True, slots=True)
class Gait:
    """Walking or running in a straight line.

    Attributes:
        x, z: Position at time 0, metres.
        heading: Degrees; 0 walks towards +z, 90 towards +x.
        cadence: Gait cycles (of two steps) per second.
        phase: Phase of the cycle at time 0, 0..1.
        swing: Amplitude of the arms' swing; 1 is normal.
        stride: Factor on the leg angles.
        running: Whether to run instead of walking.
    """

    x: float = 0.0
    z: float = 0.0
    heading: float = 0.0
    cadence: float = 0.92
    phase: float = 0.0
    swing: float = 1.0
    stride: float = 1.0
    running: bool = False

    def angles(self, phase: float) -> Floats:
        """Return (B, 3) degrees at a phase of the cycle."""
        turn = 2 * np.pi * phase
        hip, arm = 5 * np.cos(turn), 19 * self.swing * (1.6 if self.running else 1)
        elbow = 85 if self.running else 16 + 8 * self.swing
        joints: dict[str, Joint | float] = {
            "pelvis": (2, 3.0 * np.sin(turn + 0.6), -hip),
            "spine": (8 if self.running else 1, -3.0 * np.sin(turn + 0.6), hip),
            "chest": (2, 0, 1.4 * hip),
            "neck": (2 if not self.running else -4, 0, -0.7 * hip),
            "head": (-3 if not self.running else -8, 0, -0.5 * hip),
        }
        for side, half in (("l", 0.0), ("r", 0.5)):
            thigh, shin, foot, toe = _curve(self.running, phase + half)
            back = -np.cos(turn + 2 * np.pi * half)
            joints[f"{side}_thigh"] = (float(thigh) * self.stride + 1, 2.0, 5.0)
            joints[f"{side}_shin"] = float(shin) * (0.3 + 0.7 * self.stride)
            joints[f"{side}_foot"] = (float(foot), 0.0, 4.0)
            joints[f"{side}_toe"] = float(toe)
            joints[f"{side}_arm"] = (arm * back + 1, 7.0, 8.0)
            joints[f"{side}_forearm"] = elbow + 9 * self.swing * back
            joints[f"{side}_hand"] = (8.0, 4.0, 0.0)
        return pose(**joints)

    def speed(self, shape: Shape) -> float:
        """Return the speed, metres per second, at which the standing foot does not slide."""
        return self.cadence * _stride_length(Gait(swing=self.swing, stride=self.stride, running=self.running), shape)

    def place(self, time_s: float, shape: Shape) -> tuple[float, float]:
        """Return x and z in metres at a time."""
        ahead, yaw = self.speed(shape) * time_s, np.radians(self.heading)
        return self.x + ahead * float(np.sin(yaw)), self.z + ahead * float(np.cos(yaw))

    def at(self, time_s: float, shape: Shape) -> Stance:
        """Return the stance at a time; the standing foot does not slide."""
        phase = self.phase + self.cadence * time_s
        x, z = self.place(time_s, shape)
        lift = 0.05 * max(0.0, float(np.cos(4 * np.pi * (phase - 0.45)))) if self.running else 0.0
        return Stance(self.angles(phase), x, z, self.heading, lift)


@lru_cache(maxsize=256)
def _stride_length(gait: Gait, shape: Shape) -> float:
    """Return the length of one cycle, metres, that keeps the left foot in place while it alone bears the weight."""
    first, last = (0.06, 0.28) if gait.running else (0.14, 0.44)
    z = [pose_bones(shape, gait.angles(phase)).start[BONE["l_foot"], 2] for phase in (first, last)]
    return float(z[0] - z[1]) / (last - first)


@dataclass(frozen=True, eq=False, slots=True)
class Keyframes:
    """Key poses with smooth transitions; the first and the last are held before and after.

    Attributes:
        times: (P,) increasing times, seconds.
        stances: The P stances.
        sway: Amplitude of small added movements, degrees.
    """

    times: tuple[float, ...]
    stances: tuple[Stance, ...]
    sway: float = 1.5

    def at(self, time_s: float, shape: Shape) -> Stance:
        """Return the stance at a time, on a Catmull-Rom spline through the key poses."""
        times = np.array(self.times)
        count = len(times)
        index = int(np.clip(np.searchsorted(times, time_s, "right") - 1, 0, max(count - 2, 0)))
        after = min(index + 1, count - 1)
        span = max(times[after] - times[index], 1e-6)
        t = float(np.clip((time_s - times[index]) / span, 0, 1))
        rows = [self._row(k) for k in (max(index - 1, 0), index, after, min(after + 1, count - 1))]
        p0, p1, p2, p3 = rows
        ease = t * t * (3 - 2 * t)
        t = 0.5 * (t + ease)
        mix = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
        angles = mix[:-4].reshape(-1, 3).astype(np.float32)
        phase = np.arange(angles.size, dtype=np.float32).reshape(angles.shape)
        angles = angles + self.sway * np.sin(time_s * (1.1 + 0.37 * (phase % 5)) + phase * 2.4)
        return Stance(angles.astype(np.float32), *(float(v) for v in mix[-4:]))

    def _row(self, index: int) -> Floats:
        stance = self.stances[index]
        return np.append(stance.angles.ravel(), [stance.x, stance.z, stance.heading, stance.lift]).astype(np.float32)
