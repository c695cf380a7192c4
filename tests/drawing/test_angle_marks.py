"""Angles on the image: a number at each joint that is seen, a sector where it is bent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.geometry.test_facing import seen, walker
from tposecli.cli.main import cli
from tposecli.drawing.labels import render_label
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.drawing.style import DrawStyle
from tposecli.geometry.keypoints import KEYPOINTS, KeypointLayout
from tposecli.types import Boxes, Poses

LEFT_KNEE, LEFT_ANKLE = KEYPOINTS.index("left_knee"), KEYPOINTS.index("left_ankle")


def drawn(frame: int, angles: bool, score: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw a walker; the image and the (17, 2) joints."""
    xy = seen(walker(90), 220.0)[frame] + np.array([0, 100])
    poses = Poses(Boxes([[0, 0, 9, 9]], [1]), xy[None], (np.ones(17) if score is None else score)[None], [1])  # type: ignore[arg-type]
    return SkeletonDrawer(DrawStyle(angles=angles)).draw(np.zeros((720, 900, 3), np.uint8), poses, 0.0), xy


def change_near(first: np.ndarray, second: np.ndarray, at: np.ndarray) -> int:
    x, y = np.rint(at).astype(int)
    part = (slice(y - 40, y + 40), slice(x - 60, x + 60))
    return int((first[part] != second[part]).any(axis=2).sum())


def test_each_joint_that_is_seen_has_its_number() -> None:
    (plain, xy), (marked, _) = drawn(10, False), drawn(10, True)
    for name in ("left_knee", "right_knee", "left_hip", "left_elbow", "left_shoulder"):
        assert change_near(plain, marked, xy[KEYPOINTS.index(name)]) > 100, name
    hidden = np.where(np.isin(np.arange(17), [LEFT_ANKLE, KEYPOINTS.index("right_ankle")]), 0.05, 1.0)
    (plain, xy), (marked, _) = drawn(10, False, hidden), drawn(10, True, hidden)
    assert change_near(plain, marked, xy[LEFT_KNEE]) == 0, "no ankle, no angle"
    assert change_near(plain, marked, xy[KEYPOINTS.index("left_elbow")]) > 100


def test_the_sign_of_degrees_is_drawn() -> None:
    with_sign, without = (render_label(text, 40, (255, 255, 255))[0] for text in ("56°", "56"))
    assert with_sign.shape[1] > without.shape[1]


def test_other_keypoints_have_no_angles(tmp_path: Path) -> None:
    from tposecli.attention.style import AttentionStyle
    from tposecli.pipeline.job import DrawingSettings, FileSettings, Outputs
    from tposecli.pipeline.outputs import SinkFactory
    from tposecli.utils.errors import UsageError

    layout = KeypointLayout(("tip", "tail"), ((0, 1),), (0, 1), (0.1, 0.1))
    drawing = DrawingSettings(DrawStyle(angles=True))
    factory = SinkFactory(Outputs(tmp_path / "o"), drawing, FileSettings(), AttentionStyle(), 1)
    with pytest.raises(UsageError, match="--labels angles: for COCO's 17 keypoints only"):
        list(factory.open(layout.to_dict()))


def test_images_get_them(tmp_path: Path, media: Path) -> None:
    still = str(media / "stills" / "still_01.jpg")
    for name, words in (("plain", []), ("angles", ["--labels", "angles"])):
        out = str(tmp_path / f"{name}.png")
        ran = CliRunner().invoke(cli, ["images", still, "-o", out, "--detector", "bundled", "-q", *words])
        assert ran.exit_code == 0, ran.output
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "angles.png").read_bytes()
