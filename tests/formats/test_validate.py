"""Good files are found good, and every kind of damage is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from tposecli.cli.main import cli
from tposecli.formats.coco.write import CocoDatasetSink, CocoResultsSink
from tposecli.formats.journal.journal import JournalWriter
from tposecli.formats.validate import MAX_REPORTED, schema, validate
from tposecli.geometry.keypoints import KEYPOINTS, LIMBS
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import InputError

HEADER = {
    "tool_version": "0.1.0",
    "source": "walk.mp4",
    "size_wh": [640, 480],
    "fps": "30000/1001",
    "time_base": "1/30000",
    "keypoint_names": list(KEYPOINTS),
    "skeleton": [list(limb) for limb in LIMBS],
}


def results(count: int = 4) -> list[Result]:
    """Frames with 0 to 2 people."""
    rng, picture = np.random.default_rng(0), np.zeros((480, 640, 3), np.uint8)
    found = []
    for index in range(count):
        people = index % 3
        boxes = Boxes(np.tile([[-5.0, 20.0, 200.0, 400.0]], (people, 1)), np.ones(people))
        xy, score = rng.uniform(0, 480, (people, 17, 2)), rng.random((people, 17))
        poses = Poses(boxes, xy, score, np.arange(1, people + 1))
        found.append(Result(Frame(picture, index, index / 30, "walk.mp4", 1001 * index), poses))
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """As the program writes it."""
    path = tmp_path / "o.mp4.poses.jsonl"
    writer = JournalWriter(path, HEADER)
    for result in results():
        writer.write(result.frame, result.poses)
    writer.close()
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """As the program writes it."""
    path = tmp_path / "o.json"
    sink = CocoDatasetSink(path, {"description": "poses"})
    for result in results():
        sink.write(result)
    sink.close(complete=True)
    return path


@pytest.mark.parametrize("name", ["journal", "coco-dataset", "coco-results"])
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_our_files_are_valid(journal: Path, dataset: Path, tmp_path: Path) -> None:
    sink = CocoResultsSink(tmp_path / "r.json")
    for result in results():
        sink.write(result)
    sink.close(complete=True)
    for path, kind, counts in (
        (journal, "journal", {"frames": 4, "people": 3}),
        (dataset, "COCO dataset", {"images": 4, "people": 3}),
        (tmp_path / "r.json", "COCO results", {"images": 2, "people": 3}),
    ):
        verdict = validate(path)
        assert verdict.problems == []
        assert verdict.kind == kind
        assert dict(verdict.counts) == counts


def test_sample_media_are_valid(media: Path) -> None:
    for path in (media / "walk.json", media / "stills.json"):
        assert validate(path).problem_count == 0


def test_every_line_of_a_journal_fits_the_whole_schema(journal: Path) -> None:
    rules = Draft202012Validator(schema("journal"))
    for line in journal.read_text().splitlines():
        rules.validate(json.loads(line))


@pytest.mark.parametrize(
    ("line", "change", "problem"),
    [
        (1, lambda header: header.pop("source"), "line 1: 'source' is a required property"),
        (1, lambda header: header.update(schema_version=2), "line 1: schema_version"),
        (1, lambda header: header.update(fps=29.97), "line 1: fps"),
        (3, lambda frame: frame.update(frame=0), "line 3: frame 0 comes after frame 0"),
        (3, lambda frame: frame.update(width=641), "line 3: got 641x480 pixels"),
        (3, lambda frame: frame.update(pts="1"), "line 3: pts"),
        (3, lambda frame: frame["people"][0]["keypoints"].pop(), "line 3: person 0: got 16 keypoints"),
        (3, lambda frame: frame["people"][0]["keypoints"][2].pop(), "line 3: people[0].keypoints[2]"),
        (3, lambda frame: frame["people"][0].update(box=[200, 0, 100, 10]), "line 3: person 0: box of -100x10"),
        (3, lambda frame: frame["people"][0].update(box=[700, 0, 800, 10]), "line 3: person 0: box outside"),
        (3, lambda frame: frame["people"][0].update(score=1.5), "line 3: people[0].score"),
    ],
)
def test_damage_to_a_journal_is_found(journal: Path, line: int, change: Callable[[Any], Any], problem: str) -> None:
    lines = journal.read_text().splitlines()
    content = json.loads(lines[line - 1])
    change(content)
    lines[line - 1] = json.dumps(content)
    journal.write_text("\n".join([*lines, ""]))
    verdict = validate(journal)
    assert verdict.problem_count == 1
    assert verdict.problems[0].startswith(problem)


def test_a_truncated_line_and_one_that_is_not_json(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b'{"frame": NaN}\n', lines[3], lines[4][:-9]]))
    assert [problem.partition(";")[0] for problem in validate(journal).problems] == [
        "line 3: not JSON",
        "line 5: truncated",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.pop("categories"), "'categories' is a required"),
        (lambda data: data["images"][1].update(id=1), "images: id 1 occurs 2 times"),
        (lambda data: data["annotations"][1].update(id=1), "annotations: id 1 occurs 2 times"),
        (lambda data: data["annotations"][1].update(image_id=99), "annotation 2: image 99 does not exist"),
        (lambda data: data["annotations"][1].update(category_id=9), "annotation 2: category 9 does not exist"),
        (
            lambda data: data["annotations"][0]["keypoints"].pop(),
            "annotation 1: keypoints: got 50 numbers, expected 51",
        ),
        (lambda data: data["annotations"][0]["raw_keypoints"].pop(), "annotation 1: raw_keypoints: got 50 numbers"),
        (lambda data: data["annotations"][0]["keypoint_scores"].pop(), "annotation 1: keypoint_scores: got 16 numbers"),
        (lambda data: data["annotations"][0].update(num_keypoints=3), "annotation 1: num_keypoints: 3, but 17"),
        (lambda data: data["annotations"][0]["keypoints"].__setitem__(2, 3), "annotation 1: keypoints: expected v"),
        (lambda data: data["annotations"][0].update(bbox=[700, 0, 5, 5]), "annotation 1: box outside"),
        (lambda data: data["annotations"][0].update(bbox=[7, 0, 5]), "annotations[0].bbox: [7, 0, 5]"),
        (
            lambda data: data["annotations"][2].update(track_id=1, attributes={"track_id": 1}),
            "image 3: track 1 occurs 2 times",
        ),
        (lambda data: data["annotations"][0].update(track_id=0), "annotations[0].track_id"),
        (lambda data: data["categories"][0]["skeleton"].append([1, 18]), "category 1: its skeleton"),
    ],
)
def test_damage_to_a_dataset_is_found(dataset: Path, change: Callable[[Any], Any], problem: str) -> None:
    content = json.loads(dataset.read_text())
    change(content)
    dataset.write_text(json.dumps(content))
    verdict = validate(dataset)
    assert verdict.problem_count >= 1
    assert verdict.problems[0].startswith(problem)


def test_damage_to_results_is_found(tmp_path: Path) -> None:
    good = {"image_id": 1, "category_id": 1, "keypoints": [0.5] * 51, "score": 0.5}
    for bad, problem in (
        ([], "empty"),
        ([good, good | {"keypoints": [1]}], "result 1: keypoints: got 1 numbers"),
        ([good | {"score": "high"}], "[0].score"),
    ):
        (tmp_path / "r.json").write_text(json.dumps(bad))
        assert validate(tmp_path / "r.json").problems[0].startswith(problem)


def test_all_problems_are_counted_but_not_all_reported(dataset: Path) -> None:
    content = json.loads(dataset.read_text())
    one = content["annotations"][0]
    content["annotations"] = [copy.deepcopy(one) | {"id": number, "image_id": 77} for number in range(100)]
    dataset.write_text(json.dumps(content))
    verdict = validate(dataset)
    assert verdict.problem_count >= 100
    assert len(verdict.problems) == MAX_REPORTED


@pytest.mark.parametrize("content", ["", "{}", "a,b\n1,2\n", '{"a": NaN}', "3"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    with pytest.raises(InputError, match="neither"):
        validate(tmp_path / "x")


def test_command(journal: Path, dataset: Path, tmp_path: Path) -> None:
    good = CliRunner().invoke(cli, ["validate", str(journal), str(dataset)])
    assert good.exit_code == 0
    assert good.output.count("valid;") == 2
    content = json.loads(dataset.read_text())
    content["images"][1]["id"] = 1
    dataset.write_text(json.dumps(content))
    bad = CliRunner().invoke(cli, ["validate", str(tmp_path / "none.json"), str(dataset), str(journal)])
    assert bad.exit_code == 1
    assert "none.json: cannot be read" in bad.stderr
    assert "images: id 1 occurs 2 times" in bad.stderr
    assert "journal, valid" in bad.stdout
