"""Corrections by hand: read by every command that reads a journal, and written by ``tpose edit``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tposecli.formats.align import JOURNAL, AlignedPoses, PoseInput, read_aligned
from tposecli.formats.corrections import (
    CorrectionsFile,
    corrections_path,
    journal_digest,
    read_corrections,
    write_corrections,
)
from tposecli.formats.with_frames import without_pixels
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.keep_options import KeepOptions
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.pipeline.summary import count
from tposecli.smoothing.options import AS_MEASURED
from tposecli.tracking.corrections import (
    SAME_TIME_S,
    Correction,
    Corrections,
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
from tposecli.tracking.options import TrackOptions
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.locks import output_locks

log = logging.getLogger("tposecli")

EVERYBODY: Final = KeepOptions(0, 0)
"""Whom runs kept before there were options for it."""


@dataclass(frozen=True, slots=True)
class KeepOnly:
    """A wish of ``tpose edit``: leave out everybody else."""

    people: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ByName:
    """A wish of people by id or by name.

    Attributes:
        people: Ids or names.
        make: Makes the wish from their ids.
    """

    people: tuple[str, ...]
    make: Callable[..., Correction | KeepOnly]


Wish = Correction | KeepOnly | ByName


@dataclass(frozen=True, slots=True)
class EditJob:
    """What ``tpose edit`` does to the corrections of a journal.

    Attributes:
        journal: The journal.
        wishes: Corrections to add, in order. The new id of a split is chosen here, and times are those of the nearest
            frame.
        undo: Take this many of the last corrections back first.
    """

    journal: Path
    wishes: tuple[Wish, ...] = ()
    undo: int = 0


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


@dataclass(frozen=True, slots=True)
class EditSummary:
    """What the corrections of a journal are now.

    Attributes:
        path: Their file; it exists if there are any.
        undone: What was taken back.
        added: What was added, in words.
        steps: All corrections.
        people: Everybody who is in the video, as corrected.
    """

    path: Path
    undone: tuple[str, ...]
    added: tuple[str, ...]
    steps: tuple[Correction, ...]
    people: tuple[PersonSpan, ...]


def read_corrections_of(recording: AlignedPoses, given: PoseInput) -> CorrectionsFile | None:
    """Read the corrections of a journal, if there are any and they are wanted.

    Raises:
        InputError: They are damaged, or those of another journal.
    """
    path = corrections_path(recording.path)
    if recording.format != JOURNAL or not given.corrected or recording.stills or not path.exists():
        return None
    found = read_corrections(path)
    if found.journal_sha256 != journal_digest(recording.path):
        raise InputError(
            f"{path}: its corrections are of another state of {recording.path.name}, which has changed since; remove "
            "or rename it to correct the journal again, or add --no-edits to leave it out"
        )
    return found


def build_processor(
    recording: AlignedPoses, given: PoseInput, options: PostOptions, corrections: CorrectionsFile | None
) -> PostProcessor:
    """Build the tracker and smoother of stored poses, with the corrections that were made by hand.

    Raises:
        UsageError: The options would give people other ids than those that are corrected.
        InputError: A correction names a joint that there is not.
    """
    layout = KeypointLayout.from_dict(recording.header)
    by_hand = None
    if corrections is not None:
        path = corrections_path(recording.path)
        options = _with_their_ids(options, corrections, path)
        try:
            check_joints(corrections.steps, layout)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        by_hand = Corrections(corrections.steps, layout)
        log.info("%s: %s by hand", path, count(len(corrections.steps), "correction"))
    post = PostProcessor.build(
        options.of_stills() if recording.stills else options,
        layout=layout,
        weak_score=recording.weak_score,
        header=recording.header,
        corrections=by_hand,
    )
    return replace(post, tracker=None) if recording.tracked and not given.track_again else post


def names_of(header: Mapping[str, Any], corrections: CorrectionsFile | None = None) -> dict[int, str]:
    """Return the names of people by their ids: those that were given by hand, else those of a header."""
    names = {**header, **describe_corrections(corrections)}.get("track_names", {})
    return {int(person): name for person, name in names.items()}


def describe_corrections(corrections: CorrectionsFile | None) -> dict[str, Any]:
    """Return what headers say of corrections; nothing if there are none."""
    if corrections is None:
        return {}
    names = {str(person): name for person, name in Corrections(corrections.steps).names().items()}
    steps = [step.to_dict() for step in corrections.steps]
    return {"corrections": steps, **({"track_names": names} if names else {})}


def edit(job: EditJob) -> EditSummary:
    """Add corrections to those of a journal, or take the last ones back.

    Nothing is written unless all of them can be made.

    Raises:
        InputError: The journal or its corrections cannot be read.
        UsageError: A correction cannot be made.
    """
    given = PoseInput(job.journal)
    recording = read_aligned(given)
    if recording.format != JOURNAL:
        raise UsageError(f"{job.journal} is not a journal; name the OUT.poses.jsonl that tpose video writes")
    if recording.stills:
        raise UsageError(f"{job.journal} is a journal of images, which has no ids that last; name one of a video")
    path = corrections_path(job.journal)
    with output_locks([path]):
        before = read_corrections_of(recording, given)
        before = before or CorrectionsFile(journal_digest(job.journal), _ids_of(recording.header))
        layout = KeypointLayout.from_dict(recording.header)
        steps = list(before.steps)
        undone = _undo(steps, job)
        people = People.of(recording, given, before)
        for step in steps:
            people.correct(step)
        added: list[str] = []
        for asked in job.wishes:
            added += _add(asked, steps, people, layout)
        now = replace(before, steps=tuple(steps))
        if steps != list(before.steps):
            write_corrections(path, now)
    return EditSummary(path, undone, tuple(added), now.steps, tuple(people.spans(names_of({}, now))))


def _undo(steps: list[Correction], job: EditJob) -> tuple[str, ...]:
    """Take the last corrections back; in words, the last one first.

    Raises:
        UsageError: There are fewer.
    """
    if job.undo and not steps:
        raise UsageError(f"{job.journal}: there is no correction to undo; make one first")
    if job.undo > len(steps):
        raise UsageError(f"{job.journal}: cannot undo {job.undo} of {count(len(steps), 'correction')}; undo fewer")
    return tuple(str(steps.pop()) for _ in range(job.undo))


def _add(asked: Wish, steps: list[Correction], people: People, layout: KeypointLayout) -> list[str]:
    """Make the corrections that a wish stands for, and add them to the steps; in words.

    Raises:
        UsageError: They cannot be made.
    """
    names = Corrections(tuple(steps)).names()
    wish = asked.make(*(people.find(who, names) for who in asked.people)) if isinstance(asked, ByName) else asked
    if isinstance(wish, Name):
        people.check_name(wish, names)
        if names.get(wish.person) == wish.name:
            return [f"{wish} already"]
    said = []
    for step in people.resolve(wish, steps, layout):
        said.append(f"{step}: {people.effect(step)}")
        people.correct(step)
        steps.append(step)
    return said


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


def _ids_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which a run gave people their ids, from its journal."""
    options = header.get("options", {})
    track = options.get("track") if isinstance(options.get("track"), dict) else asdict(TrackOptions())
    keep = options.get("keep") if isinstance(options.get("keep"), dict) else asdict(EVERYBODY)
    return {"track": track, "keep": keep}


def _with_their_ids(options: PostOptions, corrections: CorrectionsFile, path: Path) -> PostOptions:
    """Return the options with which people have the ids that are corrected.

    Raises:
        UsageError: The user asked for others.
        InputError: The file names options that there are not.
    """
    ids = corrections.ids
    try:
        track, keep = TrackOptions(**ids.get("track", {})), KeepOptions(**ids.get("keep", {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: invalid options of tracking ({error}); remove the file and correct again") from error
    if options.track not in (TrackOptions(), track) or options.keep not in (KeepOptions(), keep):
        raise UsageError(
            f"{path} corrects the ids of other options; leave out those that begin with --track, --no-track, "
            "--min-person-score and --min-joints, or add --no-edits to leave the corrections out"
        )
    return replace(options, track=track, keep=keep)
