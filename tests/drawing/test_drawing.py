"""Skeletons are drawn in the right colour in the right place, and nothing is drawn anywhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tposecli.drawing.labels import render_label
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.drawing.style import DrawStyle
from tposecli.geometry.keypoints import KEYPOINTS, LIMBS
from tposecli.types import Boxes, Image, Poses

STYLE = DrawStyle()
FIGURE = np.array(
    [
        [0.5, 0.1],
        *([0.53, 0.07], [0.47, 0.07], [0.57, 0.08], [0.43, 0.08]),
        *([0.65, 0.22], [0.35, 0.22], [0.75, 0.38], [0.25, 0.38], [0.85, 0.52], [0.15, 0.52]),
        *([0.6, 0.55], [0.4, 0.55], [0.62, 0.75], [0.38, 0.75], [0.64, 0.95], [0.36, 0.95]),
    ]
)
"""A standing person who faces the camera, in a unit box; their left is on the right of the picture."""


def person(left: float, top: float, height: float, score: float = 0.9, track: int = -1) -> Poses:
    size = np.array([height / 2, height])
    box = np.array([[left, top, left + height / 2, top + height]])
    xy = (FIGURE * size + (left, top))[None]
    return Poses(Boxes(box, np.ones(1)), xy, np.full((1, 17), score), np.array([track]))


def together(*people: Poses) -> Poses:
    boxes = Boxes(np.concatenate([p.boxes.xyxy for p in people]), np.ones(len(people)))
    columns = [np.concatenate([getattr(p, name) for p in people]) for name in ("xy", "score", "track_id")]
    return Poses(boxes, *columns)


def canvas(height: int = 480, width: int = 640, grey: int = 100) -> Image:
    return np.full((height, width, 3), grey, np.uint8)


def at(image: Image, xy: np.ndarray) -> list[int]:
    x, y = np.rint(xy).astype(int)
    return image[y, x].tolist()


def middle(poses: Poses, first: str, second: str) -> np.ndarray:
    return poses.xy[0, [KEYPOINTS.index(first), KEYPOINTS.index(second)]].mean(axis=0)


def changed(image: Image, grey: int = 100) -> np.ndarray:
    return (image != grey).any(axis=2)


@pytest.mark.parametrize("height", [480, 1080, 2160])
def test_limbs_have_the_colour_of_their_side_at_every_resolution(height: int) -> None:
    image, poses = canvas(height, height * 4 // 3), person(0.2 * height, 0.05 * height, 0.9 * height)
    SkeletonDrawer().draw(image, poses)
    assert at(image, middle(poses, "left_knee", "left_ankle")) == list(STYLE.left)
    assert at(image, middle(poses, "right_shoulder", "right_elbow")) == list(STYLE.right)
    assert at(image, middle(poses, "left_shoulder", "right_shoulder")) == list(STYLE.centre)
    assert at(image, middle(poses, "left_hip", "right_hip")) == list(STYLE.centre)


def test_joints_have_a_lighter_core() -> None:
    image, poses = canvas(1080, 1440), person(200, 50, 1000)
    SkeletonDrawer().draw(image, poses)
    core = at(image, poses.xy[0, KEYPOINTS.index("left_knee")])
    assert sum(core) > sum(STYLE.left) + 100


def test_a_dark_rim_sets_limbs_off() -> None:
    image, poses = canvas(grey=255), person(150, 20, 440)
    SkeletonDrawer().draw(image, poses)
    x, y = np.rint(middle(poses, "left_hip", "left_knee")).astype(int)
    assert image[y, x - 10 : x + 10].sum(axis=1).min() < 250


def test_it_draws_on_the_given_image_itself() -> None:
    image = canvas()
    assert SkeletonDrawer().draw(image, person(150, 20, 440)) is image
    assert changed(image).any()


def test_nothing_is_drawn_without_people() -> None:
    assert not changed(SkeletonDrawer(DrawStyle(boxes=True, ids=True)).draw(canvas(), Poses.empty())).any()


def test_nothing_is_drawn_far_from_the_limbs() -> None:
    image, poses = canvas(), person(150, 20, 440)
    SkeletonDrawer().draw(image, poses)
    ys, xs = np.nonzero(changed(image))
    points = np.stack([xs, ys], axis=1).astype(float)
    first, second = (poses.xy[0, list(ends)].astype(float) for ends in zip(*LIMBS, strict=True))
    along = second - first
    share = ((points[:, None] - first) * along).sum(axis=2) / (along**2).sum(axis=1)
    nearest = first + np.clip(share, 0, 1)[:, :, None] * along
    assert np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1).max() < 10


def test_weak_joints_and_their_limbs_are_hidden() -> None:
    poses = person(150, 20, 440)
    poses.score[0, KEYPOINTS.index("left_knee")] = 0.15
    image = SkeletonDrawer().draw(canvas(), poses)
    for first, second in (("left_hip", "left_knee"), ("left_knee", "left_ankle")):
        assert at(image, middle(poses, first, second)) == [100, 100, 100]
    assert at(image, poses.xy[0, KEYPOINTS.index("left_knee")]) == [100, 100, 100]
    assert at(image, poses.xy[0, KEYPOINTS.index("left_ankle")]) != [100, 100, 100]
    assert at(image, middle(poses, "right_hip", "right_knee")) == list(STYLE.right)


def test_low_scores_are_drawn_transparently() -> None:
    away = []
    for score in (0.2, 0.4, 0.9):
        poses = person(150, 20, 440)
        poses.score[0, KEYPOINTS.index("left_ankle")] = score
        image = SkeletonDrawer().draw(canvas(), poses)
        away.append(abs(at(image, middle(poses, "left_knee", "left_ankle"))[0] - STYLE.left[0]))
        assert at(image, middle(poses, "right_knee", "right_ankle")) == list(STYLE.right)
    assert away[0] > away[1] > away[2] == 0


def test_a_transparent_limb_leaves_the_rest_of_the_figure_unchanged() -> None:
    sure, poses = canvas(), person(150, 20, 440)
    SkeletonDrawer().draw(sure, poses)
    poses.score[0, KEYPOINTS.index("left_ankle")] = 0.3
    image = SkeletonDrawer().draw(canvas(), poses)
    knee = int(poses.xy[0, KEYPOINTS.index("left_knee"), 1])
    assert (image[: knee - 15] == sure[: knee - 15]).all()
    assert (changed(image) <= changed(sure)).all()


def test_larger_people_are_drawn_in_front_in_any_order() -> None:
    near, far = person(100, 20, 440), person(0, 0, 220)
    spot = middle(near, "left_hip", "right_hip")
    ankle = KEYPOINTS.index("left_ankle")
    far = Poses(far.boxes, far.xy + (spot - far.xy[0, ankle]), far.score)
    pictures = [SkeletonDrawer().draw(canvas(), together(*pair)) for pair in ((near, far), (far, near))]
    assert (pictures[0] == pictures[1]).all()
    assert at(pictures[0], spot) == list(STYLE.centre)


def test_thickness_follows_person_and_picture() -> None:
    def thick(picture: int, height: float) -> int:
        image, poses = canvas(picture, picture), person(60, 10, height)
        SkeletonDrawer().draw(image, poses)
        x, y = np.rint(middle(poses, "left_hip", "left_knee")).astype(int)
        return int(changed(image)[y, x - 40 : x + 40].sum())

    assert thick(1080, 1000) > thick(1080, 300) > 3
    assert thick(2160, 2000) >= 1.8 * thick(1080, 1000)
    assert thick(480, 60) >= 3


def test_positions_are_drawn_with_subpixel_precision() -> None:
    first, second = (SkeletonDrawer().draw(canvas(), person(150 + shift, 20, 440)) for shift in (0.0, 0.3))
    assert (first != second).any()
    brighter = second.astype(int) - first
    assert abs(brighter).mean() < 2


def test_boxes_and_ids_are_drawn_only_on_request() -> None:
    poses = person(250, 100, 300, track=7)
    plain = SkeletonDrawer().draw(canvas(), poses)
    boxed = SkeletonDrawer(DrawStyle(boxes=True)).draw(canvas(), poses)
    named = SkeletonDrawer(DrawStyle(ids=True)).draw(canvas(), poses)
    edge = (slice(150, 350), slice(250, 251))
    assert not changed(plain)[edge].any()
    assert changed(boxed)[edge].all()
    above = (slice(80, 115), slice(290, 360))
    assert changed(named)[above].sum() > changed(plain)[above].sum() + 100
    assert (SkeletonDrawer(DrawStyle(ids=True)).draw(canvas(), person(250, 100, 300)) == plain).all()


@pytest.mark.parametrize("corner", [(-100.0, -150.0), (600.0, 400.0), (-5000.0, 0.0)])
def test_people_partly_outside_the_image_are_drawn_without_error(corner: tuple[float, float]) -> None:
    for boxes in (False, True):
        SkeletonDrawer(DrawStyle(boxes=boxes, ids=True)).draw(canvas(), person(*corner, 300, score=0.4, track=12))


def test_joints_with_nan_or_huge_coordinates_are_not_drawn() -> None:
    poses = person(150, 20, 440)
    poses.xy[0, 9] = np.nan
    poses.xy[0, 10] = 1e9
    image = SkeletonDrawer().draw(canvas(), poses)
    assert at(image, middle(poses, "left_hip", "left_knee")) == list(STYLE.left)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_any_pose_is_drawn_on_an_image_of_any_size(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-60, 60, (3, 4))
    xy = rng.uniform(-60, 110, (3, 17, 2))
    poses = Poses(Boxes(corners, np.ones(3)), xy, rng.random((3, 17)), np.array([-1, 1, 123456]))
    image = SkeletonDrawer(DrawStyle(boxes=True, ids=True)).draw(canvas(height, width), poses)
    assert image.shape == (height, width, 3)


@pytest.mark.parametrize("text", ["1", "48", "1234"])
@pytest.mark.parametrize("height", [15, 24, 60])
def test_label_text_is_centred(text: str, height: int) -> None:
    picture, weight = render_label(text, height, (240, 228, 66))
    assert picture.shape[0] == height
    assert picture.shape[:2] == weight.shape[:2]
    ink = (picture.sum(axis=2) < 420) & (weight[:, :, 0] == 1)
    rim = height // 5
    ys, xs = np.nonzero(ink[rim:-rim, rim:-rim])
    assert abs((ys.min() + ys.max()) / 2 + rim - (height - 1) / 2) <= 1.5
    assert abs((xs.min() + xs.max()) / 2 + rim - (picture.shape[1] - 1) / 2) <= 2


def test_read_only_or_non_contiguous_images_are_refused() -> None:
    frozen = canvas()
    frozen.flags.writeable = False
    for image in (frozen, canvas()[:, ::-1]):
        with pytest.raises(ValueError, match="copy"):
            SkeletonDrawer().draw(image, person(150, 20, 440))
    with pytest.raises(ValueError, match="17 keypoints"):
        SkeletonDrawer().draw(canvas(), Poses.empty(5))


@pytest.mark.parametrize("wrong", [{"min_score": 1.5}, {"width": 0.0}])
def test_the_style_is_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DrawStyle(**wrong)  # type: ignore[arg-type]
