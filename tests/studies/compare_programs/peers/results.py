"""Poses as COCO results. Imports nothing but the standard library: interpreters of other programs run it, too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path


def entry(frame: int, keypoints: Iterable[Sequence[float]], score: float) -> dict[str, object]:
    """Return one person of a frame, counted from 0: 17 keypoints as (x, y, score), and a score."""
    numbers = [round(float(number), 3) for keypoint in keypoints for number in keypoint]
    return {"image_id": frame + 1, "category_id": 1, "keypoints": numbers, "score": round(float(score), 4)}


def write(path: str, people: Sequence[dict[str, object]]) -> None:
    """Write the people of all frames."""
    Path(path).write_text(json.dumps(list(people)))
