"""The lines of a journal: their content, and numbers that survive the round trip through text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import Boxes, Float32, Frame, Poses
from tposecli.utils.strict_json import as_json, json_integer, json_number

MAX_FLOAT32: Final = float(np.finfo(np.float32).max)

MAX_INTEGER: Final = 1 << 53
"""Larger integers are not exact in programs that read JSON numbers as float64."""
MAX_SIDE: Final = 1 << 24
"""Pixels; a larger width or height means that the line is damaged."""

CHECKSUM: Final = "crc32"
"""Value of the header's ``checksum`` if every line after it has one."""
_CHECKSUM: Final = b',"crc32":'

DIGITS: Final = (6, 7, 8, 9)
"""Numbers of significant digits to try: 6 always survive float32, 9 always identify a float32."""


def shortest(values: Float32) -> NDArray[np.float64]:
    """Return float64 numbers that print in few digits and convert to exactly the same float32 ``values``.

    Works on any shape; each value is rounded to the fewest significant digits that identify it.
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


@dataclass(frozen=True, eq=False, slots=True)
class JournalFrame:
    """A frame of a journal: a :class:`Frame` without its pixels, its unsmoothed poses, and a still's digest."""

    index: int
    name: str
    pts: int | None
    time_s: float
    size_wh: tuple[int, int]
    poses: Poses
    source_sha256: str | None = None


def frame_line(frame: Frame | JournalFrame, poses: Poses, source_sha256: str | None = None) -> dict[str, Any]:
    """Return the line of a frame, ready for JSON; stills have the digest of their file."""
    width, height = frame.size_wh
    source = {} if source_sha256 is None else {"source_sha256": source_sha256}
    return {
        "frame": frame.index,
        "name": frame.name,
        "pts": frame.pts,
        "time_s": frame.time_s,
        "width": width,
        "height": height,
        **source,
        "people": _people(poses),
    }


def _people(poses: Poses) -> list[dict[str, Any]]:
    numbers = np.concatenate([poses.xy, poses.score[:, :, None]], axis=2)
    boxes = shortest(poses.boxes.xyxy).tolist()
    scores = shortest(poses.boxes.score).tolist()
    people = zip(boxes, scores, shortest(numbers).tolist(), strict=True)
    return [{"box": box, "score": score, "keypoints": keypoints} for box, score, keypoints in people]


def read_frame(line: Any, keypoints: int) -> JournalFrame:
    """Convert a parsed line to a frame; raise ValueError, KeyError or TypeError if it is invalid."""
    people = line["people"]
    index = json_integer(line["frame"], "frame", 0, MAX_INTEGER)
    width, height = (json_integer(line[side], side, 1, MAX_SIDE) for side in ("width", "height"))
    pts = None if line["pts"] is None else json_integer(line["pts"], "pts", -MAX_INTEGER, MAX_INTEGER)
    time_s = json_number(line["time_s"], "time_s", MAX_INTEGER)
    numbers = _numbers([person["keypoints"] for person in people]).reshape(len(people), keypoints, 3)
    boxes = _numbers([person["box"] for person in people]).reshape(len(people), 4)
    scores = _numbers([person["score"] for person in people])
    poses = Poses(Boxes(boxes, scores), numbers[:, :, :2], numbers[:, :, 2])
    source_sha256 = line.get("source_sha256")
    if not isinstance(source_sha256, str | None):
        raise ValueError("source_sha256 is not text")
    return JournalFrame(index, str(line["name"]), pts, time_s, (width, height), poses, source_sha256)


def _numbers(values: Sequence[Any]) -> Float32:
    """Convert nested lists to finite numbers; raise ValueError or TypeError if they hold anything else."""
    try:
        exact = np.array(values, np.float64)
    except OverflowError as error:
        raise ValueError("a number is out of range") from error
    if not (np.abs(exact) <= MAX_FLOAT32).all():
        raise ValueError("a number is not finite")
    return exact.astype(np.float32)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
"""Created once: lines are short, and creating a decoder takes about as long as parsing one."""


def as_line(value: Mapping[str, Any], checksum: bool = False) -> bytes:
    """Encode a line of strict JSON, newline included.

    Args:
        value: Its content, not empty.
        checksum: Add the CRC-32 of the line up to there as the last member.
    """
    line = as_json(value).encode()
    if checksum:
        line = line[:-1] + b"%s%d}" % (_CHECKSUM, zlib.crc32(line[:-1]))
    return line + b"\n"


def is_end(content: Any) -> bool:
    """Return whether a parsed line is the last one of a run, and no frame."""
    return isinstance(content, dict) and "end" in content and "frame" not in content


def _check_sum(line: bytes) -> None:
    """Raise ValueError unless a line ends with its right checksum."""
    body, _, number = line.rpartition(_CHECKSUM)
    if number.strip() != b"%d}" % zlib.crc32(body):
        raise ValueError("its checksum is wrong")


def parse(line: bytes, checksum: bool = False) -> Any:
    """Parse a line of strict JSON; raise ValueError if it is something else, or has a wrong ``checksum``."""
    if checksum:
        _check_sum(line)
    try:
        return _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
    except RecursionError as error:
        raise ValueError("lists are nested too deeply") from error
