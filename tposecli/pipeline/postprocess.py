"""Post-processing of measured poses, whether they come from the net or from a file: tracking, then smoothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.pipeline.keep import Keep
from tposecli.pipeline.keep_options import KeepOptions, SelectOptions
from tposecli.pipeline.select import Selector
from tposecli.smoothing.base import Smoother
from tposecli.smoothing.chain import build_corrected_smoother
from tposecli.smoothing.options import AS_MEASURED, SmoothOptions
from tposecli.tracking.corrections import Corrections
from tposecli.tracking.custom import CustomTracker
from tposecli.tracking.options import TrackOptions
from tposecli.tracking.tracker import Tracker
from tposecli.types import UNTRACKED, Result
from tposecli.utils.timings import Timings


@dataclass(frozen=True, slots=True)
class PostOptions:
    """What happens to poses after they were measured.

    Attributes:
        track: How people are tracked; None for not at all.
        smooth: How keypoints are repaired and filtered over time.
        keep: Which people are kept at all.
        select: Which of them are written and drawn.
    """

    track: TrackOptions | None = field(default_factory=TrackOptions)
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    keep: KeepOptions = field(default_factory=KeepOptions)
    select: SelectOptions = field(default_factory=SelectOptions)

    def to_dict(self, tracked: bool, live: bool) -> dict[str, Any]:
        """Return what was done, for provenance.

        Args:
            tracked: Whether the frames follow one another in time.
            live: Whether the source is watched while it runs.
        """
        track = asdict(self.track) if self.track is not None and tracked else None
        select = self.select.to_dict()
        chosen = {"keep": asdict(self.keep), **({"select": select} if select else {})}
        return {"track": track, **chosen, **self.smooth.to_dict(live)}

    def of_stills(self) -> PostOptions:
        """Return the options for images that do not follow one another in time."""
        return replace(STILLS, keep=self.keep, select=self.select)


STILLS: Final = PostOptions(None, AS_MEASURED)
"""For images that do not follow one another in time."""


@dataclass(frozen=True, slots=True)
class PostProcessor:
    """Tracker and smoother of one source; they are stateful, so every source needs its own.

    Attributes:
        tracker: Gives people ids that last from frame to frame; None to keep the ids that there are.
        smoother: Smooths the keypoints of each track; None to leave them as measured.
        weak_score: Untracked people whose boxes score lower are dropped: such weak detections were made only because
            they might have continued a track.
        keep: People whom it does not keep start no track, and are dropped unless they continue one.
        corrections: What somebody corrected by hand, made before the smoothing.
        selector: Leaves people out of the finished results.
    """

    tracker: Tracker | CustomTracker | None = None
    smoother: Smoother | None = None
    weak_score: float = 0.0
    keep: Keep = field(default_factory=Keep)
    corrections: Corrections = field(default_factory=Corrections)
    selector: Selector = field(default_factory=Selector)

    @classmethod
    def build(
        cls,
        options: PostOptions,
        live: bool = False,
        layout: KeypointLayout = COCO,
        weak_score: float = 0.0,
        header: Mapping[str, Any] | None = None,
        corrections: Corrections | None = None,
    ) -> Self:
        """Build what the options ask for.

        Args:
            options: How to track and smooth.
            live: Whether the source is watched while it runs.
            layout: The keypoints.
            weak_score: As the attribute.
            header: The journal's, which says what scores are worth; None if nothing is known.
            corrections: As the attribute; None for none.
        """
        tracker = None if options.track is None else Tracker(options.track, layout)
        keep = Keep.build(options.keep, header or {})
        by_hand = corrections or Corrections(layout=layout)
        smoother = build_corrected_smoother(options.smooth, by_hand, live, layout)
        selector = Selector(options.select, options.track.lost_s if options.track is not None else 0.0)
        return cls(tracker, smoother, weak_score, keep, by_hand, selector)

    def process(self, results: Iterable[Result], timings: Timings | None = None) -> Generator[Result]:
        """Yield the results with ids and smoothed poses, in order; the smoother may hold some frames back.

        Args:
            results: As measured.
            timings: Receives the time that each stage takes.
        """
        timings = timings or Timings()
        yield from self.selector.process(self._smooth(self._track(results, timings), timings))

    def _track(self, results: Iterable[Result], timings: Timings) -> Iterator[Result]:
        """Assign ids and drop weak detections, and what may be no people, that continue no track."""
        for result in results:
            sure = None if self.keep.everybody else self.keep.mask(result.poses)
            if self.tracker is not None:
                with timings.measure("track"):
                    poses = self.tracker.update(result.poses, result.frame.time_s, sure)
                result = replace(result, poses=poses)
            weak = result.poses.boxes.score < self.weak_score
            if sure is not None:
                weak = weak | ~sure
            weak = weak & (result.poses.track_id == UNTRACKED)
            yield self._corrected(result.select(~weak) if weak.any() else result)

    def _corrected(self, result: Result) -> Result:
        """Return the result with the ids that were corrected by hand."""
        if not self.corrections.steps:
            return result
        poses, kept = self.corrections.people(result.poses, result.frame.time_s)
        return replace(result.select(kept), poses=poses)

    def _smooth(self, results: Iterable[Result], timings: Timings) -> Iterator[Result]:
        """Add the smoothed poses, which may come some frames after the measured ones went in."""
        if self.smoother is None:
            yield from results
            return
        waiting: deque[Result] = deque()
        for result in results:
            waiting.append(result)
            with timings.measure("smooth"):
                ready = self.smoother.push(result.poses, result.frame.time_s)
            for poses in ready:
                yield replace(waiting.popleft(), smoothed=poses)
        for poses in self.smoother.flush():
            yield replace(waiting.popleft(), smoothed=poses)
