"""Resuming interrupted runs: frames in the journal are not inferred again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tposecli.formats.journal.journal import (
    Journal,
    JournalWriter,
    is_journal,
    journal_path,
    lacks_header,
    read_journal,
)
from tposecli.formats.journal.provenance import OF_IMAGES, header_differences
from tposecli.formats.journal.records import JournalFrame
from tposecli.pipeline.job import DrawingSettings, FileSettings, Outputs, RunFlags
from tposecli.sinks.destination import PARTIAL_VIDEOS
from tposecli.sinks.video import VideoOptions
from tposecli.sources import ImageList
from tposecli.sources.image_store import ZipReader
from tposecli.types import Frame, Poses, Result
from tposecli.utils.errors import InputError, OutputError, UsageError
from tposecli.utils.files import NewFile, unwritable

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


def check_journal(path: Path, outputs: Sequence[Path]) -> None:
    """Check that the place of the journal is free, or taken by a journal.

    Raises:
        UsageError: A file that is no journal, or a link, has its name, or an output has.
    """
    if any(os.path.abspath(path) == os.path.abspath(output) for output in outputs):
        raise UsageError(f"{path}: the journal of this run has this name; choose another name for the output")
    if not os.path.lexists(path):
        return
    journal = path.is_file() and not path.is_symlink()
    with suppress(InputError, OSError):
        if journal and not lacks_header(path):
            with path.open("rb") as file:
                journal = is_journal(file.read(1 << 16))
    if not journal:
        raise UsageError(f"{path}: not a journal, but of its name; move it, or choose another name for the output")


def know_partial_videos(outputs: Outputs) -> None:
    """Read from the journal which partial videos an earlier run of these outputs has left: they may be replaced."""
    with suppress(InputError):
        path = journal_path(outputs.files[0]) if outputs.files else None
        if path is not None and path.is_file():
            PARTIAL_VIDEOS.know(read_journal(path).end().get("partial"), outputs.files)


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


def is_finished(before: Journal, outputs: Outputs, frames: int | None, options: Mapping[str, Any]) -> bool:
    """Return whether an earlier run is complete, and all of these outputs are among its own and still as it left them.

    Args:
        before: Its journal.
        outputs: What is asked for now.
        frames: Number of images given; if the run could not read them all, they are reported again. None for videos.
        options: Options of the outputs, from :func:`output_options`.
    """
    made, end = _outputs_of(before), before.end()
    if not before.complete or (frames is not None and before.whole_frames() < frames):
        return False
    if end.get("options") != options or not all(path.resolve() in made for path in outputs.files):
        return False
    files = end.get("files")
    return isinstance(files, dict) and all(_size(before.path.parent / name) == size for name, size in files.items())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def output_options(drawing: DrawingSettings, files: FileSettings, encoding: VideoOptions | None) -> dict[str, Any]:
    """Return everything that outputs depend on besides the poses, as JSON gives it back."""
    options = {"drawing": asdict(replace(drawing, show=False)), "files": asdict(files)}
    options["encoding"] = {} if encoding is None else asdict(encoding)
    found: dict[str, Any] = json.loads(json.dumps(options, default=str, sort_keys=True))
    return found


def check_same_run(before: Journal, head: Mapping[str, Any], ignored: Collection[str] = ()) -> None:
    """Refuse to resume if anything that the poses depend on has changed.

    Args:
        before: The journal.
        head: The header that a new run would have.
        ignored: Fields that may differ.

    Raises:
        UsageError: The message lists what has.
    """
    changed = header_differences(before.provenance, head, ignored)
    if changed:
        raise UsageError(
            f"{before.path}: cannot resume: {'; '.join(changed)}; rerun with the original options, or start over with "
            "--overwrite (without --resume)"
        )


def continue_journal(before: Journal, group: int, by_index: bool = False) -> tuple[JournalWriter, int]:
    """Open the journal of an earlier run to append to it, after its last whole group of frames.

    Args:
        before: The journal; what follows the last whole group is cut off, unless the run is complete.
        group: Frames that go through the net together.
        by_index: Whether those are the frames of ``group`` indices, as of images, some of which may not be there.

    Returns:
        The writer, and the number of frames that are kept.
    """
    whole = before.whole_frames()
    kept = whole if before.complete else whole - whole % group
    if by_index and not before.complete:
        indices = [entry.index for entry in islice(before, whole)]
        ended = indices[-1] + 1 if indices else 0
        kept = sum(index < ended - ended % group for index in indices)
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
        begin: Where its times begin, in ticks of the whole video.
    """

    begin = 0

    def __init__(
        self, plan: JournalPlan, head: Mapping[str, Any], before: Journal | None, made: Mapping[Path, int]
    ) -> None:
        """Open it.

        Args:
            plan: What the run makes, and how.
            head: The header.
            before: From :func:`earlier_run`, to continue; None to start.
            made: Real path and size of every file that the run has published, updated while it goes on.

        Raises:
            UsageError: The earlier run had other options or another input.
            OutputError: The journal cannot be written.
        """
        self.path = journal_path(plan.outputs.files[0])
        self._plan, self._made = plan, made
        self._command = head.get("command") if head.get("source_sha256") else None
        self.kept = self.frames = 0
        self.head: dict[str, Any] = dict(head)
        self._entries: Iterator[JournalFrame] = iter(())
        self._seen = self._passed = 0
        if before is None:
            self._writer = JournalWriter(self.path, head, plan.outputs.files)
            return
        check_same_run(before, head)
        self.head, self.begin = before.provenance, before.end().get("begin", 0)
        self._writer, self.kept = continue_journal(before, head["group_frames"], plan.images is not None)
        self.frames = self.kept
        self._entries = islice(before, self.kept)
        log.info("%s: resuming after %d finished frames", self.path, self.kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and self.frames and self._command:
            error.add_note(how_to_resume(self._command))
        try:
            self._close(complete=error is None)
        except OutputError:
            if error is None:
                raise

    def _close(self, complete: bool) -> None:
        partial = self._partial()
        self._writer.close(complete, self._end() if complete else {"partial": partial} if partial else None)

    def _partial(self) -> dict[str, list[int]]:
        files = self._plan.outputs.files
        return {name: stamp for path in files for name, stamp in PARTIAL_VIDEOS.to_dict(path).items()}

    def _end(self) -> dict[str, Any]:
        """Return the content of the last line of a complete run."""
        folder = os.path.realpath(self.path.parent)
        files = {os.path.relpath(path, folder): size for path, size in self._made.items()}
        begin = {"begin": self.begin} if self.begin else {}
        return {"options": self._plan.options, "files": files, **begin, **self._plan.found}

    def known(self, frames: Sequence[Frame]) -> Sequence[Poses | None] | None:
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
        self._writer.write(result.frame, result.poses, self._plan.digest(result.frame))
        self.frames += 1

    def check_end(self, begin: int = 0) -> None:
        """Check, at the end of the source, that it had every frame that the earlier run measured.

        Args:
            begin: Where its times begin; 0 if it was not read.

        Raises:
            InputError: It has fewer.
        """
        if self._passed < self.kept:
            raise self._changed("it has fewer frames")
        self.begin = begin or self.begin

    def _changed(self, what: str) -> InputError:
        return InputError(
            f"the input has changed since the run began ({what}); start over with --overwrite (without --resume)"
        )


class ImagesJournal(ResumableJournal):
    """The journal of a run over images of which some are new, changed or gone since the earlier run.

    It is written anew beside the earlier one, and takes its place at the end, finished or not.
    """

    def __init__(self, plan: JournalPlan, head: Mapping[str, Any], before: Journal, made: Mapping[Path, int]) -> None:
        """Open it; for the arguments see :class:`ResumableJournal`."""
        check_same_run(before, head, OF_IMAGES)
        self.path = journal_path(plan.outputs.files[0])
        self._plan, self._made, self._command = plan, made, head.get("command")
        self.head = dict(head)
        self._earlier = {entry.name: entry for entry in before if entry.source_sha256 is not None}
        self._used: set[str] = set()
        self.kept = self.frames = 0
        try:
            self._new = NewFile(self.path, replace=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._writer = JournalWriter(self._new.temporary, head, plan.outputs.files)
        log.info("%s: images were added, changed or removed; only those are processed", self.path)

    def known(self, frames: Sequence[Frame]) -> Sequence[Poses | None] | None:
        """Return the poses of each frame whose file is as the earlier run measured it."""
        return [self._known(frame) for frame in frames]

    def _known(self, frame: Frame) -> Poses | None:
        entry = self._earlier.get(frame.name)
        same = entry is not None and entry.size_wh == frame.size_wh and entry.source_sha256 == self._plan.digest(frame)
        return entry.poses if entry is not None and same else None

    def record(self, result: Result) -> None:
        """Add a frame; called for every frame, in order."""
        self._writer.write(result.frame, result.poses, self._plan.digest(result.frame))
        self._used.add(result.frame.name)
        self.frames += 1

    def check_end(self, begin: int = 0) -> None:
        """Do nothing: images may be missing."""

    def _close(self, complete: bool) -> None:
        """Give the journal its name; an interrupted run keeps what the earlier one had measured of the rest."""
        try:
            for name, entry in self._earlier.items() if not complete else ():
                if name not in self._used and name in self._plan.names:
                    index = self._plan.first + self._plan.names.index(name)
                    self._writer.write(replace(entry, index=index), entry.poses, entry.source_sha256)
            super()._close(complete)
            self._new.publish()
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            self._new.discard()


@dataclass(frozen=True, slots=True)
class JournalPlan:
    """What a journal must know of its run.

    Attributes:
        outputs: What the run makes.
        options: Options of the outputs, from :func:`output_options`.
        images: The images that it reads; None for a video.
        found: What the last line says besides.
    """

    outputs: Outputs
    options: Mapping[str, Any]
    images: ImageList | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """Names of the images."""
        return () if self.images is None else self.images.names

    @property
    def first(self) -> int:
        """Position of the first of them among all."""
        return 0 if self.images is None else self.images.first

    def digest(self, frame: Frame) -> str | None:
        """Return the SHA-256 of an image's file; None for a frame of a video."""
        if self.images is None:
            return None
        try:
            with ZipReader() as reader:
                return hashlib.sha256(
                    reader.read(self.images.paths[frame.index - self.images.first]).tobytes()
                ).hexdigest()
        except InputError:
            return None  # It is gone by now.


def open_journal(
    plan: JournalPlan, head: Mapping[str, Any], before: Journal | None, made: Mapping[Path, int]
) -> ResumableJournal:
    """Open the journal of a run; for the arguments see :class:`ResumableJournal`."""
    if (
        before is not None
        and plan.images is not None
        and before.checked
        and header_differences(before.provenance, head)
    ):
        return ImagesJournal(plan, head, before, made)
    return ResumableJournal(plan, head, before, made)
