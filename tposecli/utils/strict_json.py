"""Strict JSON: encoding, rounding, arrays written record by record, and validation of numbers that were read."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np

PIXEL_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5

INT64: Final = -(1 << 63), (1 << 63) - 1

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


def json_integer(
    value: Any, what: str, minimum: int = INT64[0], maximum: int = INT64[1], integral_floats: bool = False
) -> int:
    """Validate an integer of a JSON file.

    Args:
        value: The parsed value.
        what: Name of the value, for the message.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        integral_floats: Accept ``139.0`` as 139; some tools write all numbers as floats.

    Raises:
        ValueError: It is no integer or out of range.
    """
    if integral_floats and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what}: expected an integer, got {shortened(value)}")
    if not minimum <= value <= maximum:
        raise ValueError(f"{what}: {shortened(value)} is out of range")
    return value


def json_number(value: Any, what: str, max_abs: float = sys.float_info.max) -> float:
    """Validate a number of a JSON file.

    Args:
        value: The parsed value.
        what: Name of the value, for the message.
        max_abs: Largest absolute value allowed.

    Raises:
        ValueError: It is no number, not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what}: expected a number, got {shortened(value)}")
    if not abs(value) <= max_abs:
        raise ValueError(f"{what}: {shortened(value)} is out of range")
    return float(value)


def json_numbers(value: Any, what: str, length: int | None = None, max_abs: float = sys.float_info.max) -> list[float]:
    """Validate a list of numbers of a JSON file, of a given length if any; see :func:`json_number`.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise ValueError(f"{what}: expected a list of {length or ''} numbers, got {shortened(value)}")
    for item in value:
        # Data sets have millions of numbers: only bad ones take the call that raises.
        if type(item) not in (float, int) or not abs(item) <= max_abs:
            json_number(item, what, max_abs)
    return value


def shortened(value: Any, max_chars: int = 40) -> str:
    """Return the representation of a value, cut to a length that fits into a message."""
    text = repr(value)
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."
