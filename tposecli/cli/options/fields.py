"""Command-line options made of the fields of option dataclasses. Nothing heavy is imported here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import click

from tposecli.utils.option_fields import NumberRange, choices_of, default_of, field_of


class FiniteRange(click.FloatRange):
    """A range of numbers that refuses NaN and infinity, which click's own lets pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class WholeOrAuto(click.IntRange):
    """A range of whole numbers, or ``auto``."""

    name = "integer or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or ``auto``."""
        return value if value == "auto" else super().convert(value, param, ctx)


def type_of(allowed: NumberRange) -> click.ParamType[Any]:
    """Return click's type for the numbers of a range."""
    if allowed.whole:
        low, high = (None if bound is None else int(bound) for bound in (allowed.low, allowed.high))
        return click.IntRange(low, high, min_open=allowed.low_open)
    return FiniteRange(allowed.low, allowed.high, min_open=allowed.low_open)


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
        keywords.setdefault("type", type_of(allowed))
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
