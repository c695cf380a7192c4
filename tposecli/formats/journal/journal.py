"""Read and write journals: a file with the raw poses of a run, one line of JSON per frame, written during the run.

The first line is the header: an object with the provenance of the poses, the ``schema_version``, the ``outputs`` of the
run, and whether it is ``complete``. Every further line is a frame, empty ones included::

    {"frame": 0, "name": "in.mp4", "pts": 0, "time_s": 0.0, "width": 1920, "height": 1080,
     "people": [{"box": [x1, y1, x2, y2], "score": s, "keypoints": [[x, y, score], ...]}]}

Each line ends with its ``crc32``: that of the bytes before ``,"crc32"``. Journals without checksums, whose header has
no ``checksum``, are read as well. When a run ends, a last line ``{"end": ...}`` says what it has written: the ``files``
with their sizes, the ``options`` of the outputs, where its times ``begin`` in the ticks of the whole video if they
count from ``--start``, and the ``partial`` videos of a run that was stopped.

Numbers read back as exactly the float32 values that were written. A run that is killed leaves complete lines and at
most one truncated line at the end, which readers ignore.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from tposecli.formats.base import PoseSource
from tposecli.formats.journal.header import invalid_fields
from tposecli.formats.journal.records import CHECKSUM, JournalFrame, as_line, frame_line, is_end, parse, read_frame
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.types import Frame, Poses
from tposecli.utils.errors import InputError, OutputError
from tposecli.utils.files import NO_FOLLOW, unwritable
from tposecli.utils.strict_json import as_json

SCHEMA_VERSION: Final = 1

SUFFIX: Final = ".poses.jsonl"

OWN: Final = ("schema_version", "complete", "outputs", "checksum")
"""Header fields that describe the journal itself and not the poses."""

_START: Final = f'{{"schema_version":{SCHEMA_VERSION},"complete":'.encode()
_UNFINISHED, _COMPLETE = b"false", b"true "
"""Of equal length, because the second overwrites the first when the run is complete."""

MAX_LINE_BYTES: Final = 1 << 26
"""A longer line means that the file is damaged, and is not held in memory."""

SYNC_S: Final = 5.0
"""Seconds between syncs to disk; frames older than this survive a power failure."""


def journal_path(output: Path) -> Path:
    """Return the path of an output's journal, ``out.mp4.poses.jsonl`` for ``out.mp4``; a journal is its own."""
    return output if output.name.endswith(SUFFIX) else output.with_name(output.name + SUFFIX)


def relocate(source: BinaryIO, target: BinaryIO, rename: Callable[[str], str]) -> None:
    """Copy a journal, or its beginning, with other names of its outputs; what is no journal is copied as it is.

    Args:
        source: The journal.
        target: A file to write to.
        rename: Returns the new name of an output.
    """
    line = source.readline(MAX_LINE_BYTES)
    try:
        outputs = json.loads(line)["outputs"] if line.startswith(_START) else None
    except (ValueError, KeyError, RecursionError):
        outputs = None
    if isinstance(outputs, list) and all(isinstance(name, str) for name in outputs):
        old, new = (b'"outputs":' + as_json(names).encode() for names in (outputs, [*map(rename, outputs)]))
        line = line.replace(old, new, 1)
    target.write(line)
    shutil.copyfileobj(source, target)


class JournalWriter:
    """Writes a journal under its final name, so that every written frame survives a crash.

    Each line is handed to the operating system completely before ``write`` returns; if the disk does not take all of
    it, the file is truncated to the line before.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], outputs: Sequence[Path] = ()) -> None:
        """Begin a new journal, replacing an existing one.

        Args:
            path: See :func:`journal_path`.
            header: Provenance of the poses; readers take K from ``keypoint_names``. The journal's own fields are added.
            outputs: The files that the run writes.

        Raises:
            OutputError: The file cannot be written.
        """
        self._open(path, "w+b")
        own = {"outputs": [str(output) for output in outputs], "checksum": CHECKSUM}
        rest = as_line({**own, **header})
        self._checked = True
        self._put(_START + _UNFINISHED + b"," + rest[1:])

    @classmethod
    def resume(cls, path: Path, frames: int | None = None) -> Self:
        """Continue a journal after its last valid line, or after its first ``frames`` frames; the rest is removed.

        Raises:
            InputError: The file is not a journal.
            OutputError: The file cannot be written.
        """
        _, end = _valid_part(path, frames)
        writer = cls.__new__(cls)
        writer._checked = read_journal(path).checked
        writer._open(path, "r+b")
        writer._end = writer._last = end
        writer._mark(_UNFINISHED)
        writer._cut_off()
        return writer

    def write(self, frame: Frame | JournalFrame, poses: Poses, source_sha256: str | None = None) -> None:
        """Add a frame, a still with the digest of its file.

        Raises:
            ValueError: A number is not finite.
            OutputError: The file cannot be written.
        """
        self._put(as_line(frame_line(frame, poses, source_sha256), self._checked))
        if time.monotonic() - self._synced > SYNC_S:
            self._sync()

    def close(self, complete: bool = False, end: Mapping[str, Any] | None = None) -> None:
        """Sync the file to disk and mark it as complete if it is; closing twice is harmless.

        Args:
            complete: Whether the run is complete.
            end: What the run has written, for the last line; None for no such line.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._file.closed:
            return
        try:
            if end is not None:
                self._put_end(as_line({"end": end}, self._checked))
            self._sync()
            if complete:
                self._mark(_COMPLETE)
                self._sync()
        finally:
            self._file.close()

    def _open(self, path: Path, mode: str) -> None:
        self._path = path
        self._end = self._last = 0
        self._synced = time.monotonic()
        try:
            flags = NO_FOLLOW if os.path.lexists(path) else NO_FOLLOW | os.O_CREAT | os.O_EXCL
            self._file = FileIO(os.open(path, os.O_RDWR | flags, 0o666), "r+b")
            if mode == "w+b":
                self._file.truncate()
        except OSError as error:
            raise unwritable(path, error) from error

    def _put(self, line: bytes) -> None:
        """Append a line, or leave the file unchanged."""
        left = memoryview(line)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._cut_off()
            raise unwritable(self._path, error) from error
        self._last = self._end
        self._end += len(line)

    def _put_end(self, line: bytes) -> None:
        """Append the last line; on a full disk it takes the place of the last frame, which is measured again then."""
        try:
            self._put(line)
        except OutputError:
            if self._last == self._end:
                raise
            self._end = self._last
            self._cut_off()
            self._put(line)

    def _cut_off(self) -> None:
        """Remove everything after the last valid line."""
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def _mark(self, complete: bytes) -> None:
        """Update ``complete`` in the header; a header that does not begin as ours is left unchanged."""
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
    """A journal on disk; each iteration reads its frames from the file, one at a time.

    Attributes:
        path: The file.
        header: The first line, ``schema_version`` included.
    """

    path: Path
    header: Mapping[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """The header without the journal's own fields."""
        return {key: value for key, value in self.header.items() if key not in OWN}

    @property
    def complete(self) -> bool:
        """Whether the run was completed; True if the header does not say."""
        return bool(self.header.get("complete", True))

    @property
    def outputs(self) -> list[Path]:
        """The files that the run writes."""
        return [Path(name) for name in self.header.get("outputs", ())]

    @property
    def checked(self) -> bool:
        """Whether its lines have checksums."""
        return self.header.get("checksum") == CHECKSUM

    def end(self) -> dict[str, Any]:
        """Return what the run has written, from the last line; nothing if the run was killed or is an old one."""
        with _open_input(self.path) as file:
            size, tail = file.seek(0, os.SEEK_END), b""
            while b"\n" not in tail[:-1] and len(tail) < min(size, MAX_LINE_BYTES):
                file.seek(max(0, size - 16 * max(len(tail), 1 << 10)))
                tail = file.read()
        line = tail.removesuffix(b"\n").rpartition(b"\n")[2] + b"\n"
        try:
            found = parse(line, self.checked)
            end = found["end"] if isinstance(found, dict) else None
        except (ValueError, KeyError):
            end = None
        return end if isinstance(end, dict) else {}

    def whole_frames(self) -> int:
        """Return the number of frames before the end or the first damaged line."""
        return _valid_part(self.path)[0]

    def __iter__(self) -> Iterator[JournalFrame]:
        """Yield the frames in file order; a truncated last line is ignored.

        Raises:
            InputError: A line that is not the last is damaged; the message has the line number, from 1.
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
                    content = parse(line, self.checked)
                    if is_end(content):
                        continue
                    yield read_frame(content, keypoints)
                except (ValueError, KeyError, TypeError) as error:
                    damage = number, error


def lacks_header(path: Path) -> bool:
    """Check whether a run began this file but was killed, or the power failed, before its first line was complete.

    Raises:
        InputError: The file cannot be read.
    """
    with _open_input(path) as file:
        first = file.readline()
    truncated = first.startswith(_START) or _START.startswith(first) or not first.strip(b"\0")
    return truncated and not first.endswith(b"\n")


def is_journal(head: bytes) -> bool:
    """Check whether a file that begins with these bytes is a journal, complete or damaged."""
    return b'"schema_version"' in head.partition(b"\n")[0]


def read_journal_source(source: PoseSource) -> Journal:
    """Read a journal as one of the pose file formats; see :func:`read_journal`."""
    return read_journal(source.path)


def read_journal(path: Path) -> Journal:
    """Read the header of a journal; its frames are read on iteration.

    Raises:
        InputError: The file cannot be read, is not a journal, or has another schema version.
    """
    with _open_input(path) as file:
        line = file.readline(MAX_LINE_BYTES)
    try:
        header = parse(line) if line.endswith(b"\n") else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("schema_version"), int):
        raise InputError(f"{path}: not a journal (its first line is not a header); remove it and run the command again")
    version = header["schema_version"]
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: journal of schema version {version}, expected {SCHEMA_VERSION}; update tposecli")
    invalid = invalid_fields(header)
    if invalid:
        raise InputError(f"{path}: damaged (invalid {', '.join(invalid)} in its header); run the command again")
    return Journal(path, header)


def _valid_part(path: Path, max_frames: int | None = None) -> tuple[int, int]:
    """Return the number of frames before the first truncated or damaged line, and the offset of their end."""
    journal = read_journal(path)
    keypoints = len(journal.header.get("keypoint_names", KEYPOINTS))
    frames, end = -1, 0
    with _open_input(path) as file:
        for line in _lines(file):
            if frames == max_frames or not line.endswith(b"\n"):
                break
            try:
                if frames >= 0:
                    read_frame(parse(line, journal.checked), keypoints)
            except (ValueError, KeyError, TypeError):
                break
            frames, end = frames + 1, end + len(line)
    return frames, end


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.readline, MAX_LINE_BYTES), b"")


def _damaged(path: Path, number: int, error: Exception) -> InputError:
    return InputError(f"{path}, line {number}: damaged ({error}); remove it and all following lines, then run again")


def _open_input(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
