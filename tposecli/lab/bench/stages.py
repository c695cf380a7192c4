"""Each stage for itself: what a frame costs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tposecli.detection.base import Detector
from tposecli.detection.factory import DetectorOptions, build_detector
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.geometry import heatmaps
from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.inference.backends.base import pieces
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import resolve_device
from tposecli.lab.bench.ceilings import COPY, Ceilings
from tposecli.lab.bench.clock import Laps, alternate
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
    """What the stages work on, each with the results of the one before.

    Attributes:
        path: The video.
        crops: (people, H, W, 3) uint8 of all frames.
        heatmaps: (people, K, h, w) of them.
    """

    path: Path
    info: SourceInfo
    frames: list[Frame]
    boxes: list[Boxes]
    crops: Tensor
    heatmaps: Tensor
    results: list[Result]


def table(job: BenchJob, video: Path, checkpoint: Checkpoint, ceilings: Ceilings, folder: Path) -> Table:
    """Time every stage on the video's first frames."""
    device = resolve_device(job.device)
    detector = build_detector(DetectorOptions(), device)
    variant = Variant(job.backends[0], job.precisions[0], max(job.batches))
    estimator = estimator_of(checkpoint, variant, device)
    with torch.inference_mode():
        material = _material(video, job.frames, detector, estimator)
        ways = _ways(material, detector, estimator, folder)
        laps = alternate(ways, job.rounds, device)
    count, people = len(material.frames), sum(map(len, material.boxes))
    total = sum(each.cpu_each(count) for each in laps.values())
    moved = {"decode": 3 * sum(frame.image.size for frame in material.frames), "crop": 2 * material.crops.numel()}
    rows = [_row(name, each, count, total, ceilings, moved.get(name)) for name, each in laps.items()]
    size = "x".join(map(str, material.info.size_wh or ()))
    notes = [
        f"{count} frames of {size} with {people / count:.1f} people each; {estimator.spec.name}, "
        f"{estimator.runtime.backend}, {variant.precision}, batches of {variant.batch}.",
        "CPU: of all threads of this process, which a busy machine hardly changes.",
    ]
    return Table("stages", "Stages, each alone", COLUMNS, rows, notes)


def _row(name: str, laps: Laps, count: int, total: float, ceilings: Ceilings, moved: int | None) -> tuple[Cell, ...]:
    cpu = laps.cpu_each(count)
    share = "-" if moved is None else ceilings.share(COPY, laps, moved)
    return name, laps.each(count), cpu, f"{cpu / total:.0%}", share


def _material(video: Path, count: int, detector: Detector, estimator: PoseEstimator) -> StageInputs:
    """Run the stages once, group by group as the pipeline does."""
    with open_video(video) as source:
        frames = list(islice(source, count))
        info = source.info
    boxes = [found for group in _groups(frames, estimator) for found in detector.detect(group)]
    crops = _crops(frames, boxes, estimator)
    heatmaps = _heatmaps(crops, estimator)
    results = estimator.estimate(frames, boxes)
    return StageInputs(video, info, frames, boxes, crops, heatmaps, results)


def _ways(
    material: StageInputs, detector: Detector, estimator: PoseEstimator, folder: Path
) -> dict[str, Callable[[], object]]:
    """The stages by name, in order."""
    frames, results = material.frames, material.results
    draw = SkeletonDrawer()

    def decode() -> None:
        with open_video(material.path) as source:
            for _ in islice(source, len(frames)):
                pass

    def track() -> None:
        tracker, smoother = Tracker(), build_smoother(SmoothOptions("one-euro"), live=True)
        assert smoother is not None
        for result in results:
            smoother.push(tracker.update(result.poses, result.frame.time_s), result.frame.time_s)

    def encode() -> None:
        with VideoSink(folder / "stage.mp4", material.info) as sink:
            for frame in frames:
                sink.write(frame.image, frame.pts, frame.time_s)

    return {
        "decode": decode,
        "detect": lambda: [detector.detect(group) for group in _groups(frames, estimator)],
        "crop": lambda: _crops(frames, material.boxes, estimator),
        **_inference(material, estimator),
        "track and smooth": track,
        "draw": lambda: [draw.draw(result.frame.image, result.final) for result in results],
        "encode": encode,
    }


def _inference(material: StageInputs, estimator: PoseEstimator) -> dict[str, Callable[[], object]]:
    """From crops to keypoints: in two stages, or in one where that is recorded as one."""
    batch, lane = estimator.runtime.batch_size, estimator.lanes[0]
    if lane.replay is not None:
        crops = torch.split(material.crops, batch)
        return {"net and heatmap decode": lambda: [lane.measure(some, Timings()) for some in crops]}
    return {
        "net": lambda: _heatmaps(material.crops, estimator),
        "heatmap decode": lambda: [heatmaps.decode(maps) for maps in torch.split(material.heatmaps, batch)],
    }


def _groups(frames: Sequence[Frame], estimator: PoseEstimator) -> Iterator[Sequence[Frame]]:
    size = GROUP_FRAMES[estimator.runtime.device.type]
    return (frames[start : start + size] for start in range(0, len(frames), size))


def _crops(frames: Sequence[Frame], boxes: Sequence[Boxes], estimator: PoseEstimator) -> Tensor:
    """(people, H, W, 3) uint8 on the device, cut as the estimator does."""
    crops, runtime = estimator.crops(frames, boxes), estimator.runtime
    batches = pieces(len(crops), runtime.batch_size)
    return torch.cat([crops.batch(people, runtime.device) for people in batches])


def _heatmaps(crops: Tensor, estimator: PoseEstimator) -> Tensor:
    """(people, K, h, w) float32 on the device."""
    return torch.cat([estimator.heatmaps(batch) for batch in torch.split(crops, estimator.runtime.batch_size)])
