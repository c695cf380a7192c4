"""What only a whole recording says: who is in it and for how long, and how many pixels a metre is."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from tposecli.formats.align import JOURNAL, AlignedPoses, PoseInput, read_aligned
from tposecli.formats.corrections import CorrectionsFile
from tposecli.formats.with_frames import without_pixels
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.geometry.motion_options import ScaleOptions
from tposecli.geometry.scale import STEADY, PixelScale, body_length, scale_from_height
from tposecli.pipeline.corrections import build_processor, names_of
from tposecli.pipeline.job import Settings
from tposecli.pipeline.keep_options import SelectOptions
from tposecli.pipeline.select import Span, is_long, note
from tposecli.smoothing.options import AS_MEASURED
from tposecli.types import UNTRACKED, Result
from tposecli.utils.errors import UsageError

log = logging.getLogger("tposecli")


@dataclass(frozen=True, slots=True)
class Whole:
    """Who is in a recording.

    Attributes:
        spans: Times of the first and the last frame of each id, seconds.
        names: Names of people by their ids.
        lengths: Lengths of each person in all frames, pixels, see ``geometry.scale.body_length``.
    """

    spans: Mapping[int, Span]
    names: Mapping[int, str] = field(default_factory=dict)
    lengths: Mapping[int, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[Result], names: Mapping[int, str], min_score: float) -> Self:
        """Look through a recording, whose people have their ids."""
        spans: dict[int, Span] = {}
        lengths: defaultdict[int, list[float]] = defaultdict(list)
        for result in results:
            poses = result.final
            note(spans, poses, result.frame.time_s)
            if poses.xy.shape[1] != len(KEYPOINTS) or not len(poses):
                continue
            long = body_length(poses.xy, poses.score, min_score).tolist()
            for person, length in zip(poses.track_id.tolist(), long, strict=True):
                if person != UNTRACKED:
                    lengths[person].append(length)
        return cls(dict(sorted(spans.items())), names, lengths)

    def find(self, who: str) -> int:
        """Return the id of a person by id or name.

        Raises:
            UsageError: There is no such person, or several have that name.
        """
        named = [person for person, name in self.names.items() if name.casefold() == who.casefold()]
        if who.isdecimal() and int(who) in self.spans:
            return int(who)
        if len(named) > 1:
            raise UsageError(f"several people are called {who}; use their ids: {', '.join(map(str, named))}")
        if named and named[0] in self.spans:
            return named[0]
        raise UsageError(f"there is no person {who}; choose of: {self.everybody}")

    def label(self, person: int) -> str:
        """Return what a person is called; people of equal names, by the name and the id."""
        name = self.names.get(person, "")
        same = [other for other in self.names.values() if other.casefold() == name.casefold()]
        return (f"{name} ({person})" if len(same) > 1 else name) or f"person {person}"

    @property
    def everybody(self) -> str:
        """Ids and names, for messages."""
        there = [f"{person} ({self.names[person]})" if person in self.names else str(person) for person in self.spans]
        return ", ".join(there) or "nobody"

    def chosen(self, options: SelectOptions) -> frozenset[int]:
        """Return the ids of people who are asked for and there for long enough.

        Raises:
            UsageError: A person who is asked for is not there.
        """
        asked = {self.find(who) for who in options.only} if options.only else set(self.spans)
        return frozenset(person for person in asked if is_long(self.spans[person], options.min_seconds))

    def scale(self, options: ScaleOptions) -> PixelScale | None:
        """Return the scale that the options ask for.

        Raises:
            UsageError: The person is not there, not seen whole, or it is not said who it is.
        """
        if options.px_per_m is not None:
            return PixelScale(options.px_per_m, "given")
        if options.height_m is None:
            return None
        if not options.person and len(self.spans) != 1:
            raise UsageError(
                f"--person-height {options.height_m:g}: people are {self.everybody}; say whose height it is and give "
                f"--person-height {next(iter(self.spans), 1)}={options.height_m:g}"
            )
        person = self.find(options.person) if options.person else next(iter(self.spans))
        who = self.names.get(person, f"person {person}")
        try:
            found = scale_from_height(np.array(self.lengths.get(person, ())), options.height_m, who)
        except ValueError as error:
            raise UsageError(f"--person-height: {error}; give --scale-px-per-m") from error
        if found.varies > STEADY:
            log.warning(
                "the size of %s in the image varies by %.0f %%, as of people who come nearer or turn; metres are right "
                "only where it is as at its largest",
                *(who, 100 * found.varies),
            )
        return found


def look_through(
    recording: AlignedPoses, given: PoseInput, settings: Settings, corrections: CorrectionsFile | None
) -> Whole | None:
    """Look through a recording if something that is asked for depends on all of it.

    Raises:
        UsageError: It has no ids that last.
    """
    select, scale = settings.post.select, settings.files.scale
    if not (select.only or select.min_seconds or scale.height_m is not None):
        return None
    if recording.stills:
        raise UsageError(
            f"{recording.path}: images have no ids that last; leave out --only, --min-seconds and --person-height"
        )
    again = recording if recording.format == JOURNAL else read_aligned(given)
    options = replace(settings.post, smooth=AS_MEASURED, select=SelectOptions())
    names = names_of(recording.header, corrections)
    results = build_processor(again, given, options, corrections).process(without_pixels(again.frames))
    return Whole.of(results, names, settings.drawing.style.min_score)
