"""Fields of option dataclasses that carry their own range.

Constructors check it, and the command line takes ranges, choices and defaults from it: each stands once.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_args


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers that an option may take; a bound of None is open-ended, ``whole`` stands for integers."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        return above and (self.high is None or value <= self.high)  # NaN is in no range

    def __str__(self) -> str:
        if self.low is None:
            return "a number" if self.high is None else f"at most {self.high:g}"
        if self.high is None:
            return f"more than {self.low:g}" if self.low_open else f"{self.low:g} or more"
        return f"more than {self.low:g}, at most {self.high:g}" if self.low_open else f"{self.low:g} to {self.high:g}"


def number(default: Any, allowed: NumberRange, *, flag: str = "", help: str = "") -> Any:
    """Declare a numeric field.

    Args:
        default: Value that the option has unless it is given.
        allowed: Values that it may have.
        flag: Last part of the command-line option, where options are made from the fields; "" for none.
        help: Help text of that option.
    """
    return field(default=default, metadata={"range": allowed, "flag": flag, "help": help})


def choice(default: str, literal: Any) -> Any:
    """Declare a field that takes one of the values of a ``Literal``."""
    return field(default=default, metadata={"choices": get_args(literal)})


def check_ranges(options: Any) -> None:
    """Check every field of an option dataclass that has a range or choices; None passes.

    Raises:
        ValueError: A value is not allowed.
    """
    for each in fields(options):
        allowed, value = each.metadata.get("range"), getattr(options, each.name)
        if allowed is not None and value is not None and value not in allowed:
            raise ValueError(f"{each.name}: expected {allowed}, got {value}")
        choices = each.metadata.get("choices", ())
        if choices and value not in choices:
            raise ValueError(f"{each.name}: expected one of {', '.join(choices)}, got {value}")


def field_of(owner: type, name: str) -> Field[Any]:
    """Return the dataclass field of that name."""
    return next(each for each in fields(owner) if each.name == name)


def default_of(owner: type, name: str) -> Any:
    """Return the value that a field has unless it is given."""
    each = field_of(owner, name)
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def choices_of(owner: type, name: str) -> tuple[str, ...]:
    """Return the values of a field declared with :func:`choice`; empty for any other."""
    choices: tuple[str, ...] = field_of(owner, name).metadata.get("choices", ())
    return choices
