"""Evaluation with ids and categories as other tools write them; nothing that matches nothing is a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.eval_data import tpose_eval, write_set
from tposecli.utils.errors import InputError


def files(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a set and perfect results for it."""
    content = write_set(folder, 4)
    rows = [
        {**{key: one[key] for key in ("image_id", "category_id", "keypoints")}, "score": 0.9}
        for one in content["annotations"]
        if not one["iscrowd"] and one["num_keypoints"]
    ]
    return content, rows


def score(folder: Path, content: Any, rows: Any, *arguments: str) -> Any:
    (folder / "gt.json").write_text(json.dumps(content))
    (folder / "rows.json").write_text(json.dumps(rows))
    return tpose_eval("--annotations", folder / "gt.json", "--results", folder / "rows.json", *arguments)


def line(result: Any) -> str:
    assert result.exit_code == 0, result.output
    return next(line for line in result.stdout.splitlines() if line.startswith("rows.json"))


@pytest.mark.parametrize("make", [str, float, lambda n: f"{n:09d}", lambda n: f"cam1_{n}"])
@pytest.mark.parametrize("what", ["annotations", "results", "both"])
def test_ids_of_any_type_match(tmp_path: Path, make: Callable[[int], Any], what: str) -> None:
    content, rows = files(tmp_path)
    plain = line(score(tmp_path, content, rows))
    if what != "results":
        content["images"] = [{**one, "id": make(one["id"])} for one in content["images"]]
        content["annotations"] = [{**one, "image_id": make(one["image_id"])} for one in content["annotations"]]
    if what != "annotations":
        rows = [{**one, "image_id": make(one["image_id"])} for one in rows]
    result = score(tmp_path, content, rows)
    if isinstance(make(1), str) and make(1).startswith("cam") and what != "both":
        assert isinstance(result.exception, InputError)
    else:
        assert line(result) == plain


def test_the_category_is_the_one_named_person(tmp_path: Path) -> None:
    content, rows = files(tmp_path)
    plain = line(score(tmp_path, content, rows))
    cat = {**content["annotations"][0], "category_id": 1}
    del cat["keypoints"]
    content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}]
    content["annotations"] = [cat, *({**one, "category_id": 2} for one in content["annotations"])]
    result = score(tmp_path, content, [{**one, "category_id": "2"} for one in rows], "--strict")
    assert line(result) == plain
    assert "1 annotation of other categories: skipped (annotation 1, 'cat' (id 1))" in result.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category_id": 3}, "of other categories.*id 3 instead of 'person'"),
        ({"category_id": None}, "without a category_id"),
        ({"image_id": 5}, "not in the set"),
        ({"keypoints": [1, 2]}, "invalid"),
    ],
)
def test_results_that_match_nothing_are_an_error(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    content, rows = files(tmp_path)
    error = score(tmp_path, content, [{**one, **change} for one in rows]).exception
    assert isinstance(error, InputError)
    with pytest.raises(InputError, match=reason):
        raise error


def test_areas_that_are_all_0_are_taken_from_the_boxes(tmp_path: Path) -> None:
    content, rows = files(tmp_path)
    for one in content["annotations"]:
        del one["area"]
    plain = line(score(tmp_path, content, rows))
    for one in content["annotations"]:
        one["area"] = 0
    result = score(tmp_path, content, rows)
    assert line(result) == plain and "area 0, as all of this file" in result.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one.pop("bbox"), "without a bbox"),
        (lambda one: one.update(image_id=5), "images that the file does not list"),
        (lambda one: one.update(num_keypoints=0), "none has a labelled keypoint"),
    ],
)
def test_annotations_of_which_none_counts_are_an_error(tmp_path: Path, change: Any, reason: str) -> None:
    content, rows = files(tmp_path)
    for one in content["annotations"]:
        change(one)
    error = score(tmp_path, content, rows).exception
    assert isinstance(error, InputError) and reason in str(error)


def test_images_of_another_size_than_annotated_are_named(tmp_path: Path) -> None:
    content, _ = files(tmp_path)
    content["images"][0].update(width=320, height=240)
    content["images"] = [{**one, "id": f"cam_{one['id']}"} for one in content["images"]]
    content["annotations"] = [{**one, "image_id": f"cam_{one['image_id']}"} for one in content["annotations"]]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    given = ("--annotations", tmp_path / "gt.json", "--images", tmp_path / "images" / "val2017", "--boxes", "gt")
    result = tpose_eval(*given, "--no-flip-test", "--output", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "160x120, annotated as 320x240" in result.stdout
    assert {row["image_id"] for row in json.loads((tmp_path / "out.json").read_text())} <= {
        one["id"] for one in content["images"]
    }


def test_detections_are_those_of_the_category_of_the_set(tmp_path: Path) -> None:
    content, _ = files(tmp_path)
    content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}]
    content["annotations"] = [{**one, "category_id": 2} for one in content["annotations"]]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    box = {"image_id": str(content["images"][0]["id"]), "bbox": [5, 5, 60, 80], "score": 0.5}
    (tmp_path / "boxes.json").write_text(json.dumps([{**box, "category_id": key} for key in (1, 2)]))
    given = ("--annotations", tmp_path / "gt.json", "--images", tmp_path / "images" / "val2017", "--no-flip-test")
    result = tpose_eval(*given, "--boxes", tmp_path / "boxes.json", "--output", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert [row["category_id"] for row in json.loads((tmp_path / "out.json").read_text())] == [2]
    (tmp_path / "cats.json").write_text(json.dumps([{**box, "category_id": 1}]))
    assert isinstance(tpose_eval(*given, "--boxes", tmp_path / "cats.json").exception, InputError)
