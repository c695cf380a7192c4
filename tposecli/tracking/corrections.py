"""Corrections of tracked people that somebody made by hand, such as two ids that are one person.

They are made in order, and each refers to people by the ids that those before it leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from tposecli.geometry.keypoints import COCO, KeypointLayout
from tposecli.types import Flag, Poses

SAME_TIME_S: Final = 1e-6
"""Times of frames that differ by less are those of one frame."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, ``from_s <= time < to_s``; a bound of None is open.

    Raises:
        ValueError: It ends before it begins.
    """

    from_s: float | None = None
    to_s: float | None = None

    def __post_init__(self) -> None:
        if self.from_s is not None and self.to_s is not None and not self.from_s < self.to_s:
            raise ValueError(f"{self.from_s:g}-{self.to_s:g} s: the end must be after the beginning")

    def __contains__(self, time_s: float) -> bool:
        after = self.from_s is None or time_s >= self.from_s - SAME_TIME_S
        return after and (self.to_s is None or time_s < self.to_s - SAME_TIME_S)

    def __str__(self) -> str:
        if self.from_s is None and self.to_s is None:
            return "in the whole video"
        if self.to_s is None:
            return f"from {self.from_s:g} s on"
        return f"before {self.to_s:g} s" if self.from_s is None else f"from {self.from_s:g} to {self.to_s:g} s"


ALWAYS: Final = Span()


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction; each kind overrides what it changes.

    Attributes:
        person: Id of the person who is corrected.
    """

    kind: ClassVar[str] = ""
    person: int

    def rename(self, person: int, time_s: float) -> int | None:
        """Return the id that a person has after the correction; None if the person is left out."""
        return person

    def to_dict(self) -> dict[str, Any]:
        """Return the values for the corrections file."""
        values: dict[str, Any] = {"kind": self.kind}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Span):
                bounds = {"from_s": value.from_s, "to_s": value.to_s}
                values |= {name: bound for name, bound in bounds.items() if bound is not None}
            else:
                values[each.name] = list(value) if isinstance(value, tuple) else value
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the correction from the values of :meth:`to_dict`, without ``kind``.

        Raises:
            TypeError: A value is missing, unknown, or of another type.
            ValueError: A value is out of range.
        """
        given = dict(values)
        if any(each.name == "span" for each in fields(cls)):
            given["span"] = Span(*(_seconds(given.pop(name, None)) for name in ("from_s", "to_s")))
        found = cls(**given)
        for each in fields(cls):
            _check_type(each.name, str(each.type), getattr(found, each.name))
        return found


@dataclass(frozen=True, slots=True)
class Merge(Correction):
    """One person becomes another.

    Attributes:
        into: Id that the person has afterwards.
    """

    kind: ClassVar[str] = "merge"
    into: int

    def rename(self, person: int, time_s: float) -> int | None:
        """Return the other id for this one."""
        return self.into if person == self.person else person

    def __str__(self) -> str:
        return f"person {self.person} is person {self.into}"


@dataclass(frozen=True, slots=True)
class Split(Correction):
    """A person is somebody else from a time on.

    Attributes:
        at_s: The time, seconds.
        new: Id from then on.
    """

    kind: ClassVar[str] = "split"
    at_s: float
    new: int

    def rename(self, person: int, time_s: float) -> int | None:
        """Return the new id from the time on."""
        return self.new if person == self.person and time_s >= self.at_s - SAME_TIME_S else person

    def __str__(self) -> str:
        return f"person {self.person} is person {self.new} from {self.at_s:g} s on"


@dataclass(frozen=True, slots=True)
class Exchange(Correction):
    """Two people exchange their ids.

    Attributes:
        other: Id of the other person.
        span: When.
    """

    kind: ClassVar[str] = "exchange"
    other: int
    span: Span = ALWAYS

    def rename(self, person: int, time_s: float) -> int | None:
        """Return the id of the other one."""
        if time_s not in self.span:
            return person
        return {self.person: self.other, self.other: self.person}.get(person, person)

    def __str__(self) -> str:
        return f"people {self.person} and {self.other} exchange their ids {self.span}"


@dataclass(frozen=True, slots=True)
class Drop(Correction):
    """A person is left out.

    Attributes:
        span: When.
    """

    kind: ClassVar[str] = "drop"
    span: Span = ALWAYS

    def rename(self, person: int, time_s: float) -> int | None:
        """Return None for the person."""
        return None if person == self.person and time_s in self.span else person

    def __str__(self) -> str:
        return f"person {self.person} is left out {self.span}"


@dataclass(frozen=True, slots=True)
class Name(Correction):
    """A person has a name.

    Attributes:
        name: The name.
    """

    kind: ClassVar[str] = "name"
    name: str

    def __str__(self) -> str:
        return f"person {self.person} is called {self.name}"


@dataclass(frozen=True, slots=True)
class SwapSides(Correction):
    """Left and right of a person are exchanged.

    Attributes:
        span: When.
    """

    kind: ClassVar[str] = "swap-sides"
    span: Span = ALWAYS

    def __str__(self) -> str:
        return f"left and right of person {self.person} are exchanged {self.span}"


@dataclass(frozen=True, slots=True)
class DropJoint(Correction):
    """A joint of a person was not found; short gaps are filled like any other.

    Attributes:
        joint: Name of the keypoint.
        span: When.
    """

    kind: ClassVar[str] = "drop-joint"
    joint: str
    span: Span = ALWAYS

    def __str__(self) -> str:
        return f"{self.joint} of person {self.person} is left out {self.span}"


@dataclass(frozen=True, slots=True)
class SetJoint(Correction):
    """A joint of a person lies where somebody said, in one frame.

    Attributes:
        joint: Name of the keypoint.
        at_s: Time of the frame, seconds.
        x: Position in frame pixels.
        y: Position in frame pixels.
    """

    kind: ClassVar[str] = "set-joint"
    joint: str
    at_s: float
    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.joint} of person {self.person} is at ({self.x:g}, {self.y:g}) at {self.at_s:g} s"


KINDS: Final = {each.kind: each for each in (Merge, Split, Exchange, Drop, Name, SwapSides, DropJoint, SetJoint)}
"""The kinds of corrections by the name that they have in the corrections file."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Corrections in the order in which they are made.

    Attributes:
        steps: The corrections.
        layout: The keypoints.
    """

    steps: tuple[Correction, ...] = ()
    layout: KeypointLayout = field(default=COCO)

    @property
    def changes_joints(self) -> bool:
        """Whether any of them changes where joints are."""
        return any(isinstance(step, SwapSides | DropJoint | SetJoint) for step in self.steps)

    def renamed(self, person: int, time_s: float, after: int = -1) -> int | None:
        """Return a person's id after all corrections, or from that after number ``after`` on; None if left out."""
        for step in self.steps[after + 1 :]:
            found = step.rename(person, time_s)
            if found is None:
                return None
            person = found
        return person

    def names(self) -> dict[int, str]:
        """Return the names of the people who have one."""
        found: dict[int, str] = {}
        for step in self.steps:
            if isinstance(step, Merge):
                found.setdefault(step.into, found.pop(step.person, ""))
            elif isinstance(step, Name):
                found[step.person] = step.name
        return {person: name for person, name in found.items() if name}

    def people(self, poses: Poses, time_s: float) -> tuple[Poses, list[int]]:
        """Return the people who are not left out, with their ids, and their positions among those given."""
        ids = [self.renamed(person, time_s) for person in poses.track_id.tolist()]
        kept = [row for row, person in enumerate(ids) if person is not None]
        track_id = np.array([ids[row] for row in kept], np.int64)
        chosen = poses[np.array(kept, np.intp)]
        return Poses(chosen.boxes, chosen.xy, chosen.score, track_id, chosen.flags), kept

    def joints(self, poses: Poses, time_s: float) -> Poses:
        """Return people, who have their ids already, with their joints corrected."""
        xy, score, flags = poses.xy.copy(), poses.score.copy(), poses.flags.copy()
        for row, step in self._concerned(poses, time_s):
            if isinstance(step, SwapSides):
                mirror = list(self.layout.mirror)
                moved = np.array(mirror) != np.arange(len(mirror))
                xy[row], score[row], flags[row] = xy[row, mirror], score[row, mirror], flags[row, mirror]
                flags[row, moved] |= np.uint8(Flag.CORRECTED)
            elif isinstance(step, SetJoint):
                self._place(step, (xy, score, flags), row)
            else:
                joint = self.layout.names.index(step.joint)
                score[row, joint], flags[row, joint] = 0, Flag.CORRECTED
        return Poses(poses.boxes, xy, score, poses.track_id, flags)

    def pinned(self, poses: Poses, time_s: float) -> Poses:
        """Return people with the joints that were set by hand exactly there, after they were smoothed."""
        placed = [(row, step) for row, step in self._concerned(poses, time_s) if isinstance(step, SetJoint)]
        if not placed:
            return poses
        xy, score, flags = poses.xy.copy(), poses.score.copy(), poses.flags.copy()
        for row, step in placed:
            self._place(step, (xy, score, flags), row)
        return Poses(poses.boxes, xy, score, poses.track_id, flags)

    def _place(self, step: SetJoint, columns: tuple[NDArray[Any], ...], row: int) -> None:
        """Set a joint in (N, K, 2) positions, (N, K) scores and flags."""
        xy, score, flags = columns
        joint = self.layout.names.index(step.joint)
        xy[row, joint], score[row, joint], flags[row, joint] = (step.x, step.y), 1, Flag.CORRECTED

    def _concerned(self, poses: Poses, time_s: float) -> list[tuple[int, SwapSides | DropJoint | SetJoint]]:
        """Return which rows are corrected by which corrections of joints, in order."""
        found: list[tuple[int, SwapSides | DropJoint | SetJoint]] = []
        for number, step in enumerate(self.steps):
            if isinstance(step, SetJoint):
                concerned = abs(time_s - step.at_s) < SAME_TIME_S
            elif isinstance(step, SwapSides | DropJoint):
                concerned = time_s in step.span
            else:
                continue
            if concerned:
                person = self.renamed(step.person, time_s, after=number)
                found += [(row, step) for row in np.flatnonzero(poses.track_id == person).tolist()]
        return found


def make_correction(values: dict[str, Any]) -> Correction:
    """Return the correction from the values of the corrections file.

    Raises:
        ValueError: They describe none.
    """
    kind = values.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    try:
        found: Correction = KINDS[kind].from_dict({name: value for name, value in values.items() if name != "kind"})
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error
    return found


def check_joints(steps: Sequence[Correction], layout: KeypointLayout) -> None:
    """Check the names of joints.

    Raises:
        ValueError: There is no joint of that name.
    """
    for step in steps:
        if isinstance(step, DropJoint | SetJoint) and step.joint not in layout.names:
            raise ValueError(f"there is no joint {step.joint!r}; these are: {', '.join(layout.names)}")


def _seconds(value: Any) -> float | None:
    """Return a bound of a time range as a float."""
    if value is None:
        return None
    _check_type("time", "float", value)
    return float(value)


def _check_type(name: str, kind: str, value: Any) -> None:
    """Check a value from a file; numbers must be finite.

    Raises:
        TypeError: It is of another type.
    """
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "Span": (Span,)}
    if isinstance(value, bool) or not isinstance(value, types[kind]):
        raise TypeError(f"{name}: expected {kind}, got {value!r}")
    if isinstance(value, float) and not np.isfinite(value):
        raise TypeError(f"{name}: expected a finite number, got {value}")
