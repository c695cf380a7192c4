"""A YOLO pose model by ultralytics (AGPL-3.0), used as its documentation says.

``python ultralytics_pose.py CLIP POSES.json MODEL [FOLDER]``: MODEL is a ``.pt`` file, or ``yolo11n-pose.yaml`` for a
model with random weights; with FOLDER, the library writes its annotated video there.
"""

from __future__ import annotations

import os
import sys

os.environ |= {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}

import results
from ultralytics import YOLO


def main(clip: str, poses: str, model: str, folder: str | None = None) -> None:
    """Predict, frame by frame, and write the poses."""
    saving = {} if folder is None else {"save": True, "project": folder, "name": "video"}
    people: list[dict[str, object]] = []
    for frame, found in enumerate(YOLO(model).predict(clip, stream=True, verbose=False, **saving)):
        if found.keypoints is None or found.boxes is None:
            continue
        for keypoints, score in zip(found.keypoints.data.tolist(), found.boxes.conf.tolist(), strict=True):
            people.append(results.entry(frame, keypoints, score))
    results.write(poses, people)


if __name__ == "__main__":
    main(*sys.argv[1:])
