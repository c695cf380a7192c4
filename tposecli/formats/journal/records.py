"""One line of a journal: what stands in it, and how its numbers survive."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tposecli.types import Boxes, Float32, Frame, Poses
from tposecli.utils.strict_json import as_json

MAX_FLOAT32: Final = float(np.finfo(np.float32).max)

MAX_INTEGER: Final = 1 << 53
"""Whole numbers beyond this are no longer exact in other programs."""
MAX_SIDE: Final = 1 << 24
"""Pixels; a frame of a greater width or height is damage."""

DIGITS: Final = (6, 7, 8, 9)
"""Significant digits to try: 6 always survive float32, 9 always identify one."""


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


@dataclass(frozen=True, eq=False, slots=True)
class JournalFrame:
    """One frame as journalled: all that is known of a :class:`Frame` but its picture, and its measured poses."""

    index: int
    name: str
    pts: int | None
    time_s: float
    size_wh: tuple[int, int]
    poses: Poses


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


def read_frame(line: Any, keypoints: int) -> JournalFrame:
    """The frame of a parsed line; ValueError, KeyError or TypeError where it is none."""
    people = line["people"]
    whole = _whole(line, "frame", 0), *(_whole(line, side, 1, MAX_SIDE) for side in ("width", "height"))
    pts = None if line["pts"] is None else _whole(line, "pts", -MAX_INTEGER)
    time_s = line["time_s"]
    if isinstance(time_s, bool) or not isinstance(time_s, int | float) or not abs(time_s) <= MAX_INTEGER:
        raise ValueError("time_s is no number, or none of sensible size")
    numbers = _numbers([person["keypoints"] for person in people]).reshape(len(people), keypoints, 3)
    boxes = _numbers([person["box"] for person in people]).reshape(len(people), 4)
    scores = _numbers([person["score"] for person in people])
    poses = Poses(Boxes(boxes, scores), numbers[:, :, :2], numbers[:, :, 2])
    index, width, height = whole
    return JournalFrame(index, str(line["name"]), pts, float(time_s), (width, height), poses)


def _numbers(values: Sequence[Any]) -> Float32:
    """Finite numbers, whatever their shape; ValueError or TypeError where there are others."""
    try:
        exact = np.array(values, np.float64)
    except OverflowError as error:
        raise ValueError("a number is too large") from error
    if not (np.abs(exact) <= MAX_FLOAT32).all():
        raise ValueError("a number is not finite")
    return exact.astype(np.float32)


def _whole(line: Mapping[str, Any], key: str, least: int, most: int = MAX_INTEGER) -> int:
    """A whole number of sensible size; ValueError where there is another."""
    value = line[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{key} is {str(value)[:40]}")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
"""Made once: a line is short, and making one takes as long as reading some of it."""


def as_line(value: Mapping[str, Any]) -> bytes:
    """Strict JSON, end of line included."""
    return as_json(value).encode() + b"\n"


def parse(line: bytes) -> Any:
    """One line of strict JSON; anything else raises ValueError."""
    try:
        return _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
    except RecursionError as error:
        raise ValueError("lists within lists without end") from error
