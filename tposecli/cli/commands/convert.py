"""``tpose convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tposecli.cli.command import Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.drawing import min_score_option
from tposecli.cli.options.keep import keep_options
from tposecli.cli.options.motion import facing_option, scale_options
from tposecli.cli.options.pose_files import (
    POSES,
    foreign_frames_options,
    frame_names_option,
    pose_input_of,
    pose_options,
    pose_output_options,
    pose_outputs_of,
    pose_stem,
    to_options,
)
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.smoothing import smoothing_options
from tposecli.cli.options.tracking import tracking_options


@click.command(
    cls=Command,
    first=("to", "json", "csv", "openpose", "inputs", "smooth", "track", "overwrite"),
    short_help="Write poses in other formats, tracked and smoothed again.",
)
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@foreign_frames_options
@pose_output_options
@to_options
@frame_names_option
@shared.overwrite_option
@tracking_options
@smoothing_options
@min_score_option
@keep_options
@facing_option
@scale_options
@shared.reporting_options
def convert(poses: Path, **options: Any) -> None:
    """Write poses in other formats, tracked and smoothed again, without running the model.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder in a format of --from.

    \b
    tpose convert out.mp4.poses.jsonl --csv out.csv
    tpose convert out.mp4.poses.jsonl --to dlc-h5 out.h5 --to xlsx out.xlsx
    tpose convert out.mp4.poses.jsonl --openpose out/ --smooth none
    tpose convert openpose_out/ -i in.mp4 --json tracked.json
    tpose convert results.json --input-fps 29.97 --size 1920x1080 --mmpose out.mmpose.json
    """
    from tposecli.cli.watchers import watcher
    from tposecli.pipeline.job import Outputs
    from tposecli.pipeline.rerun import ConvertJob
    from tposecli.pipeline.rerun import convert as run

    job = ConvertJob(pose_input_of(poses, options), Outputs(poses=pose_outputs_of(options, pose_stem(poses))))
    run(job, settings_of(options), watcher(options["quiet"], options["log_json"], options["verbose"]))
