"""Options of reading and writing videos. Nothing heavy is imported here."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click
from cloup import option_group

from tposecli.cli.command import DRAWING, FILES, INPUT
from tposecli.cli.options.common import OUTPUT_FOLDER, Options, frame_rate, together

if TYPE_CHECKING:
    from tposecli.sinks.video import VideoOptions
    from tposecli.sources import View


def _pace(value: str) -> Fraction:
    """Return an exact speed."""
    try:
        pace = Fraction(value)
    except (ValueError, ZeroDivisionError):
        pace = Fraction(-1)
    if not Fraction(1, 100) <= pace <= 100:
        raise click.BadParameter(f"{value!r} is not a speed; expected 0.01 to 100")
    return pace.limit_denominator(1000)


def _true_rate(value: str) -> Fraction:
    return frame_rate(value, highest=100_000)


def _part(value: str) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a part of the frame."""
    parts = value.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts) or "0" in {p.strip() for p in parts[2:]}:
        raise click.BadParameter(f"{value!r} is not a part of a frame; write X,Y,WIDTH,HEIGHT in pixels: 320,0,640,720")
    left, top, width, height = map(int, parts)
    return left, top, width, height


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
    click.option(
        "--true-fps",
        type=_true_rate,
        metavar="RATE",
        help="Rate (Hz) at which a slow-motion file was filmed (240 for a clip saved as 30): times and speeds are then "
        "those of what was filmed.",
    ),
    click.option(
        "--rotate",
        type=click.Choice(["0", "90", "180", "270"]),
        default="0",
        show_default=True,
        help="Turn the frames clockwise (degrees) before anything else. Files that say how to turn them are upright "
        "already.",
    ),
    click.option(
        "--crop",
        type=_part,
        metavar="X,Y,W,H",
        help="Keep only this part of the frames (pixels, after --rotate). All outputs have its coordinates.",
    ),
)

encoding_options = option_group(
    FILES,
    click.option(
        "--speed",
        type=_pace,
        metavar="FACTOR",
        default="1",
        show_default=True,
        help="Speed of the written video: 0.25 for slow motion. Its sound is stretched; poses keep their times.",
    ),
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
        click.option(
            "--crops", type=OUTPUT_FOLDER, help="Write an image of each person in each frame into this folder."
        ),
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
    chosen = options["codec"], options["crf"], options["preset"], scale, options["fps"]
    return VideoOptions(*chosen, speed=options["speed"])


def view_of(options: Options) -> View:
    """Return how the frames of the input are turned and cut, and their true rate."""
    from tposecli.sources import View

    return View(int(options["rotate"]), options["crop"], options["true_fps"])
