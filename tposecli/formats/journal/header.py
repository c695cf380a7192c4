"""What the header of a journal may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from tposecli.sources.time_window import Window
from tposecli.utils.errors import UsageError

MAX_FRACTION_CHARS: Final = 64


def nonsense(header: Mapping[str, Any]) -> list[str]:
    """Names of what makes no sense in a header."""
    return [name for name, fits in FACTS.items() if header.get(name) is not None and not fits(header[name])]


def _is_fraction(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) <= MAX_FRACTION_CHARS and Fraction(value) > 0
    except (ValueError, ZeroDivisionError):
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_window(value: Any) -> bool:
    try:
        return bool(Window(**value))
    except (TypeError, UsageError):
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_score(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


FACTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("fps", "time_base", "rate"), _is_fraction),
    **dict.fromkeys(("keypoint_names", "outputs"), _are_texts),
    "options": lambda value: isinstance(value, dict),
    "stray_score": _is_score,
    "stream": _is_number,
    "window": _is_window,
}
"""What is read from the header by more than people, and when it makes sense; None always does."""
