"""``tpose sheet``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.drawing import drawing_options, style_of
from tposecli.cli.options.fields import option_of
from tposecli.cli.options.motion import facing_option
from tposecli.cli.options.pose_files import POSES, frames_options, input_option, pose_input_of, pose_options, pose_stem
from tposecli.cli.terminal import say
from tposecli.report.options import SheetOptions


@click.command(
    cls=Command,
    first=("inputs", "output", "frames", "worst", "columns", "tile_width", "labels", "blur_heads", "overwrite"),
    short_help="Put frames of a run into one image, evenly or the worst.",
)
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@option_group(INPUT, input_option("Video or images that the poses belong to.", required=True), *frames_options)
@option_group(
    FILES,
    click.option("--output", "-o", type=shared.OUTPUT, required=True, help="Write this image (.jpg, .png)."),
    option_of(SheetOptions, "frames", "--frames", metavar="N", help="Show N frames at equal distances."),
    option_of(
        SheetOptions,
        "worst",
        "--worst",
        metavar="N",
        help="Show the N worst moments instead, each with what is odd about it: low scores, jumps, swaps, new ids.",
    ),
    option_of(SheetOptions, "columns", "--columns", metavar="N", help="Number of columns.  [about as broad as high]"),
    option_of(SheetOptions, "width", "--tile-width", metavar="PIXELS", help="Width of a frame in the sheet."),
)
@shared.overwrite_option
@drawing_options
@facing_option
@option_group(RUN, shared.quiet_option)
def sheet(poses: Path, output: Path, **options: Any) -> None:
    """Put frames of a run, with their people, into one image: at equal distances, or its worst moments.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder. Poses are tracked and smoothed as
    the run did.

    \b
    tpose sheet out.mp4.poses.jsonl -i in.mp4 -o sheet.jpg
    tpose sheet out.mp4.poses.jsonl -i in.mp4 -o worst.jpg --worst 20
    """
    from tposecli.report.sheet import SheetJob, make_sheet
    from tposecli.sinks.images import is_image_file

    path = shared.in_folder(output, f"{pose_stem(poses)}_sheet.jpg")
    assert path is not None
    if not is_image_file(path):
        raise click.BadParameter(f"{path}: expected the name of an image: .jpg or .png", param_hint="-o")
    chosen = SheetOptions(options["frames"], options["worst"], options["columns"], options["tile_width"])
    job = SheetJob(
        *(pose_input_of(poses, options), path, chosen, style_of(options), options["blur_heads"]),
        *(options["another_video"], options["overwrite"]),
    )
    made = make_sheet(job)
    if not options["quiet"]:
        say(f"{path}: {made} {'moments' if chosen.worst else 'frames'}", err=True)
