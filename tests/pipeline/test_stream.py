"""The chain: order, groups, ends."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from tests.support.fakes import FakeDetector, FakeEstimator, LateSmoother, grey
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.inference.estimator import PoseEstimator
from tposecli.inference.runtime import Runtime
from tposecli.pipeline.postprocess import PostProcessor
from tposecli.pipeline.stream import BURST, Stages, group_frames, run
from tposecli.sinks.annotated import AnnotatedVideo
from tposecli.sinks.video import VideoSink
from tposecli.sources import open_video
from tposecli.tracking.tracker import Tracker
from tposecli.types import Boxes, Frame, Poses, Result


def stages(**changes: Any) -> Stages:
    return replace(Stages(FakeDetector(), cast(Any, FakeEstimator())), **changes)


def test_every_frame_comes_out_once_in_order() -> None:
    results = list(run((grey(index) for index in range(37)), stages()))
    assert [result.frame.index for result in results] == list(range(37))
    assert all(result.poses.xy[0, 0, 0] == result.frame.index + 10 for result in results)


def test_groups_are_fixed_and_whole() -> None:
    chain = stages()
    list(run(map(grey, range(20)), chain))
    assert cast(Any, chain.estimator).groups == [8, 8, 4]
    assert cast(Any, chain.detector).calls == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


@pytest.mark.parametrize("every", [2, 3, 5, 8])
def test_boxes_between_detections_are_interpolated(every: int) -> None:
    chain = stages(every=every)
    results = list(run(map(grey, range(40)), chain))
    assert all(abs(result.poses.boxes.xyxy[0, 0] - result.frame.index) < 1e-3 for result in results)
    seen = sum(len(call) for call in cast(Any, chain.detector).calls)
    assert seen <= 40 / every + 2 * len(cast(Any, chain.detector).calls)


def test_people_are_looked_for_while_the_net_works() -> None:
    ahead = threading.Event()

    class Detector(FakeDetector):
        def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
            if len(self.calls) == 1:
                ahead.set()
            return super().detect(frames)

    class Estimator(FakeEstimator):
        def estimate(self, *group: Any) -> list[Result]:
            assert ahead.wait(10)
            return super().estimate(*group)

    results = run(map(grey, range(24)), stages(detector=Detector(), estimator=cast(Any, Estimator())))
    assert [result.frame.index for result in results] == list(range(24))


def test_failure_in_the_detector_comes_after_the_results_before_it_and_ends_the_threads() -> None:
    class Detector(FakeDetector):
        def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
            if len(self.calls) == 2:
                raise RuntimeError("the detector broke")
            return super().detect(frames)

    before, seen = threading.active_count(), []
    with pytest.raises(RuntimeError, match="the detector broke"):
        for result in run(map(grey, range(100)), stages(detector=Detector())):
            seen.append(result.frame.index)
    assert seen == list(range(16))
    assert threading.active_count() == before


def test_what_is_known_is_neither_looked_for_nor_measured() -> None:
    first = list(run(map(grey, range(20)), stages()))

    def known(frames: Sequence[Frame]) -> list[Poses] | None:
        return [first[frame.index].poses for frame in frames] if frames[0].index < 16 else None

    chain = stages(known=known)
    results = list(run(map(grey, range(20)), chain))
    assert [result.frame.index for result in results] == list(range(20))
    assert all((again.poses.xy == once.poses.xy).all() for again, once in zip(results, first, strict=True))
    assert cast(Any, chain.detector).calls == [list(range(16, 20))]
    assert cast(Any, chain.estimator).groups == [4]


def test_raw_poses_are_recorded_before_tracking_and_smoothing() -> None:
    recorded: list[Result] = []
    chain = stages(post=PostProcessor(Tracker(), LateSmoother()), record=recorded.append)
    results = list(run(map(grey, range(10)), chain))
    assert [result.poses.track_id.tolist() for result in recorded] == [[-1]] * 10
    assert [result.poses.track_id.tolist() for result in results] == [[1]] * 10


def test_late_smoother_keeps_frame_and_poses_together() -> None:
    results = list(run(map(grey, range(11)), stages(post=PostProcessor(smoother=LateSmoother()))))
    assert [result.frame.index for result in results] == list(range(11))
    for result in results:
        assert result.smoothed is not None
        assert (result.smoothed.xy == result.poses.xy + 1).all()


def test_frames_held_are_bounded() -> None:
    read = 0

    def source() -> Iterator[Frame]:
        nonlocal read
        for index in range(500):
            read += 1
            yield grey(index)

    results = run(source(), stages())
    next(results)
    time.sleep(0.3)
    assert read <= 3 * group_frames(stages().estimator.runtime) + BURST + 1
    results.close()


def test_failure_in_the_net_reaches_the_caller_and_ends_the_threads() -> None:
    before = threading.active_count()
    results = run(map(grey, range(100)), stages(estimator=cast(Any, FakeEstimator(fail_at=16))))
    seen = []
    with pytest.raises(RuntimeError, match="the net broke"):
        seen += [result.frame.index for result in results]
        pytest.fail("not reached")
    assert threading.active_count() == before


def test_results_before_a_failure_are_not_lost() -> None:
    seen = []
    with pytest.raises(RuntimeError):
        for result in run(map(grey, range(100)), stages(estimator=cast(Any, FakeEstimator(fail_at=16)))):
            seen.append(result.frame.index)
    assert seen == list(range(16))


def test_closing_early_ends_the_threads_and_the_source() -> None:
    before = threading.active_count()
    closed = threading.Event()

    def source() -> Iterator[Frame]:
        try:
            yield from map(grey, range(1000))
        finally:
            closed.set()

    results = run(source(), stages())
    next(results)
    results.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_an_empty_source_gives_nothing() -> None:
    assert list(run(iter(()), stages())) == []


def test_no_frame_is_copied_between_decoder_and_encoder(media: Path, tmp_path: Path) -> None:
    with open_video(media / "crossing.mp4") as video:
        sink = AnnotatedVideo(VideoSink(tmp_path / "out.mp4", video.info), SkeletonDrawer())
        results = run(islice(video, 24), stages())
        sink.write(next(results))
        tracemalloc.start()
        try:
            for result in results:
                sink.write(result)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        sink.close(complete=True)
        assert peak < result.frame.image.nbytes  # what FFmpeg decodes into and encodes from is not NumPy's


def test_a_run_tells_what_each_stage_took(media: Path) -> None:
    runtime = Runtime(torch.device("cpu"), batch_size=2, backend="torch")
    chain = stages(estimator=PoseEstimator("transpose-r18-a3", runtime=runtime), post=PostProcessor(Tracker()))
    assert len(list(run(map(grey, range(2)), chain))) == 2
    assert chain.timings.seconds.keys() == {"read", "detect", "crop", "net", "heatmap decode", "track"}
