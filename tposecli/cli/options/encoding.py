"""Options of reading and writing videos. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from cloup import option_group

from tposecli.cli.command import DRAWING, FILES, INPUT
from tposecli.cli.options.common import FOLDER, Options, frame_rate, together

if TYPE_CHECKING:
    from tposecli.sinks.video import VideoOptions


reading_options = option_group(
    INPUT,
    click.option(
        "--stream", type=click.IntRange(0), help="Use this video stream of a file that has several, counted from 0."
    ),
    click.option(
        "--input-fps",
        type=frame_rate,
        metavar="RATE",
        help="Frame rate (Hz) of an image sequence or of a raw stream; other videos have their own times.  "
        "[25, or what the header of the stream says]",
    ),
)

encoding_options = option_group(
    FILES,
    click.option(
        "--codec", help="Encode video as h264, hevc, vp9, av1, or with an FFmpeg encoder.  [h264; vp9 in .webm]"
    ),
    click.option(
        "--crf",
        type=click.IntRange(0, 63),
        help="Video quality: lower values look better and give larger files.",
    ),
    click.option("--preset", help="Encoder speed: ultrafast to veryslow, or a number for av1 and vp9."),
    click.option("--scale", metavar="SIZE", help="Size of the written video: 0.5, 1280x720, 1280x or x720."),
    click.option(
        "--fps",
        type=frame_rate,
        metavar="RATE",
        help="Write the video at this constant rate (Hz): 25, 29.97 or 30000/1001. Frames are repeated or dropped.",
    ),
)

view_options = together(
    option_group(
        FILES,
        click.option("--crops", type=FOLDER, help="Write an image of each person in each frame into this folder."),
    ),
    option_group(
        DRAWING,
        click.option("--side-by-side", is_flag=True, help="Put the original frames beside the annotated ones."),
        click.option("--show", is_flag=True, help="Show the annotated frames in a window during the run; q quits."),
    ),
)


def encoding_of(options: Options) -> VideoOptions:
    """Return how videos are written."""
    from tposecli.sinks.scale import Scale
    from tposecli.sinks.video import VideoOptions

    scale = None if options["scale"] is None else Scale.parse(options["scale"])
    return VideoOptions(options["codec"], options["crf"], options["preset"], scale, options["fps"])
