"""Options of smoothing, made of its table of filters. Nothing heavy is imported here."""

from __future__ import annotations

import click

from tposecli.cli.options.common import Options, together
from tposecli.cli.options.fields import option_of, strength_options, strengths_of
from tposecli.smoothing.options import AS_MEASURED, FILTERS, METHODS, SmoothOptions

smoothing_options = together(
    option_of(
        SmoothOptions,
        "method",
        "--smooth",
        type=click.Choice(METHODS),
        help="Filter for the keypoints. auto: rts, which looks ahead, or one-euro for live sources.",
    ),
    *(option for name, spec in FILTERS.items() for option in strength_options(name, spec.options)),
    option_of(
        SmoothOptions,
        "fill_gaps_s",
        "--fill-gaps",
        metavar="SECONDS",
        help="Interpolate joints and people missing for up to this long.  [0.3; with --smooth none and live: 0]",
    ),
    click.option(
        "--repair/--no-repair",
        default=None,
        help="Undo left-right swaps of a few frames.  [repair; with --smooth none and live: no-repair]",
    ),
)


def smooth_of(options: Options) -> SmoothOptions:
    """Return how keypoints are smoothed; as measured in commands without these options."""
    if "smooth" not in options:
        return AS_MEASURED
    strengths = {name: spec.options(**strengths_of(name, spec.options, options)) for name, spec in FILTERS.items()}
    return SmoothOptions(options["smooth"], strengths, options["fill_gaps"], options["repair"])
