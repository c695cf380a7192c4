"""The whole way of a frame as one lazy chain: read, detect, estimate, record, track, smooth.

Reading, finding people (but on CUDA, with the net), and the net each run ahead in a thread of their own; recording,
tracking, smoothing and whatever the caller does with a result (drawing, encoding) run in the caller's. Frames go
through inference in fixed groups, so that which people share a batch depends on nothing but the frames' positions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from tposecli.detection.base import Detector
from tposecli.detection.interpolate import detect_group
from tposecli.geometry.similarity import get_ready
from tposecli.inference.backends.matmul_precision import float32_products
from tposecli.inference.estimator import PoseEstimator
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.smoothing import Smoother
from tposecli.tracking import Tracker
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.threads import Stop, in_background, prefetch
from tposecli.utils.timings import Timings

GROUP = {"cpu": 8, "mps": 16, "cuda": 32}
"""Frames in a group, by kind of device: as many as fill a batch of a few people each."""

BURST = 24
"""Frames that smoothing lets go at once, at 30 a second: the net goes on meanwhile instead of waiting each time."""

PATIENCE_S = 3.0
"""How long a source that gives nothing any more is waited for when the run is stopped."""


@dataclass(frozen=True, slots=True)
class Stages:
    """What the frames pass through; a stage that is None is left out.

    Attributes:
        detector: Finds the people.
        estimator: Finds their keypoints.
        tracker: Tells who is who from frame to frame.
        smoother: Calms the keypoints of each track.
        stray_score: See :class:`tposecli.pipeline.postprocess.PostProcessor`.
        every: The detector sees every so many frames; boxes between are interpolated.
        record: Called with every raw result, in order, before tracking.
        known: Gives the poses of a group of frames that an earlier run has measured, else None; those are not
            measured again. Called in another thread.
    """

    detector: Detector
    estimator: PoseEstimator
    tracker: Tracker | None = None
    smoother: Smoother | None = None
    stray_score: float = 0.0
    every: int = 1
    record: Callable[[Result], None] | None = None
    known: Callable[[Sequence[Frame]], Sequence[Poses] | None] | None = None
    timings: Timings = field(default_factory=Timings)

    @property
    def group_frames(self) -> int:
        """Frames in a group: the device's number, made such that the detector's frames lie evenly in it."""
        runtime = self.estimator.runtime
        base = GROUP[runtime.device.type] * len(runtime.devices)
        if self.every == 1:
            return base
        return -(-(base - 1) // self.every) * self.every + 1


def run(frames: Iterable[Frame], stages: Stages) -> Generator[Result]:
    """Yield one result for each frame, in order.

    At most about three groups of frames, ``BURST`` frames, and those that a smoother holds back are held at any time,
    however long the source is. Closing the iterator, or an exception in the caller, stops and joins the threads.

    Args:
        frames: A source; it is read in another thread.
        stages: What to do with them.
    """
    # Set here, until all threads are done: were it the net's to set, what the detector computes would depend on chance.
    with float32_products(stages.estimator.runtime.device):
        yield from _run(frames, stages)


def _run(frames: Iterable[Frame], stages: Stages) -> Generator[Result]:
    """The chain itself."""
    stop = Stop()
    if stages.tracker is not None:
        in_background(get_ready, "import")
    timed = _timed(frames, stages.timings)
    read = prefetch(timed, depth=stages.group_frames, name="read", stop=stop, patience_s=PATIENCE_S)
    found = _find(read, stages)
    if stages.estimator.runtime.device.type != "cuda":  # There another thread would disturb the recording of graphs.
        found = prefetch(found, depth=1, name="detect", stop=stop)
    groups = prefetch(_estimate(found, stages), depth=-(-BURST // stages.group_frames), name="net")
    followers = PostProcessor(stages.tracker, stages.smoother, stages.stray_score, stages.timings)
    results = followers.follow(_record(groups, stages))
    try:
        yield from results
    finally:
        stop.set()
        results.close()
        groups.close()


def _timed(frames: Iterable[Frame], timings: Timings) -> Iterator[Frame]:
    """The frames, with the time that reading takes."""
    items = iter(frames)
    while True:
        with timings.measure("read"):
            frame = next(items, None)
        if frame is None:
            return
        yield frame


class _Found(NamedTuple):
    """A group on its way from the detector to the net.

    Attributes:
        boxes: The people of each frame.
        known: The poses, where an earlier run has measured them.
    """

    frames: Sequence[Frame]
    boxes: Sequence[Boxes]
    known: Sequence[Poses] | None


def _find(frames: Generator[Frame], stages: Stages) -> Generator[_Found]:
    """Find the people, a group at a time."""
    with closing(frames):
        while group := list(islice(frames, stages.group_frames)):
            known = None if stages.known is None else stages.known(group)
            if known is not None:
                boxes = [poses.boxes for poses in known]
            else:
                with stages.timings.measure("detect"):
                    boxes = detect_group(stages.detector, group, stages.every)
            yield _Found(group, boxes, known)


def _estimate(groups: Generator[_Found], stages: Stages) -> Iterator[list[Result]]:
    """What the net says of each group.

    Of one that an earlier run has measured only attention is read once more, where that is wanted.
    """
    with closing(groups):
        for frames, boxes, known in groups:
            if known is not None and stages.estimator.attention is None:
                yield [Result(frame, poses) for frame, poses in zip(frames, known, strict=True)]
                continue
            results = stages.estimator.estimate(frames, boxes, stages.timings)
            if known is not None:
                results = [replace(result, poses=poses) for result, poses in zip(results, known, strict=True)]
            yield results


def _record(groups: Iterable[Sequence[Result]], stages: Stages) -> Iterator[Result]:
    """One result at a time, each recorded first."""
    for results in groups:
        for result in results:
            if stages.record is not None:
                stages.record(result)
            yield result
