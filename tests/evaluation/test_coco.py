"""Evaluations from the command line, compared with a plain reimplementation of the authors' protocol."""

from __future__ import annotations

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

from tests.models.test_models import draw_weights
from tests.support.eval_data import MODEL, detections, put_detections, rows_of, tpose_eval, truth_of, write_set
from tests.support.media import orient
from tests.support.plain_eval import plain_rows, true_people
from tposecli.evaluation.coco.average_precision import FIGURES
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import load_set
from tposecli.evaluation.coco.problems import Problems
from tposecli.hub.checkpoints.load import load
from tposecli.hub.checkpoints.resolve import resolve
from tposecli.inference.estimator import PoseEstimator
from tposecli.models import build
from tposecli.sources.image_store import open_images
from tposecli.utils.errors import InputError, TposeError, UsageError

PIXELS = 0.05
SCORE = 1e-4
OUTSIDE = os.environ.get("TPOSE_REFERENCE")
needs_photos = pytest.mark.skipif(
    OUTSIDE is None, reason="TPOSE_REFERENCE names no folder with reference/eval_minitrain and data/coco_mini"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Isolate the tests from the user's cache."""
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def apart(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> tuple[Any, Any, float]:
    """Return (N, 17) distances in pixels, (N, 17) score differences, and the largest person score difference."""
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


# --- poses equal those of the plain reimplementation ---


def test_ground_truth_boxes_give_the_reference_rows(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--output", tmp_path / "rows.json")
    assert result.exit_code == 0, result.output
    plain = plain_rows(load(resolve(MODEL)), folder / "images" / "val2017", true_people(content))
    pixels, scores, people = apart(rows_of(tmp_path / "rows.json"), plain)
    assert len(plain) == 7
    assert pixels.max() < PIXELS and scores.max() < SCORE and people < SCORE
    for words in ("boxes ground truth", "flip test on", "box score × mean", "OKS-NMS 0.9", "OpenCV ", "fp32"):
        assert words in result.stdout
    assert "images/s" in result.stdout and "boxes/s" in result.stdout
    assert all(name in result.stdout for name in FIGURES)


def test_detections_give_the_reference_rows(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    found = detections(content)
    put_detections(folder, found)
    result = tpose_eval("--data-dir", folder, "--output", tmp_path / "rows.json")
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
    assert "56_person.json (published AP 56.4)" in result.stdout and "AP of the boxes: 0." in result.stdout


def test_zipped_and_exif_rotated_images_change_nothing(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    pictures = folder / "images" / "val2017"
    arguments = ("--data-dir", folder, "--boxes", "gt", "--no-flip-test")
    assert tpose_eval(*arguments, "--output", tmp_path / "plain.json").exit_code == 0
    orient(pictures / content["images"][0]["file_name"], 6)
    with zipfile.ZipFile(folder / "images" / "val2017.zip", "w") as packed:
        for path in pictures.iterdir():
            packed.write(path, f"val2017/{path.name}")
    shutil.rmtree(pictures)
    result = tpose_eval(*arguments, "--output", tmp_path / "zipped.json")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plain.json").read_text() == (tmp_path / "zipped.json").read_text()
    assert "flip test off" in result.stdout


def test_custom_set_with_detector_boxes(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
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
    only = [{"image_id": 1000, "category_id": 1, "bbox": [5, 5, 40, 50], "score": 0.5}]
    (tmp_path / "one.json").write_text(json.dumps(only))
    alone = tpose_eval(*given, "--boxes", "detector", "--detector", f"boxes:{tmp_path / 'one.json'}")
    assert alone.exit_code == 0 and "6 images, 1 box " in alone.stdout
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
        *given, "--model", model, *weights, "--output", tmp_path / "rows.json", "--report", tmp_path / "r.json"
    )
    assert result.exit_code == 0, result.output
    pixels, _, people = apart(rows_of(tmp_path / "rows.json"), expected)
    assert (pixels < PIXELS).mean() >= share and people < SCORE
    if model == MODEL:
        assert json.loads((tmp_path / "r.json").read_text())["figures"]["AP"] == pytest.approx(0.0807, abs=5e-5)


# --- invalid inputs ---


def test_missing_detections_error_names_the_download_page(data: tuple[Path, dict[str, Any]]) -> None:
    error = tpose_eval("--data-dir", data[0]).exception
    assert isinstance(error, UsageError)
    for words in ("56_person.json", "OneDrive", "deep-high-resolution-net", "yangsenius/TransPose", "--boxes gt"):
        assert words in str(error)


def test_invalid_detections_are_counted_named_and_skipped(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
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
        result = tpose_eval(*given, tmp_path / name, "--output", tmp_path / f"rows_{name}")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "rows_good.json").read_text() == (tmp_path / "rows_bad.json").read_text()
    assert "1 detection of images that are not in the set: skipped (image 77)" in result.stdout
    assert "1 box of zero size" in result.stdout and "2 entries that are invalid" in result.stdout
    assert isinstance(tpose_eval(*given, tmp_path / "bad.json", "--strict").exception, InputError)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_missing_or_damaged_images_are_reported(data: tuple[Path, dict[str, Any]], tmp_path: Path, damage: str) -> None:
    folder, content = data
    victim = folder / "images" / "val2017" / content["images"][1]["file_name"]
    victim.unlink() if damage == "missing" else victim.write_bytes(b"\xff\xd8 no picture")
    given = ("--data-dir", folder, "--boxes", "gt", "--no-flip-test")
    result = tpose_eval(*given, "--output", tmp_path / "rows.json")
    assert result.exit_code == 1 and victim.name in result.stdout and "1 image" in result.stdout
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
        (["--data-dir", "nowhere"], "download it with: tpose data coco val2017"),
        (["--report", "r.txt"], ".json or .md"),
    ],
)
def test_invalid_options_raise(arguments: list[str], words: str) -> None:
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


# --- interrupted and limited runs ---


@pytest.mark.parametrize("named", [True, False], ids=["beside --out", "in the cache"])
def test_interrupted_run_is_resumed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    folder, out = tmp_path / "coco", tmp_path / "parts.json"
    write_set(folder, images=20)
    given = ["--data-dir", folder, "--boxes", "gt", "--no-flip-test"]
    assert tpose_eval(*given, "--output", tmp_path / "whole.json").exit_code == 0
    estimate, groups = PoseEstimator.estimate, []

    def counted(self: PoseEstimator, frames: Any, boxes: Any, timings: Any) -> Any:
        groups.append(len(frames))
        if len(groups) == 2:
            raise KeyboardInterrupt
        return estimate(self, frames, boxes, timings)

    monkeypatch.setattr(PoseEstimator, "estimate", counted)
    part = [*given, "--output", out] if named else given
    assert tpose_eval(*part).exit_code != 0
    assert [path.parent for path in tmp_path.rglob("*.poses.jsonl")] == [tmp_path if named else cache / "eval"]
    if named:
        other = tpose_eval(*part, "--flip-test").exception
        assert isinstance(other, UsageError) and "flip_test was False, now True" in str(other)
    groups[:] = [0, 0]
    result = tpose_eval(*part, "--report", tmp_path / "r.json")
    assert result.exit_code == 0 and "resuming after 8 finished images" in result.stderr
    assert groups == [0, 0, 8, 3]
    assert not named or out.read_text() == (tmp_path / "whole.json").read_text()
    assert not list(tmp_path.rglob("*.poses.jsonl"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["images_done_before"], report["images"]) == (8, 11) and report["figures"]["AP"] is not None


def test_unfinished_run_with_other_settings_is_discarded_on_request(
    data: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    given = ("--data-dir", data[0], "--boxes", "gt", "--no-flip-test", "--output", tmp_path / "rows.json")
    (tmp_path / "rows.json.poses.jsonl").write_text("no journal")
    assert isinstance(tpose_eval(*given).exception, UsageError)
    assert tpose_eval(*given, "--overwrite").exit_code == 0
    assert not (tmp_path / "rows.json.poses.jsonl").exists()


def test_limit_takes_the_first_images_or_a_random_sample(data: tuple[Path, dict[str, Any]]) -> None:
    folder, content = data
    ids = [image["id"] for image in content["images"]]
    assert [image.id for image in truth_of(folder, limit=2).images] == ids[:2]
    drawn = [[image.id for image in truth_of(folder, limit=3, seed=seed).images] for seed in range(5)]
    assert drawn[0] == [image.id for image in truth_of(folder, limit=3, seed=0).images]
    assert len({tuple(some) for some in drawn}) > 1
    assert all(some == [image for image in ids if image in some] for some in drawn)
    result = tpose_eval("--data-dir", folder, "--boxes", "gt", "--no-flip-test", "--limit", 2)
    assert "2 of 6 images" in result.stdout and "2 images, 2 boxes" in result.stdout


# --- outputs ---


def test_zip_for_the_test_server(data: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = data
    shutil.copytree(folder / "images" / "val2017", folder / "images" / "test2017")
    bare = {"images": content["images"], "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations" / "image_info_test-dev2017.json").write_text(json.dumps(bare))
    given = ("--data-dir", folder, "--coco", "test-dev2017", "--no-flip-test")
    assert "609_person.json" in str(tpose_eval(*given).exception)
    assert isinstance(tpose_eval(*given, "--boxes", "gt").exception, UsageError)
    path = put_detections(folder, detections(content))
    path.rename(path.with_name("COCO_test-dev2017_detections_AP_H_609_person.json"))
    result = tpose_eval(*given, "--output", tmp_path / "send.zip")
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "send.zip") as packed:
        assert packed.namelist() == [f"person_keypoints_test-dev2017_{MODEL}_results.json"]
        rows = json.loads(packed.read(packed.namelist()[0]))
    assert rows and all(set(row) == {"image_id", "category_id", "keypoints", "score"} for row in rows)
