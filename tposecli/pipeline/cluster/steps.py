"""What is to be done for each video, and in which order: as a whole, or planned, measured by segments, and finished."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tposecli.pipeline.job import VideoJob
from tposecli.pipeline.segments.plan import SegmentPlan
from tposecli.pipeline.summary import Summary

Kind = Literal["whole", "plan", "segment", "finish"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one task does.

    Attributes:
        video: Number of the video.
        kind: Run the job as a whole, cut it, measure one of its segments, or join them and make the outputs.
        job: The job; that of the segment if it measures one.
        journals: Those to join.
        segment_s: Seconds of a segment, about; 0 where nothing is cut.
    """

    video: int
    kind: Kind
    job: VideoJob
    journals: tuple[Path, ...] = ()
    segment_s: float = 0.0

    @property
    def parts(self) -> Path | None:
        """The folder of the segments' journals, which all nodes must see; None where there are none."""
        journals = self.journals or (self.job.outputs.files[:1] if self.kind == "segment" else ())
        return journals[0].parent if journals else None


@dataclass(slots=True)
class _Cut:
    """A video in segments.

    Attributes:
        plan: The plan.
        left: Segments that are not measured yet.
        began: When the first was to be measured.
        corrupt: Frames lost to damage, in those that are.
        failed: What went wrong in any of them.
    """

    plan: SegmentPlan
    left: int
    began: float
    corrupt: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


class Steps:
    """The steps of all videos that wait to be done; what is done adds those that follow."""

    def __init__(self, jobs: Sequence[VideoJob], segment_s: float | None) -> None:
        """Begin with one step for each job.

        Args:
            jobs: The videos.
            segment_s: Seconds of a segment, about; None does not cut.
        """
        kind: Kind = "plan" if segment_s else "whole"
        self._waiting = deque(Step(number, kind, job, (), segment_s or 0.0) for number, job in enumerate(jobs))
        self._cut: dict[int, _Cut] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def next(self) -> Step:
        """Return the next step, which waits no more."""
        return self._waiting.popleft()

    def again(self, step: Step) -> None:
        """Put a step back that was not done."""
        self._waiting.appendleft(step)

    def planned(self, step: Step, plan: SegmentPlan) -> None:
        """Add what follows a plan; a video that was begun is finished before the next one is."""
        if not plan.segments:
            self._waiting.appendleft(Step(step.video, "whole", plan.job))
            return
        self._cut[step.video] = _Cut(plan, len(plan.segments), time.perf_counter())
        self._waiting.extendleft(Step(step.video, "segment", job) for job in reversed(plan.segments))

    def done(self, step: Step, summary: Summary) -> Summary | None:
        """Return the summary of the video if this was its last step; otherwise add what follows.

        If a segment cannot be measured, those that wait are left out.
        """
        cut = self._cut.get(step.video)
        if cut is None:
            return summary
        if step.kind == "finish":
            return replace(summary, corrupt=max(summary.corrupt, cut.corrupt), wall_s=time.perf_counter() - cut.began)
        cut.left -= 1
        cut.corrupt += summary.corrupt
        cut.failed += [entry for entry in summary.failed if entry not in cut.failed]
        if cut.failed:
            cut.left -= sum(1 for _ in self._of(step.video))
            self._waiting = deque(other for other in self._waiting if other.video != step.video)
        if cut.left:
            return None
        if cut.failed:
            return replace(summary, failed=cut.failed, outputs=())
        self._waiting.appendleft(Step(step.video, "finish", cut.plan.job, cut.plan.journals))
        return None

    def _of(self, video: int) -> Iterator[Step]:
        return (step for step in self._waiting if step.video == video)
