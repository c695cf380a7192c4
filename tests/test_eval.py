"""Evaluations run as a user runs them, held against the authors' way written down plainly, and against pycocotools."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from eval_data import detections, near_truth, write_set
from media import orient
from plain_eval import plain_rows, true_people
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_models import draw_weights

from tposecli.cli.main import cli
from tposecli.errors import InputError, TposeError, UsageError
from tposecli.evaluate.details import details
from tposecli.evaluate.job import DataChoice
from tposecli.evaluate.keypoint_set import COCO_SIGMAS, KeypointSet, load_set
from tposecli.evaluate.problems import Problems
from tposecli.evaluate.published import DETECTED, TABLES, published
from tposecli.evaluate.report import Report, text
from tposecli.evaluate.score import FIGURES, Scores, score_boxes, score_poses
from tposecli.evaluate.store import open_images
from tposecli.job import Summary
from tposecli.models import build
from tposecli.models.catalog import CATALOG
from tposecli.models.files import resolve
from tposecli.models.weights import load
from tposecli.pose import PoseEstimator

MODEL = "transpose-r18-a3"
PIXELS = 0.05
SCORE = 1e-4
OUTSIDE = os.environ.get("TPOSE_REFERENCE")
needs_photos = pytest.mark.skipif(
    OUTSIDE is None, reason="TPOSE_REFERENCE names no folder with reference/eval_minitrain and data/coco_mini"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test leaves work in the user's cache, or takes weights from it."""
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def tpose_eval(*arguments: object) -> Result:
    """Run ``tpose eval`` with the bundled model in this process."""
    given = [str(argument) for argument in arguments]
    model = [] if "--model" in given else ["--model", MODEL]
    return CliRunner().invoke(cli, ["eval", *given, *model])


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows


def apart(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> tuple[Any, Any, float]:
    """(N, 17) distances in pixels, (N, 17) differences of scores, and the largest difference of people's scores."""
    assert [row["image_id"] for row in ours] == [row["image_id"] for row in theirs]
    assert [(row["center"], row["scale"]) for row in ours] == [(row["center"], row["scale"]) for row in theirs]
    difference = np.abs(np.subtract([r["keypoints"] for r in ours], [r["keypoints"] for r in theirs]))
    keypoints = difference.reshape(len(ours), 17, 3)
    people = max(abs(first["score"] - second["score"]) for first, second in zip(ours, theirs, strict=True))
    return keypoints[:, :, :2].max(axis=2), keypoints[:, :, 2], people


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Folder and content of a small set in the authors' layout."""
    return tmp_path / "coco", write_set(tmp_path / "coco")


def put_detections(folder: Path, found: Any) -> Path:
    path = folder / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found))
    return path


# --- poses: the authors' way, plainly, gives the same rows ---


def test_true_boxes_give_the_rows_of_the_plain_way(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--out", tmp_path / "rows.json")
    assert result.exit_code == 0, result.output
    plain = plain_rows(load(resolve(MODEL)), folder / "images" / "val2017", true_people(content))
    pixels, scores, people = apart(rows_of(tmp_path / "rows.json"), plain)
    assert len(plain) == 7
    assert pixels.max() < PIXELS and scores.max() < SCORE and people < SCORE
    for words in ("boxes ground truth", "flip test on", "box score × mean", "OKS-NMS 0.9", "OpenCV ", "fp32"):
        assert words in result.stdout
    assert "images/s" in result.stdout and "people/s" in result.stdout
    assert all(name in result.stdout for name in FIGURES)


def test_detections_give_the_rows_of_the_plain_way(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    found = detections(content)
    put_detections(folder, found)
    result = tpose_eval("--data-dir", folder, "--out", tmp_path / "rows.json")
    assert result.exit_code == 0, result.output
    people = [
        {
            "image_id": one["image_id"],
            "file_name": f"{one['image_id']:012d}.jpg",
            "box": one["bbox"],
            "score": one["score"],
        }
        for one in found
    ]
    plain = plain_rows(load(resolve(MODEL)), folder / "images" / "val2017", people)
    pixels, scores, people_apart = apart(rows_of(tmp_path / "rows.json"), plain)
    assert pixels.max() < PIXELS and scores.max() < SCORE and people_apart < SCORE
    assert "56_person.json (published AP 56.4)" in result.stdout and "AP of the boxes themselves: 0." in result.stdout


def test_zipped_pictures_and_turned_ones_change_nothing(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    pictures = folder / "images" / "val2017"
    arguments = ("--data-dir", folder, "--boxes", "gt", "--no-flip-test")
    assert tpose_eval(*arguments, "--out", tmp_path / "plain.json").exit_code == 0
    orient(pictures / content["images"][0]["file_name"], 6)
    with zipfile.ZipFile(folder / "images" / "val2017.zip", "w") as packed:
        for path in pictures.iterdir():
            packed.write(path, f"val2017/{path.name}")
    shutil.rmtree(pictures)
    result = tpose_eval(*arguments, "--out", tmp_path / "zipped.json")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plain.json").read_text() == (tmp_path / "zipped.json").read_text()
    assert "flip test off" in result.stdout


def test_own_set_with_own_sigmas_and_boxes_of_the_detector(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    content["categories"][0] |= {"keypoints": [f"k{k}" for k in range(17)], "sigmas": [0.2] * 17}
    annotations = tmp_path / "mine.json"
    annotations.write_text(json.dumps(content))
    given = ("--annotations", annotations, "--images", folder / "images" / "val2017")
    result = tpose_eval(*given, "--boxes", "detector", "--detector", "full-frame", "--report", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["people"] == 6 and report["box_ap"] is not None
    assert "of the detector full-frame" in report["protocol"]["boxes"]
    assert (load_set(DataChoice(None, annotations=annotations), Problems()).sigmas == 0.2).all()
    assert tpose_eval(*given).exit_code == 1  # a usage error, raised through the runner
    assert isinstance(tpose_eval(*given).exception, UsageError)


@needs_photos
@pytest.mark.parametrize(
    ("model", "share"), [(MODEL, 1.0), pytest.param("transpose-r-a3", 0.9, marks=pytest.mark.slow)]
)
def test_rows_equal_the_authors_whole_run(model: str, share: float, tmp_path: Path) -> None:
    outside = Path(str(OUTSIDE))
    expected = rows_of(outside / "reference" / "eval_minitrain" / f"official_results_{model}_gt_flip.json")
    photos = outside / "data" / "coco_mini"
    weights: list[object] = []
    if model != MODEL:
        net = build(model)
        draw_weights(net)
        torch.save(net.state_dict(), tmp_path / "seeded.pth")
        weights = ["--weights", tmp_path / "seeded.pth"]
    annotations = photos / "annotations" / "person_keypoints_train.json"
    given = ("--annotations", annotations, "--images", photos / "images", "--boxes", "gt")
    result = tpose_eval(
        *given, "--model", model, *weights, "--out", tmp_path / "rows.json", "--report", tmp_path / "r.json"
    )
    assert result.exit_code == 0, result.output
    pixels, _, people = apart(rows_of(tmp_path / "rows.json"), expected)
    assert (pixels < PIXELS).mean() >= share and people < SCORE
    if model == MODEL:
        assert json.loads((tmp_path / "r.json").read_text())["figures"]["AP"] == pytest.approx(0.0807, abs=5e-5)


# --- figures: pycocotools says the same, to the last bit ---


def judged(content: dict[str, Any], rows: list[dict[str, Any]], kind: str, sigmas: Any = None) -> list[float]:
    """The figures of pycocotools."""
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


def truth_of(folder: Path, **choice: Any) -> KeypointSet:
    return load_set(DataChoice("val2017", folder, **choice), Problems())


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


def test_nobody_found_and_nobody_there(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    result = tpose_eval("--data-dir", folder, "--results", empty, "--report", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "r.json").read_text())["figures"]["AP"] == 0
    put_detections(folder, [])
    result = tpose_eval("--data-dir", folder, "--out", tmp_path / "rows.json")
    assert result.exit_code == 0 and rows_of(tmp_path / "rows.json") == []
    content["annotations"] = []
    (folder / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--report", tmp_path / "none.json")
    assert result.exit_code == 0, result.output
    assert set(json.loads((tmp_path / "none.json").read_text())["figures"].values()) == {None}


def test_results_of_other_programs_are_scored(tmp_path: Path) -> None:
    """Five keypoints, sigmas of one's own, an id of an image that is not there, a row without sense."""
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
    assert "1 results of images that are not in the set: left out (image 6)" in result.stdout
    assert "result 3 of rows.json" in result.stdout
    assert isinstance(tpose_eval(*given, "--strict").exception, InputError)
    assert "sigmas" in str(tpose_eval(*given, "--sigmas", "0.1,0.2").exception)


def test_keypoints_are_counted_by_how_they_are_found(data: tuple[Path, dict[str, Any]]) -> None:
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


# --- inputs that are not as they should be ---


def test_missing_detections_name_the_place_they_are_published(data: tuple[Path, dict[str, Any]]) -> None:
    error = tpose_eval("--data-dir", data[0]).exception
    assert isinstance(error, UsageError)
    for words in ("56_person.json", "OneDrive", "deep-high-resolution-net", "yangsenius/TransPose", "--boxes gt"):
        assert words in str(error)


def test_bad_detections_are_counted_named_and_left_out(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    good = detections(content)[:4]
    box = {"image_id": 1000, "category_id": 1, "bbox": [5, 5, 40, 50], "score": 0.5}
    bad = [
        {**box, "image_id": 77},
        {**box, "bbox": [5, 5, 0, 0]},
        {**box, "bbox": [5, 5, float("nan"), 3]},
        {**box, "category_id": 2},
        {**box, "score": -0.1},
        "no detection",
    ]
    given = ("--data-dir", folder, "--no-flip-test", "--boxes")
    for name, found in (("good.json", good), ("bad.json", [*good, *bad])):
        (tmp_path / name).write_text(json.dumps(found))
        result = tpose_eval(*given, tmp_path / name, "--out", tmp_path / f"rows_{name}")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "rows_good.json").read_text() == (tmp_path / "rows_bad.json").read_text()
    assert "1 detections of images that are not in the set: left out (image 77)" in result.stdout
    assert "1 boxes of zero size" in result.stdout and "2 entries that make no sense" in result.stdout
    assert isinstance(tpose_eval(*given, tmp_path / "bad.json", "--strict").exception, InputError)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_pictures_that_are_missing_or_damaged(data: tuple[Path, dict[str, Any]], tmp_path: Path, damage: str) -> None:
    folder, content = data
    victim = folder / "images" / "val2017" / content["images"][1]["file_name"]
    victim.unlink() if damage == "missing" else victim.write_bytes(b"\xff\xd8 no picture")
    given = ("--data-dir", folder, "--boxes", "gt", "--no-flip-test")
    result = tpose_eval(*given, "--out", tmp_path / "rows.json")
    assert result.exit_code == 1 and victim.name in result.stdout and "1 images" in result.stdout
    rest = {row["image_id"] for row in rows_of(tmp_path / "rows.json")}
    assert rest == {image["id"] for image in content["images"][:-1]} - {content["images"][1]["id"]}
    strict = tpose_eval(*given, "--strict").exception
    assert isinstance(strict, InputError) and victim.name in str(strict)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--coco", "val2017", "--annotations", "x.json"], "give one"),
        (["--seed", "1"], "--limit"),
        (["--sigmas", "a,b"], "--sigmas"),
        (["--data-dir", "nowhere"], "cocodataset.org"),
        (["--report", "r.txt"], ".json or .md"),
    ],
)
def test_requests_that_cannot_be_carried_out(arguments: list[str], words: str) -> None:
    result = tpose_eval(*arguments)
    assert words in result.output + str(result.exception)
    assert result.exit_code == 2 or isinstance(result.exception, UsageError)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    (tmp_path / "x.json").write_text('{"images": 3}')
    with pytest.raises(InputError, match=r"x\.zip"):
        open_images(tmp_path / "x")
    with pytest.raises(TposeError, match=r"x\.json"):
        load_set(DataChoice(None, annotations=tmp_path / "x.json"), Problems())


# --- runs that are cut short, or limited ---


@pytest.mark.parametrize("named", [True, False], ids=["beside --out", "in the cache"])
def test_an_interrupted_run_goes_on(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    folder, out = tmp_path / "coco", tmp_path / "parts.json"
    write_set(folder, images=20)
    given = ["--data-dir", folder, "--boxes", "gt", "--no-flip-test"]
    assert tpose_eval(*given, "--out", tmp_path / "whole.json").exit_code == 0
    estimate, groups = PoseEstimator.estimate, []

    def counted(self: PoseEstimator, frames: Any, boxes: Any) -> Any:
        groups.append(len(frames))
        if len(groups) == 2:
            raise KeyboardInterrupt
        return estimate(self, frames, boxes)

    monkeypatch.setattr(PoseEstimator, "estimate", counted)
    part = [*given, "--out", out] if named else given
    assert tpose_eval(*part).exit_code != 0
    assert [path.parent for path in tmp_path.rglob("*.poses.jsonl")] == [tmp_path if named else cache / "eval"]
    if named:
        other = tpose_eval(*part, "--flip-test").exception
        assert isinstance(other, UsageError) and "another flip_test" in str(other)
    groups[:] = [0, 0]
    result = tpose_eval(*part, "--report", tmp_path / "r.json")
    assert result.exit_code == 0 and "going on after 8 images" in result.stderr
    assert groups == [0, 0, 8, 3]
    assert not named or out.read_text() == (tmp_path / "whole.json").read_text()
    assert not list(tmp_path.rglob("*.poses.jsonl"))
    assert json.loads((tmp_path / "r.json").read_text())["figures"]["AP"] is not None


def test_another_unfinished_run_is_thrown_away_if_asked(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    given = ("--data-dir", data[0], "--boxes", "gt", "--no-flip-test", "--out", tmp_path / "rows.json")
    (tmp_path / "rows.json.poses.jsonl").write_text("no journal")
    assert isinstance(tpose_eval(*given).exception, UsageError)
    assert tpose_eval(*given, "--overwrite").exit_code == 0
    assert not (tmp_path / "rows.json.poses.jsonl").exists()


def test_limit_takes_the_first_images_and_a_seed_draws_them(data: tuple[Path, dict[str, Any]]) -> None:
    folder, content = data
    ids = [image["id"] for image in content["images"]]
    assert [image.id for image in truth_of(folder, limit=2).images] == ids[:2]
    drawn = [[image.id for image in truth_of(folder, limit=3, seed=seed).images] for seed in range(5)]
    assert drawn[0] == [image.id for image in truth_of(folder, limit=3, seed=0).images]
    assert len({tuple(some) for some in drawn}) > 1
    assert all(some == [image for image in ids if image in some] for some in drawn)
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--no-flip-test", "--limit", 2)
    assert "2 of 6 images" in result.stdout and "2 images, 2 people" in result.stdout


# --- what is written ---


def test_the_test_servers_zip(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    shutil.copytree(folder / "images" / "val2017", folder / "images" / "test2017")
    bare = {"images": content["images"], "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations" / "image_info_test-dev2017.json").write_text(json.dumps(bare))
    given = ("--data-dir", folder, "--coco", "test-dev2017", "--no-flip-test")
    assert "609_person.json" in str(tpose_eval(*given).exception)
    assert isinstance(tpose_eval(*given, "--boxes", "gt").exception, UsageError)
    path = put_detections(folder, detections(content))
    path.rename(path.with_name("COCO_test-dev2017_detections_AP_H_609_person.json"))
    result = tpose_eval(*given, "--out", tmp_path / "send.zip")
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "send.zip") as packed:
        assert packed.namelist() == [f"person_keypoints_test-dev2017_{MODEL}_results.json"]
        rows = json.loads(packed.read(packed.namelist()[0]))
    assert rows and all(set(row) == {"image_id", "category_id", "keypoints", "score"} for row in rows)


def test_published_rows_stand_under_the_same_protocol_only() -> None:
    official = [spec for spec in CATALOG if not spec.bundled]
    assert {name for _, table in TABLES.values() for name in table} == {spec.name for spec in official}
    for spec in official:
        assert DETECTED[spec.name][0] == pytest.approx((spec.ap_detected or 0) / 100)
    ours = Scores(tuple(0.001 + (figure or 0) for figure in DETECTED["transpose-r-a3"]), {})
    for differs in ((), ("no flip test",)):
        row = published("transpose-r-a3", ("val2017", "detections"), differs)
        shown = text(Report("ours", {"boxes": "some"}, Problems(), Summary("x"), ours, published=row))
        assert "0.717" in shown and "56.4-AP boxes" in shown
        assert ("+0.0010" in shown) == (not differs) and ("no flip test" in shown) == bool(differs)
    assert published(MODEL, ("val2017", "gt"), ()) is None


def test_reports_and_plots(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder, content = data
    (tmp_path / "rows.json").write_text(json.dumps(near_truth(content, 1, 1.0)))
    given = ("--data-dir", folder, "--results", tmp_path / "rows.json", "--plots", tmp_path / "plots")
    assert tpose_eval(*given, "--report", tmp_path / "r.md").exit_code == 0
    assert tpose_eval(*given, "--report", tmp_path / "r.json").exit_code == 0
    assert isinstance(tpose_eval(*given, "--report", tmp_path / "r.json").exception, UsageError)
    document = (tmp_path / "r.md").read_text()
    assert "left_shoulder" in document and "precision_recall.png" in document and "0.9 to 1.0" in document
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"precision_recall.png", "oks.png"}
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    figures = judged(content, near_truth(content, 1, 1.0), "keypoints")
    assert [report["figures"][name] for name in FIGURES] == [None if value < 0 else value for value in figures]
    assert sum(report["oks_histogram"]) == len([p for p in truth_of(folder).people.values() for p in p]) - 2
    assert COCO_SIGMAS.shape == (17,)
