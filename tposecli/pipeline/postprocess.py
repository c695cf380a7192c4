"""What becomes of measured poses: tracking, repair and smoothing, whether from the net or from a journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Self

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.pipeline.job import Settings
from tposecli.smoothing.base import Chain, Smoother
from tposecli.smoothing.gaps import FillGaps
from tposecli.smoothing.lookahead import LookaheadSmoother, Reach
from tposecli.smoothing.one_euro import OneEuro
from tposecli.smoothing.options import SmoothOptions
from tposecli.smoothing.outliers import FindOutliers
from tposecli.smoothing.rts import Rts
from tposecli.smoothing.savgol_median import Median, Savgol
from tposecli.smoothing.swap_repair import SwapRepair
from tposecli.smoothing.track_window import Step
from tposecli.tracking import Tracker
from tposecli.types import UNTRACKED, Result
from tposecli.utils.timings import Timings

AHEAD_S: Final = 0.5
"""Seconds that frames are looked ahead: the longest exchange of left and right that is undone, and a little."""

BLOCK_S: Final = 0.8
"""Seconds of frames that are worked on together."""

LIVE_BLOCK_S: Final = 0.1
"""The same where somebody watches."""


@dataclass(frozen=True, slots=True)
class PostProcessor:
    """Stages that remember, hence new ones for every source; one that is None is left out.

    Attributes:
        tracker: Tells who is who from frame to frame.
        smoother: Calms the keypoints of each track.
        stray_score: People who have no id and whose boxes score lower are left out: they were looked for only because
            they might have continued a track.
    """

    tracker: Tracker | None = None
    smoother: Smoother | None = None
    stray_score: float = 0.0
    timings: Timings = field(default_factory=Timings)

    @classmethod
    def of(
        cls,
        settings: Settings,
        tracked: bool,
        live: bool = False,
        layout: KeypointLayout = COCO,
        stray_score: float = 0.0,
    ) -> Self:
        """Those that the settings ask for; none where frames do not follow one another in time.

        Args:
            settings: Of the run.
            tracked: Whether they do.
            live: The source goes on while it is watched.
            layout: The keypoints; left and right are set right for COCO's only.
            stray_score: As the attribute.
        """
        if not tracked:
            return cls(stray_score=stray_score)
        tracker = None if settings.track is None else Tracker(settings.track, layout)
        return cls(tracker, smoother_of(settings.smooth, live, layout), stray_score)

    def follow(self, results: Iterable[Result]) -> Generator[Result]:
        """The results with ids, then with smoothed poses, in order; a smoother may hold some frames back."""
        yield from self._smooth(self._track(results))

    def _track(self, results: Iterable[Result]) -> Iterator[Result]:
        """Give every person an id, and leave out strays."""
        for result in results:
            if self.tracker is not None:
                with self.timings.measure("track"):
                    poses = self.tracker.update(result.poses, result.frame.time_s)
                result = replace(result, poses=poses)
            stray = (result.poses.track_id == UNTRACKED) & (result.poses.boxes.score < self.stray_score)
            yield result.select(~stray) if stray.any() else result

    def _smooth(self, results: Iterable[Result]) -> Iterator[Result]:
        """Add the smoothed poses, which may come some frames later than the measured ones went in."""
        waiting: deque[Result] = deque()
        if self.smoother is None:
            yield from results
            return
        for result in results:
            waiting.append(result)
            with self.timings.measure("smooth"):
                ready = self.smoother.push(result.poses, result.frame.time_s)
            for poses in ready:
                yield replace(waiting.popleft(), smoothed=poses)
        for poses in self.smoother.flush():
            yield replace(waiting.popleft(), smoothed=poses)


def smoother_of(options: SmoothOptions, live: bool = False, layout: KeypointLayout = COCO) -> Smoother | None:
    """Repair, outliers, gaps and filter, in this order; None where nothing is to be done.

    Args:
        options: What to do.
        live: The source goes on while it is watched: nothing waits unless it must, and then not for long.
        layout: The keypoints.
    """
    chosen = options.resolved(live)
    fill_s, method = chosen.fill_gaps_s or 0.0, chosen.method
    filters: dict[str, Step] = {
        "savgol": Savgol(chosen.savgol),
        "rts": Rts(chosen.rts),
        "median": Median(chosen.median),
    }
    tested = method in filters or (method == "one-euro" and not live)
    mend: list[Step] = [SwapRepair()] if chosen.repair and layout.is_coco else []
    mend += [FindOutliers()] if tested else []
    mend += [FillGaps(fill_s)] if tested or fill_s else []
    last = OneEuro(chosen.one_euro) if method == "one-euro" else None
    if not mend:
        return last
    ahead = LookaheadSmoother(mend, filters.get(method), Reach(max(AHEAD_S, fill_s), LIVE_BLOCK_S if live else BLOCK_S))
    return ahead if last is None else Chain(ahead, last)
