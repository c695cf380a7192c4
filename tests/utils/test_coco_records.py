"""Ids and categories of COCO files: equal ids match whatever their type, people are found by name or by keypoints."""

from __future__ import annotations

from typing import Any

import pytest

from tposecli.utils.coco_records import find_person_category, record_id

CAT, PERSON = {"id": 1, "name": "cat"}, {"id": 2, "name": "person"}
JOINTS = ["nose", "tail"]


@pytest.mark.parametrize("value", [7, 7.0, "7", "007", " 7 "])
def test_equal_ids_are_equal_whatever_their_type(value: Any) -> None:
    assert record_id(value) == 7


@pytest.mark.parametrize("value", ["cam1_00001", "1.5", "٣", "9" * 30, "-"])
def test_other_text_is_an_id_as_it_is(value: str) -> None:
    assert record_id(value) == value


@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, "", float("nan")])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        record_id(value)


@pytest.mark.parametrize(
    ("categories", "used", "ids"),
    [
        ([CAT, PERSON], {1, 2}, {2}),
        ([CAT, {"id": "5", "name": " Person "}], (), {5}),
        ([CAT, {"id": 3, "name": "pedestrian"}], (), {3}),
        ([CAT, {"id": 3, "name": "dancer", "keypoints": JOINTS}], (), {3}),
        ([{"id": 0, "name": "person"}, {"id": 1, "name": "person"}], {1}, {1}),
        ([{"id": 4, "name": "player"}], (), {4}),
        ([], {7}, {7}),
        (None, {1, 3}, {1}),
        (None, (), {1}),
        ([None, 3, {"id": []}], (), {1}),
    ],
)
def test_the_category_of_people(categories: Any, used: Any, ids: set[int]) -> None:
    assert find_person_category(categories, used).ids == ids


def test_of_boxes_the_name_counts_and_of_keypoints_having_them() -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "body", "keypoints": JOINTS}]
    assert find_person_category(categories).ids == {1}
    assert find_person_category(categories, keypoints=True).ids == {2}


def test_categories_with_the_same_keypoints_are_one_if_none_is_named_person() -> None:
    animals = [{"id": n, "name": name, "keypoints": JOINTS} for n, name in ((3, "dog"), (5, "cow"))]
    assert find_person_category([*animals, CAT], {3, 5}, keypoints=True).ids == {3, 5}


@pytest.mark.parametrize(("categories", "used"), [([CAT, {"id": 2, "name": "dog"}], {1}), (None, {3, 4})])
def test_no_category_of_people_is_an_error(categories: Any, used: set[int]) -> None:
    with pytest.raises(ValueError, match=r"cat.*dog|3, 4"):
        find_person_category(categories, used)
