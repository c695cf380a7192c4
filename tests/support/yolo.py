"""YOLO nets built and saved by the installed ultralytics, which find people although they were never trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tposecli.detection.yolo import contained, load_ultralytics

WANTED = 40
"""Boxes of people in the two random images, before suppression."""


def save_yolo(path: Path, config: str = "yolo11n.yaml", seed: int = 0) -> Path:
    """Build the net, give its features a spread and its head a bias for people, and let the library save it."""
    library = load_ultralytics()
    with contained(), torch.no_grad():
        torch.manual_seed(seed)
        model = library.YOLO(config)
        images = torch.rand(2, 3, 96, 160)
        _calibrate(model.model, images)
        head = model.model.model[-1]
        for branch in head.cv3:
            branch[-1].weight.normal_(std=0.003)
            branch[-1].bias.fill_(-9)
            branch[-1].bias[0] = -3
        scores = model.model.eval()(images)[0][:, 4].logit().flatten().sort(descending=True)[0]
        for branch in head.cv3:
            branch[-1].bias[0] -= scores[WANTED] + 1.1
        model.save(str(path))
    return path


def _calibrate(net: Any, images: torch.Tensor) -> None:
    """Set the running statistics of all batch normalisations to those of the images."""
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    usual = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 1.0
    net.train()(images)
    for module, momentum in zip(norms, usual, strict=True):
        module.momentum = momentum
