"""Measure the time per frame in each stage alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tposecli.detection.base import Detector
from tposecli.detection.factory import AUTO_BUNDLED, DetectorOptions, build_detector
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.geometry import heatmaps
from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.inference.backends.base import pieces
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import resolve_device
from tposecli.lab.bench.ceilings import COPY, Ceilings
from tposecli.lab.bench.clock import LapTimes, alternate
from tposecli.lab.bench.job import BenchJob
from tposecli.lab.bench.nets import Variant, estimator_of
from tposecli.lab.bench.report import Cell, Table
from tposecli.pipeline.stream import GROUP_FRAMES
from tposecli.sinks.video import VideoSink
from tposecli.smoothing.chain import build_smoother
from tposecli.smoothing.options import SmoothOptions
from tposecli.sources import open_video
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Frame, Result, SourceInfo
from tposecli.utils.timings import Timings

COLUMNS: Final = ("stage", "ms a frame", "CPU ms a frame", "share of CPU", "share of the copy ceiling")


@dataclass(frozen=True, slots=True)
class StageInputs:
    """The inputs of the stages: the results of each are the inputs of the next.

    Attributes:
        path: The video.
        info: Its properties.
        frames: The decoded frames.
        boxes: The detected boxes of each frame.
        crops: (people, H, W, 3) uint8 crops of all frames.
        heatmaps: (people, K, h, w) heatmaps of the crops.
        results: The poses.
    """

    path: Path
    info: SourceInfo
    frames: list[Frame]
    boxes: list[Boxes]
    crops: Tensor
    heatmaps: Tensor
    results: list[Result]


def table(job: BenchJob, video: Path, checkpoint: Checkpoint, ceilings: Ceilings, folder: Path) -> Table:
    """Time each stage on the first frames of the video."""
    device = resolve_device(job.device)
    variant = Variant(job.backends[0], job.precisions[0], max(job.batches))
    estimator = estimator_of(checkpoint, variant, device)
    detector = build_detector(DetectorOptions(AUTO_BUNDLED), estimator.runtime)
    with torch.inference_mode():
        inputs = _prepare(video, job.frames, detector, estimator)
        workloads = _workloads(inputs, detector, estimator, folder)
        laps = alternate(workloads, job.rounds, device)
    count, people = len(inputs.frames), sum(map(len, inputs.boxes))
    total = sum(each.cpu_each(count) for each in laps.values())
    moved = {"decode": 3 * sum(frame.image.size for frame in inputs.frames), "crop": 2 * inputs.crops.numel()}
    rows = [_row(name, each, count, total, ceilings, moved.get(name)) for name, each in laps.items()]
    size = "x".join(map(str, inputs.info.size_wh or ()))
    notes = [
        f"{count} frames of {size} with {people / count:.1f} people each; {estimator.spec.name}, "
        f"{estimator.runtime.backend}, {variant.precision}, batches of {variant.batch}.",
        "CPU: time of all threads of this process, which other load on the machine hardly affects.",
    ]
    return Table("stages", "Stages, each alone", COLUMNS, rows, notes)


def _row(
    name: str, laps: LapTimes, count: int, total: float, ceilings: Ceilings, moved: int | None
) -> tuple[Cell, ...]:
    cpu = laps.cpu_each(count)
    share = "-" if moved is None else ceilings.share(COPY, laps, moved)
    return name, laps.each(count), cpu, f"{cpu / total:.0%}", share


def _prepare(video: Path, count: int, detector: Detector, estimator: PoseEstimator) -> StageInputs:
    """Run the stages once, in groups of frames as the pipeline does."""
    with open_video(video) as source:
        frames = list(islice(source, count))
        info = source.info
    boxes = [found for group in _groups(frames, estimator) for found in detector.detect(group)]
    crops = _crops(frames, boxes, estimator)
    heatmaps = _heatmaps(crops, estimator)
    results = estimator.estimate(frames, boxes)
    return StageInputs(video, info, frames, boxes, crops, heatmaps, results)


def _workloads(
    inputs: StageInputs, detector: Detector, estimator: PoseEstimator, folder: Path
) -> dict[str, Callable[[], object]]:
    """Return the workloads of the stages by name, in order."""
    frames, results = inputs.frames, inputs.results
    draw = SkeletonDrawer()

    def decode() -> None:
        with open_video(inputs.path) as source:
            for _ in islice(source, len(frames)):
                pass

    def track() -> None:
        tracker, smoother = Tracker(), build_smoother(SmoothOptions("one-euro"), live=True)
        assert smoother is not None
        for result in results:
            smoother.push(tracker.update(result.poses, result.frame.time_s), result.frame.time_s)

    def encode() -> None:
        with VideoSink(folder / "stage.mp4", inputs.info) as sink:
            for frame in frames:
                sink.write(frame.image, frame.pts, frame.time_s)

    return {
        "decode": decode,
        "detect": lambda: [detector.detect(group) for group in _groups(frames, estimator)],
        "crop": lambda: _crops(frames, inputs.boxes, estimator),
        **_inference(inputs, estimator),
        "track and smooth": track,
        "draw": lambda: [draw.draw(result.frame.image, result.final) for result in results],
        "encode": encode,
    }


def _inference(inputs: StageInputs, estimator: PoseEstimator) -> dict[str, Callable[[], object]]:
    """Return the workloads from crops to keypoints: two, or a single one if both are in one CUDA graph."""
    batch, worker = estimator.runtime.batch_size, estimator.workers[0]
    if worker.graphs is not None:
        crops = torch.split(inputs.crops, batch)
        return {"net and heatmap decode": lambda: [worker.estimate(some, Timings()) for some in crops]}
    return {
        "net": lambda: _heatmaps(inputs.crops, estimator),
        "heatmap decode": lambda: [heatmaps.decode(maps) for maps in torch.split(inputs.heatmaps, batch)],
    }


def _groups(frames: Sequence[Frame], estimator: PoseEstimator) -> Iterator[Sequence[Frame]]:
    size = GROUP_FRAMES[estimator.runtime.device.type]
    return (frames[start : start + size] for start in range(0, len(frames), size))


def _crops(frames: Sequence[Frame], boxes: Sequence[Boxes], estimator: PoseEstimator) -> Tensor:
    """Return the (people, H, W, 3) uint8 crops on the device, cut as the estimator does."""
    crops, runtime = estimator.crops(frames, boxes), estimator.runtime
    batches = pieces(len(crops), runtime.batch_size)
    return torch.cat([crops.batch(people, runtime.device) for people in batches])


def _heatmaps(crops: Tensor, estimator: PoseEstimator) -> Tensor:
    """Return the (people, K, h, w) float32 heatmaps on the device."""
    return torch.cat([estimator.heatmaps(batch) for batch in torch.split(crops, estimator.runtime.batch_size)])
