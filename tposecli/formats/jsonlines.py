"""Poses on standard output, one line of JSON per frame."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from tposecli.formats.journal.records import frame_line
from tposecli.types import Result


class JsonLinesSink:
    """The journal's lines with raw poses, plus ``track_id`` of each person and, if smoothing ran, ``smoothed``.

    ``flags`` are those of the smoothed keypoints. People whom gap filling added have no ``keypoints``.
    """

    def __init__(self, stream: TextIO | None = None, label: str = "") -> None:
        """Begin.

        Args:
            stream: Where to; None for standard output.
            label: Name of the video, which becomes the first field ``file``, if several write to the stream.
        """
        self._stream = stream or sys.stdout
        self._label = {"file": label} if label else {}

    def write(self, result: Result) -> None:
        """Write and flush one line.

        Raises:
            BrokenPipeError: The reader has closed the pipe.
        """
        line: dict[str, Any] = {**self._label, **frame_line(result.frame, result.poses)}
        people = line["people"]
        for person, track in zip(people, result.poses.track_id.tolist(), strict=True):
            person["track_id"] = track
        if result.smoothed is not None:
            smoothed = frame_line(result.frame, result.smoothed)["people"]
            people += [_without_raw(person) for person in smoothed[len(people) :]]
            columns = smoothed, result.smoothed.flags.tolist(), result.smoothed.track_id.tolist()
            for person, after, flags, track in zip(people, *columns, strict=True):
                person |= {"track_id": track, "smoothed": after["keypoints"], "flags": flags}
        self._stream.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
        self._stream.flush()

    def close(self, complete: bool) -> None:
        """Do nothing: every line was written completely."""


def _without_raw(person: dict[str, Any]) -> dict[str, Any]:
    """Return a person whom gap filling added, who has no raw keypoints."""
    return {key: value for key, value in person.items() if key != "keypoints"}
