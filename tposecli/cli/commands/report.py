"""``tpose report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.pose_files import (
    POSES,
    frames_options,
    input_option,
    pose_input_of,
    pose_options,
    rate_options,
)
from tposecli.cli.options.report import make_report_of, report_content_options


@click.command(
    cls=Command,
    first=("inputs", "output", "embed", "explain", "why", "model", "overwrite"),
    short_help="Make a page of a run to look at and to mail.",
)
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@option_group(
    INPUT,
    input_option("Video or images that the poses belong to; without them the page shows the poses alone."),
    *frames_options,
    *rate_options,
)
@option_group(FILES, click.option("--output", "-o", type=shared.OUTPUT, required=True, help="Write this page (.html)."))
@report_content_options
@shared.net_options
@shared.overwrite_option
@shared.reporting_options
def report(poses: Path, output: Path, **options: Any) -> None:
    """Make one HTML page of a run, with its video: whether the poses are good, and why.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder. The page needs no network and no other file;
    poses are tracked and smoothed as the run did.

    \b
    tpose report out.mp4.poses.jsonl -i in.mp4 -o report.html
    tpose report photos.json.poses.jsonl -i photos/ -o report.html
    """
    from tposecli.cli.options.pose_files import pose_stem
    from tposecli.cli.watchers import watcher

    watcher(options["quiet"], options["log_json"], options["verbose"])
    page = shared.in_folder(output, f"{pose_stem(poses)}.html")
    assert page is not None
    make_report_of(pose_input_of(poses, options), page, options, options["another_video"])
