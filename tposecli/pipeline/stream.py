"""The whole way of a frame as one lazy chain: read, detect, estimate, record, track, smooth.

Reading, detection and the net each run ahead in a thread of their own (on CUDA, detection shares the net's); recording,
tracking, smoothing and whatever the caller does with a result (drawing, encoding) run in the caller's. Frames go
through inference in fixed groups, so that which people share a batch depends on the frames' positions only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import NamedTuple

from tposecli.detection.base import Detector
from tposecli.detection.interpolate import detect_group, interval
from tposecli.geometry.similarity import get_ready
from tposecli.inference.backends.matmul_precision import exact_float32_matmul
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.threads import Stop, in_background, prefetch
from tposecli.utils.timings import Timings

GROUP_FRAMES = {"cpu": 8, "mps": 16, "cuda": 32}
"""Frames in a group, by type of device: enough to fill a batch at a few people per frame."""

BURST = 24
"""Frames that smoothing releases at once at 30 fps; the net works ahead meanwhile instead of waiting each time."""

PATIENCE_S = 3.0
"""Seconds that a stalled source is waited for when the run is stopped."""


@dataclass(frozen=True, slots=True)
class Stages:
    """What the frames of one source pass through.

    Attributes:
        detector: Finds the people.
        estimator: Finds their keypoints.
        post: Tracks and smooths them.
        every: Detect in every N-th frame, or where it is needed (``auto``); boxes between are interpolated.
        record: Called with every raw result, in order, before tracking.
        known: Returns the poses of a group of frames, None for frames that no earlier run has measured, or None if it
            has measured none of them; known frames are not measured again. Called in another thread.
        timings: Receives the time that each stage takes.
        by_index: Frames share a group whose indices do, those without a frame included; else the next ones that come.
    """

    detector: Detector
    estimator: PoseEstimator
    post: PostProcessor = field(default_factory=PostProcessor)
    every: int | str = 1
    record: Callable[[Result], None] | None = None
    known: Callable[[Sequence[Frame]], Sequence[Poses | None] | None] | None = None
    timings: Timings = field(default_factory=Timings)
    by_index: bool = False


def group_frames(runtime: Runtime, every: int | str = 1) -> int:
    """Return the number of frames in a group, such that groups begin and end with a frame that the detector sees.

    Args:
        runtime: Where the net runs.
        every: Detect in every N-th frame, or ``auto``.
    """
    base, step = GROUP_FRAMES[runtime.device.type] * len(runtime.devices), interval(every)
    return base if step == 1 else -(-(base - 1) // step) * step + 1


def run(frames: Iterable[Frame], stages: Stages) -> Generator[Result]:
    """Yield one result for each frame, in order.

    At most about three groups of frames, ``BURST`` frames, and those that a smoother holds back are held at any time,
    however long the source is. Closing the iterator, or an exception in the caller, stops and joins the threads.

    Args:
        frames: A source; it is read in another thread.
        stages: What to do with them.
    """
    # Set until all threads are done: if only the net set it, the detector's results would depend on timing.
    with exact_float32_matmul(stages.estimator.runtime.device):
        yield from _run(frames, stages)


def _run(frames: Iterable[Frame], stages: Stages) -> Generator[Result]:
    """Connect the stages and yield what comes out of the last one."""
    stop, size = Stop(), group_frames(stages.estimator.runtime, stages.every)
    if stages.post.tracker is not None:
        in_background(get_ready, "import")
    timed = _timed(frames, stages.timings)
    read = prefetch(timed, depth=size, name="read", stop=stop, patience_s=PATIENCE_S)
    detected = _detect(read, stages, size)
    if stages.estimator.runtime.device.type != "cuda":  # On CUDA another thread would disturb the capture of graphs.
        detected = prefetch(detected, depth=1, name="detect", stop=stop)
    groups = prefetch(_estimate(detected, stages), depth=-(-BURST // size), name="net")
    results = stages.post.process(_record(groups, stages), stages.timings)
    try:
        yield from results
    finally:
        stop.set()
        results.close()
        groups.close()


def _timed(frames: Iterable[Frame], timings: Timings) -> Iterator[Frame]:
    """Yield the frames and measure the time that reading them takes."""
    items = iter(frames)
    while True:
        with timings.measure("read"):
            frame = next(items, None)
        if frame is None:
            return
        yield frame


class _Detected(NamedTuple):
    """A group on its way from the detector to the net.

    Attributes:
        boxes: The people of each frame.
        known: The poses of each frame, None for those that no earlier run has measured.
    """

    frames: Sequence[Frame]
    boxes: Sequence[Boxes]
    known: Sequence[Poses | None]


def _detect(frames: Generator[Frame], stages: Stages, size: int) -> Generator[_Detected]:
    """Find the people, a group of ``size`` frames at a time."""
    with closing(frames):
        for group in _groups(frames, size, stages.by_index):
            known = stages.known(group) if stages.known is not None else None
            known = known or [None] * len(group)
            unknown = [frame for frame, poses in zip(group, known, strict=True) if poses is None]
            found: Iterator[Boxes] = iter(())
            if unknown:
                with stages.timings.measure("detect"):
                    found = iter(detect_group(stages.detector, unknown, stages.every))
            boxes = [next(found) if poses is None else poses.boxes for poses in known]
            yield _Detected(group, boxes, known)


def _groups(frames: Iterator[Frame], size: int, by_index: bool) -> Iterator[list[Frame]]:
    """Yield the frames in groups of ``size``; images of which one cannot be read leave the groups of others alone."""
    if by_index:
        for _, group in groupby(frames, key=lambda frame: frame.index // size):
            yield list(group)
        return
    while following := list(islice(frames, size)):
        yield following


def _estimate(groups: Generator[_Detected], stages: Stages) -> Iterator[list[Result]]:
    """Estimate the keypoints of each group.

    A group that an earlier run has measured goes through the net only if attention is wanted, which no journal holds.
    """
    with closing(groups):
        for frames, boxes, known in groups:
            attention = stages.estimator.attention is not None
            asked = [number for number, poses in enumerate(known) if attention or poses is None]
            group, boxes = [frames[number] for number in asked], [boxes[number] for number in asked]
            measured = iter(stages.estimator.estimate(group, boxes, stages.timings) if asked else ())
            results = []
            for frame, poses in zip(frames, known, strict=True):
                result = next(measured) if attention or poses is None else Result(frame, poses)
                results.append(result if poses is None else replace(result, poses=poses))
            yield results


def _record(groups: Iterable[Sequence[Result]], stages: Stages) -> Iterator[Result]:
    """Yield one result at a time, each recorded first."""
    for results in groups:
        for result in results:
            if stages.record is not None:
                stages.record(result)
            yield result
