"""How far keypoints are from the CPU's in fp32: ``python -m tests.studies.gpu_run.equality DEVICE [FRAMES]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from tests import REPOSITORY
from tests.studies.gpu_run import rows
from tposecli.detection.factory import AUTO_BUNDLED, DetectorOptions, build_detector
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime, resolve_device
from tposecli.sources import open_video
from tposecli.types import Boxes, Frame, Poses

CLIP = REPOSITORY / "sample_media" / "walk.mp4"
MODELS = ("transpose-m-a3", "transpose-s-a4")
SEEN = 0.3
"""Score above which a keypoint counts: the place of one that is not there is chance."""


def poses(model: str, frames: Sequence[Frame], boxes: Sequence[Boxes], runtime: Runtime) -> list[Poses]:
    """Return the poses of people whose boxes are known."""
    return [result.poses for result in PoseEstimator(model, runtime=runtime).estimate(frames, boxes)]


def distances(expected: Sequence[Poses], found: Sequence[Poses]) -> NDArray[np.floating]:
    """Return how far each keypoint that is seen well lies from where it is expected, in pixels."""
    pairs = zip(expected, found, strict=True)
    return np.concatenate([np.linalg.norm(a.xy - b.xy, axis=2)[a.score > SEEN] for a, b in pairs])


def main(name: str = "auto", count: str = "48") -> None:
    """Measure, and print a row for each model and precision."""
    device, cpu = resolve_device(name), Runtime(torch.device("cpu"))
    with open_video(CLIP) as source:
        frames = list(islice(source, int(count)))
    boxes = build_detector(DetectorOptions(AUTO_BUNDLED), cpu).detect(frames)
    rows.head(("model", "precision", "keypoints", "median, px", "99 %, px", "largest, px"))
    for model in MODELS:
        expected = poses(model, frames, boxes, cpu)
        for precision in ("fp32", "bf16", "fp16") if device.type == "cuda" else ("fp32", "bf16"):
            apart = distances(expected, poses(model, frames, boxes, Runtime(device, precision)))
            rows.row(model, precision, len(apart), *(float(np.quantile(apart, q)) for q in (0.5, 0.99, 1)))
    rows.note(f"{CLIP.name}, {len(frames)} frames, boxes from the CPU, keypoints that score above {SEEN}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
