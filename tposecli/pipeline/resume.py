"""Resuming interrupted runs: frames in the journal are not inferred again."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tposecli.formats.journal.journal import Journal, JournalWriter, journal_path, lacks_header, read_journal
from tposecli.formats.journal.provenance import header_differences
from tposecli.formats.journal.records import JournalFrame
from tposecli.pipeline.job import Outputs, RunFlags
from tposecli.sources.image_sequence import is_numbered
from tposecli.types import Frame, Poses, Result
from tposecli.utils.errors import InputError, OutputError, UsageError

log = logging.getLogger("tposecli")


def earlier_run(outputs: Outputs) -> Journal | None:
    """Return the journal of an earlier run with these outputs; None if there is none, or it has no frame.

    Raises:
        InputError: The file in its place is no journal, or cannot be read.
    """
    if not outputs.files:
        return None
    path = journal_path(outputs.files[0])
    return read_journal(path) if path.exists() and not _has_no_frames(path) else None


def may_start_afresh(path: Path) -> bool:
    """Return whether overwriting this journal loses nothing: its run ended before the first frame."""
    try:
        return path.exists() and _has_no_frames(path)
    except InputError:
        return False


def _has_no_frames(path: Path) -> bool:
    if lacks_header(path):
        return True
    journal = read_journal(path)
    return not journal.complete and next(iter(journal), None) is None


def replaceable_outputs(outputs: Outputs, flags: RunFlags) -> frozenset[Path]:
    """Return the outputs, resolved, that a resumed run wrote and therefore may write again.

    Raises:
        UsageError: There is an interrupted run, and neither ``--resume`` nor ``--overwrite`` is given.
    """
    before = None
    if flags.resume:
        before = earlier_run(outputs)
        return frozenset() if before is None else _outputs_of(before)
    with suppress(InputError):
        before = None if flags.overwrite else earlier_run(outputs)
    if before is not None and not before.complete:
        raise UsageError(
            f"{before.path}: an interrupted run; add --resume to continue it, or --overwrite to start over"
        )
    return frozenset()


def _outputs_of(before: Journal) -> frozenset[Path]:
    return frozenset(path.resolve() for path in before.outputs)


def is_finished(before: Journal, outputs: Outputs, frames: int | None) -> bool:
    """Return whether an earlier run is complete, and all of these outputs are among its own and still there.

    Args:
        before: Its journal.
        outputs: What is asked for now.
        frames: Number of images given; if the run could not read them all, they are reported again. None for videos.
    """
    made = _outputs_of(before)
    if not before.complete or (frames is not None and before.whole_frames() < frames):
        return False
    return all(path.resolve() in made and (path.exists() or is_numbered(path)) for path in outputs.files)


def check_same_run(before: Journal, head: Mapping[str, Any]) -> None:
    """Refuse to resume if anything that the poses depend on has changed.

    Raises:
        UsageError: The message lists what has.
    """
    changed = header_differences(before.provenance, head)
    if changed:
        raise UsageError(
            f"{before.path}: cannot resume: {'; '.join(changed)}; rerun with the original options, or start over with "
            "--overwrite (without --resume)"
        )


def continue_journal(before: Journal, group: int) -> tuple[JournalWriter, int]:
    """Open the journal of an earlier run to append to it, after its last whole group of frames.

    Args:
        before: The journal; what follows the last whole group is cut off, unless the run is complete.
        group: Frames that go through the net together.

    Returns:
        The writer, and the number of frames that are kept.
    """
    whole = before.whole_frames()
    kept = whole if before.complete else whole - whole % group
    return JournalWriter.resume(before.path, kept), kept


def how_to_resume(command: str) -> str:
    """Return a note with the command that resumes the run."""
    words = shlex.split(command)
    return "continue with: " + shlex.join(words if "--resume" in words else [*words, "--resume"])


class ResumableJournal:
    """The journal of a run: a new one, or an earlier one continued after its last whole group of frames.

    Leaving it as a context manager without an exception marks the journal as complete.

    Attributes:
        head: The header that the outputs name as their origin; that of the first run, if it is resumed.
        kept: Frames measured by the earlier run.
        frames: Frames in the journal by now.
    """

    def __init__(self, outputs: Outputs, head: Mapping[str, Any], group: int, before: Journal | None) -> None:
        """Open it.

        Args:
            outputs: What the run makes.
            head: The header.
            group: Frames that go through the net together.
            before: From :func:`earlier_run`, to continue; None to start.

        Raises:
            UsageError: The earlier run had other options or another input.
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
        check_same_run(before, head)
        self.head = before.provenance
        self._writer, self.kept = continue_journal(before, group)
        self.frames = self.kept
        self._entries = islice(before, self.kept)
        log.info("%s: resuming after %d finished frames", path, self.kept)

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
        """Return the poses of a group of frames that the earlier run measured; None after the last of those.

        Raises:
            InputError: These are not the frames that were measured.
        """
        if self._seen >= self.kept:
            return None
        entries = list(islice(self._entries, len(frames)))
        self._seen += len(entries)
        for frame, entry in zip(frames, entries, strict=False):
            if (frame.index, frame.size_wh, frame.time_s) != (entry.index, entry.size_wh, entry.time_s):
                raise self._changed(f"frame {frame.index}")
        if len(entries) < len(frames):
            raise self._changed("it has more frames")
        return [entry.poses for entry in entries]

    def record(self, result: Result) -> None:
        """Add a frame unless the earlier run has it; called for every frame, in order.

        Raises:
            OutputError: It cannot be written.
        """
        if self.kept > self._passed:
            self._passed += 1
            return
        self._writer.write(result.frame, result.poses)
        self.frames += 1

    def check_end(self) -> None:
        """Check, at the end of the source, that it had every frame that the earlier run measured.

        Raises:
            InputError: It has fewer.
        """
        if self._passed < self.kept:
            raise self._changed("it has fewer frames")

    def _changed(self, what: str) -> InputError:
        return InputError(
            f"the input has changed since the run began ({what}); start over with --overwrite (without --resume)"
        )
