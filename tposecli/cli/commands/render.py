"""``tpose render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.drawing import drawing_options, trail_options
from tposecli.cli.options.encoding import encoding_of, encoding_options, view_options
from tposecli.cli.options.keep import keep_options
from tposecli.cli.options.motion import facing_option
from tposecli.cli.options.pose_files import (
    POSES,
    frame_names_option,
    frames_options,
    input_option,
    pose_input_of,
    pose_options,
    pose_output_options,
    pose_outputs_of,
    pose_stem,
)
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.smoothing import smoothing_options
from tposecli.cli.options.tracking import tracking_options


@click.command(
    cls=Command,
    first=(
        *("inputs", "output", "style", "background", "colour_by", "labels", "trails", "blur_heads", "smooth"),
        "overwrite",
    ),
    short_help="Draw poses on their video or images again.",
)
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@option_group(
    INPUT,
    input_option("Video or images that the poses belong to.", required=True),
    *frames_options,
)
@option_group(
    FILES, click.option("--output", "-o", type=shared.OUTPUT, help="Write this video or, for images, into this folder.")
)
@pose_output_options
@frame_names_option
@shared.overwrite_option
@tracking_options
@smoothing_options
@encoding_options
@view_options
@drawing_options
@trail_options
@keep_options
@facing_option
@shared.reporting_options
def render(poses: Path, output: Path, **options: Any) -> None:
    """Draw poses on their video or images, tracked and smoothed again, without running the model.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder in a format of --from.

    \b
    tpose render out.mp4.poses.jsonl -i in.mp4 -o black.mp4 --background black --colour-by track
    tpose render openpose_out/ -i in.mp4 -o out.mp4
    """
    from tposecli.cli.watchers import watcher
    from tposecli.formats.align import are_images
    from tposecli.pipeline.job import Outputs
    from tposecli.pipeline.rerun import RenderJob
    from tposecli.pipeline.rerun import render as run

    given, stem = pose_input_of(poses, options), pose_stem(poses)
    picture = output if are_images(given) else shared.in_folder(output, f"{stem}.mp4")
    outputs = Outputs(picture, pose_outputs_of(options, stem), crops=options["crops"])
    job = RenderJob(given, outputs, options["another_video"], encoding_of(options))
    run(job, settings_of(options), watcher(options["quiet"], options["log_json"], options["verbose"]))
