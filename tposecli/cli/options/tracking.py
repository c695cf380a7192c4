"""Options of tracking. Nothing heavy is imported here."""

from __future__ import annotations

import click
from cloup import option_group

from tposecli.cli.command import TRACKING
from tposecli.cli.options.common import Options
from tposecli.cli.options.fields import option_of
from tposecli.tracking.options import TrackOptions

tracking_options = option_group(
    TRACKING,
    click.option(
        "--track/--no-track",
        default=True,
        show_default=True,
        help="Give each person an id that stays the same from frame to frame; smoothing needs it.",
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
        help="Keep the id of a person who is out of sight for up to this long.",
    ),
    option_of(
        TrackOptions,
        "gate",
        "--track-gate",
        metavar="AFFINITY",
        help="Minimum similarity between a detection and a predicted track. Higher values give more and shorter "
        "tracks, and mix up fewer people.",
    ),
)


def track_of(options: Options) -> TrackOptions | None:
    """Return how people are tracked; None for not at all, as in commands without these options."""
    if not options.get("track", False):
        return None
    return TrackOptions(options["track_activation"], options["track_lost"], options["track_gate"])
