"""Moving people as exact joint positions, and the same with the errors of an inaccurate net."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tposecli.lab.synth.motion import Gait, Keyframes, Motion, Stance, pose, stand
from tposecli.lab.synth.poses import BASE
from tposecli.lab.synth.raster import look_at
from tposecli.lab.synth.rig import Shape
from tposecli.types import Boxes, Poses

Float64 = NDArray[np.float64]

HEIGHT = 300.0
"""Approximate height of a person in pixels."""

LEGS, ARMS, FACE = ((11, 12), (13, 14), (15, 16)), ((5, 6), (7, 8), (9, 10)), ((1, 2), (3, 4))


def turn(times: Float64) -> Keyframes:
    """A person who turns around twice on the spot."""
    steps = np.linspace(0, float(times[-1]), 9)
    return Keyframes(tuple(steps.tolist()), tuple(Stance(BASE["stand"], 0, 0, 90.0 * n) for n in range(9)))


def clap(hertz: float = 2.5, heading: float = 0.0) -> Keyframes:
    """A person who claps quickly."""
    apart = pose(l_arm=(45, 25, 0), r_arm=(45, 25, 0), l_forearm=60, r_forearm=60)
    together = pose(l_arm=(60, -12, -30), r_arm=(60, -12, -30), l_forearm=60, r_forearm=60)
    stances = [Stance(apart if n % 2 else together, 0, 0, heading) for n in range(60)]
    return Keyframes(tuple((np.arange(60) / (2 * hertz)).tolist()), tuple(stances))


def kick(heading: float = 60.0) -> Keyframes:
    """A person who stands and kicks high repeatedly, a fifth of a second up and as long down."""
    rest, high = Stance(pose(), 0, 0, heading), Stance(pose(l_thigh=(95, 5), l_shin=10, spine=-10), 0, 0, heading)
    times, stances = [0.0], [rest]
    for start in np.arange(0.6, 12, 1.1).tolist():
        times += [start, start + 0.2, start + 0.4]
        stances += [rest, high, rest]
    return Keyframes(tuple(times), tuple(stances))


def jacks() -> Keyframes:
    """Jumping jacks."""
    stances = [Stance(BASE["star"] if n % 2 else pose()) for n in range(40)]
    return Keyframes(tuple((0.35 * np.arange(40)).tolist()), tuple(stances))


def motions(seconds: float = 5.0) -> dict[str, Motion]:
    """Return ways of moving, seen from all sides."""
    times = np.arange(0, seconds, 0.1)
    found: dict[str, Motion] = {
        f"walk {heading}": Gait(x=-1.2 * np.sin(np.radians(heading)), heading=heading, phase=0.13 * n)
        for n, heading in enumerate((0.0, 45.0, 90.0, -90.0, 180.0))
    }
    found |= {f"run {heading}": Gait(x=-2.0, heading=heading, cadence=1.4, running=True) for heading in (90.0, 60.0)}
    found |= {"turn": turn(times), "clap": clap(), "clap aside": clap(3.0, 80.0), "kick": kick(), "jacks": jacks()}
    return found


def truth(motion: Motion, times: Float64, shape: Shape | None = None) -> Float64:
    """Return (T, 17, 2) pixels; the person is about ``HEIGHT`` high and stays in the centre."""
    shape = shape or Shape()
    rows = []
    for time_s in times.tolist():
        stance = motion.at(time_s, shape)
        eye = np.array([stance.x, 1.1, stance.z + 5.0], np.float32)
        camera = look_at(eye, eye - [0, 0.15, 5.0], HEIGHT * 5 / shape.height, (1280, 720))
        rows.append(camera.project(stand(shape, stance).keypoints(shape))[:, :2])
    return np.array(rows, np.float64)


@dataclass(frozen=True)
class NoisyTrack:
    """Estimated and true joints of one person.

    Attributes:
        times: (T,) seconds.
        truth: (T, 17, 2) true positions.
        xy: (T, 17, 2) estimated positions.
        score: (T, 17); 0.05 where missing.
        swapped: (T, 17) joints that have the position of the other side.
        outlier: (T, 17) outliers.
        events: First frame, end, and pairs of each swap.
    """

    times: Float64
    truth: Float64
    xy: Float64
    score: Float64
    swapped: NDArray[np.bool_]
    outlier: NDArray[np.bool_]
    events: tuple[tuple[int, int, str], ...] = ()

    def poses(self, track: int = 1) -> list[Poses]:
        """Return the poses of one person in each frame."""
        corners = np.concatenate([self.truth.min(axis=1) - 10, self.truth.max(axis=1) + 10], axis=1)
        return [
            Poses(Boxes(box[None], [0.9]), xy[None], score[None], np.array([track]))
            for box, xy, score in zip(corners, self.xy, self.score, strict=True)
        ]


PARTS = {"legs": LEGS, "arms": ARMS, "all": (*LEGS, *ARMS, *FACE)}


def measured(
    true: Float64, times: Float64, seed: int, noise: float = 0.01, faults: float = 1.0, part: str = ""
) -> NoisyTrack:
    """Add errors: noise, 5 % missing joints, 1 % outliers, and left-right swaps of 2 to 10 frames.

    Args:
        true: (T, 17, 2) pixels.
        times: (T,) seconds.
        seed: Random seed.
        noise: Standard deviation in body heights, in x and y.
        faults: Factor on the frequency of missing joints and outliers.
        part: ``legs``, ``arms`` or ``all`` to swap; empty for no swaps.
    """
    rng = np.random.default_rng(seed)
    xy, shape = true.copy(), true.shape[:2]
    swapped, events = np.zeros(shape, np.bool_), []
    start = int(rng.integers(8, 20))
    while part and start < len(true) - 22:
        end = start + int(rng.integers(2, 11))
        for left, right in PARTS[part]:
            xy[start:end, [left, right]] = xy[start:end, [right, left]]
            swapped[start:end, [left, right]] = True
        events.append((start, end, part))
        start = end + int(rng.integers(12, 40))
    xy += rng.normal(0, noise * HEIGHT, xy.shape)
    outlier = rng.random(shape) < 0.01 * faults
    xy[outlier] += (
        rng.choice([-1, 1], (int(outlier.sum()), 2)) * rng.uniform(0.15, 0.5, (int(outlier.sum()), 2)) * HEIGHT
    )
    missing = rng.random(shape) < 0.05 * faults
    xy[missing] += rng.normal(0, 0.2 * HEIGHT, (int(missing.sum()), 2))
    score = np.where(missing, 0.05, rng.uniform(0.5, 0.95, shape))
    return NoisyTrack(times, true, xy, score, swapped, outlier & ~missing, tuple(events))
