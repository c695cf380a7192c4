"""The journal: every measured pose, a line of JSON per frame, written as the run goes.

The first line is the header, an object that says where the poses came from, in which ``schema_version``, for which
``outputs``, and whether the run is ``complete``. Every further line is a frame, empty ones included::

    {"frame": 0, "name": "in.mp4", "pts": 0, "time_s": 0.0, "width": 1920, "height": 1080,
     "people": [{"box": [x1, y1, x2, y2], "score": s, "keypoints": [[x, y, score], ...]}]}

Numbers read back as the very float32 values that were measured. A run that dies leaves whole lines and at most one torn
one at the end, which readers cut off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from tposecli.formats.base import PoseSource
from tposecli.formats.journal.header import nonsense
from tposecli.formats.journal.records import JournalFrame, as_line, frame_line, parse, read_frame
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Frame, Poses
from tposecli.utils.errors import InputError
from tposecli.utils.files import unwritable

SCHEMA_VERSION: Final = 1

SUFFIX: Final = ".poses.jsonl"

OWN: Final = ("schema_version", "complete", "outputs")
"""What of the header is the journal's own and says nothing of the poses."""

_START: Final = f'{{"schema_version":{SCHEMA_VERSION},"complete":'.encode()
_UNFINISHED, _COMPLETE = b"false", b"true "
"""Of equal length: the one takes the other's place when the run has come to its end."""

MAX_LINE_BYTES: Final = 1 << 26
"""Bytes; a longer line is damage, and is not held in memory."""

SYNC_S: Final = 5.0
"""What was measured longer ago survives a power cut."""


def journal_path(output: Path) -> Path:
    """Where the journal of an output lies: ``out.mp4`` has ``out.mp4.poses.jsonl``."""
    return output.with_name(output.name + SUFFIX)


class JournalWriter:
    """Writes a journal under its final name, so that what is there survives whatever happens.

    Every line is handed to the operating system whole before ``write`` returns; one that the disk does not take is cut
    off again.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], outputs: Sequence[Path] = ()) -> None:
        """Begin a new journal; one that was there is replaced.

        Args:
            path: See :func:`journal_path`.
            header: What the run is; ``keypoint_names`` tells readers K. What is the journal's own is put before it.
            outputs: The files that the run makes.

        Raises:
            OutputError: The file cannot be written.
        """
        self._open(path, "w+b")
        rest = as_line({"outputs": [str(output) for output in outputs], **header})
        self._put(_START + _UNFINISHED + b"," + rest[1:])

    @classmethod
    def resume(cls, path: Path, frames: int | None = None) -> Self:
        """Go on with a journal after its last sound line, or after its first ``frames`` frames; the rest is cut off.

        Raises:
            InputError: The file is no journal.
            OutputError: The file cannot be written.
        """
        _, end = _sound(path, frames)
        writer = cls.__new__(cls)
        writer._open(path, "r+b")
        writer._end = end
        writer._mark(_UNFINISHED)
        writer._cut_off()
        return writer

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add a frame.

        Raises:
            ValueError: A number is not finite.
            OutputError: The disk does not take it.
        """
        self._put(as_line(frame_line(frame, poses)))
        if time.monotonic() - self._synced > SYNC_S:
            self._sync()

    def close(self, complete: bool = False) -> None:
        """Put the file safely on the disk, and say in it whether the run has come to its end; once is enough.

        Raises:
            OutputError: The disk does not take it.
        """
        if self._file.closed:
            return
        try:
            self._sync()
            if complete:
                self._mark(_COMPLETE)
                self._sync()
        finally:
            self._file.close()

    def _open(self, path: Path, mode: str) -> None:
        self._path = path
        self._end = 0
        self._synced = time.monotonic()
        try:
            self._file: FileIO = path.open(mode, buffering=0)  # type: ignore[assignment]
        except OSError as error:
            raise unwritable(path, error) from error

    def _put(self, line: bytes) -> None:
        """Append a line, or leave the file as it was."""
        left = memoryview(line)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._cut_off()
            raise unwritable(self._path, error) from error
        self._end += len(line)

    def _cut_off(self) -> None:
        """Remove what stands behind the last sound line."""
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def _mark(self, complete: bytes) -> None:
        """Note in the header whether the run is complete; journals of others, which do not say so, stay as they are."""
        self._file.seek(0)
        if self._file.read(len(_START)) == _START:
            self._file.write(complete)
        self._file.seek(self._end)

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._synced = time.monotonic()


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal on disk; iterating reads its frames anew, one at a time.

    Attributes:
        path: The file.
        header: The first line, ``schema_version`` included.
    """

    path: Path
    header: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What the header says of the poses."""
        return {key: value for key, value in self.header.items() if key not in OWN}

    @property
    def complete(self) -> bool:
        """Whether the run came to its end; journals that do not say count as such."""
        return bool(self.header.get("complete", True))

    @property
    def outputs(self) -> list[Path]:
        """The files that the run was to make."""
        return [Path(name) for name in self.header.get("outputs", ())]

    def whole_frames(self) -> int:
        """How many frames there are before the end or the first damaged line."""
        return _sound(self.path)[0]

    def __iter__(self) -> Iterator[JournalFrame]:
        """Frames in file order; a torn last line is left out.

        Raises:
            InputError: A line that is not the last is damaged; names the file and the line, counted from 1.
        """
        keypoints = len(self.header.get("keypoint_names", KEYPOINTS))
        damage: tuple[int, Exception] | None = None
        with _open_input(self.path) as file:
            for number, line in enumerate(_lines(file), start=1):
                if damage is not None:
                    raise _damaged(self.path, *damage) from damage[1]
                if number == 1 or not line.endswith(b"\n"):
                    continue
                try:
                    yield read_frame(parse(line), keypoints)
                except (ValueError, KeyError, TypeError) as error:
                    damage = number, error


def is_stillborn(path: Path) -> bool:
    """Whether a run made this file, but died, or the power failed, before its first line was whole.

    Raises:
        InputError: The file cannot be read.
    """
    with _open_input(path) as file:
        first = file.readline()
    torn = first.startswith(_START) or _START.startswith(first) or not first.strip(b"\0")
    return torn and not first.endswith(b"\n")


def is_journal(head: bytes) -> bool:
    """Check whether a file that begins with these bytes is a journal, complete or damaged."""
    return b'"schema_version"' in head.partition(b"\n")[0]


def read_journal_source(source: PoseSource) -> Journal:
    """Read a journal as one of the pose file formats; see :func:`read_journal`."""
    return read_journal(source.path)


def read_journal(path: Path) -> Journal:
    """Read the header of a journal; its frames are read when they are asked for.

    Raises:
        InputError: The file cannot be read, is no journal, or was written in a later schema.
    """
    with _open_input(path) as file:
        line = file.readline(MAX_LINE_BYTES)
    try:
        header = parse(line) if line.endswith(b"\n") else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("schema_version"), int):
        raise InputError(f"{path}: not a journal (its first line is no header); run the command again without it")
    version = header["schema_version"]
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: journal of schema version {version}, expected {SCHEMA_VERSION}; update tposecli")
    wrong = nonsense(header)
    if wrong:
        raise InputError(f"{path}: damaged (its header says nonsense of {', '.join(wrong)}); run the command again")
    return Journal(path, header)


def _sound(path: Path, most: int | None = None) -> tuple[int, int]:
    """How many frames stand before the first line that is torn or damaged, at most ``most``; and where they end."""
    keypoints = len(read_journal(path).header.get("keypoint_names", KEYPOINTS))
    frames, end = -1, 0
    with _open_input(path) as file:
        for line in _lines(file):
            if frames == most or not line.endswith(b"\n"):
                break
            try:
                if frames >= 0:
                    read_frame(parse(line), keypoints)
            except (ValueError, KeyError, TypeError):
                break
            frames, end = frames + 1, end + len(line)
    return frames, end


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.readline, MAX_LINE_BYTES), b"")


def _damaged(path: Path, number: int, error: Exception) -> InputError:
    return InputError(f"{path}, line {number}: damaged ({error}); remove it and what follows, then run again")


def _open_input(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
