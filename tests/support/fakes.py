"""Pipeline stages with known results, for testing the code around the nets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tposecli.geometry.keypoints import COCO
from tposecli.inference.backends.cuda_graphs import CudaGraph, Function
from tposecli.inference.runtime import Runtime
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.timings import Timings


def fake_capture(sizes: list[int]) -> Callable[[Function, Tensor], CudaGraph]:
    """Stand-in for CUDA graph capture: replays read and write the memory of the first call; records the sizes."""

    def capture(function: Function, x: Tensor) -> CudaGraph:
        sizes.append(len(x))
        outputs = function(x)

        def replay() -> None:
            for output, value in zip(outputs, function(x), strict=True):
                output.copy_(value)

        return CudaGraph(x, outputs, replay)

    return capture


def grey(index: int, size_wh: tuple[int, int] = (64, 48)) -> Frame:
    """Return a frame whose pixels equal its index."""
    return Frame(np.full((size_wh[1], size_wh[0], 3), index % 256, np.uint8), index, index / 25, "grey", index)


class FakeDetector:
    """Detects one person who moves one pixel to the right per frame."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Record which frames were passed together."""
        self.calls.append([frame.index for frame in frames])
        return [Boxes([[frame.index, 0, frame.index + 20, 40]], [0.9]) for frame in frames]


class FakeEstimator:
    """Places all 17 keypoints at the centre of the box."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.runtime = Runtime(torch.device("cpu"))
        self.layout = COCO
        self.attention = None
        self.calibration = None
        self.int8 = None
        self.fail_at = fail_at
        self.groups: list[int] = []

    def estimate(self, frames: Sequence[Frame], boxes: Sequence[Boxes], timings: Timings) -> list[Result]:
        """Record how many frames were passed together."""
        self.groups.append(len(frames))
        if self.fail_at is not None and any(frame.index >= self.fail_at for frame in frames):
            raise RuntimeError("the net broke")
        return [Result(frame, self._poses(found)) for frame, found in zip(frames, boxes, strict=True)]

    def _poses(self, boxes: Boxes) -> Poses:
        middle = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
        return Poses(boxes, np.repeat(middle[:, None], 17, axis=1), np.full((len(boxes), 17), 0.8))


class LateSmoother:
    """Returns every frame two frames later, shifted by one pixel."""

    def __init__(self) -> None:
        self.waiting: list[Poses] = []

    def push(self, poses: Poses, time_s: float) -> list[Poses]:
        """Hold back two frames."""
        self.waiting.append(poses)
        return [self._shifted()] if len(self.waiting) > 2 else []

    def flush(self) -> list[Poses]:
        """Return the rest."""
        return [self._shifted() for _ in range(len(self.waiting))]

    def _shifted(self) -> Poses:
        poses = self.waiting.pop(0)
        return Poses(poses.boxes, poses.xy + 1, poses.score, poses.track_id, poses.flags)
