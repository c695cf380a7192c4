"""Measure how cost scales with the number of people, and that memory does not grow with the length of the video."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.inference.estimator import PoseEstimator
from tposecli.lab.bench.clock import alternate
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import Variant, estimator_of
from tposecli.lab.bench.report import Cell, Table
from tposecli.lab.bench.scene import crowd, rendered_clip
from tposecli.lab.bench.whole import run_once
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Frame

CROWD_SIZES: Final = (1, 2, 5, 10, 20, 50)
MIN_PEOPLE: Final = 20
"""Minimum number of people per lap, spread over several frames if needed: a single one would find cold caches."""
LENGTHS: Final = (1, 4)
SHORT_FRAMES: Final = 60
"""Number of frames of the shorter clip."""


def people_table(job: BenchJob, device: torch.device, checkpoint: Checkpoint) -> Table:
    """Measure the time per person in frames with few and with many people, from boxes to the drawing."""
    variant = Variant(job.backends[0], job.precisions[0], max(job.batches))
    estimator = estimator_of(checkpoint, variant, device)
    scenes = {people: crowd(people) for people in CROWD_SIZES}
    workloads = {people: _Workload(estimator, *scene) for people, scene in scenes.items()}
    laps = alternate(workloads, job.rounds, device, warm_up=2)  # in the first round there are no tracks yet
    seen = {people: people * _frames(people) for people in CROWD_SIZES}
    one = laps[CROWD_SIZES[0]].cpu_each(seen[CROWD_SIZES[0]])
    rows: list[tuple[Cell, ...]] = [
        (people, each.each(seen[people]), each.cpu_each(seen[people]), each.cpu_each(seen[people]) / one)
        for people, each in laps.items()
    ]
    columns = ("people in the frame", "ms a person", "CPU ms a person", "CPU relative to one")
    return Table("people", "People in the frame", columns, rows, ["Crop, net, decoding, tracking, drawing."])


def _frames(people: int) -> int:
    """Return the number of frames of this many people that make up a lap."""
    return -(-MIN_PEOPLE // people)


class _Workload:
    """All the work on the people of some frames; a class, so that each crowd size keeps its own tracker."""

    def __init__(self, estimator: PoseEstimator, frame: Frame, boxes: Boxes) -> None:
        self._estimator, self._frame, self._boxes = estimator, frame, boxes
        self._tracker, self._draw, self._time_s = Tracker(), SkeletonDrawer(), 0.0

    def __call__(self) -> None:
        count = _frames(len(self._boxes))
        for result in self._estimator.estimate([self._frame] * count, [self._boxes] * count):
            self._time_s += 0.04
            self._draw.draw(self._frame.image.copy(), self._tracker.update(result.poses, self._time_s))


def length_table(job: BenchJob, checkpoint: Checkpoint, folder: Path) -> Table:
    """Measure the peak memory of runs on a clip and on a longer one."""
    rows: list[tuple[Cell, ...]] = []
    for times in LENGTHS:
        clip = folder / f"length-{times}.mp4"
        rendered_clip(clip, 1, SHORT_FRAMES * times)
        run = run_once(clip, job, checkpoint, folder)
        rows.append((run.frames, run.peak_mib, run.running_s / run.frames * 1e3))
    return Table("length", "Length of the video", ("frames", "peak memory, MiB", "ms a frame"), rows)
