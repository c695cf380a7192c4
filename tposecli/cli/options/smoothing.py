"""Options of smoothing, made of its table of filters. Nothing heavy is imported here."""

from __future__ import annotations

import click
from cloup import option_group

from tposecli.cli.command import SMOOTHING
from tposecli.cli.options.common import Options
from tposecli.cli.options.fields import option_of, strength_options, strengths_of
from tposecli.smoothing.options import AS_MEASURED, FILTERS, METHODS, SmoothOptions

smoothing_options = option_group(
    SMOOTHING,
    option_of(
        SmoothOptions,
        "method",
        "--smooth",
        type=click.Choice(METHODS),
        help="Filter for the keypoints. auto: rts, which looks ahead; one-euro for live sources.",
    ),
    *(option for name, spec in FILTERS.items() for option in strength_options(name, spec.options)),
    option_of(
        SmoothOptions,
        "fill_gaps_s",
        "--fill-gaps",
        metavar="SECONDS",
        help="Fill in joints and people that are missing for up to this long.  "
        "[0.3, or 0 for live sources and --smooth none]",
    ),
    click.option(
        "--repair/--no-repair",
        default=None,
        help="Undo swaps of left and right that last a few frames.  [yes, except for live sources and --smooth none]",
    ),
)


def smooth_of(options: Options) -> SmoothOptions:
    """Return how keypoints are smoothed; as measured in commands without these options."""
    if "smooth" not in options:
        return AS_MEASURED
    strengths = {name: spec.options(**strengths_of(name, spec.options, options)) for name, spec in FILTERS.items()}
    return SmoothOptions(options["smooth"], strengths, options["fill_gaps"], options["repair"])
