"""Poses on standard output, a line of JSON for each frame."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from tposecli.formats.journal.records import frame_line
from tposecli.types import Result


class JsonLinesSink:
    """The journal's lines, as measured, and for each person ``track_id`` and, where smoothing ran, ``smoothed``.

    ``flags`` are those of the smoothed keypoints. People who were put in where they were missed have no ``keypoints``.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def write(self, result: Result) -> None:
        """Write one line, at once.

        Raises:
            BrokenPipeError: Nobody reads any more.
        """
        line: dict[str, Any] = frame_line(result.frame, result.poses)
        people = line["people"]
        for person, track in zip(people, result.poses.track_id.tolist(), strict=True):
            person["track_id"] = track
        if result.smoothed is not None:
            smoothed = frame_line(result.frame, result.smoothed)["people"]
            people += [_put_in(person) for person in smoothed[len(people) :]]
            columns = smoothed, result.smoothed.flags.tolist(), result.smoothed.track_id.tolist()
            for person, calmer, flags, track in zip(people, *columns, strict=True):
                person |= {"track_id": track, "smoothed": calmer["keypoints"], "flags": flags}
        self._stream.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
        self._stream.flush()

    def close(self, complete: bool) -> None:
        """Every line was written whole."""


def _put_in(person: dict[str, Any]) -> dict[str, Any]:
    """Someone who was missed, but must have been there."""
    return {key: value for key, value in person.items() if key != "keypoints"}
