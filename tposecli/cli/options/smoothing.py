"""How joints are treated along time, as options, and the value they become. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import Options, together

if TYPE_CHECKING:
    from tposecli.smoothing.options import SmoothOptions

METHODS = ("auto", "none", "one-euro", "savgol", "rts", "median")
ABOVE_0 = click.FloatRange(0, min_open=True)
WINDOW = click.FloatRange(0, 0.8, min_open=True)

smoothing_options = together(
    click.option(
        "--smooth",
        type=click.Choice(METHODS),
        default="auto",
        show_default=True,
        help="Filter for the keypoints; auto: rts, which sees ahead, or one-euro for live sources.",
    ),
    click.option("--one-euro-cutoff", type=ABOVE_0, default=1.0, show_default=True, help="Hz at rest; less is calmer."),
    click.option(
        "--one-euro-beta",
        type=click.FloatRange(0),
        default=20.0,
        show_default=True,
        help="Hz more for every person size a second; more lags less.",
    ),
    click.option("--savgol-window", type=WINDOW, default=0.27, show_default=True, help="Seconds; more is calmer."),
    click.option("--savgol-order", type=click.IntRange(0, 4), default=2, show_default=True, help="Of the polynomial."),
    click.option(
        "--rts-noise",
        type=ABOVE_0,
        default=0.01,
        show_default=True,
        help="Error of a sure keypoint, in person sizes; more is calmer.",
    ),
    click.option(
        "--rts-jerk",
        type=ABOVE_0,
        default=130.0,
        show_default=True,
        help="How erratically people move, sizes / s^3 / sqrt(Hz); less is calmer.",
    ),
    click.option("--median-window", type=WINDOW, default=0.17, show_default=True, help="Seconds; more is calmer."),
    click.option(
        "--fill-gaps",
        type=click.FloatRange(0, 2),
        metavar="SECONDS",
        help="Interpolate joints and people missed for no longer.  [0.3; with --smooth none and live: 0]",
    ),
    click.option(
        "--repair/--no-repair",
        default=None,
        help="Undo left and right exchanged for a few frames.  [repair; with --smooth none and live: no-repair]",
    ),
)


def smooth_of(options: Options) -> SmoothOptions:
    """How joints are treated along time; not at all in commands without these options."""
    from tposecli.smoothing.one_euro import OneEuroOptions
    from tposecli.smoothing.options import SmoothOptions
    from tposecli.smoothing.rts import RtsOptions
    from tposecli.smoothing.savgol_median import MedianOptions, SavgolOptions

    if "smooth" not in options:
        return SmoothOptions("none", repair=False)
    return SmoothOptions(
        options["smooth"],
        OneEuroOptions(options["one_euro_cutoff"], options["one_euro_beta"]),
        SavgolOptions(options["savgol_window"], options["savgol_order"]),
        RtsOptions(options["rts_noise"], options["rts_jerk"]),
        MedianOptions(options["median_window"]),
        options["fill_gaps"],
        options["repair"],
    )
