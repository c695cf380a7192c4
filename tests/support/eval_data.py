"""A small synthetic COCO set: noise images with random annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click.testing import CliRunner, Result

from tests.support.media import write_image
from tposecli.cli.main import cli
from tposecli.evaluation.coco.job import DataChoice
from tposecli.evaluation.coco.keypoint_set import KeypointSet, load_set
from tposecli.evaluation.coco.problems import Problems

MODEL = "transpose-r18-a3"
SIZE = (160, 120)
KEYPOINTS = 17


def write_set(folder: Path, images: int = 6, split: str = "val2017") -> dict[str, Any]:
    """Write a set in the authors' layout; each image has two people, the last none, some are special."""
    rng = np.random.default_rng(17)
    pictures = folder / "images" / split
    pictures.mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number in range(images):
        image_id = 1000 - 7 * number
        name = f"{image_id:012d}.jpg"
        noise = rng.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
        write_image(pictures / name, cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC))
        content["images"].append({"id": image_id, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for _ in range(2 if number < images - 1 else 0):
            content["annotations"].append(person(rng, image_id, len(content["annotations"]) + 1))
    special(content["annotations"])
    (folder / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(content))
    return content


def person(rng: np.random.Generator, image_id: int, number: int) -> dict[str, Any]:
    """Return a person with random joints in a box with fractional coordinates that may exceed the image."""
    x, y = rng.uniform(-10, 80, 2).round(2)
    w, h = rng.uniform(40, 100, 2).round(2)
    xy = np.round([x, y] + rng.uniform(0, 1, (KEYPOINTS, 2)) * [w, h], 1)
    visible = rng.integers(0, 3, (KEYPOINTS, 1))
    keypoints = np.concatenate([xy * (visible > 0), visible], axis=1)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [float(x), float(y), float(w), float(h)],
        "area": float(0.6 * w * h),
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
    }


def special(annotations: list[dict[str, Any]]) -> None:
    """Return people whose boxes are not used: a crowd, one without keypoints, and one without area."""
    annotations[1]["iscrowd"] = 1
    annotations[3].update(keypoints=[0] * 3 * KEYPOINTS, num_keypoints=0)
    annotations[5]["area"] = 0.0


def near_truth(content: dict[str, Any], seed: int, spread: float = 4.0) -> list[dict[str, Any]]:
    """Return plausible results: the annotated people with noise, some missing, some duplicated."""
    rng = np.random.default_rng(seed)
    rows = []
    for one in content["annotations"]:
        for _ in range(rng.integers(0, 3)):
            keypoints = np.array(one["keypoints"], np.float64).reshape(-1, 3)
            keypoints[:, :2] += rng.normal(0, spread, (len(keypoints), 2))
            keypoints[:, 2] = rng.uniform(0, 1, len(keypoints))
            row = {"image_id": one["image_id"], "category_id": 1, "keypoints": keypoints.ravel().tolist()}
            rows.append({**row, "score": float(rng.uniform())})
    return rows


def detections(content: dict[str, Any], seed: int = 3) -> list[dict[str, Any]]:
    """Return boxes near the people's, three for each, with images in another order than in the set."""
    rng = np.random.default_rng(seed)
    found = []
    for one in reversed(content["annotations"]):
        for _ in range(3):
            box = (np.array(one["bbox"]) + rng.normal(0, 3, 4)).round(3).tolist()
            score = round(float(rng.uniform(0.2, 1)), 4)
            found.append({"image_id": one["image_id"], "category_id": 1, "bbox": box, "score": score})
    return found


def tpose_eval(*arguments: object) -> Result:
    """Run ``tpose eval`` with the bundled model in this process."""
    given = [str(argument) for argument in arguments]
    model = [] if "--model" in given else ["--model", MODEL]
    return CliRunner().invoke(cli, ["eval", *given, *model])


def truth_of(folder: Path, **choice: Any) -> KeypointSet:
    """Load the set in a folder of the authors' layout."""
    return load_set(DataChoice("val2017", folder, **choice), Problems())


def put_detections(folder: Path, found: Any) -> Path:
    """Write a file of detections to its place in the authors' layout."""
    path = folder / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a results file."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows
