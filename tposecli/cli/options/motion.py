"""Options of angles and lengths. Nothing heavy is imported here."""

from __future__ import annotations

import click
from cloup import option_group

from tposecli.cli.command import JOINTS
from tposecli.cli.options.common import Options
from tposecli.cli.options.fields import option_of
from tposecli.geometry.motion_options import AngleOptions, ScaleOptions

facing_option = option_group(
    JOINTS,
    option_of(
        AngleOptions,
        "facing",
        "--facing",
        help="Where people face as seen in the image, for the sign of angles; auto finds it for each person, and front "
        "is for views from the front or back, whose angles have no sign.",
    ),
)


def _height(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, float] | None:
    """Return whose height is given, and metres."""
    if value is None:
        return None
    who, _equals, number = value.rpartition("=")
    try:
        return who.strip(), float(ScaleOptions(height_m=float(number)).height_m or 0)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r}: expected a height of 0.3 to 3 m (1.80), or whose it is (1=1.80, Ana=1.80)"
        ) from error


scale_options = option_group(
    JOINTS,
    click.option(
        "--person-height",
        metavar="[PERSON=]METRES",
        callback=_height,
        help="Height of a person, by id or name if there are several: lengths are then in metres, in the plane in "
        "which this person moves.",
    ),
    option_of(
        ScaleOptions,
        "px_per_m",
        "--scale-px-per-m",
        metavar="PIXELS",
        help="Pixels of a metre, from something of known length in the image: lengths are then in metres.",
    ),
)


def scale_of(options: Options) -> ScaleOptions:
    """Return what says how many pixels a metre is; nothing in commands without these options."""
    height, px_per_m = options.get("person_height"), options.get("scale_px_per_m")
    if height is not None and px_per_m is not None:
        raise click.UsageError("--person-height and --scale-px-per-m: both say how long a metre is; give one of them")
    person, height_m = height or ("", None)
    return ScaleOptions(px_per_m, height_m, person)
