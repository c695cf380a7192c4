"""Rendered people as training crops: rendered once into a folder with a COCO keypoint file, or on the fly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tposecli.lab.synth.training import random_crop
from tposecli.lab.training.augment import Rng
from tposecli.lab.training.dataset import AnnotatedPerson
from tposecli.lab.training.shared import LogCallback, check_render_folder
from tposecli.types import Image
from tposecli.utils.files import write_text

ANNOTATIONS = "annotations.json"
DRAWN = "drawn.jsonl"
QUALITY = 95
MARGIN = 4 / 3
"""Size of the rendered images relative to the net's crop."""


def size_for(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of rendered images for a net with this crop size."""
    return round(input_hw[1] * MARGIN), round(input_hw[0] * MARGIN)


def render_one(rng: Rng, size_wh: tuple[int, int]) -> tuple[Image, AnnotatedPerson]:
    """Render an image, and return it with its person; both depend only on the generator's state."""
    image, keypoints, box = random_crop(rng, size_wh)
    joints = np.asarray(keypoints, np.float32).copy()
    joints[:, 2] = joints[:, 2] > 0
    return image, AnnotatedPerson(Path("rendered"), np.asarray(box, np.float64), joints)


def render_people(folder: Path, count: int, size_wh: tuple[int, int], log: LogCallback) -> Path:
    """Render ``count`` images that are not there yet, and return the path of their annotation file.

    Each image depends only on its number. Takes about 20 ms per image on one core.
    """
    annotations = folder / ANNOTATIONS
    wanted = {"count": count, "size_wh": list(size_wh)}
    if annotations.is_file() and json.loads(annotations.read_text(encoding="utf-8")).get("info") == wanted:
        return annotations
    record = folder / f"{size_wh[0]}x{size_wh[1]}-{DRAWN}"
    check_render_folder(folder, (ANNOTATIONS, *(_name(number, size_wh) for number in range(count))), record.name)
    people = _drawn(record)[:count]
    with record.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(person) + "\n" for person in people)
        for number in range(len(people), count):
            people.append(_draw(folder, number, size_wh))
            file.write(json.dumps(people[-1]) + "\n")
            file.flush()
            if (number + 1) % 500 == 0:
                log(f"{number + 1} of {count} people rendered")
    names = [_name(number, size_wh) for number in range(count)]
    images = [
        {"id": number, "file_name": name, "width": size_wh[0], "height": size_wh[1]}
        for number, name in enumerate(names)
    ]
    write_text(annotations, json.dumps({"info": wanted, "images": images, "annotations": people}))
    return annotations


def _drawn(record: Path) -> list[dict[str, Any]]:
    """Return the annotations that an interrupted call has written, without an incomplete last line."""
    people: list[dict[str, Any]] = []
    for line in record.read_text(encoding="utf-8").splitlines() if record.is_file() else ():
        try:
            people.append(json.loads(line))
        except ValueError:
            break
    return people


def _name(number: int, size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}-{number:06d}.jpg"


def _draw(folder: Path, number: int, size_wh: tuple[int, int]) -> dict[str, Any]:
    """Render and write one image, and return its annotation."""
    image, keypoints, box = random_crop(np.random.default_rng([0, number]), size_wh)
    path = folder / _name(number, size_wh)
    cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    joints = np.asarray(keypoints, np.float64).round(2)
    x0, y0, x1, y1 = (round(float(value), 1) for value in box)
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "bbox": [x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)],
        "area": round((x1 - x0) * (y1 - y0), 1),
        "iscrowd": 0,
        "keypoints": joints.reshape(-1).tolist(),
    }
