"""From poses to rows of results: rescoring, suppression of duplicates, the authors' schema, the test server's zip."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.evaluation.coco.keypoint_set import Float64, KeypointSet, Record, numbers, read_json
from tposecli.evaluation.coco.problems import SENSELESS, UNKNOWN_RESULT, Problems
from tposecli.geometry.crop import UNIT, crop_regions
from tposecli.geometry.similarity import oks_nms
from tposecli.types import Poses
from tposecli.utils.errors import InputError, OutputError
from tposecli.utils.files import part_path, publish

NMS: Final = 0.9
SERVER_FIELDS: Final = ("image_id", "category_id", "keypoints", "score")


def result_rows(image: tuple[int, int], poses: Poses, aspect: float, sigmas: Float64) -> list[Record]:
    """The people of one image in the authors' schema, best first, without duplicates.

    A person's score is the box's times the mean of the keypoints' above 0.2; of two poses alike beyond an OKS of 0.9
    the better one stays.

    Args:
        image: Its id, and that of the category.
        poses: N people as measured.
        aspect: Width by height of a crop.
        sigmas: (K,) constants of the keypoints.
    """
    center, scale = crop_regions(poses.boxes.corners, aspect)
    score = poses.person_score
    area = (scale * UNIT).prod(axis=1).astype(np.float64)
    kept = oks_nms(poses.xy.astype(np.float64), area, score.astype(np.float64), NMS, sigmas)
    keypoints = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2).reshape(len(poses), -1)
    columns = zip(
        keypoints[kept].tolist(), score[kept].tolist(), center[kept].tolist(), scale[kept].tolist(), strict=True
    )
    return [
        {
            "image_id": image[0],
            "category_id": image[1],
            "keypoints": person,
            "score": rescored,
            "center": middle,
            "scale": size,
        }
        for person, rescored, middle, size in columns
    ]


def read_results(path: Path, truth: KeypointSet, problems: Problems) -> list[Record]:
    """The rows of a results file that the set knows the images of.

    Raises:
        UsageError: There is no such file.
        InputError: It holds no list of results.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of results (image_id, category_id, keypoints, score)")
    rows: list[Record] = []
    for number, entry in enumerate(entries, start=1):
        try:
            row = _row(entry, truth)
        except (KeyError, TypeError, ValueError):
            problems.add(SENSELESS, f"result {number} of {path.name}")
            continue
        if row["image_id"] in truth.known:
            rows.append(row)
        else:
            problems.add(UNKNOWN_RESULT, f"image {row['image_id']}")
    return [row for row in rows if row["image_id"] in truth.ids]


def _row(entry: Any, truth: KeypointSet) -> Record:
    """What is scored of a result: without its box, which would change the areas."""
    return {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "keypoints": numbers(entry["keypoints"], 3 * truth.keypoints),
        "score": numbers([entry["score"]], 1)[0],
    }


def write_results(path: Path, rows: Sequence[Record]) -> None:
    """Write a results file, one row a line.

    Raises:
        OutputError: It cannot be written.
    """
    _publish(path, _listing(rows).encode())


def write_server_zip(path: Path, rows: Sequence[Mapping[str, Any]], title: str, algorithm: str) -> None:
    """Write what COCO's test server takes: a zip of one file of results, named as it wants and with no other fields.

    Raises:
        OutputError: It cannot be written.
    """
    bare = [{field: row[field] for field in SERVER_FIELDS} for row in rows]
    try:
        with zipfile.ZipFile(part_path(path), "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"person_keypoints_{title}_{algorithm}_results.json", _listing(bare))
        publish(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error


def _listing(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = (json.dumps(row, allow_nan=False, separators=(",", ":")) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _publish(path: Path, content: bytes) -> None:
    try:
        part_path(path).write_bytes(content)
        publish(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error
