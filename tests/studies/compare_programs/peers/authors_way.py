"""TransPose as the authors' scripts run it: one person at a time in fp32, decoded in Python, joint by joint.

``python -m tests.studies.compare_programs.peers.authors_way CLIP POSES.json BOXES.json MODEL WEIGHTS``: BOXES.json has
the people as COCO detections, as their scripts take them; what finding them costs is not counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tests.studies.compare_programs.peers import results
from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.inference.runtime import Runtime
from tposecli.lab.bench.authors import AuthorsBaseline
from tposecli.models import find_spec
from tposecli.sources import open_video


def main(clip: str, poses: str, boxes: str, model: str, weights: str) -> None:
    """Estimate, frame by frame, and write the poses."""
    device = torch.device("cpu")
    baseline = AuthorsBaseline(Checkpoint(find_spec(model), Path(weights)), device)
    given = build_detector(DetectorOptions(f"boxes:{boxes}"), Runtime(device))
    people: list[dict[str, object]] = []
    with open_video(Path(clip)) as source:
        for frame in source:
            (found,) = given.detect([frame])
            if not len(found):
                continue
            xy, score = baseline.estimate(frame, found)
            rows = np.concatenate([xy, score[..., None]], axis=2).tolist()
            # COCO's protocol: the box's score times the mean score of its keypoints.
            for keypoints, box, own in zip(rows, found.score.tolist(), score.mean(axis=1).tolist(), strict=True):
                people.append(results.entry(frame.index, keypoints, box * own))
    results.write(poses, people)


if __name__ == "__main__":
    main(*sys.argv[1:])
