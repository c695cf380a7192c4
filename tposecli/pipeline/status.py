"""What was made of which videos, from the journals in a folder of outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tposecli.formats.journal.journal import SUFFIX, lacks_header, read_journal
from tposecli.pipeline.segments.plan import PARTS
from tposecli.sources import NamedVideo, open_video_input
from tposecli.sources.locations import is_read_once
from tposecli.utils.errors import InputError, TposeError
from tposecli.utils.locks import is_reserved

DONE: Final = "done"
RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
FAILED: Final = "failed"
MISSING: Final = "missing"
STATES: Final = (DONE, RUNNING, INTERRUPTED, FAILED, MISSING)


@dataclass(frozen=True, slots=True)
class Status:
    """How far an input is.

    Attributes:
        name: The input, or its outputs where inputs are not known.
        state: One of ``STATES``: ``failed`` cannot be read, ``missing`` was not begun.
        frames: Frames that were measured so far.
        reason: Why it failed; else empty.
    """

    name: str
    state: str
    frames: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def status_of(folder: Path, videos: Sequence[NamedVideo] = ()) -> list[Status]:
    """Return how far each input is, by the journals beside its outputs.

    Args:
        folder: Of the outputs.
        videos: The inputs; without them only what was begun is known.

    Raises:
        InputError: The folder cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the folder of the outputs")
    begun = dict(sorted(_begun(folder)))
    if not videos:
        return list(begun.values())
    by_name: dict[str, list[Status]] = {}
    for name, status in begun.items():
        by_name.setdefault(str(Path(name).with_suffix("")), []).append(status)
    return [_of_video(video, by_name.get(video.name, ())) for video in videos]


def _begun(folder: Path) -> Iterator[tuple[str, Status]]:
    """Yield the outputs of which there is a journal, by their names in the folder."""
    for path in folder.rglob(f"*{SUFFIX}"):
        if path.parent.name.endswith(SUFFIX + PARTS):
            continue
        output = path.with_name(path.name.removesuffix(SUFFIX))
        name = output.relative_to(folder).as_posix()
        yield name, _of_journals(name, output, [path])
    for parts in folder.rglob(f"*{SUFFIX}{PARTS}"):
        output = parts.with_name(parts.name.removesuffix(SUFFIX + PARTS))
        journals = list(parts.glob(f"*{SUFFIX}"))
        if not output.with_name(output.name + SUFFIX).exists():
            name = output.relative_to(folder).as_posix()
            yield name, _of_journals(name, output, journals, whole=False)


def _of_journals(name: str, output: Path, journals: Iterable[Path], whole: bool = True) -> Status:
    """Return the state of an output by its journal, or by those of its segments."""
    frames, complete, running = 0, whole, is_reserved(output)
    for path in journals:
        running = running or is_reserved(path)
        try:
            if lacks_header(path):
                complete = False
                continue
            journal = read_journal(path)
        except InputError as error:
            return Status(name, FAILED, reason=str(error))
        with path.open("rb") as file:
            lines = sum(1 for _ in file)
        frames += max(0, lines - 1 - bool(journal.end()))
        complete = complete and journal.complete and bool(journal.end())
    return Status(name, RUNNING if running else DONE if complete else INTERRUPTED, frames)


def _of_video(video: NamedVideo, begun: Sequence[Status]) -> Status:
    """Return how far a video is; one of which nothing was begun is opened, to see whether it can be read."""
    if begun:
        worst = max(begun, key=lambda status: STATES.index(status.state))
        return Status(video.label, worst.state, worst.frames, worst.reason)
    if not is_read_once(video.location):
        try:
            with suppress(OSError), open_video_input(video.location):
                pass
        except TposeError as error:
            return Status(video.label, FAILED, reason=str(error))
    return Status(video.label, MISSING)
