"""Options that tell people from what only looks like one, and choose some of them. Nothing heavy is imported here."""

from __future__ import annotations

import click
from cloup import option_group

from tposecli.cli.command import PEOPLE
from tposecli.cli.options.common import Options, together
from tposecli.cli.options.fields import option_of
from tposecli.pipeline.keep_options import MIN_JOINTS, MIN_PERSON, KeepOptions, Region, SelectOptions


def parse_people(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return ids and names."""
    if value is None:
        return ()
    who = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    if "" in who:
        raise click.BadParameter(f"{value!r}: expected ids or names of people: 1,Ana")
    return who


def _region(_: click.Context, __: click.Parameter, value: str | None) -> Region | None:
    """Return the part of the frame."""
    try:
        return None if value is None else Region.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


region_options = option_group(
    PEOPLE,
    click.option(
        "--region",
        metavar="'X,Y X,Y ...'",
        callback=_region,
        help="Leave out people who are outside this part of the frame: two corners of a rectangle, or the corners of a "
        "polygon, in pixels or percent: '0%,50% 100%,100%'.",
    ),
    option_of(
        SelectOptions,
        "region_point",
        "--region-point",
        help="Point of a person that must be in --region: feet is the middle of the lower edge of the box.",
    ),
)

person_options = option_group(
    PEOPLE,
    option_of(
        KeepOptions,
        "min_person_score",
        "--min-person-score",
        metavar="P",
        help="Drop people who are less likely than this to be one.  "
        f"[{MIN_PERSON}, or 0 where scores are not calibrated]",
    ),
    option_of(
        KeepOptions,
        "min_joints",
        "--min-joints",
        metavar="N",
        help=f"Drop people with fewer good joints.  [{MIN_JOINTS}, or 0 where scores are not calibrated]",
    ),
)

still_keep_options = together(person_options, region_options)
"""For images, whose people have no ids that last."""

keep_options = together(
    person_options,
    option_group(
        PEOPLE,
        click.option(
            "--only",
            metavar="PEOPLE",
            callback=parse_people,
            help="Leave out everybody but these people, by id or by the name of tpose edit: 1,Ana.",
        ),
        option_of(
            SelectOptions,
            "min_seconds",
            "--min-seconds",
            metavar="SECONDS",
            help="Leave out people who are there for a shorter time, from their first to their last frame. "
            "tpose video then holds frames back until that is known.",
        ),
    ),
    region_options,
)


def keep_of(options: Options) -> KeepOptions:
    """Return which people are kept."""
    return KeepOptions(options.get("min_person_score"), options.get("min_joints"))


def select_of(options: Options) -> SelectOptions:
    """Return which of the people who are kept are written and drawn."""
    default = SelectOptions()
    return SelectOptions(
        options.get("only") or (),
        options.get("region"),
        options.get("region_point", default.region_point),
        options.get("min_seconds", default.min_seconds),
    )
