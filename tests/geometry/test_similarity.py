"""Suppression of duplicates against the authors' cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tposecli.geometry.similarity import box_iou, box_nms, oks, oks_nms
from tposecli.types import Boxes, Poses


def test_rescoring_and_suppression_equal_the_authors(golden: Path) -> None:
    for case in json.loads((golden / "oks_nms.json").read_text()):
        keypoints, area = np.array(case["keypoints"]), np.array(case["area"])
        people = len(keypoints)
        poses = Poses(Boxes(np.zeros((people, 4)), case["box_score"]), keypoints[:, :, :2], keypoints[:, :, 2])
        assert np.allclose(poses.person_score, case["rescored"], atol=1e-6)
        rescored = np.array(case["rescored"])
        assert oks_nms(keypoints[:, :, :2], area, rescored, 0.9).tolist() == case["keep_oks_nms_09"]


def test_iou_of_known_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], np.float32)
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert np.allclose(box_iou(boxes, boxes), expected)


def test_box_nms_keeps_the_best_of_each_cluster() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert box_nms(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.5).tolist() == [1, 2]
    assert box_nms(boxes[:0], np.zeros(0, np.float32), 0.5).tolist() == []


def test_oks_is_one_for_equals_and_falls_with_distance(rng: np.random.Generator) -> None:
    xy = rng.uniform(0, 100, (1, 17, 2))
    area = np.array([5000.0])
    near, far = (oks(xy, xy + shift, area, area)[0, 0] for shift in (2, 20))
    assert oks(xy, xy, area, area)[0, 0] == 1
    assert 1 > near > far > 0
