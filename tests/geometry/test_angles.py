"""Joint angles of figures whose angles are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.runs import FIGURE
from tposecli.geometry.angles import ANGLES, angles_of, joint_angles
from tposecli.geometry.keypoints import COCO, KEYPOINTS, KeypointLayout

NAMES = [angle.name for angle in ANGLES]


def posed(**joints: tuple[float, float]) -> np.ndarray:
    """Return a person who stands straight with hanging arms, but for some joints."""
    xy = np.zeros((1, 17, 2))
    for side, x in (("left", 2.0), ("right", -2.0)):
        column = {"shoulder": 0, "elbow": 4, "wrist": 8, "hip": 8, "knee": 13, "ankle": 18}
        for part, y in column.items():
            xy[0, KEYPOINTS.index(f"{side}_{part}")] = x, y
    for name, point in joints.items():
        xy[0, KEYPOINTS.index(name)] = point
    return xy


def angle(name: str, xy: np.ndarray) -> float:
    return float(joint_angles(xy)[0, NAMES.index(name)])


def test_straight_limbs_are_zero_and_an_upright_trunk_ninety() -> None:
    values = joint_angles(posed())[0]
    assert values[:-1] == pytest.approx(np.zeros(len(NAMES) - 1))
    assert values[-1] == pytest.approx(90)


@pytest.mark.parametrize(
    ("name", "joint", "point", "degrees"),
    [
        ("left_knee", "left_ankle", (7, 13), 90),
        ("left_elbow", "left_wrist", (2, 0), 180),
        ("right_shoulder", "right_elbow", (-6, 0), 90),
        ("right_hip", "right_knee", (-7, 13), 45),
    ],
)
def test_bent_limbs(name: str, joint: str, point: tuple[float, float], degrees: float) -> None:
    assert angle(name, posed(**{joint: point})) == pytest.approx(degrees)


def test_turning_the_picture_changes_only_the_trunk(rng: np.random.Generator) -> None:
    xy = FIGURE[None] * (60, 130) + rng.normal(0, 3, (1, 17, 2))
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    before, after = joint_angles(xy)[0], joint_angles(xy @ turn)[0]
    assert after[:-1] == pytest.approx(before[:-1])
    assert abs(after[-1] - before[-1]) == pytest.approx(np.degrees(0.5))


def test_points_that_coincide_have_no_angle() -> None:
    assert np.isnan(angle("left_knee", posed(left_ankle=(2, 13))))


def test_other_keypoints_have_none() -> None:
    other = KeypointLayout(("tip", "tail"), ((0, 1),), (0, 1), (0.1, 0.1))
    assert angles_of(other) == () and angles_of(COCO) == ANGLES
    assert joint_angles(np.zeros((3, 2, 2)), ()).shape == (3, 0)
