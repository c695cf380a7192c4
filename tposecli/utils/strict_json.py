"""Helpers of the text writers: rounding, strict JSON, and JSON arrays written record by record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np

PIXEL_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5

_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class JsonArrayWriter:
    """A JSON array that is written to an open file, one record per line.

    Args:
        file: Open binary file; it is not closed here.
        start: Text to write before the first record, such as ``[``.
    """

    def __init__(self, file: BinaryIO, start: str = "") -> None:
        self._file = file
        self.count = 0
        file.write(start.encode())

    def add(self, *records: Mapping[str, Any]) -> None:
        """Append records to the array.

        Raises:
            ValueError: A number is not finite.
            OutputError: The file cannot be written.
        """
        if records:
            text = ",\n".join(map(as_json, records))
            self._file.write(f"{',' if self.count else ''}\n{text}".encode())
            self.count += len(records)


def as_json(value: Any) -> str:
    """Return compact JSON; raise ValueError if a number is not finite."""
    return _ENCODER.encode(value)


def pixels(values: Any) -> list[Any]:
    """Return pixel coordinates as nested lists, rounded to ``PIXEL_DECIMALS``."""
    return _rounded(values, PIXEL_DECIMALS)


def scores(values: Any) -> list[Any]:
    """Return scores as nested lists, rounded to ``SCORE_DECIMALS``, far below their own error."""
    return _rounded(values, SCORE_DECIMALS)


def _rounded(values: Any, decimals: int) -> list[Any]:
    rounded: list[Any] = np.asarray(values, np.float64).round(decimals).tolist()
    return rounded
