"""What the overlay of a video shows, and that it neither jumps nor has edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.attention.test_attention import GRID, SIZE_WH, STRIDE, WHOLE, with_attention
from tposecli.attention import overlay
from tposecli.attention.overlay import AttentionPainter
from tposecli.attention.steady import Steady
from tposecli.attention.style import AttentionStyle, PerPerson
from tposecli.types import Frame, Image, Poses, Result

GREY = 90
HEAD, FOOT = (6, 9), (18, 9)
"""Cells that all attention of the first two keypoints goes to."""
NOSE, ANKLE = 0, 16


def frame_of(scores: dict[int, float], time_s: float = 0.0, peaks: tuple[float, float] = (1, 1)) -> Result:
    """Return a frame of one tracked person; the nose attends to ``HEAD``, the ankle to ``FOOT``."""
    maps = np.full((1, 17, *GRID), 1e-5)
    maps[0, NOSE][HEAD], maps[0, ANKLE][FOOT] = peaks
    result = with_attention(WHOLE, np.full((17, 2), 120.0), maps)
    score = np.full((1, 17), 0.05)
    for keypoint, value in scores.items():
        score[0, keypoint] = value
    poses = Poses(result.poses.boxes, result.poses.xy, score, np.array([1]))
    return replace(result, poses=poses, frame=Frame(result.frame.image, round(time_s * 30), time_s))


def shown(image: Image, cell: tuple[int, int], result: Result) -> float:
    """Return how strongly a cell of the grid is coloured."""
    assert result.matrices is not None
    matrix = result.matrices[0]
    x, y = ((np.array(cell[::-1]) + 0.5) * STRIDE - 0.5 - matrix[:, 2]) / matrix[0, 0]
    return float(np.abs(image[round(y), round(x)].astype(float) - GREY).max())


def paint(result: Result, keypoints: tuple[int, ...] | PerPerson = "confident") -> Image:
    return AttentionPainter(AttentionStyle(keypoints), STRIDE).paint(result)


def test_the_default_shows_all_confident_keypoints_and_a_chosen_one_alone() -> None:
    both = frame_of({NOSE: 0.9, ANKLE: 0.7})
    assert shown(paint(both), HEAD, both) > 50 and shown(paint(both), FOOT, both) > 50
    one = frame_of({NOSE: 0.9, ANKLE: 0.1})
    assert shown(paint(one), HEAD, one) > 50 and shown(paint(one), FOOT, one) == 0
    assert shown(paint(both, (ANKLE,)), HEAD, both) == 0
    assert shown(paint(one, (ANKLE,)), FOOT, one) > 50, "a chosen keypoint is shown whatever its score"


def test_the_default_does_not_jump_when_another_keypoint_scores_best() -> None:
    painter = AttentionPainter(AttentionStyle(), STRIDE)
    frames = [frame_of({NOSE: 0.8 + 0.1 * (n % 2), ANKLE: 0.9 - 0.1 * (n % 2)}, n / 30) for n in range(6)]
    images = [painter.paint(frame).astype(int) for frame in frames]
    assert max(abs(after - before).max() for before, after in pairwise(images)) == 0


def test_a_keypoint_fades_instead_of_blinking_and_the_scale_of_a_map_does_not_pump() -> None:
    painter = AttentionPainter(AttentionStyle(), STRIDE)
    levels = []
    for number in range(40):
        sure = number % 2 == 0
        frame = frame_of({NOSE: 0.45 if sure else 0.15, ANKLE: 0.9}, number / 30, (1, 1 if sure else 0.5))
        image = painter.paint(frame)
        levels.append((shown(image, HEAD, frame), shown(image, FOOT, frame)))
    changes = np.abs(np.diff(np.array(levels[20:]), axis=0)).max(axis=0)
    alone = [shown(paint(frame_of({NOSE: score, ANKLE: 0.9})), HEAD, frame_of({})) for score in (0.45, 0.15)]
    assert abs(alone[0] - alone[1]) > 50
    assert (changes < 20).all()


@pytest.mark.parametrize("strongest", [NOSE, ANKLE])
def test_the_legend_names_the_joints(monkeypatch: pytest.MonkeyPatch, strongest: int) -> None:
    texts: list[str] = []
    render = overlay.render_label

    def recorded(text: str, *arguments: object) -> object:
        texts.append(text)
        return render(text, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(overlay, "render_label", recorded)
    frame = frame_of({NOSE: 0.5, ANKLE: 0.6, strongest: 0.9})
    for keypoints in ("confident", "strongest", (9, 10)):
        paint(frame, keypoints)  # type: ignore[arg-type]
    name = {NOSE: "nose", ANKLE: "right ankle"}[strongest]
    assert texts == [
        "all confident keypoints - last layer - dependency",
        f"strongest: {name} - last layer - dependency",
        "left wrist, right wrist - last layer - dependency",
    ]


def test_diffuse_attention_paints_no_rectangle(rng: np.random.Generator) -> None:
    maps = rng.uniform(0.8, 1.2, (1, 17, *GRID)) / np.prod(GRID)
    result = with_attention(WHOLE, np.full((17, 2), 120.0), maps)
    assert np.abs(paint(result)[:200].astype(int) - GREY).max() <= 1


def test_the_border_of_the_crop_is_no_edge() -> None:
    maps = np.full((1, 17, *GRID), 1e-4)
    maps[:, :, :, -1] = maps[:, :, :, 0] = 0.02
    result = with_attention(WHOLE, np.full((17, 2), 120.0), maps)
    assert result.matrices is not None
    strength = AttentionPainter(AttentionStyle(), STRIDE)._strength
    painter = AttentionPainter(AttentionStyle(), STRIDE)
    found = strength(painter._scene(result), -1, "confident")
    cell = STRIDE / result.matrices[0, 0, 0]
    assert found.shape == SIZE_WH[::-1] and 0.1 < found.max() < 0.6
    assert np.abs(np.diff(found, axis=1)).max() < found.max() / (cell / 3)


def test_averages_follow_each_person_and_forget_who_is_gone() -> None:
    steady = Steady(0.5)
    people = np.array([1, 2, -1])
    steady(np.array([0, 10, 0], np.float32), people, 0.0)
    after = steady(np.array([1, 11, 1], np.float32), people, 0.5)
    assert np.allclose(after, [1 - np.exp(-1), 11 - np.exp(-1), 1])
    swapped = steady(np.array([11, 1], np.float32), people[[1, 0]], 0.5)
    assert np.allclose(swapped, after[[1, 0]]), "no time has passed"
    assert np.allclose(steady(np.array([5, 5], np.float32), people[:2], 3.0), 5)
