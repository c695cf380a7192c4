"""Detectors of torchvision in a fresh process: as the library's own net, for single and batched frames."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

pytest.importorskip("torchvision")

PROGRAM = """
import dataclasses, sys
from pathlib import Path
import numpy as np, torch
import tposecli.detection.torchvision as ours
from tposecli.inference.runtime import Runtime
from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.types import Frame
from tposecli.utils.files import sha256_of

name, folder = "fasterrcnn_mobilenet_v3_large_320_fpn", Path(sys.argv[1])
from torchvision.models import detection
torch.manual_seed(0)
options = {"box_score_thresh": 0.3, "box_nms_thresh": 0.6, "min_size": 160, "max_size": 160}
net = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=91, **options)
predictor = net.roi_heads.box_predictor
predictor.cls_score.bias.data[ours.PERSON] = 5
torch.save(net.state_dict(), folder / "w")
file = f"{name}-{sha256_of(folder / 'w')[:8]}.pth"
(folder / "w").rename(folder / file)
ours.MODELS = (dataclasses.replace(ours.find_model(name), file=file),)
runtime = Runtime(torch.device("cpu"))
detector = build_detector(DetectorOptions(f"torchvision:{name}", 0.3, 0.6, image_size=160), runtime)
rng = np.random.default_rng(0)
frames = [Frame(rng.integers(0, 255, (height, width, 3), np.uint8), i) for i, (width, height) in
          enumerate(((160, 90), (160, 90), (90, 160)))]
batched = detector.detect(frames)
for frame, together in zip(frames, batched):
    with torch.inference_mode():
        found = net.eval()([torch.from_numpy(frame.image).permute(2, 0, 1).float() / 255])[0]
    person = found["labels"] == ours.PERSON
    wanted = found["scores"][person].numpy()
    assert len(wanted)
    for boxes in (together, detector.detect([frame])[0]):
        kept = np.isin(np.round(boxes.score, 4), np.round(wanted, 4))
        assert kept.all() and abs(boxes.score.max() - wanted.max()) < 1e-4
        limit = np.array([*frame.size_wh] * 2) - 1
        everything = np.minimum(found["boxes"][person].numpy(), limit)
        assert all(abs(everything - box).max(axis=1).min() < 0.05 for box in boxes.xyxy)
print("equal")
"""


@pytest.mark.slow
def test_boxes_are_those_of_the_librarys_net(tmp_path: Path) -> None:
    environment = os.environ | {"TPOSE_HOME": str(tmp_path), "TPOSE_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.stdout.splitlines()[-1:] == ["equal"], done.stderr
