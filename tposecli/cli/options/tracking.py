"""How people are followed, as options, and the value they become. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import Options, together

if TYPE_CHECKING:
    from tposecli.tracking.options import TrackOptions

tracking_options = together(
    click.option(
        "--track/--no-track",
        default=True,
        show_default=True,
        help="Give people ids that last from frame to frame; smoothing needs them.",
    ),
    click.option(
        "--track-activation",
        type=click.FloatRange(0, 1),
        metavar="SCORE",
        default=0.45,
        show_default=True,
        help="Boxes of a lower score get no new id: they only continue those of before.",
    ),
    click.option(
        "--track-lost",
        type=click.FloatRange(0, 3600),
        metavar="SECONDS",
        default=2.0,
        show_default=True,
        help="How long somebody may be out of sight and keep the id.",
    ),
    click.option(
        "--track-gate",
        type=click.FloatRange(0, 1),
        metavar="LIKENESS",
        default=0.3,
        show_default=True,
        help="How much somebody must resemble who is expected; more makes more ids and fewer mistaken ones.",
    ),
)


def track_of(options: Options) -> TrackOptions | None:
    """How people are followed; not at all in commands without these options."""
    from tposecli.tracking.options import TrackOptions

    if not options.get("track", False):
        return None
    try:
        return TrackOptions(options["track_activation"], options["track_lost"], options["track_gate"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--track-...") from error
