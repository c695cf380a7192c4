"""COCO files, read back by the COCO API."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from tposecli.formats.coco.write import CocoDatasetSink, CocoResultsSink, image_ids
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import OutputError

PICTURE = np.zeros((480, 640, 3), np.uint8)


def result(index: int, people: int, smooth: bool = False, tracked: bool = True) -> Result:
    """A frame with random people."""
    rng = np.random.default_rng(index)
    corners = rng.uniform(0, 300, (people, 2))
    boxes = Boxes(np.concatenate([corners, corners + rng.uniform(50, 170, (people, 2))], axis=1), rng.random(people))
    xy, score = rng.uniform(0, 480, (people, 17, 2)), rng.random((people, 17))
    ids = np.arange(1, people + 1) if tracked else None
    poses = Poses(boxes, xy, score, ids)  # type: ignore[arg-type]
    smoothed = Poses(boxes, xy + 5, score, ids, np.ones((people, 17), np.uint8)) if smooth else None  # type: ignore[arg-type]
    return Result(Frame(PICTURE, index, index / 30, f"{index + 1:012d}.jpg", 512 * index), poses, smoothed)


def strict(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def written(path: Path, results: list[Result], **options: Any) -> Any:
    sink = CocoDatasetSink(path, {"description": "täst", "version": "1"}, **options)
    for one in results:
        sink.write(one)
    assert not path.exists()
    sink.close(complete=True)
    assert os.listdir(path.parent) == [path.name]
    return strict(path)


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000139.jpg", "000000000009.png"], [139, 9]),
        (["a/1.jpg", "b/01.jpg"], [1, 2]),
        (["7.jpg", "cat.jpg"], [1, 2]),
        (["٣.jpg"], [1]),
        ([], []),
    ],
)
def test_image_ids(names: list[str], ids: list[int]) -> None:
    assert image_ids(names) == ids


def test_a_dataset_opens_in_the_coco_api(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    written(path, [result(0, 2), result(1, 0), result(2, 3)])
    coco = COCO(str(path))
    assert coco.getImgIds() == [1, 2, 3]
    assert [len(coco.getAnnIds(imgIds=[image])) for image in (1, 2, 3)] == [2, 0, 3]
    person = coco.loadCats([1])[0]
    assert len(person["keypoints"]) == 17
    assert [16, 14] in person["skeleton"]


def test_fields_of_a_dataset_of_a_video(tmp_path: Path) -> None:
    data = written(tmp_path / "out.json", [result(0, 1), result(4, 2, smooth=True)], min_score=0.4)
    assert data["info"] == {"description": "täst", "version": "1"}
    image = {"id": 2, "file_name": "000000000005.jpg", "frame_index": 4, "pts": 2048, "time_s": 4 / 30}
    assert data["images"][1] == {**image, "width": 640, "height": 480}
    assert [a["id"] for a in data["annotations"]] == [1, 2, 3]
    assert [a["image_id"] for a in data["annotations"]] == [1, 2, 2]
    poses, smoothed = result(4, 2).poses, result(4, 2, smooth=True).smoothed
    assert smoothed is not None
    for person, annotation in enumerate(data["annotations"][1:]):
        keypoints = np.reshape(annotation["keypoints"], (17, 3))
        raw = np.reshape(annotation["raw_keypoints"], (17, 3))
        np.testing.assert_allclose(keypoints[:, :2], smoothed.xy[person], atol=0.01)
        np.testing.assert_allclose(raw[:, :2], poses.xy[person], atol=0.01)
        assert (keypoints[:, 2] == np.where(poses.score[person] >= 0.4, 2, 1)).all()
        assert all(isinstance(value, int) for value in annotation["keypoints"][2::3])
        np.testing.assert_allclose(annotation["keypoint_scores"], poses.score[person], atol=1e-5)
        assert annotation["keypoint_flags"] == [1] * 17
        x, y, width, height = annotation["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], poses.boxes.xyxy[person], atol=0.02)
        assert annotation["area"] == pytest.approx(width * height, rel=1e-3)
        assert annotation["score"] == pytest.approx(float(poses.person_score[person]), abs=1e-5)
        assert annotation["track_id"] == person + 1
        assert annotation["num_keypoints"] == 17
        assert annotation["iscrowd"] == 0


def test_stills_have_their_own_ids_and_no_times(tmp_path: Path) -> None:
    data = written(tmp_path / "out.json", [result(2, 1, tracked=False)], ids=[139, 9, 785])
    assert data["images"] == [{"id": 785, "file_name": "000000000003.jpg", "width": 640, "height": 480}]
    assert data["annotations"][0]["image_id"] == 785
    assert data["annotations"][0]["track_id"] is None


def test_an_empty_video_is_a_valid_dataset(tmp_path: Path) -> None:
    data = written(tmp_path / "out.json", [])
    assert data["images"] == []
    assert data["annotations"] == []


def test_results_score_full_marks_against_their_own_dataset(tmp_path: Path) -> None:
    """The same people as ground truth and as results: the API must find every one of them at every threshold."""
    results = [result(index, 1 + index % 3) for index in range(5)]
    written(tmp_path / "truth.json", results)
    sink = CocoResultsSink(tmp_path / "results.json")
    for one in results:
        sink.write(one)
    sink.close(complete=True)
    entries = strict(tmp_path / "results.json")
    assert set(entries[0]) == {"image_id", "category_id", "keypoints", "score"}
    assert len(entries[0]["keypoints"]) == 51
    truth = COCO(str(tmp_path / "truth.json"))
    evaluation = COCOeval_faster(
        truth, truth.loadRes(str(tmp_path / "results.json")), "keypoints", print_function=print
    )
    evaluation.params.kpt_oks_sigmas = np.full(17, 0.05)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_results_hold_final_poses_and_scores(tmp_path: Path) -> None:
    sink = CocoResultsSink(tmp_path / "r.json", ids=[7, 8])
    one = result(1, 2, smooth=True)
    sink.write(one)
    sink.close(complete=True)
    entries = strict(tmp_path / "r.json")
    assert [entry["image_id"] for entry in entries] == [8, 8]
    for person, entry in enumerate(entries):
        keypoints = np.reshape(entry["keypoints"], (17, 3))
        np.testing.assert_allclose(keypoints[:, :2], one.final.xy[person], atol=0.01)
        np.testing.assert_allclose(keypoints[:, 2], one.poses.score[person], atol=1e-5)
        assert entry["score"] == pytest.approx(float(one.poses.person_score[person]), abs=1e-5)


def test_incomplete_runs_leave_nothing(tmp_path: Path) -> None:
    sinks = [CocoDatasetSink(tmp_path / "d.json", {}), CocoResultsSink(tmp_path / "r.json")]
    for sink in sinks:
        sink.write(result(0, 2))
        sink.close(complete=False)
        sink.close(complete=True)
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_replaced_only_when_complete(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    sink = CocoResultsSink(tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text() == "old"
    sink.close(complete=True)
    assert strict(tmp_path / "r.json") == []


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    nan = Poses(Boxes([[0, 0, 1, 1]], [1]), np.full((1, 17, 2), np.nan), np.ones((1, 17)))
    sink = CocoResultsSink(tmp_path / "r.json")
    with pytest.raises(ValueError, match="JSON"):
        sink.write(Result(Frame(PICTURE, 0), nan))
    sink.close(complete=False)


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    sink, one = CocoDatasetSink(tmp_path / "d.json", {}), result(0, 3)
    for _ in range(20):
        sink.write(one)
    tracemalloc.start()
    for _ in range(300):
        sink.write(one)
    grown, _ = tracemalloc.get_traced_memory()
    sink.close(complete=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    assert peak < 4 << 20


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        CocoResultsSink(tmp_path / "nowhere" / "r.json")
