"""Who is when in a video: what corrections by hand are checked against, and told in words by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.align import AlignedPoses, PoseInput
from tposecli.formats.corrections import CorrectionsFile
from tposecli.formats.with_frames import without_pixels
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.corrections import build_processor
from tposecli.pipeline.postprocess import PostOptions
from tposecli.smoothing.options import AS_MEASURED
from tposecli.tracking.corrections import (
    SAME_TIME_S,
    Correction,
    Drop,
    DropJoint,
    Exchange,
    Merge,
    Name,
    SetJoint,
    Split,
    SwapSides,
    check_joints,
)
from tposecli.types import UNTRACKED
from tposecli.utils.errors import UsageError


@dataclass(frozen=True, slots=True)
class KeepOnly:
    """A wish of ``tpose edit``: leave out everybody else."""

    people: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PersonSpan:
    """One person of a journal.

    Attributes:
        person: The id.
        name: The name; empty if there is none.
        frames: Number of frames.
        from_s: Time of the first one, seconds.
        to_s: Time of the last one.
    """

    person: int
    name: str
    frames: int
    from_s: float
    to_s: float


@dataclass(slots=True)
class People:
    """Who is when in a video, as the corrections so far leave it.

    Attributes:
        frame_s: (F,) times of all frames, seconds.
        time_s: (P,) times of all poses.
        person: (P,) their ids.
        taken: The largest id ever.
        size_wh: Width and height of the frames, pixels.
    """

    frame_s: NDArray[np.float64]
    time_s: NDArray[np.float64]
    person: NDArray[np.int64]
    taken: int
    size_wh: tuple[int, int]

    @classmethod
    def of(cls, recording: AlignedPoses, given: PoseInput, before: CorrectionsFile) -> Self:
        """Track the people of a journal as the ids that are corrected were made."""
        post = build_processor(recording, given, PostOptions(smooth=AS_MEASURED), replace(before, steps=()))
        frame_s: list[float] = []
        ids: list[NDArray[np.int64]] = []
        size_wh = (1, 1)
        for result in post.process(without_pixels(recording.frames)):
            frame_s.append(result.frame.time_s)
            ids.append(result.poses.track_id)
            size_wh = result.frame.size_wh
        person = np.concatenate([np.zeros(0, np.int64), *ids])
        time_s = np.repeat(np.array(frame_s, np.float64), [len(column) for column in ids])
        tracked = person != UNTRACKED
        person = person[tracked]
        return cls(np.array(frame_s, np.float64), time_s[tracked], person, int(person.max(initial=0)), size_wh)

    def find(self, who: str, names: Mapping[int, str]) -> int:
        """Return the id of a person by id or by name; an id comes first.

        Args:
            who: The id or the name.
            names: Names so far, by id.

        Raises:
            UsageError: There is no such person, or several have that name.
        """
        there: list[int] = np.unique(self.person).tolist()
        ids = {str(person): person for person in there}
        if who in ids:
            return ids[who]
        named = [person for person in there if names.get(person, "").casefold() == who.casefold()]
        if len(named) > 1:
            raise UsageError(f"several people are called {who}; use their ids: {', '.join(map(str, named))}")
        if not named:
            everybody = [f"{person} ({names[person]})" if person in names else str(person) for person in there]
            listed = ", ".join(everybody) or "nobody"
            raise UsageError(f"there is no person {who} (after the corrections before); there are: {listed}")
        return named[0]

    def check_name(self, wish: Name, names: Mapping[int, str]) -> None:
        """Check that nobody else who is there has a name, or has it as the id.

        Raises:
            UsageError: Somebody has.
        """
        for person in np.unique(self.person).tolist():
            if person == wish.person:
                continue
            if names.get(person, "").casefold() == wish.name.casefold():
                raise UsageError(
                    f"person {wish.person} cannot be called {wish.name}: person {person} is; if they are one, merge "
                    f"them (--merge {wish.person}={person}), or choose another name"
                )
            if str(person) == wish.name:
                raise UsageError(
                    f"person {wish.person} cannot be called {wish.name}, the id of another; choose another name"
                )

    def resolve(
        self, wish: Correction | KeepOnly, before: Sequence[Correction], layout: KeypointLayout
    ) -> list[Correction]:
        """Return the corrections that a wish stands for, checked.

        Args:
            wish: What is to be done.
            before: The corrections so far.
            layout: The keypoints.

        Raises:
            UsageError: They cannot be made.
        """
        if isinstance(wish, KeepOnly):
            for person in wish.people:
                self._rows(person)
            return [Drop(int(person)) for person in np.unique(self.person) if int(person) not in wish.people]
        try:
            check_joints([wish], layout)
        except ValueError as error:
            raise UsageError(str(error)) from error
        rows = self._rows(wish.person)
        if isinstance(wish, Merge):
            self._check_merge(wish)
        elif isinstance(wish, Split):
            times = self.time_s[rows]
            if not times[0] < wish.at_s <= times[-1] + SAME_TIME_S:
                there = self._where(rows)
                raise UsageError(
                    f"person {wish.person} cannot be split at {wish.at_s:g} s, only {there}; choose such a time"
                )
            self.taken += 1
            return [replace(wish, at_s=float(times[times >= wish.at_s - SAME_TIME_S][0]), new=self.taken)]
        elif isinstance(wish, SetJoint):
            return [self._placed(wish, rows, before)]
        elif isinstance(wish, Exchange):
            self._check_exchange(wish)
        if not len(self._concerned(wish)):
            raise UsageError(f"person {wish.person} is not there then, only {self._where(rows)}; choose such a time")
        return [wish]

    def effect(self, step: Correction) -> str:
        """Return in words which frames a correction concerns."""
        rows = self._concerned(step)
        frames = np.unique(self.time_s[rows])
        return f"{len(frames)} frame{'s' if len(frames) != 1 else ''}, {self._where(rows)}"

    def correct(self, step: Correction) -> None:
        """Make a correction."""
        kept = np.ones(len(self.person), np.bool_)
        for row in self._concerned(step).tolist():
            person = step.rename(int(self.person[row]), float(self.time_s[row]))
            if person is None:
                kept[row] = False
            else:
                self.person[row] = person
                self.taken = max(self.taken, person)
        self.person, self.time_s = self.person[kept], self.time_s[kept]

    def spans(self, names: Mapping[int, str]) -> list[PersonSpan]:
        """Return everybody, by id."""
        found = []
        for person in np.unique(self.person).tolist():
            times = self.time_s[self.person == person]
            found.append(PersonSpan(person, names.get(person, ""), len(times), float(times[0]), float(times[-1])))
        return found

    def _rows(self, person: int) -> NDArray[np.intp]:
        """Return the rows of a person.

        Raises:
            UsageError: There is no such person.
        """
        rows = np.flatnonzero(self.person == person)
        if not len(rows):
            there = ", ".join(map(str, np.unique(self.person).tolist())) or "nobody"
            raise UsageError(f"there is no person {person} (after the corrections before); there are: {there}")
        return rows

    def _concerned(self, step: Correction) -> NDArray[np.intp]:
        """Return the rows that a correction concerns."""
        ids = (step.person, step.other) if isinstance(step, Exchange) else (step.person,)
        rows = np.flatnonzero(np.isin(self.person, ids))
        if isinstance(step, Split):
            return rows[self.time_s[rows] >= step.at_s - SAME_TIME_S]
        if isinstance(step, SetJoint):
            return rows[np.abs(self.time_s[rows] - step.at_s) < SAME_TIME_S]
        if isinstance(step, Drop | Exchange | SwapSides | DropJoint):
            return rows[[time in step.span for time in self.time_s[rows].tolist()]]
        return rows

    def _check_exchange(self, wish: Exchange) -> None:
        """Check that the other one is there, and is another.

        Raises:
            UsageError: There is no such person, or they are the same.
        """
        if wish.person == wish.other:
            raise UsageError(f"person {wish.person} cannot exchange ids with itself; name two people")
        self._rows(wish.other)

    def _check_merge(self, wish: Merge) -> None:
        """Check that two people are never in one frame.

        Raises:
            UsageError: They are, or they are the same.
        """
        if wish.person == wish.into:
            raise UsageError(f"person {wish.person} cannot be merged into itself; name two people")
        both = np.intersect1d(self.time_s[self._rows(wish.person)], self.time_s[self._rows(wish.into)])
        if len(both):
            raise UsageError(
                f"people {wish.person} and {wish.into} cannot be one: both are in {len(both)} frames between "
                f"{both[0]:g} and {both[-1]:g} s; if one of them is wrong there, split or drop it for that time first"
            )

    def _placed(self, wish: SetJoint, rows: NDArray[np.intp], before: Sequence[Correction]) -> SetJoint:
        """Return the correction with the time of the nearest frame.

        Raises:
            UsageError: The person is not there then, the position is outside the picture, or the joint is set already.
        """
        nearest = float(self.frame_s[np.abs(self.frame_s - wish.at_s).argmin()])
        tolerance = float(np.diff(self.frame_s).max(initial=SAME_TIME_S))
        if abs(nearest - wish.at_s) > tolerance or nearest not in self.time_s[rows]:
            raise UsageError(
                f"person {wish.person} is not there at {wish.at_s:g} s, only {self._where(rows)}; choose such a time"
            )
        width, height = self.size_wh
        if not (0 <= wish.x < width and 0 <= wish.y < height):
            raise UsageError(f"({wish.x:g}, {wish.y:g}) is outside the frame of {width}x{height}; choose a place in it")
        found = replace(wish, at_s=nearest)
        for step in before:
            same = isinstance(step, SetJoint) and (step.person, step.joint) == (wish.person, wish.joint)
            if same and isinstance(step, SetJoint) and abs(step.at_s - nearest) < SAME_TIME_S:
                raise UsageError(f"{step} already; take that back first (--undo)")
        return found

    def _where(self, rows: NDArray[np.intp]) -> str:
        """Return from when to when."""
        times = self.time_s[rows]
        if not len(times):
            return "never"
        return f"at {times[0]:g} s" if times[0] == times[-1] else f"from {times[0]:g} to {times[-1]:g} s"
