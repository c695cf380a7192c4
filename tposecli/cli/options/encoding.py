"""Options that say what is read, how videos are written, and other ways to look at the frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tposecli.cli.options.common import FOLDER, Options, frame_rate, together

if TYPE_CHECKING:
    from tposecli.sinks.video import VideoOptions


def medium(value: str) -> Path | str:
    """A file; or, as text, an address, the number of a camera, or ``-`` for standard input."""
    is_number = value.isdecimal() and not Path(value).exists()
    return value if value == "-" or "://" in value or is_number else Path(value)


reading_options = together(
    click.option("--stream", type=click.IntRange(0), help="Which of several video streams, from 0."),
    click.option("--input-fps", type=frame_rate, metavar="RATE", help="Pictures a second of numbered pictures.  [25]"),
)

encoding_options = together(
    click.option("--codec", help="h264, hevc, vp9, av1, or an encoder of FFmpeg.  [h264; vp9 in .webm]"),
    click.option("--crf", type=click.IntRange(0, 63), help="Quality: lower is better and bigger."),
    click.option("--preset", help="Speed of the encoder: ultrafast ... veryslow, for av1 and vp9 a number."),
    click.option("--scale", metavar="SIZE", help="Size of the video: 0.5, 1280x720, 1280x or x720."),
    click.option(
        "--fps", type=frame_rate, metavar="RATE", help="Constant rate: repeat and drop frames by their times."
    ),
)

view_options = together(
    click.option("--crops", type=FOLDER, help="Folder for a picture of each person and frame."),
    click.option("--side-by-side", is_flag=True, help="Put the frames as they were beside the annotated ones."),
    click.option("--show", is_flag=True, help="Show the annotated frames in a window as they come; q ends."),
)


def encoding_of(options: Options) -> VideoOptions:
    """How videos are written."""
    from tposecli.sinks.scale import Scale
    from tposecli.sinks.video import VideoOptions

    scale = None if options["scale"] is None else Scale.parse(options["scale"])
    return VideoOptions(options["codec"], options["crf"], options["preset"], scale, options["fps"])
