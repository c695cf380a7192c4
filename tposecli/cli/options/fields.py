"""Command-line options made of the fields of option dataclasses. Nothing heavy is imported here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import click

from tposecli.utils.option_fields import NumberRange, choices_of, default_of, field_of


class Number(click.ParamType[float]):
    """A number in a range; unlike click's own ranges, it refuses NaN and infinity."""

    def __init__(self, allowed: NumberRange, whole: bool = False) -> None:
        self.allowed, self.whole = allowed, whole
        self.name = "integer" if whole else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            number = int(value) if self.whole else float(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not {'a whole number' if self.whole else 'a number'}", param, ctx)
        if not math.isfinite(number) or number not in self.allowed:
            self.fail(f"{value} is out of range: expected {self.allowed}", param, ctx)
        return number

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the kind of number and its range for the help."""
        return f"{self.name.upper()} RANGE"


def option_of(owner: type, name: str, *flags: str, **keywords: Any) -> Callable[[Any], Any]:
    """Make an option whose default, range and choices are those of a dataclass field.

    Args:
        owner: The dataclass.
        name: Its field.
        flags: Names of the option.
        keywords: What else ``click.option`` takes: help, metavar.
    """
    each, default, choices = field_of(owner, name), default_of(owner, name), choices_of(owner, name)
    allowed = each.metadata.get("range")
    if choices:
        keywords.setdefault("type", click.Choice(choices))
    elif allowed is not None:
        whole = each.type in ("int", "int | None")
        keywords.setdefault("type", Number(allowed, whole))
    return click.option(*flags, default=default, show_default=default is not None, **keywords)


def strength_options(prefix: str, owner: type) -> list[Callable[[Any], Any]]:
    """Make ``--PREFIX-FLAG`` of every field of a dataclass that has a flag."""
    return [
        option_of(owner, each.name, f"--{prefix}-{each.metadata['flag']}", help=each.metadata["help"])
        for each in fields(owner)
        if each.metadata.get("flag")
    ]


def strengths_of(prefix: str, owner: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :func:`strength_options` were given, by the names of the fields."""
    names = {each.name: f"{prefix}_{each.metadata['flag']}" for each in fields(owner) if each.metadata.get("flag")}
    return {name: options[option.replace("-", "_")] for name, option in names.items()}
