"""Options of tracking. Nothing heavy is imported here."""

from __future__ import annotations

import click

from tposecli.cli.options.common import Options, together
from tposecli.cli.options.fields import option_of
from tposecli.tracking.options import TrackOptions

tracking_options = together(
    click.option(
        "--track/--no-track",
        default=True,
        show_default=True,
        help="Give people ids that last from frame to frame; smoothing needs them.",
    ),
    option_of(
        TrackOptions,
        "activation",
        "--track-activation",
        metavar="SCORE",
        help="Minimum detection score to start a track; weaker detections can only extend one.",
    ),
    option_of(
        TrackOptions,
        "lost_s",
        "--track-lost",
        metavar="SECONDS",
        help="How long a person may be out of sight and keep the id.",
    ),
    option_of(
        TrackOptions,
        "gate",
        "--track-gate",
        metavar="AFFINITY",
        help="Minimum similarity between a detection and a predicted track. Higher: more, shorter tracks, fewer id "
        "switches.",
    ),
)


def track_of(options: Options) -> TrackOptions | None:
    """Return how people are tracked; None for not at all, as in commands without these options."""
    if not options.get("track", False):
        return None
    return TrackOptions(options["track_activation"], options["track_lost"], options["track_gate"])
