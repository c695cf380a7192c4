"""What a run did, and the lines that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(slots=True)
class Summary:
    """What a run did with one input.

    Attributes:
        name: The input.
        frames: Frames or images processed.
        people: Poses in all of them.
        most: People in the frame that shows most of them.
        ids: Track ids that were given, each once; 0 without tracking.
        skipped: Files that are no images.
        unsupported: Images of formats that cannot be read.
        corrupt: Frames lost to damage.
        failed: Inputs that could not be read, and why.
        wall_s: Seconds from the first frame to the last.
        seconds: Wall time of each stage.
        outputs: The files that were made, the journal last; addresses, where they were stored.
        stills: Whether the frames are images that have nothing to do with one another.
        path: The input as it was given, without credentials.
        stopped: Whether something ended it early, which ``failed`` tells; images that cannot be read do not.
    """

    name: str
    frames: int = 0
    people: int = 0
    most: int = 0
    ids: int = 0
    skipped: int = 0
    unsupported: int = 0
    corrupt: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    outputs: Sequence[Path | str] = ()
    stills: bool = False
    path: str = ""
    stopped: bool = False

    @classmethod
    def of_failure(cls, name: str, path: str, reason: str) -> Self:
        """Return the summary of an input of which nothing was made."""
        return cls(name, failed=[(path, reason)], path=path, stopped=True)

    def lines(self, verbose: bool = False) -> list[str]:
        """Return what to tell the user.

        Args:
            verbose: Whether to say how long each stage took.
        """
        lines = [self._headline(), *self._lost()]
        if verbose and self.seconds:
            stages = ", ".join(f"{name} {spent:.1f} s" for name, spent in self.seconds.items())
            lines.append(f"  time of the stages, which overlap: {stages}")
        return lines + [f"  {path}" for path in self.outputs]

    def _headline(self) -> str:
        rate = self.frames / max(self.wall_s, 1e-9)
        if self.stills:
            made = f"{count(self.frames, 'image')}, {count(self.people, 'person', 'people')}"
            return f"{made} in {duration(self.wall_s)} ({rate:.1f} images/s)"
        people = "1 person" if self.most == 1 else f"up to {self.most} people" if self.most else "no people"
        ids = [count(self.ids, "id")] if self.ids else []
        made = ", ".join([count(self.frames, "frame"), people, *ids])
        return f"{self.name}: {made} in {duration(self.wall_s)} ({rate:.1f} frames/s)"

    def _lost(self) -> Iterator[str]:
        """Yield a line for what was left out, if anything was."""
        lost = {
            "failed, see above": len(self.failed),
            "skipped: not images": self.skipped,
            "skipped: unsupported formats": self.unsupported,
            "damaged and left out": self.corrupt,
        }
        if any(lost.values()):
            yield "  " + "; ".join(f"{number} {what}" for what, number in lost.items() if number)


def count(number: int, word: str, plural: str = "") -> str:
    """Return a number with its word: ``1 frame``, ``2 frames``."""
    return f"{number} {word if number == 1 else plural or word + 's'}"


def duration(seconds: float) -> str:
    """Return a duration in words: ``4.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
