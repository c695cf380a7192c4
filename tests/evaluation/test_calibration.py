"""Scores become probabilities that come true, and are stored beside the weights that they belong to."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.eval_data import tpose_eval, truth_of, write_set
from tposecli.detection.factory import BUNDLED_WEIGHTS
from tposecli.evaluation.calibration.fit import fit, reliability_of
from tposecli.evaluation.calibration.report import plot, rows, sentence, write_calibration
from tposecli.evaluation.calibration.samples import Samples, samples_of
from tposecli.hub.checkpoints.calibration import (
    Calibration,
    calibration_of,
    calibration_path,
    find_calibration,
    keypoint_features,
)
from tposecli.hub.checkpoints.resolve import bundled_file
from tposecli.models.catalog import CATALOG
from tposecli.types import Boxes, Poses
from tposecli.utils.errors import InputError
from tposecli.utils.files import sha256_of

BUNDLED = [path for spec in CATALOG if spec.bundled and (path := bundled_file(spec.file)) is not None]


def made_up(rng: np.random.Generator, count: int = 6000) -> Samples:
    """Return samples whose keypoints are right with probability ``s ** 2``, and whose people depend on both scores."""
    joints, box, pose = rng.uniform(0.02, 0.98, (3, count))
    score = np.repeat(pose[:, None], 17, axis=1)
    logit = 1.2 * np.log(box / (1 - box)) + 0.7 * np.log(pose / (1 - pose)) + 0.5
    person = rng.random(count) < 1 / (1 + np.exp(-logit))
    image = np.arange(count) // 5
    return Samples(box, score, person, image, joints, rng.random(count) < joints**2, image)


def test_fitted_maps_say_how_often_scores_are_right(rng: np.random.Generator) -> None:
    fitted = fit(made_up(rng), "some", {"weights_sha256": "ab"})
    found = fitted.calibration
    score = np.array([[0.1, 0.3, 0.5, 0.7, 0.9]], np.float32)
    assert np.allclose(found.keypoint_probability(score), score**2, atol=0.05)
    assert np.allclose(found.person, (0.5, 1.2, 0.7), atol=0.15)
    poses = Poses(Boxes([[0, 0, 9, 9]] * 2, [0.4, 0.9]), np.zeros((2, 17, 2)), np.full((2, 17), 0.5))
    weaker, stronger = found.person_probability(poses, "some")
    assert weaker < 0.6 < stronger
    alone = found.person_probability(poses, "another")
    assert alone[0] == alone[1], "scores of another detector's boxes say nothing"
    assert all(each.error < 0.04 for each in fitted.reliability.values())
    assert "6000 keypoints" in sentence(fitted) and len(rows(fitted)) == 4


def test_maps_do_not_fall_even_if_the_samples_do(rng: np.random.Generator) -> None:
    samples = made_up(rng, 400)
    upside_down = Samples(
        samples.box_score, samples.score, ~samples.person, samples.image, samples.joint_score, ~samples.right,
        samples.joint_image,
    )  # fmt: skip
    found = fit(upside_down, "some", {}).calibration
    steps = found.keypoint_probability(np.linspace(0, 1, 50, dtype=np.float32)[None])[0]
    assert (np.diff(steps) >= 0).all() and min(found.person[1:]) >= 0


def test_too_few_samples_of_a_kind_are_an_error(rng: np.random.Generator) -> None:
    samples = made_up(rng, 200)
    nobody_wrong = Samples(
        samples.box_score, samples.score, samples.person | True, samples.image, samples.joint_score, samples.right,
        samples.joint_image,
    )  # fmt: skip
    with pytest.raises(InputError, match="200 detections with 0 of the rarer kind"):
        fit(nobody_wrong, "some", {})


def test_expected_calibration_error_is_the_weighted_gap() -> None:
    probability = np.array([0.25, 0.25, 0.95, 0.95])
    found = reliability_of(probability, np.array([True, False, True, True]))
    assert found.count.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 2]
    assert found.error == pytest.approx((0.25 + 0.05) / 2)
    assert found.to_dict()["predicted"][0] is None and json.dumps(found.to_dict(), allow_nan=False)


def test_detections_are_people_by_overlap_and_joints_right_by_torso(tmp_path: Path) -> None:
    content = write_set(tmp_path)
    person: dict[str, Any] = content["annotations"][0]
    xy = np.tile(np.array([50.0, 60.0]), (17, 1))
    xy[[5, 6]] = [50, 20]
    xy[0] = [50, 5]
    person.update(bbox=[20, 0, 60, 100], keypoints=np.c_[xy, np.full(17, 2)].ravel().tolist(), num_keypoints=17)
    person["keypoints"][3 * 16 + 2] = 0
    content["annotations"][1].update(image_id=person["image_id"], bbox=[100, 0, 50, 60], iscrowd=1)
    others = [one for one in content["annotations"][2:] if one["image_id"] != person["image_id"]]
    content["annotations"] = [*content["annotations"][:2], *others]
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    truth = truth_of(tmp_path)
    boxes = [[22, 2, 78, 98], [100, 5, 148, 55], [30, 90, 60, 118]]
    found = np.repeat(xy[None], 3, axis=0)
    found[0, 0] += [7.9, 0]
    found[0, 1] += [8.1, 0]
    poses = Poses(Boxes(boxes, [0.9, 0.8, 0.7]), found, np.full((3, 17), 0.5))
    samples = samples_of(truth, [(0, poses)])
    assert samples.person.tolist() == [True, False], "what lies in a crowd may be a person"
    assert samples.box_score.tolist() == pytest.approx([0.9, 0.7])
    assert samples.right.tolist() == [True, False, *[True] * 14]


def test_a_calibration_is_found_beside_its_weights_only(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    weights = tmp_path / "mine.safetensors"
    assert calibration_path(weights) == tmp_path / "mine.calibration.json"
    assert find_calibration(weights, "ab") is None and not caplog.records
    fitted = fit(made_up(rng, 400), "some", {"weights_sha256": "ab"})
    write_calibration(calibration_path(weights), fitted)
    found = find_calibration(weights, "ab")
    assert found is not None and found.to_dict() == fitted.calibration.to_dict()
    assert calibration_of({"calibration": found.to_dict()}) == Calibration(
        "some", found.keypoint, found.person, found.pose
    )
    with caplog.at_level(logging.WARNING, "tposecli"):
        assert find_calibration(weights, "other") is None
    assert "of other weights; fit it again" in caplog.text
    for damage in ('{"detector": "x"}', "[]", "{", json.dumps(found.to_dict() | {"keypoint": [-1, 1, 0]})):
        caplog.clear()
        calibration_path(weights).write_text(damage)
        with caplog.at_level(logging.WARNING, "tposecli"):
            assert find_calibration(weights, "ab") is None
        assert "not a calibration" in caplog.text
    plot(tmp_path / "reliability.png", "mine", fitted)
    assert (tmp_path / "reliability.png").stat().st_size > 10_000


@pytest.mark.parametrize("weights", BUNDLED, ids=lambda path: path.stem)
def test_calibrations_that_come_with_the_program_are_of_its_weights(weights: Path) -> None:
    if not calibration_path(weights).exists():
        pytest.skip("this model has none")
    again = "has changed: fit again with tpose eval --calibrate, see the model's card"
    found, detector = find_calibration(weights, sha256_of(weights)), bundled_file(BUNDLED_WEIGHTS)
    assert found is not None, f"{weights.name} {again}"
    assert detector is not None and found.facts["detector_sha256"] == sha256_of(detector), f"{detector} {again}"
    assert found.detector == "bundled"
    low, high = found.keypoint_probability(np.array([[0.1, 0.9]], np.float32))[0]
    assert low < 0.4 and high > 0.9


def test_features_are_finite_for_all_scores() -> None:
    assert all(np.isfinite(each).all() for each in keypoint_features(np.array([-0.2, 0, 1e-9, 0.5, 1, 1.3])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--boxes", "gt", "--no-flip-test"], "add --boxes detector"),
        (["--boxes", "detector"], "add --no-flip-test"),
        (["--boxes", "detector", "--detector", "full-frame", "--no-flip-test"], "evaluate more photos"),
    ],
)
def test_calibrate_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "home"))
    write_set(tmp_path)
    result = tpose_eval("--data-dir", tmp_path, *arguments, "--calibrate", tmp_path / "out.json")
    assert message in str(result.exception) and not (tmp_path / "out.json").exists()
