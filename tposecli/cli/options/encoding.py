"""Options of reading and writing videos. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import FOLDER, Options, frame_rate, together

if TYPE_CHECKING:
    from tposecli.sinks.video import VideoOptions


def medium(value: str) -> Path | str:
    """Return a file as a path; a URL, a camera number, or ``-`` for standard input as text."""
    is_number = value.isdecimal() and not Path(value).exists()
    return value if value == "-" or "://" in value or is_number else Path(value)


reading_options = together(
    click.option(
        "--stream", type=click.IntRange(0), help="Index of the video stream to use, from 0, if there are several."
    ),
    click.option(
        "--input-fps",
        type=frame_rate,
        metavar="RATE",
        help="Frame rate of an image sequence, or of a raw stream without timestamps.  [25; that of its header]",
    ),
)

encoding_options = together(
    click.option("--codec", help="h264, hevc, vp9, av1, or the name of an FFmpeg encoder.  [h264; vp9 in .webm]"),
    click.option("--crf", type=click.IntRange(0, 63), help="Quality: lower values look better and give larger files."),
    click.option("--preset", help="Encoder speed: ultrafast ... veryslow; a number for av1 and vp9."),
    click.option("--scale", metavar="SIZE", help="Size of the output video: 0.5, 1280x720, 1280x or x720."),
    click.option(
        "--fps",
        type=frame_rate,
        metavar="RATE",
        help="Write a constant frame rate, duplicating or dropping frames as needed.",
    ),
)

view_options = together(
    click.option("--crops", type=FOLDER, help="Folder for an image of each person in each frame."),
    click.option("--side-by-side", is_flag=True, help="Show the original frames beside the annotated ones."),
    click.option("--show", is_flag=True, help="Show the annotated frames in a window during the run; q quits."),
)


def encoding_of(options: Options) -> VideoOptions:
    """Return how videos are written."""
    from tposecli.sinks.scale import Scale
    from tposecli.sinks.video import VideoOptions

    scale = None if options["scale"] is None else Scale.parse(options["scale"])
    return VideoOptions(options["codec"], options["crf"], options["preset"], scale, options["fps"])
