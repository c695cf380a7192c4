"""Commands whose help shows the options used most, or all of them in groups."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, Final

import click
import cloup
from cloup.formatting import HelpSection, ensure_is_cloup_formatter

from tposecli.cli.terminal import emit_event, say

INPUT: Final = "Input"
PEOPLE: Final = "People"
MODEL: Final = "Model"
TRACKING: Final = "Tracking"
JOINTS: Final = "Joints"
SMOOTHING: Final = "Smoothing"
FILES: Final = "Output files"
DRAWING: Final = "Drawing"
ATTENTION: Final = "Attention"
TRAINING: Final = "Training"
AUGMENTATION: Final = "Augmentation"
LENGTH: Final = "Length"
MACHINE: Final = "Machine"
RUN: Final = "Run"
GROUPS: Final = (
    *(INPUT, PEOPLE, MODEL, TRACKING, JOINTS, SMOOTHING, FILES, DRAWING, ATTENTION),
    *(TRAINING, AUGMENTATION, LENGTH, MACHINE, RUN),
)
"""Titles of the groups of options, in the order of the help."""

_ALL: Final = "tposecli.cli.command.all"
_NOTES: Final = "tposecli.cli.command.notes"


class Command(cloup.Command):
    """A command; ``--help`` shows the options named in ``first``, if there are any, and ``--help-all`` shows all."""

    def __init__(self, *args: Any, first: Sequence[str] = (), stores: bool = False, **keywords: Any) -> None:
        """Create the command.

        Args:
            args: As for ``click.Command``.
            first: Names of the parameters that people use first, in the order of the help; all if empty.
            stores: Whether its outputs may be in object stores.
            keywords: As for ``click.Command``.
        """
        super().__init__(*args, **keywords)
        self.first, self.stores = tuple(first), stores
        self.params.append(_help_all_option(hidden=not first))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and note former names of options among them."""
        renamed = [param for param in self.params if isinstance(param, RenamedOption)]
        ctx.meta[_NOTES] = [text for option in renamed if (text := option.note(args))]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Say what was noted, unless quiet, then run the command."""
        for text in ctx.meta.get(_NOTES, ()):
            if ctx.params.get("log_json"):
                emit_event("log", level="info", message=text)
            elif not ctx.params.get("quiet"):
                say(text, err=True)
        return super().invoke(ctx)

    def format_params(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        short = bool(self.first) and not ctx.meta.get(_ALL)
        if short:
            sections = [HelpSection("Options used most", _records(ctx, self._first(ctx, options)))]
        else:
            sections = list(_sections(ctx, options))
        ensure_is_cloup_formatter(formatter).write_many_sections(sections)

    def _first(self, ctx: click.Context, options: Sequence[click.Option]) -> Iterator[click.Option]:
        """Yield the options that people use first, then those of the help."""
        by_name = {option.name: option for option in options}
        yield from (by_name[name] for name in (*self.first, "help_all"))
        help_option = self.get_help_option(ctx)
        if help_option is not None:
            yield help_option


def note(ctx: click.Context, message: str) -> None:
    """Remember something to say before the command runs, when it is known whether it shall be quiet."""
    ctx.meta.setdefault(_NOTES, []).append(message)


class Group(cloup.Group):
    """A group of commands."""

    command_class = Command


def group_of(option: click.Option) -> str:
    """Return the title of the group that an option belongs to; empty for none."""
    group = getattr(option, "group", None)
    return "" if group is None else str(group.title)


def option_sections(command: Command, ctx: click.Context) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return all options of a command as in ``--help-all``: for each group its title, and names and help of each."""
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    return [
        (section.heading, [(names, str(text)) for names, text in section.definitions])
        for section in _sections(ctx, options)
    ]


def _help_all_option(hidden: bool) -> click.Option:
    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        hidden=hidden,
        callback=_show_all,
        help="Show all options, in groups.",
    )


def _show_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _sections(ctx: click.Context, options: Sequence[click.Option]) -> Iterator[HelpSection]:
    """Yield a section for each group that has options; what belongs to no group is part of the last one."""
    grouped = any(group_of(option) for option in options)
    for title in GROUPS if grouped else ("Options",):
        members = [option for option in options if not grouped or (group_of(option) or RUN) == title]
        if members:
            yield HelpSection(title, _records(ctx, members))


def _records(ctx: click.Context, options: Iterable[click.Option]) -> list[tuple[str, str]]:
    """Return names and help of the options that are not hidden."""
    records = (option.get_help_record(ctx) for option in options)
    return [(_plain_names(record[0]), _plain_range(record[1])) for record in records if record is not None]


def _plain_names(names: str) -> str:
    """Return the names of an option with a short word for its value."""
    words = {"INTEGER RANGE": "N", "FLOAT RANGE": "X", "INTEGER": "N", "FLOAT": "X", "DIRECTORY": "FOLDER"}
    for long, short in words.items():
        names = names.replace(long, short)
    return names


def _plain_range(text: str) -> str:
    """Return help with the range of a number in words, and without the ranges that go without saying."""
    text = text.replace("; x>=1]", "]").replace("; x>=0]", "]").replace("  [x>=1]", "").replace("  [x>=0]", "")
    text = re.sub(r"(-?[\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    text = re.sub(r"(-?[\d.]+)<x<=([\d.]+)", r"above \1, up to \2", text)
    text = re.sub(r"x>=?([\d.]+)", r"above \1", text)
    return text.replace("]  [", "; ")


class RenamedOption(click.Option):
    """An option that still answers to the names it had before, and says so."""

    def __init__(self, decls: Sequence[str], /, formerly: Sequence[str] = (), **keywords: Any) -> None:
        """Create the option.

        Args:
            decls: Its names.
            formerly: Names that it had before; they go on working and are not in the help.
            keywords: As for ``click.Option``.
        """
        super().__init__([*decls, *formerly], **keywords)
        self.formerly = tuple(formerly)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the help of the present names."""
        present = copy(self)
        present.opts = self.present
        return super(RenamedOption, present).get_help_record(ctx)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the present names."""
        return " / ".join(f"'{name}'" for name in self.present)

    @property
    def present(self) -> list[str]:
        """The present names."""
        return [name for name in self.opts if name not in self.formerly]

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the variable of the present name or, without one, of a former name."""
        value = super().resolve_envvar_value(ctx)
        for name in self.formerly if value is None and ctx.auto_envvar_prefix else ():
            value = value or os.environ.get(f"{ctx.auto_envvar_prefix}_{name.lstrip('-').replace('-', '_').upper()}")
        return value

    def note(self, words: Sequence[str]) -> str | None:
        """Return what to say of a command line that uses a former name."""
        used = (name for name in self.formerly if any(word.partition("=")[0] == name for word in words))
        former = next(used, None)
        return None if former is None else f"note: {former} is now called {self.present[0]}; the old name still works"


def in_one_line(error: click.ClickException) -> str:
    """Return one of click's errors as this program words its own: what is wrong, and what to do."""
    if isinstance(error, click.NoSuchOption):
        near = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        text = f"no option is called {error.option_name}{near}"
    elif isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        param, hint = error.param, error.param_hint
        name = (param.get_error_hint(error.ctx) if param is not None else "") if hint is None else hint
        name = (name if isinstance(name, str) else " / ".join(name)).replace("'", "")
        text = f"{name}: {error.message}" if name else error.message
    else:
        text = error.format_message()
    text = text.rstrip(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    if isinstance(error, click.NoSuchOption | click.MissingParameter) and error.ctx and not text.endswith("?"):
        return f"{text}; see {error.ctx.command_path} --help"
    return text
