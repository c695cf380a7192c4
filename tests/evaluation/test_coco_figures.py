"""Metrics compared with pycocotools, and reports."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.support.eval_data import (
    MODEL,
    detections,
    near_truth,
    put_detections,
    rows_of,
    tpose_eval,
    truth_of,
    write_set,
)
from tposecli.evaluation.coco.average_precision import FIGURES, Scores, score_boxes, score_poses
from tposecli.evaluation.coco.keypoint_set import COCO_SIGMAS
from tposecli.evaluation.coco.per_keypoint import details
from tposecli.evaluation.coco.problems import Problems
from tposecli.evaluation.coco.published import DETECTED, TABLES, published
from tposecli.evaluation.coco.report import EvalReport, text
from tposecli.models.catalog import CATALOG
from tposecli.pipeline.job import Summary
from tposecli.utils.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Isolate the tests from the user's cache."""
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Folder and content of a small set in the authors' layout."""
    return tmp_path / "coco", write_set(tmp_path / "coco")


def judged(content: dict[str, Any], rows: list[dict[str, Any]], kind: str, sigmas: Any = None) -> list[float]:
    """Return pycocotools' metrics."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(copy.deepcopy(rows)), kind)
        if sigmas is not None:
            judge.params.kpt_oks_sigmas = sigmas
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) for value in judge.stats]


@pytest.mark.parametrize("seed", range(12))
def test_figures_equal_pycocotools_bit_for_bit(data: tuple[Path, dict[str, Any]], seed: int) -> None:
    folder, content = data
    rows = near_truth(content, seed, spread=1.0 + seed)
    ours = score_poses(truth_of(folder), rows).figures
    assert [-1 if value is None else value for value in ours] == judged(content, rows, "keypoints")
    sigmas = np.linspace(0.03, 0.2, 17)
    ours = score_poses(truth_of(folder, sigmas=tuple(sigmas)), rows).figures
    assert [-1 if value is None else value for value in ours] == judged(content, rows, "keypoints", sigmas)
    boxes = detections(content, seed)
    assert score_boxes(truth_of(folder), boxes) == judged(content, boxes, "bbox")[0]
    half = truth_of(folder, limit=3)
    part = {**content, "images": content["images"][:3]}
    part["annotations"] = [one for one in content["annotations"] if one["image_id"] in half.ids]
    some = [row for row in rows if row["image_id"] in half.ids]
    assert [-1 if value is None else value for value in score_poses(half, some).figures] == judged(
        part, some, "keypoints"
    )


def test_no_detections_and_no_ground_truth(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    result = tpose_eval("--data-dir", folder, "--results", empty, "--report", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "r.json").read_text())["figures"]["AP"] == 0
    put_detections(folder, [])
    result = tpose_eval("--data-dir", folder, "--output", tmp_path / "rows.json")
    assert result.exit_code == 0 and rows_of(tmp_path / "rows.json") == []
    content["annotations"] = []
    (folder / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--report", tmp_path / "none.json")
    assert result.exit_code == 0, result.output
    assert set(json.loads((tmp_path / "none.json").read_text())["figures"].values()) == {None}


def test_results_of_other_programs_are_scored(tmp_path: Path) -> None:
    """Five keypoints, custom sigmas, an unknown image id, and an invalid row."""
    keypoints = [10.0, 10.0, 2, 20.0, 30.0, 2, 40.0, 15.0, 1, 0, 0, 0, 35.0, 5.0, 2]
    one = {"id": 0, "image_id": 5, "category_id": 3, "bbox": [0, 0, 50, 50], "keypoints": keypoints}
    content = {
        "images": [{"id": 5, "file_name": "a.jpg"}],
        "annotations": [one],
        "categories": [{"id": 3, "name": "bee", "keypoints": list("abcde"), "sigmas": [0.1] * 5}],
    }
    (tmp_path / "bees.json").write_text(json.dumps(content))
    row = {"image_id": 5, "category_id": 3, "keypoints": keypoints, "score": 0.5, "bbox": [0, 0, 1, 1]}
    (tmp_path / "rows.json").write_text(json.dumps([row, {**row, "image_id": 6}, {**row, "keypoints": [1]}]))
    given = ("--annotations", tmp_path / "bees.json", "--results", tmp_path / "rows.json")
    result = tpose_eval(*given, "--report", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["figures"]["AP"] == pytest.approx(1) and report["keypoints"][3]["labelled"] == 0
    assert "1 result of images that are not in the set: skipped (image 6)" in result.stdout
    assert "result 3 of rows.json" in result.stdout
    assert isinstance(tpose_eval(*given, "--strict").exception, InputError)
    assert "sigmas" in str(tpose_eval(*given, "--sigmas", "0.1,0.2").exception)


def test_keypoint_figures(data: tuple[Path, dict[str, Any]]) -> None:
    folder, content = data
    truth = truth_of(folder)
    counted = [one for one in content["annotations"] if one["num_keypoints"] and not one["iscrowd"] and one["area"]]
    content["annotations"] = counted
    exact = [{**one, "score": 1.0} for one in counted]
    found = details(truth, exact)
    assert sum(found.histogram) == len(counted) + 1 and found.histogram[-1] == len(counted)
    sides = copy.deepcopy(exact)
    for row in sides:
        row["keypoints"][15:21] = [*row["keypoints"][18:21], *row["keypoints"][15:18]]
    shoulder = details(truth, sides).keypoints[5]
    assert shoulder.swapped is not None and shoulder.found is not None
    assert shoulder.swapped > 0 and shoulder.found < 1
    assert details(truth, []).keypoints[0].found == 0


def test_published_rows_require_the_same_protocol() -> None:
    official = [spec for spec in CATALOG if not spec.bundled]
    assert {name for _, table in TABLES.values() for name in table} == {spec.name for spec in official}
    for spec in official:
        assert DETECTED[spec.name][0] == pytest.approx((spec.ap_detected or 0) / 100)
    ours = Scores(tuple(0.001 + (figure or 0) for figure in DETECTED["transpose-r-a3"]), {})
    for differs in ((), ("no flip test",)):
        row = published("transpose-r-a3", ("val2017", "detections"), differs)
        shown = text(EvalReport("ours", {"boxes": "some"}, Problems(), Summary("x"), ours, published=row))
        assert "0.717" in shown and "56.4-AP boxes" in shown
        assert ("+0.0010" in shown) == (not differs) and ("no flip test" in shown) == bool(differs)
    assert published(MODEL, ("val2017", "gt"), ()) is None


def test_reports_and_plots(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder, content = data
    (tmp_path / "rows.json").write_text(json.dumps(near_truth(content, 1, 1.0)))
    given = ("--data-dir", folder, "--results", tmp_path / "rows.json", "--plots", tmp_path / "plots")
    assert tpose_eval(*given, "--report", tmp_path / "r.md").exit_code == 0
    assert tpose_eval(*given, "--report", tmp_path / "r.json", "--overwrite").exit_code == 0
    assert isinstance(tpose_eval(*given, "--report", tmp_path / "r.json").exception, UsageError)
    document = (tmp_path / "r.md").read_text()
    assert "left_shoulder" in document and "](plots/precision_recall.png)" in document and "0.9 to 1.0" in document
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"precision_recall.png", "oks.png"}
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    figures = judged(content, near_truth(content, 1, 1.0), "keypoints")
    assert [report["figures"][name] for name in FIGURES] == [None if value < 0 else value for value in figures]
    assert sum(report["oks_histogram"]) == len([p for p in truth_of(folder).people.values() for p in p]) - 2
    assert COCO_SIGMAS.shape == (17,)
