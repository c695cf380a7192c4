"""Going on with a run that was interrupted: what its journal holds is not inferred again."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tposecli.formats.journal.journal import Journal, JournalWriter, is_stillborn, journal_path, read_journal
from tposecli.formats.journal.provenance import differences
from tposecli.formats.journal.records import JournalFrame
from tposecli.pipeline.job import Outputs, Settings
from tposecli.sources.image_sequence import is_numbered
from tposecli.types import Frame, Poses, Result
from tposecli.utils.errors import InputError, OutputError, UsageError

log = logging.getLogger("tposecli")


def earlier_run(outputs: Outputs) -> Journal | None:
    """The journal of the run that was to make these outputs before.

    None where there is none, or where that run ended before the first line was whole, or before its first frame.

    Raises:
        InputError: What lies there is no journal, or cannot be read.
    """
    if not outputs.files:
        return None
    path = journal_path(outputs.files[0])
    return read_journal(path) if path.exists() and not _is_barren(path) else None


def may_begin(path: Path) -> bool:
    """Whether nothing is lost where this journal is begun anew: a run began it, but ended before its first frame."""
    try:
        return path.exists() and _is_barren(path)
    except InputError:
        return False


def _is_barren(path: Path) -> bool:
    if is_stillborn(path):
        return True
    journal = read_journal(path)
    return not journal.complete and next(iter(journal), None) is None


def may_replace(outputs: Outputs, settings: Settings) -> frozenset[Path]:
    """Outputs, resolved, that an interrupted run has perhaps written already: they are written again as it goes on.

    Raises:
        UsageError: There is an interrupted run, but nobody said what to do with it.
    """
    before = None
    if settings.resume:
        before = earlier_run(outputs)
        return frozenset() if before is None else _made(before)
    with suppress(InputError):
        before = None if settings.overwrite else earlier_run(outputs)
    if before is not None and not before.complete:
        raise UsageError(
            f"{before.path}: a run that was interrupted; add --resume to go on with it, or --overwrite to begin anew"
        )
    return frozenset()


def _made(before: Journal) -> frozenset[Path]:
    """The outputs of that run."""
    return frozenset(path.resolve() for path in before.outputs)


def is_finished(before: Journal, outputs: Outputs, frames: int | None) -> bool:
    """Whether that run came to its end, made all of these outputs, and they are still there.

    Args:
        before: Its journal.
        outputs: What is wanted.
        frames: Pictures that were named; where it could not read them all, they are told once more. None for videos.
    """
    made = _made(before)
    if not before.complete or (frames is not None and before.whole_frames() < frames):
        return False
    return all(path.resolve() in made and (path.exists() or is_numbered(path)) for path in outputs.files)


def refuse_another(before: Journal, head: Mapping[str, Any]) -> None:
    """Refuse to go on where anything that the poses depend on is not as it was.

    Raises:
        UsageError: It says what.
    """
    changed = differences(before.facts, head)
    if changed:
        raise UsageError(
            f"{before.path}: that run cannot be gone on with, {'; '.join(changed)}; give what it was begun with, or "
            "--overwrite without --resume to begin anew"
        )


def how_to_resume(command: str) -> str:
    """What to type in order to go on."""
    words = shlex.split(command)
    return "go on with: " + shlex.join(words if "--resume" in words else [*words, "--resume"])


class ResumableJournal:
    """The journal of a run, begun, or gone on with after its last whole group of frames.

    Leaving it as a context manager without an exception marks the journal as complete.

    Attributes:
        head: What the outputs say of where they come from: word for word as when the run was begun.
        kept: Frames that were measured before.
        frames: Frames in the journal by now.
    """

    def __init__(self, outputs: Outputs, head: Mapping[str, Any], group: int, before: Journal | None) -> None:
        """Open it.

        Args:
            outputs: What the run makes.
            head: The header.
            group: Frames that go through the net together.
            before: From :func:`earlier_run`, to go on with; None to begin.

        Raises:
            UsageError: The earlier run is another one.
            OutputError: The journal cannot be written.
        """
        path = journal_path(outputs.files[0])
        self._command = head.get("command") if head.get("source_sha256") else None
        self.kept = self.frames = 0
        self.head: dict[str, Any] = dict(head)
        self._entries: Iterator[JournalFrame] = iter(())
        self._seen = self._passed = 0
        if before is None:
            self._writer = JournalWriter(path, head, outputs.files)
            return
        refuse_another(before, head)
        whole = before.whole_frames()
        self.kept = self.frames = whole if before.complete else whole - whole % group
        self.head = before.facts
        self._writer = JournalWriter.resume(path, self.kept)
        self._entries = islice(before, self.kept)
        log.info("%s: going on after %d frames that are done", path, self.kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and self.frames and self._command:
            error.add_note(how_to_resume(self._command))
        try:
            self._writer.close(complete=error is None)
        except OutputError:
            if error is None:
                raise

    def known(self, frames: Sequence[Frame]) -> list[Poses] | None:
        """The poses of a group that was measured before, None behind the last of those.

        Raises:
            InputError: These are not the frames that were measured.
        """
        if self._seen >= self.kept:
            return None
        entries = list(islice(self._entries, len(frames)))
        self._seen += len(entries)
        for frame, entry in zip(frames, entries, strict=False):
            if (frame.index, frame.size_wh, frame.time_s) != (entry.index, entry.size_wh, entry.time_s):
                raise self._other(f"frame {frame.index}")
        if len(entries) < len(frames):
            raise self._other("it has more frames")
        return [entry.poses for entry in entries]

    def record(self, result: Result) -> None:
        """Add a frame unless it was measured before; called for all of them, in order.

        Raises:
            OutputError: The disk does not take it.
        """
        if self.kept > self._passed:
            self._passed += 1
            return
        self._writer.write(result.frame, result.poses)
        self.frames += 1

    def check_end(self) -> None:
        """At the end of the source: were all frames there that were measured before?

        Raises:
            InputError: No.
        """
        if self._passed < self.kept:
            raise self._other("it has fewer frames")

    def _other(self, what: str) -> InputError:
        return InputError(
            f"the input is not what it was when the run began ({what}); begin anew with --overwrite, without --resume"
        )
