"""Ground truth as a COCO dataset: images, and people with keypoints, boxes, areas and track ids."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tposecli.geometry.keypoints import KEYPOINTS, LIMBS
from tposecli.lab.synth.scene import Shot

Record = dict[str, Any]


def category() -> Record:
    """Return COCO's person category with keypoint names and 1-based skeleton."""
    skeleton = [[a + 1, b + 1] for a, b in LIMBS]
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(KEYPOINTS), "skeleton": skeleton}


def _rounded(values: Any) -> list[float | int]:
    """Round to two decimals, and write whole numbers as integers."""
    return [int(v) if float(v).is_integer() else float(v) for v in np.round(np.asarray(values, np.float64), 2)]


def person_records(shot: Shot, image_id: int, first_id: int) -> list[Record]:
    """Return a record for each person of the shot; joints outside the image are 0, 0, 0."""
    records = []
    for index in range(len(shot)):
        x1, y1, x2, y2 = shot.boxes.xyxy[index].astype(np.float64)
        joints = shot.keypoints[index].astype(np.float64).copy()
        joints[joints[:, 2] == 0] = 0
        records.append(
            {
                "id": first_id + index,
                "image_id": image_id,
                "category_id": 1,
                "segmentation": [],
                "bbox": _rounded([x1, y1, x2 - x1, y2 - y1]),
                "area": _rounded([shot.area[index]])[0],
                "iscrowd": 0,
                "keypoints": _rounded(joints.ravel()),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
                "track_id": int(shot.track_id[index]),
                "attributes": {"track_id": int(shot.track_id[index])},
            }
        )
    return records


def dataset(description: str, images: list[Record], people: list[Record]) -> str:
    """Return the whole file as strict JSON, with one record per line so that it is easy to read and compare."""
    info = {"description": description, "version": "1", "contributor": "tposecli.lab.synth"}
    lines = [f'{{"info": {_line(info)},', '"licenses": [],', '"images": [']
    lines += [",\n".join(_line(record) for record in images), "],", '"annotations": [']
    lines += [",\n".join(_line(record) for record in people), "],"]
    lines.append(f'"categories": [{_line(category())}]}}')
    return "\n".join(lines) + "\n"


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False, separators=(",", ":"))
