"""What is to be done for each input, and in which order, whoever does it: processes or machines.

Images are run as a whole, or by shares, which measure and draw them, and their pose files are made of the journals. A
video is run as a whole; or it is planned, measured by segments, the journals are joined, and its outputs are made: by
one process, or after others have drawn and encoded its segments.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tposecli.pipeline.job import AnyJob, VideoJob
from tposecli.pipeline.segments.draw import Piece
from tposecli.pipeline.segments.plan import SegmentPlan
from tposecli.pipeline.summary import Summary

Kind = Literal["whole", "plan", "segment", "join", "draw", "finish"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one process does at a time.

    Attributes:
        video: Number of the video, or of the job over images.
        kind: Run the job as a whole, cut it, measure one of its segments, join their journals, draw a segment, or make
            the outputs.
        job: The job; that of the segment if it measures one.
        journals: Those of all segments, where they are joined.
        piece: The segment to draw.
        segment_s: Seconds of a segment, about; 0 where nothing is cut.
        attempt: How often it was begun before.
    """

    video: int
    kind: Kind
    job: AnyJob
    journals: tuple[Path, ...] = ()
    piece: Piece | None = None
    segment_s: float = 0.0
    attempt: int = 0

    @property
    def parts(self) -> Path | None:
        """The folder of what the segments leave, which all must see who work on the video; None where there is none."""
        if self.piece is not None:
            return self.piece.path.parent
        journals = self.journals or (self.job.outputs.files[:1] if self.kind == "segment" else ())
        return journals[0].parent if journals else None


@dataclass(slots=True)
class _Video:
    """A video on its way.

    Attributes:
        later: Steps that wait for those before, in groups that are done at the same time.
        left: Steps of the present group that are not done.
        began: When the first was to be done.
        corrupt: Frames lost to damage, in what is done.
        failed: What went wrong in any of them, but the last.
        unread: Images that could not be read or written, with reasons.
    """

    later: deque[list[Step]] = field(default_factory=deque)
    left: int = 1
    began: float = 0.0
    corrupt: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


class Steps:
    """The steps of all videos that wait to be done; what is done adds those that follow."""

    def __init__(self, jobs: Sequence[AnyJob], segment_s: float | None = None) -> None:
        """Begin with one step for each job.

        Args:
            jobs: The videos.
            segment_s: Seconds of a segment, about; None does not cut.
        """
        kind: Kind = "plan" if segment_s else "whole"
        self._waiting = deque(Step(number, kind, job, segment_s=segment_s or 0.0) for number, job in enumerate(jobs))
        self._videos = [_Video() for _ in jobs]

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Step:
        """Return the next step, which waits no more."""
        step = self._waiting.popleft()
        video = self._videos[step.video]
        video.began = video.began or time.perf_counter()
        return step

    def again(self, step: Step) -> None:
        """Put a step back that was not done."""
        self._waiting.appendleft(step)

    def planned(self, step: Step, plan: SegmentPlan, pieces: Sequence[Piece] = ()) -> None:
        """Add what follows a plan; a video that was begun is finished before the next one is.

        Args:
            step: Stands for the plan.
            plan: The segments; without any, the video is run as a whole.
            pieces: The segments in which it is drawn; none if one process does.
        """
        number, job, video = step.video, plan.job, self._videos[step.video]
        video.began = 0.0  # Planning is no part of it.
        if not plan.segments:
            self.again(Step(number, "whole", job))
            return
        if pieces:
            video.later.append([Step(number, "join", job, plan.journals)])
            video.later.append([Step(number, "draw", job, piece=piece) for piece in pieces])
            assert isinstance(job, VideoJob)
            job = replace(job, parts=tuple(piece.path for piece in pieces))
        video.later.append([Step(number, "finish", job, plan.journals)])
        self._add([Step(number, "segment", segment) for segment in plan.segments])

    def done(self, step: Step, summary: Summary) -> Summary | None:
        """Return the summary of the video if this was its last step; otherwise add what follows.

        If one step fails, those that wait are left out; images that cannot be read are no failure of their share.
        """
        video = self._videos[step.video]
        video.left -= 1
        failed = summary.failed if summary.stopped or isinstance(step.job, VideoJob) else []
        if not failed:
            video.unread += summary.failed
        elif video.later or video.failed:
            video.failed += [entry for entry in failed if entry not in video.failed]
            video.later.clear()
            waiting = deque(other for other in self._waiting if other.video != step.video)
            video.left -= len(self._waiting) - len(waiting)
            self._waiting = waiting
        if step.kind in ("whole", "plan"):
            return summary
        if video.left:
            video.corrupt += summary.corrupt
            return None
        wall_s = time.perf_counter() - video.began
        if video.failed:
            return replace(summary, failed=video.failed, outputs=(), wall_s=wall_s)
        if not video.later:
            corrupt, failed = max(summary.corrupt, video.corrupt), failed or video.unread
            return replace(summary, failed=failed, corrupt=corrupt, wall_s=wall_s)
        video.corrupt += summary.corrupt
        self._add(video.later.popleft())
        return None

    def _add(self, group: Sequence[Step]) -> None:
        self._videos[group[0].video].left = len(group)
        self._waiting.extendleft(reversed(group))
