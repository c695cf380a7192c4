"""What becomes of measured poses: tracking and smoothing, whether they come from the net or from a journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from tposecli.job import Settings
from tposecli.smooth import OneEuro, Smoother
from tposecli.timings import Timings
from tposecli.track import Tracker
from tposecli.types import Result


@dataclass(frozen=True, slots=True)
class Followers:
    """Stages that remember, hence new ones for every source; one that is None is left out.

    Attributes:
        tracker: Tells who is who from frame to frame.
        smoother: Calms the keypoints of each track.
    """

    tracker: Tracker | None = None
    smoother: Smoother | None = None
    timings: Timings = field(default_factory=Timings)

    @classmethod
    def of(cls, settings: Settings, tracked: bool) -> Self:
        """Those that the settings ask for; none where frames do not follow one another in time."""
        if not tracked:
            return cls()
        return cls(Tracker(), OneEuro() if settings.smooth == "one-euro" else None)

    def follow(self, results: Iterable[Result]) -> Generator[Result]:
        """The results with ids, then with smoothed poses, in order; a smoother may hold some frames back."""
        yield from self._smooth(self._track(results))

    def _track(self, results: Iterable[Result]) -> Iterator[Result]:
        """Give every person an id."""
        for result in results:
            if self.tracker is None:
                yield result
                continue
            with self.timings.measure("track"):
                poses = self.tracker.update(result.poses, result.frame.time_s)
            yield replace(result, poses=poses)

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
