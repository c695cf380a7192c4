"""COCO results: rescoring, non-maximum suppression, reading and writing, and the zip file for the test server."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tposecli.evaluation.coco.keypoint_set import Float64, KeypointSet, Record, numbers, read_json
from tposecli.evaluation.coco.problems import INVALID, NO_CATEGORY, OTHER_RESULT, UNKNOWN_RESULT, Problems
from tposecli.geometry.crop import UNIT, crop_regions
from tposecli.geometry.similarity import oks_nms
from tposecli.types import Poses
from tposecli.utils.coco_records import record_id
from tposecli.utils.errors import InputError
from tposecli.utils.files import new_file, write_text

NMS: Final = 0.9
SERVER_FIELDS: Final = ("image_id", "category_id", "keypoints", "score")


def result_rows(image: tuple[int, int], poses: Poses, aspect: float, sigmas: Float64) -> list[Record]:
    """Return the people of one image in the authors' schema, best first, after non-maximum suppression.

    A person's score is the box score times the mean of the keypoint scores above 0.2. Of two poses with an OKS above
    0.9, the better one is keep.

    Args:
        image: Image id and category id.
        poses: N people as estimated.
        aspect: Width of a crop divided by its height.
        sigmas: (K,) constants of object keypoint similarity.
    """
    center, scale = crop_regions(poses.boxes.corners, aspect)
    score = poses.person_score
    area = (scale * UNIT).prod(axis=1).astype(np.float64)
    keep = oks_nms(poses.xy.astype(np.float64), area, score.astype(np.float64), NMS, sigmas)
    keypoints = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2).reshape(len(poses), -1)
    columns = zip(
        keypoints[keep].tolist(), score[keep].tolist(), center[keep].tolist(), scale[keep].tolist(), strict=True
    )
    return [
        {
            "image_id": image[0],
            "category_id": image[1],
            "keypoints": person_keypoints,
            "score": person_score,
            "center": crop_center,
            "scale": crop_scale,
        }
        for person_keypoints, person_score, crop_center, crop_scale in columns
    ]


def read_results(path: Path, truth: KeypointSet, problems: Problems) -> list[Record]:
    """Read a results file, and keep the rows of the set's images.

    Raises:
        UsageError: The file does not exist.
        InputError: It does not contain a list of results.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of results (image_id, category_id, keypoints, score)")
    rows: list[Record] = []
    left_out = Problems()
    for number, entry in enumerate(entries, start=1):
        kind, name, row = _row(entry, truth, f"result {number} of {path.name}")
        if row is None:
            problems.note(kind, name) if kind == OTHER_RESULT else problems.add(kind, name)
            left_out.note(kind, name)
        else:
            rows.append(row)
    if entries and not rows:
        raise InputError(
            f"{path}: none of its {len(entries)} results belongs to the set ({'; '.join(left_out.lines())}); "
            "name those of this set"
        )
    return [row for row in rows if row["image_id"] in truth.ids]


def _row(entry: Any, truth: KeypointSet, name: str) -> tuple[str, str, Record | None]:
    """Return the scored part of a result: without its box, which would change the areas.

    Returns:
        What is wrong with the result, and its name, if it is left out; the result, or None.
    """
    try:
        image_id = truth.number_of(entry["image_id"])
        if entry.get("category_id") is None:
            return NO_CATEGORY, name, None
        category = record_id(entry["category_id"], "category_id")
        if category not in truth.person.ids:
            wanted = truth.person.title
            return OTHER_RESULT, f"{name}, {truth.person.describe(category)} instead of {wanted}", None
        if image_id is None:
            return UNKNOWN_RESULT, f"image {entry['image_id']}", None
        row = {
            "image_id": image_id,
            "category_id": truth.category,
            "keypoints": numbers(entry["keypoints"], 3 * truth.keypoints),
            "score": numbers([entry["score"]], 1)[0],
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return INVALID, name, None
    return "", "", row


def write_results(path: Path, rows: Sequence[Record]) -> None:
    """Write a results file, one row per line.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, _json_lines(rows))


def write_server_zip(path: Path, rows: Sequence[Mapping[str, Any]], title: str, algorithm: str) -> None:
    """Write the zip file for COCO's test server: one results file, with the required name and fields.

    Raises:
        OutputError: It cannot be written.
    """
    bare = [{field: row[field] for field in SERVER_FIELDS} for row in rows]
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"person_keypoints_{title}_{algorithm}_results.json", _json_lines(bare))


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = (json.dumps(row, allow_nan=False, separators=(",", ":")) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"
