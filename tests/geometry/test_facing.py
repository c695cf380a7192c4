"""Where people face, and the signs and speeds of angles that follow, on walkers whose angles are known."""

from __future__ import annotations

import numpy as np
import pytest

from tposecli.geometry.angles import ALL_ANGLES, JOINT_ANGLES, angular_rates, joint_angles, rates
from tposecli.geometry.facing import AngleReader
from tposecli.geometry.motion_options import AngleOptions
from tposecli.geometry.scale import body_length, scale_from_height
from tposecli.lab.synth.motion import Gait, stand
from tposecli.lab.synth.rig import Shape
from tposecli.types import Boxes, Poses

NAMES = [angle.name for angle in ALL_ANGLES]
SHAPE = Shape(height=1.78)
FPS = 30


def walker(heading: float, running: bool = False, frames: int = 60) -> np.ndarray:
    """Return the (T, 17, 3) keypoints of a walker in metres; 0 walks to the camera, 90 to the right."""
    gait = Gait(heading=heading, running=running)
    return np.stack([stand(SHAPE, gait.at(i / FPS, SHAPE)).keypoints(SHAPE) for i in range(frames)]).astype(float)


def seen(points: np.ndarray, px_per_m: float = 150.0) -> np.ndarray:
    """Return (T, 17, 2) pixels as from very far away."""
    return np.stack([400 + px_per_m * points[..., 0], 500 - px_per_m * points[..., 1]], axis=-1)


def read(
    xy: np.ndarray, options: AngleOptions | None = None, score: np.ndarray | None = None
) -> tuple[np.ndarray, list[int]]:
    """Return the (T, A) angles of one person, and where the person faces in each frame."""
    reader = AngleReader(options or AngleOptions())
    score = np.ones(xy.shape[:2]) if score is None else score
    values, sides = [], []
    for i, (one, sure) in enumerate(zip(xy, score, strict=True)):
        found, side = reader.read(Poses(Boxes([[0, 0, 9, 9]], [1]), one[None], sure[None], [1]), i / FPS)  # type: ignore[arg-type]
        values.append(found[0])
        sides.append(int(side[0]))
    return np.array(values), sides


def spatial(points: np.ndarray) -> np.ndarray:
    """Return the (T, 8) unsigned joint angles in space."""
    angles = []
    for angle in JOINT_ANGLES:
        assert angle.second is not None
        first, second = (
            points[:, list(end)].mean(axis=1) - points[:, list(start)].mean(axis=1)
            for start, end in (angle.first, angle.second)
        )
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        angles.append(np.degrees(np.arccos((first * second).sum(axis=1) / lengths)))
    return np.stack(angles, axis=1)


@pytest.mark.parametrize("running", [False, True], ids=["walking", "running"])
@pytest.mark.parametrize(("heading", "side"), [(90, 1), (60, 1), (120, 1), (-90, -1), (-60, -1), (0, 0), (180, 0)])
def test_walkers_face_where_they_go(heading: float, side: int, running: bool) -> None:
    _, sides = read(seen(walker(heading, running)))
    assert set(sides) == {side}


@pytest.mark.parametrize("heading", [90, -90], ids=["to the right", "to the left"])
def test_angles_from_the_side_are_those_in_space_with_the_sign_of_flexion(heading: float) -> None:
    points = walker(heading)
    values, _ = read(seen(points))
    truth = spatial(points)
    for name, within in (("left_knee", 1.0), ("right_knee", 1.0), ("left_hip", 3.0), ("left_elbow", 3.0)):
        assert np.abs(np.abs(values[:, NAMES.index(name)]) - truth[:, NAMES.index(name)]).max() < within, name
    hip, knee, shoulder = (values[:, NAMES.index(f"left_{part}")] for part in ("hip", "knee", "shoulder"))
    assert -15 < hip.min() < -5 and 20 < hip.max() < 35, "a hip extends behind the body"
    assert 0 < knee.min() < 15 and 50 < knee.max() < 70
    assert shoulder.min() < -15 and shoulder.max() > 10, "arms swing both ways"


def test_both_directions_have_the_same_flexion_and_mirrored_segments() -> None:
    right, left = (read(seen(walker(heading)))[0] for heading in (90, -90))
    joints = len(JOINT_ANGLES)
    assert left[:, :joints] == pytest.approx(right[:, :joints], abs=3)
    trunk = NAMES.index("trunk")
    assert left[:, trunk] == pytest.approx(180 - right[:, trunk], abs=1)
    shank = right[:, NAMES.index("left_shank")]
    assert shank.min() > -150 and shank.max() < -60, "anticlockwise from the horizontal; a hanging shank has -90"


def test_an_arm_overhead_passes_180_degrees_without_a_jump() -> None:
    xy = np.zeros((1, 17, 2))
    layout = {"shoulder": (0, 0), "elbow": (0, 4), "wrist": (0, 8), "hip": (0, 8), "knee": (0, 13), "ankle": (0, 18)}
    from tposecli.geometry.keypoints import KEYPOINTS

    for side in ("left", "right"):
        for part, point in layout.items():
            xy[0, KEYPOINTS.index(f"{side}_{part}")] = point
    raised = []
    for degrees in range(-40, 220, 5):
        turned = xy.copy()
        turn = np.radians(degrees)
        turned[0, KEYPOINTS.index("left_elbow")] = (4 * np.sin(turn), 4 * np.cos(turn))
        raised.append(joint_angles(turned, ALL_ANGLES, np.array([1]))[0, NAMES.index("left_shoulder")])
    assert raised == pytest.approx(list(range(-40, 220, 5)))


def test_who_looks_at_the_camera_for_a_moment_still_faces_the_same_side() -> None:
    xy = seen(walker(90))
    xy[20:35, 0] = xy[20:35, 3:5].mean(axis=1)
    assert set(read(xy)[1]) == {1}


def test_who_turns_round_faces_the_other_side_soon() -> None:
    _, sides = read(np.concatenate([seen(walker(90)), seen(walker(-90))]))
    turned = sides.index(-1)
    assert set(sides[:60]) == {1} and 60 <= turned <= 70 and set(sides[turned:]) == {-1}


def test_a_side_that_is_given_is_taken() -> None:
    xy = seen(walker(90))
    right, left = (read(xy, AngleOptions(facing))[0] for facing in ("right", "left"))  # type: ignore[arg-type]
    hip = NAMES.index("left_hip")
    assert left[:, hip] == pytest.approx(-right[:, hip])
    front = read(xy, AngleOptions("front"))[0]
    assert front[:, hip] == pytest.approx(np.abs(right[:, hip]))


def test_angles_of_keypoints_that_are_not_seen_are_missing() -> None:
    xy = seen(walker(90))
    score = np.ones(xy.shape[:2])
    score[10:15, 15] = 0.1
    values, _ = read(xy, score=score)
    knee, shank, hip = (NAMES.index(f"left_{name}") for name in ("knee", "shank", "hip"))
    assert np.isnan(values[10:15, [knee, shank]]).all() and np.isfinite(values[:, hip]).all()
    assert np.isfinite(np.delete(values[:, knee], range(10, 15))).all()


def test_rates_are_central_differences_and_stop_at_gaps() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.4, 0.5, 0.6])
    values = 30 * times[:, None] ** 2
    values[4] = np.nan
    found = rates(values, times)[:, 0]
    assert found[1] == pytest.approx((values[2, 0] - values[0, 0]) / 0.2)
    assert found[0] == pytest.approx((values[1, 0] - values[0, 0]) / 0.1)
    assert found[3] == pytest.approx((values[3, 0] - values[2, 0]) / 0.2), "one-sided at the edge of a gap"
    assert np.isnan(found[4]) and np.isnan(found[5]), "a frame alone has no speed"


def test_a_turn_past_180_degrees_is_no_jump() -> None:
    times = np.arange(5) / 10
    found = angular_rates(np.array([[170.0], [175.0], [180.0], [-175.0], [-170.0]]), times)
    assert found[:, 0] == pytest.approx(50)


@pytest.mark.parametrize("running", [False, True], ids=["walking", "running"])
@pytest.mark.parametrize("heading", [90, 60])
def test_the_scale_follows_from_the_height(heading: float, running: bool) -> None:
    xy = seen(walker(heading, running), px_per_m=123.0)
    scale = scale_from_height(body_length(xy, np.ones(xy.shape[:2])), 1.78, "Ana")
    assert scale.px_per_m == pytest.approx(123, rel=0.05)
    assert scale.to_dict()["origin"] == "the height of Ana, 1.78 m"


def test_a_height_needs_a_person_who_is_seen_whole() -> None:
    xy = seen(walker(90))
    score = np.ones(xy.shape[:2])
    score[:, 15:] = 0
    with pytest.raises(ValueError, match="in 0 frames, and the scale needs 5"):
        scale_from_height(body_length(xy, score), 1.78, "person 1")
