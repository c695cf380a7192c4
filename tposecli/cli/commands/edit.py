"""``tpose edit``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option_group

from tposecli.cli.command import JOINTS, PEOPLE, RUN, Command
from tposecli.cli.options.common import FILE, Options, quiet_option, seconds
from tposecli.cli.terminal import console, say

if TYPE_CHECKING:
    from tposecli.pipeline.edit import EditSummary, Wish
    from tposecli.pipeline.people import KeepOnly
    from tposecli.tracking.corrections import Correction, Span

_WISHES = "tposecli.cli.commands.edit.wishes"
"""Key of the corrections in the context's ``meta``, in the order of the command line."""


def _correction(flag: str, metavar: str, parse: Callable[[str], Wish], help: str) -> Any:
    """Return an option that adds corrections, and can be given several times."""

    def note(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
        for value in values:
            try:
                ctx.meta.setdefault(_WISHES, []).append(parse(value))
            except ValueError as error:
                reason = f" ({error})" if str(error) else ""
                raise click.BadParameter(f"{value!r}: expected {metavar}{reason}", ctx, param) from error

    return click.option(flag, metavar=metavar, multiple=True, expose_value=False, callback=note, help=help)


def _asked(make: Callable[..., Correction | KeepOnly], *people: str) -> Wish:
    """Return a wish of people, by id or name."""
    from tposecli.pipeline.edit import ByName

    who = tuple(person.strip() for person in people)
    if not all(person and person.isprintable() for person in who):
        raise ValueError("the id or name of a person is missing")
    return ByName(who, make)


def _time(text: str) -> float:
    try:
        return seconds(text)
    except click.BadParameter as error:
        raise ValueError(error.message) from error


def _who_when(text: str) -> tuple[str, Span]:
    """Return what stands before ``@FROM-TO``, and the span; the whole video if there is none."""
    from tposecli.tracking.corrections import ALWAYS, Span

    who, at, when = text.rpartition("@")
    if not at:
        return text, ALWAYS
    begin, dash, end = when.partition("-")
    if not dash:
        raise ValueError("a time range is FROM-TO, FROM- or -TO")
    return who, Span(_time(begin) if begin else None, _time(end) if end else None)


def _two(text: str, sign: str) -> tuple[str, str]:
    first, found, second = text.partition(sign)
    if not found or not first or not second:
        raise ValueError
    return first, second


def _merge(text: str) -> Wish:
    from tposecli.tracking.corrections import Merge

    return _asked(Merge, *_two(text, "="))


def _split(text: str) -> Wish:
    from tposecli.tracking.corrections import Split

    person, at = _two(text, "@")
    return _asked(partial(Split, at_s=_time(at), new=0), person)


def _exchange(text: str) -> Wish:
    from tposecli.tracking.corrections import Exchange

    pair, span = _who_when(text)
    return _asked(partial(Exchange, span=span), *_two(pair, "="))


def _drop(text: str) -> Wish:
    from tposecli.tracking.corrections import Drop

    person, span = _who_when(text)
    return _asked(partial(Drop, span=span), person)


def _only(text: str) -> Wish:
    from tposecli.pipeline.people import KeepOnly

    return _asked(lambda *people: KeepOnly(people), *text.split(","))


def _name(text: str) -> Wish:
    from tposecli.tracking.corrections import Name

    person, name = _two(text, "=")
    if not name.isprintable() or not name.strip():
        raise ValueError("a name is printable text")
    return _asked(partial(Name, name=name.strip()), person)


def _swap_sides(text: str) -> Wish:
    from tposecli.tracking.corrections import SwapSides

    person, span = _who_when(text)
    return _asked(partial(SwapSides, span=span), person)


def _drop_joint(text: str) -> Wish:
    from tposecli.tracking.corrections import DropJoint

    which, span = _who_when(text)
    person, joint = _two(which, ":")
    return _asked(partial(DropJoint, joint=joint, span=span), person)


def _set_joint(text: str) -> Wish:
    from tposecli.tracking.corrections import SetJoint

    which, place = _two(text, "=")
    name, at = _two(which, "@")
    person, joint = _two(name, ":")
    x, y = (float(number) for number in _two(place, ","))
    return _asked(partial(SetJoint, joint=joint, at_s=_time(at), x=x, y=y), person)


@click.command(cls=Command, short_help="Correct the ids and joints of a run by hand.")
@click.argument("journal", type=FILE, metavar="JOURNAL")
@option_group(
    PEOPLE,
    _correction("--merge", "ID=ID", _merge, "The first person is the second one: 2=1."),
    _correction("--split", "ID@TIME", _split, "A person is another one from this time on: 3@12.4."),
    _correction("--exchange", "ID=ID[@FROM-TO]", _exchange, "Two people exchange their ids: 1=2@3.5-8."),
    _correction("--drop", "ID[@FROM-TO]", _drop, "Leave a person out: 5, or 5@0-2.5."),
    _correction("--only", "ID,...", _only, "Leave out everybody else: 1,2."),
    _correction("--name", "ID=NAME", _name, "Name a person, in images and files: 1=Ana."),
)
@option_group(
    JOINTS,
    _correction("--swap-sides", "ID[@FROM-TO]", _swap_sides, "Exchange left and right of a person: 1@3.2-3.8."),
    _correction(
        "--drop-joint",
        "ID:JOINT[@FROM-TO]",
        _drop_joint,
        "A joint was not found; short gaps are filled: 1:left_knee@3.2-3.3.",
    ),
    _correction(
        "--set-joint", "ID:JOINT@TIME=X,Y", _set_joint, "Put a joint at a position (pixels): 1:nose@3.2=512,300."
    ),
)
@option_group(
    RUN,
    click.option("--undo", count=True, help="Take the last correction back; given twice, the last two."),
    quiet_option,
)
@click.pass_context
def edit(ctx: click.Context, /, journal: Path, **options: Any) -> None:
    """Correct the ids and joints of a run by hand; without options, list its people and corrections.

    JOURNAL is the out.mp4.poses.jsonl of a run, which is not changed: the corrections are written beside it, into
    out.mp4.edits.toml, and convert, render, score and report make them. They are made in the order in which they are
    given, and each refers to the ids that those before it leave, or to names. Times are seconds or
    HH:MM:SS, as in all outputs.

    \b
    tpose edit out.mp4.poses.jsonl
    tpose edit out.mp4.poses.jsonl --split 3@12.4 --merge 2=1 --name 1=Ana
    tpose edit out.mp4.poses.jsonl --undo
    """
    from tposecli.pipeline.edit import EditJob
    from tposecli.pipeline.edit import edit as run

    summary = run(EditJob(journal, tuple(ctx.meta.get(_WISHES, ())), options["undo"]))
    if not options["quiet"]:
        _show(summary, options)


def _show(summary: EditSummary, options: Options) -> None:
    """Print what was done or, if nothing was, what there is."""
    from tposecli.pipeline.summary import count

    for text in summary.undone:
        say(f"undone: {text}")
    for text in summary.added:
        say(text)
    if summary.undone or summary.added:
        say(f"{summary.path}: {count(len(summary.steps), 'correction')}")
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for title in ("id", "name", "frames", "from (s)", "to (s)"):
        table.add_column(title, justify="left" if title == "name" else "right")
    for who in summary.people:
        table.add_row(str(who.person), who.name, f"{who.frames:,}", f"{who.from_s:.2f}", f"{who.to_s:.2f}")
    console().print(table)
    for number, step in enumerate(summary.steps, start=1):
        say(f"correction {number}: {step}")
