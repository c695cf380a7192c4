"""The journal: every measured pose, a line of JSON per frame, written as the run goes.

The first line is the header, an object that says where the poses came from and in which ``schema_version``. Every
further line is a frame, empty ones included::

    {"frame": 0, "name": "in.mp4", "pts": 0, "time_s": 0.0, "width": 1920, "height": 1080,
     "people": [{"box": [x1, y1, x2, y2], "score": s, "keypoints": [[x, y, score], ...]}]}

Numbers read back as the very float32 values that were measured. A run that dies leaves whole lines and at most one torn
one at the end, which readers cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from tposecli.errors import InputError, OutputError
from tposecli.skeleton import KEYPOINTS
from tposecli.types import Boxes, Float32, Frame, Poses

SCHEMA_VERSION: Final = 1

SUFFIX: Final = ".poses.jsonl"

DIGITS: Final = (6, 7, 8, 9)
"""Significant digits to try: 6 always survive float32, 9 always identify one."""


def journal_path(output: Path) -> Path:
    """Where the journal of an output lies: ``out.mp4`` has ``out.mp4.poses.jsonl``."""
    return output.with_name(output.name + SUFFIX)


def shortest(values: Float32) -> NDArray[np.float64]:
    """Float64 numbers that print in few digits and become the very same ``values`` as float32.

    Any shape. Every value is rounded to as few significant digits as identify it, all values at once.
    """
    exact = values.astype(np.float64)
    out = exact.copy()
    size = np.abs(exact)
    left = np.isfinite(exact) & (size > 1e-12) & (size < 1e12)
    exponent = np.floor(np.log10(np.where(left, size, 1))).astype(np.int64)
    for digits in DIGITS:
        places = digits - 1 - exponent
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        rounded = np.rint(exact * up / down) / up * down
        fits = left & (rounded.astype(np.float32) == values)
        out[fits] = rounded[fits]
        left &= ~fits
        if not left.any():
            break
    return out


class JournalWriter:
    """Writes a journal under its final name, so that what is there survives whatever happens.

    Every line is handed to the operating system whole before ``write`` returns.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Begin a new journal; one that was there is replaced.

        Args:
            path: See :func:`journal_path`.
            header: What the run is; ``keypoint_names`` tells readers K. The schema version is put before it.

        Raises:
            OutputError: The file cannot be written.
        """
        self._file = _open(path, "wb")
        self._put({"schema_version": SCHEMA_VERSION, **header})

    @classmethod
    def resume(cls, path: Path, frames: int | None = None) -> Self:
        """Go on with a journal after its last whole line, or after its first ``frames`` frames; the rest is cut off.

        Raises:
            InputError: The file is no journal.
            OutputError: The file cannot be written.
        """
        end = _end(path, frames)
        writer = cls.__new__(cls)
        writer._file = _open(path, "r+b")
        writer._file.truncate(end)
        writer._file.seek(end)
        return writer

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add a frame.

        Raises:
            ValueError: A number is not finite.
        """
        self._put(frame_line(frame, poses))

    def close(self) -> None:
        """Put the file safely on the disk; closing twice is harmless."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def _put(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False, separators=(",", ":"))
        self._file.write(text.encode() + b"\n")
        self._file.flush()


@dataclass(frozen=True, eq=False, slots=True)
class JournalFrame:
    """One frame as journalled: all that is known of a :class:`Frame` but its picture, and its measured poses."""

    index: int
    name: str
    pts: int | None
    time_s: float
    size_wh: tuple[int, int]
    poses: Poses


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal on disk; iterating reads its frames anew, one at a time.

    Attributes:
        path: The file.
        header: The first line, ``schema_version`` included.
    """

    path: Path
    header: Mapping[str, Any]

    def __iter__(self) -> Iterator[JournalFrame]:
        """Frames in file order; a torn last line is left out.

        Raises:
            InputError: A line that is not the last is damaged; names the file and the line, counted from 1.
        """
        keypoints = len(self.header.get("keypoint_names", KEYPOINTS))
        damage: tuple[int, Exception] | None = None
        with _open_input(self.path) as file:
            for number, line in enumerate(file, start=1):
                if damage is not None:
                    raise _damaged(self.path, *damage) from damage[1]
                if number == 1 or not line.endswith(b"\n"):
                    continue
                try:
                    yield _frame(_parse(line), keypoints)
                except (ValueError, KeyError, TypeError) as error:
                    damage = number, error


def read_journal(path: Path) -> Journal:
    """Read the header of a journal; its frames are read when they are asked for.

    Raises:
        InputError: The file cannot be read, is no journal, or was written in a later schema.
    """
    with _open_input(path) as file:
        line = file.readline()
    try:
        header = _parse(line) if line.endswith(b"\n") else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("schema_version"), int):
        raise InputError(f"{path}: not a journal (its first line is no header); run the command again without it")
    version = header["schema_version"]
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: journal of schema version {version}, expected {SCHEMA_VERSION}; update tposecli")
    return Journal(path, header)


def frame_line(frame: Frame, poses: Poses) -> dict[str, Any]:
    """A frame's line, ready for JSON."""
    width, height = frame.size_wh
    return {
        "frame": frame.index,
        "name": frame.name,
        "pts": frame.pts,
        "time_s": frame.time_s,
        "width": width,
        "height": height,
        "people": _people(poses),
    }


def _people(poses: Poses) -> list[dict[str, Any]]:
    numbers = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2)
    boxes = shortest(poses.boxes.xyxy).tolist()
    scores = shortest(poses.boxes.score).tolist()
    people = zip(boxes, scores, shortest(numbers).tolist(), strict=True)
    return [{"box": box, "score": score, "keypoints": keypoints} for box, score, keypoints in people]


def _frame(line: Any, keypoints: int) -> JournalFrame:
    people = line["people"]
    numbers = np.array([person["keypoints"] for person in people], np.float32).reshape(len(people), keypoints, 3)
    boxes = np.array([person["box"] for person in people], np.float32).reshape(len(people), 4)
    scores = np.array([person["score"] for person in people], np.float32)
    poses = Poses(Boxes(boxes, scores), numbers[:, :, :2], numbers[:, :, 2])
    size = int(line["width"]), int(line["height"])
    return JournalFrame(int(line["frame"]), str(line["name"]), line["pts"], float(line["time_s"]), size, poses)


def _parse(line: bytes) -> Any:
    """One line of strict JSON; anything else raises ValueError."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(line, parse_constant=refuse)


def _end(path: Path, frames: int | None) -> int:
    """Offset of the end of the last whole line, or of the line of the ``frames``-th frame if that comes before."""
    read_journal(path)
    end, last = 0, b""
    with _open_input(path) as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n") or (frames is not None and number > frames):
                break
            end, last = end + len(line), line
    try:
        _parse(last)
    except ValueError:
        end -= len(last)
    return end


def _damaged(path: Path, number: int, error: Exception) -> InputError:
    return InputError(f"{path}, line {number}: damaged ({error}); remove it and what follows, then run again")


def _open(path: Path, mode: str) -> BinaryIO:
    try:
        return path.open(mode)  # type: ignore[return-value]
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error


def _open_input(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
