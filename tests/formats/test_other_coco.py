"""COCO files of other tools in ``convert`` and ``render``: ids of any type, categories, nothing left out silently."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.media import write_image
from tposecli.formats.align import PoseInput, align
from tposecli.formats.base import PoseFile
from tposecli.formats.read import read_poses
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.utils.errors import InputError

PERSON = {"id": 1, "name": "person", "keypoints": list(KEYPOINTS)}


def person(image_id: Any, at: float = 10, **fields: Any) -> dict[str, Any]:
    keypoints = [at, 20, 2] * 17
    return {"image_id": image_id, "category_id": 1, "bbox": [1, 2, 30, 40], "keypoints": keypoints, **fields}


def dataset(*ids: Any, annotations: list[Any], categories: Any = (PERSON,)) -> dict[str, Any]:
    images = [{"id": key, "file_name": f"cam_{key}.jpg", "width": 64, "height": 48} for key in ids]
    return {"images": images, "annotations": annotations, "categories": list(categories)}


def read(folder: Path, content: Any) -> PoseFile:
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    found = read_poses(path)
    assert isinstance(found, PoseFile)
    return found


def noses(found: PoseFile) -> dict[str, list[float]]:
    return {f.name: found.poses[f.id].xy[:, 0, 0].tolist() if f.id in found.poses else [] for f in found.frames}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tposecli")
    return caplog


@pytest.mark.parametrize(
    ("listed", "used"),
    [
        ((1, 2), ("1", "2")),
        (("1", "2"), (1, 2)),
        (("x", "y"), ("x", "y")),
        ((1.0, "02"), (1, 2)),
        (("é/1", -3), ("é/1", "-3")),
    ],
)
def test_ids_match_whatever_their_type(tmp_path: Path, listed: Any, used: Any) -> None:
    annotations = [person(used[1], 30), person(used[0], 10), person(used[1], 31)]
    found = read(tmp_path, dataset(*listed, annotations=annotations))
    assert noses(found) == {f"cam_{listed[0]}.jpg": [10], f"cam_{listed[1]}.jpg": [30, 31]}


def test_an_image_that_is_not_listed_is_named_as_the_file_does(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="people are in image 'z', which is not among its images"):
        read(tmp_path, dataset("x", annotations=[person("z")]))


def test_text_ids_go_through_to_the_images_and_the_output(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for name in ("cam_x.jpg", "cam_y.jpg"):
        write_image(tmp_path / "p" / name, np.zeros((48, 64, 3), np.uint8))
    found = read(tmp_path, dataset("y", "x", annotations=[person("x", 5), person("y", 7)]))
    frames = list(align(found, PoseInput(found.path, inputs=(str(tmp_path / "p"),))).frames)
    assert [(f.name, f.poses.xy[0, 0, 0]) for f in frames] == [("cam_x.jpg", 5), ("cam_y.jpg", 7)]
    assert [f.index for f in align(found, PoseInput(found.path)).frames] == [0, 1]


def test_other_categories_are_counted_and_named(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    dog = {"id": 7, "name": "dog", "keypoints": ["nose", "tail"]}
    others = [
        person(1, category_id=7, keypoints=[1, 2, 2] * 2),
        {"image_id": 1, "category_id": "7", "bbox": [1, 1, 2, 2]},
    ]
    bare = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}
    crowd = {**bare, "iscrowd": 1}
    content = dataset(1, annotations=[*others, person("1", 5), bare, crowd], categories=(dog, PERSON))
    assert noses(read(tmp_path, content)) == {"cam_1.jpg": [5]}
    assert "left out annotations of other categories: 2 of 'dog' (id 7)" in said.text
    assert "left out people without keypoints: 1" in said.text


def test_categories_with_the_same_keypoints_are_all_people(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    kinds = [{**PERSON, "id": number, "name": name} for number, name in ((3, "player"), (5, "referee"))]
    annotations = [person(1, 5, category_id=5), person(1, 3, category_id=3)]
    assert sorted(noses(read(tmp_path, dataset(1, annotations=annotations, categories=kinds)))["cam_1.jpg"]) == [3, 5]
    assert "left out" not in said.text


def test_the_only_poses_are_taken_and_their_name_is_said(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    cat = {"id": 2, "name": "cat", "keypoints": list(KEYPOINTS)}
    found = read(tmp_path, dataset(1, annotations=[person(1, 5, category_id=2)], categories=(PERSON, cat)))
    assert noses(found) == {"cam_1.jpg": [5]} and "its only poses are of 'cat' (id 2)" in said.text


def test_nothing_but_boxes_is_an_error_with_the_reason(tmp_path: Path) -> None:
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}] * 3
    with pytest.raises(
        InputError, match=r"no keypoints of people, only annotations of other kinds .3 of 'person' .id 1"
    ):
        read(tmp_path, dataset(1, annotations=boxes))


def test_unclear_categories_are_an_error(tmp_path: Path) -> None:
    kinds = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    with pytest.raises(InputError, match=r"no category is named person or has keypoints, only 'a' .id 1., 'b' .id 2."):
        read(tmp_path, dataset(1, annotations=[person(1), person(1, category_id=2)], categories=kinds))


class TestResults:
    def test_ids_as_text_are_numbers(self, tmp_path: Path) -> None:
        found = read(tmp_path, [person("1", 5), person(3, 7), person("03", 8)])
        assert [(f.index, f.id) for f in found.frames] == [(0, 1), (1, 2), (2, 3)]
        assert found.poses[3].xy[:, 0, 0].tolist() == [7, 8]

    def test_names_with_one_number_for_two_cameras_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="'cam1_0001' and 'cam2_0001' have the same number"):
            read(tmp_path, [person("cam1_0001"), person("cam2_0001")])

    def test_names_match_images(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        for name in ("a_7.jpg", "b_2.jpg", "c_1.jpg"):
            write_image(tmp_path / "p" / name, np.zeros((48, 64, 3), np.uint8))
        found = read(tmp_path, [person("b_2.jpg", 5), person("a_7", 6)])
        frames = list(align(found, PoseInput(found.path, inputs=(str(tmp_path / "p"),))).frames)
        assert [f.poses.xy[:, 0, 0].tolist() for f in frames] == [[6], [5], []]

    @pytest.mark.parametrize(("kinds", "kept"), [((1, 3, 1), [0, 2]), ((3, 3, 3), [0, 1, 2]), (("1", 1.0, 9), [0, 1])])
    def test_categories(
        self, tmp_path: Path, said: pytest.LogCaptureFixture, kinds: tuple[Any, ...], kept: list[int]
    ) -> None:
        people = [person(1, 10 + place, category_id=kind) for place, kind in enumerate(kinds)]
        found = read(tmp_path, people)
        assert found.poses[1].xy[:, 0, 0].tolist() == [10 + place for place in kept]
        assert ("left out annotations of other categories: 1 of id" in said.text) == (len(kept) < 3)

    def test_two_categories_without_person_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no list of categories says which of 2, 3 is people"):
            read(tmp_path, [person(1, category_id=2), person(1, category_id=3)])
