"""Annotations improved with another model's keypoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tposecli.cli.main import cli
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.lab.training.relabel import ARMS, FACE, LEGS, relabel_annotations

STANDING = np.array(
    [
        *((50, 15), (53, 12), (47, 12), (56, 14), (44, 14), (60, 30), (40, 30), (66, 45), (34, 45), (68, 60), (32, 60)),
        *((56, 62), (44, 62), (57, 82), (43, 82), (58, 100), (42, 100)),
    ],
    np.float64,
)
"""(17, 2) joints of a person who faces the camera."""


def annotation(xy: np.ndarray, unknown: tuple[int, ...] = FACE) -> dict[str, Any]:
    joints = np.column_stack([xy, np.ones(17)])
    joints[list(unknown)] = 0
    head = {"neck": [50, 26], "head_top": [50, 4]}
    return {"id": 1, "image_id": 7, "bbox": [30, 4, 40, 98], **head, "keypoints": joints.ravel().tolist()}


def improved(entry: dict[str, Any], xy: np.ndarray, score: float = 0.9) -> tuple[np.ndarray, dict[str, int]]:
    prediction = {"image_id": 7, "keypoints": np.column_stack([xy, np.full(17, score)]).ravel().tolist()}
    data, counts = relabel_annotations({"images": [], "annotations": [entry]}, [prediction])
    return np.array(data["annotations"][0]["keypoints"]).reshape(-1, 3), counts


def test_faces_are_added_and_annotated_joints_are_not_moved() -> None:
    entry = annotation(STANDING)
    joints, counts = improved(entry, STANDING + 1.5)
    np.testing.assert_allclose(joints[:5, :2], STANDING[:5] + 1.5)
    np.testing.assert_allclose(joints[5:, :2], STANDING[5:])
    assert counts == {f"{KEYPOINTS[joint]} added": 1 for joint in FACE}
    assert np.array(entry["keypoints"]).reshape(-1, 3)[0, 2] == 0, "the given annotation is not modified"


def test_faces_far_from_the_head_or_with_low_scores_are_not_added() -> None:
    away = STANDING.copy()
    away[:5] += (0, 60)
    assert not improved(annotation(STANDING), away)[0][:5, 2].any()
    assert not improved(annotation(STANDING), STANDING, score=0.2)[0][:5, 2].any()


@pytest.mark.parametrize(("name", "group"), [("arms", ARMS), ("legs", LEGS)])
def test_swapped_sides_are_corrected(name: str, group: tuple[int, ...]) -> None:
    wrong = STANDING.copy()
    wrong[list(group)] = STANDING[[MIRROR[joint] for joint in group]]
    joints, counts = improved(annotation(wrong), STANDING)
    np.testing.assert_allclose(joints[5:, :2], STANDING[5:])
    assert counts[f"sides of the {name} swapped"] == 1


def test_sides_of_people_upside_down_are_left_alone() -> None:
    entry = annotation(STANDING)
    entry |= {"neck": [50, 88], "head_top": [50, 104]}
    mirrored = STANDING[list(MIRROR)]
    np.testing.assert_allclose(improved(entry, mirrored)[0][5:, :2], STANDING[5:])


def test_unannotated_joints_of_the_body_need_a_higher_score() -> None:
    entry = annotation(STANDING, (*FACE, 9))
    assert improved(entry, STANDING, score=0.4)[0][9, 2] == 0
    assert improved(entry, STANDING, score=0.6)[0][9, 2] == 1


def test_relabel_command_writes_the_improved_file_and_refuses_other_files(tmp_path: Path) -> None:
    data = {"images": [{"id": 7}], "annotations": [annotation(STANDING)], "categories": [{"id": 1}]}
    prediction = {"image_id": 7, "keypoints": np.column_stack([STANDING, np.ones(17)]).ravel().tolist()}
    for name, content in (("a.json", data), ("b.json", [prediction]), ("c.json", {"no": 1})):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    paths = {name: str(tmp_path / f"{name}.json") for name in "abcop"}
    done = CliRunner().invoke(cli, ["data", "relabel", paths["a"], paths["b"], "-o", paths["o"]])
    assert done.exit_code == 0 and "nose added" in done.output
    made = json.loads(Path(paths["o"]).read_text(encoding="utf-8"))
    assert made["categories"] == data["categories"] and made["annotations"][0]["num_keypoints"] == 17
    bad = CliRunner().invoke(cli, ["data", "relabel", paths["a"], paths["c"], "-o", paths["p"]])
    assert bad.exit_code != 0 and "c.json" in str(bad.exception)


def test_ids_of_any_type_match_and_other_categories_stay() -> None:
    entry = {**annotation(STANDING), "image_id": "7", "category_id": 2}
    cat = {"id": 2, "image_id": "7", "category_id": 1, "bbox": [0, 0, 5, 5]}
    prediction = {"image_id": 7.0, "keypoints": np.column_stack([STANDING, np.full(17, 0.9)]).ravel().tolist()}
    content = {"annotations": [cat, entry], "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}]}
    data, counts = relabel_annotations(content, [prediction])
    assert data["annotations"][0] == cat and data["annotations"][1]["num_keypoints"] == 17
    assert sum("another category" in what for what in counts) == 1
    with pytest.raises(ValueError, match="no result"):
        relabel_annotations(content, [{**prediction, "image_id": 8}])
