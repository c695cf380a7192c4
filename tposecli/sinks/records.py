"""What the sinks of text share: rounding, strict JSON, and arrays of records written one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from tposecli.errors import OutputError

PIXEL_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5


class Records:
    """The records of a JSON array in a file of their own, one per line."""

    def __init__(self, path: Path, start: str = "") -> None:
        """Begin the file with ``start``.

        Raises:
            OutputError: The file cannot be written.
        """
        self.path = path
        self.count = 0
        self.file: BinaryIO = open_binary(path)
        self.file.write(start.encode())

    def add(self, record: Mapping[str, Any]) -> None:
        """Write one record.

        Raises:
            ValueError: A number is not finite.
        """
        self.count += 1
        self.file.write((",\n" if self.count > 1 else "\n").encode() + as_json(record).encode())


def open_binary(path: Path) -> BinaryIO:
    """A new file for writing and reading back; OutputError names it where that fails."""
    try:
        return path.open("w+b")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error


def as_json(value: Any) -> str:
    """Compact and strict; ValueError where a number is not finite."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def pixels(values: Any) -> list[Any]:
    """Coordinates rounded as far as anyone can see, as lists."""
    return _listed(values, PIXEL_DECIMALS)


def scores(values: Any) -> list[Any]:
    """Scores rounded far below their own error, as lists."""
    return _listed(values, SCORE_DECIMALS)


def _listed(values: Any, decimals: int) -> list[Any]:
    rounded: list[Any] = np.round(np.asarray(values, np.float64), decimals).tolist()
    return rounded
