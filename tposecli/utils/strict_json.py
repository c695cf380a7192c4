"""What the sinks of text share: rounding, strict JSON, and arrays of records written one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np

PIXEL_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5

_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class Records:
    """The records of a JSON array, one per line, and the file that they are written to.

    Args:
        file: Written to, never closed here.
        start: What stands before the first record.
    """

    def __init__(self, file: BinaryIO, start: str = "") -> None:
        self._file = file
        self.count = 0
        file.write(start.encode())

    def add(self, *records: Mapping[str, Any]) -> None:
        """Write some records.

        Raises:
            ValueError: A number is not finite.
            OutputError: The file cannot be written.
        """
        if records:
            text = ",\n".join(map(as_json, records))
            self._file.write(f"{',' if self.count else ''}\n{text}".encode())
            self.count += len(records)


def as_json(value: Any) -> str:
    """Compact and strict; ValueError where a number is not finite."""
    return _ENCODER.encode(value)


def pixels(values: Any) -> list[Any]:
    """Coordinates rounded as far as anyone can see, as lists."""
    return _listed(values, PIXEL_DECIMALS)


def scores(values: Any) -> list[Any]:
    """Scores rounded far below their own error, as lists."""
    return _listed(values, SCORE_DECIMALS)


def _listed(values: Any, decimals: int) -> list[Any]:
    rounded: list[Any] = np.asarray(values, np.float64).round(decimals).tolist()
    return rounded
