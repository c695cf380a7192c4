"""``tpose convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tposecli.cli.options import common as shared
from tposecli.cli.options.drawing import min_score_option
from tposecli.cli.options.pose_files import POSES, pose_input_of, pose_options, rate, size
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.smoothing import smoothing_options
from tposecli.cli.options.tracking import tracking_options


@click.command()
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@click.option("--input", "-i", "inputs", multiple=True, help="Video or pictures that other tools' poses are of.")
@click.option("--fps", type=rate, help="Frames a second of other tools' poses, without the video.")
@click.option("--size", type=size, metavar="WxH", help="Pixels of their frames, without the video.")
@shared.replay_options
@tracking_options
@smoothing_options
@min_score_option
@shared.reporting_options
def convert(poses: Path, **options: Any) -> None:
    """Turn poses into other files of poses, tracked and smoothed, without the net.

    FILE is a journal (out.mp4.poses.jsonl), COCO results or a COCO dataset, mmpose's JSON, or a folder of OpenPose's.

    \b
    tpose convert out.mp4.poses.jsonl --csv out.csv
    tpose convert out.mp4.poses.jsonl --openpose out/ --smooth none
    tpose convert openpose_out/ -i in.mp4 --json tracked.json
    tpose convert results.json --fps 29.97 --size 1920x1080 --mmpose out.mmpose.json
    """
    from tposecli.cli.watchers import watcher
    from tposecli.pipeline.job import Outputs
    from tposecli.pipeline.rerun import ConvertJob
    from tposecli.pipeline.rerun import convert as run

    job = ConvertJob(pose_input_of(poses, options), Outputs(**shared.named_outputs(options)))
    run(job, settings_of(options), watcher(options["quiet"], options["log_json"]))
