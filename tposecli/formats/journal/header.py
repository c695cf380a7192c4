"""Validation of a journal's header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from tposecli.sources.time_window import Window
from tposecli.utils.errors import UsageError
from tposecli.utils.strict_json import json_integer, json_number

MAX_FRACTION_CHARS: Final = 64


def invalid_fields(header: Mapping[str, Any]) -> list[str]:
    """Return the names of the header's fields that have an invalid value."""
    return [name for name, valid in FIELDS.items() if name in header and not _is_valid(name, header[name], valid)]


def _is_valid(name: str, value: Any, valid: Callable[[Any], bool]) -> bool:
    return name not in NEVER_NULL if value is None else valid(value)


def _is_fraction(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) <= MAX_FRACTION_CHARS and Fraction(value) > 0
    except (ValueError, ZeroDivisionError):
        return False


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_window(value: Any) -> bool:
    try:
        return bool(Window(**value))
    except (TypeError, UsageError):
        return False


def _is_count(value: Any) -> bool:
    try:
        return json_integer(value, "count") >= 0
    except ValueError:
        return False


def _is_score(value: Any) -> bool:
    try:
        return 0 <= json_number(value, "score") <= 1
    except ValueError:
        return False


FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("fps", "time_base", "rate"), _is_fraction),
    **dict.fromkeys(("keypoint_names", "outputs"), _is_text_list),
    "options": lambda value: isinstance(value, dict),
    "stray_score": _is_score,
    "stream": _is_count,
    "window": _is_window,
}
"""Checks of the fields that the program reads, where they are not None. The other fields are for people."""

NEVER_NULL: Final = frozenset({"keypoint_names", "outputs", "options"})
"""Fields that may be absent, but not None."""
