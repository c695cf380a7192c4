"""Write corrections by hand: what ``tpose edit`` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tposecli.formats.align import JOURNAL, PoseInput, read_aligned
from tposecli.formats.corrections import CorrectionsFile, corrections_path, journal_digest, write_corrections
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.corrections import ids_of, names_of, read_corrections_of
from tposecli.pipeline.people import KeepOnly, People, PersonSpan
from tposecli.pipeline.summary import count
from tposecli.tracking.corrections import Correction, Corrections, Name
from tposecli.utils.errors import UsageError
from tposecli.utils.locks import output_locks


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
        before = before or CorrectionsFile(journal_digest(job.journal), ids_of(recording.header))
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
