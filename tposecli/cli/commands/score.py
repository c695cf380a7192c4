"""``tpose score``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.pose_files import POSES, pose_input_of, pose_options
from tposecli.cli.options.smoothing import smooth_of, smoothing_options
from tposecli.cli.options.tracking import track_of, tracking_options
from tposecli.cli.terminal import console


@click.command(cls=Command, short_help="Score poses and tracks against ground truth.")
@click.argument("poses", type=POSES, metavar="FILE")
@click.argument("truth", type=shared.FILE, metavar="TRUTH.json")
@pose_options
@tracking_options
@smoothing_options
@option_group(FILES, click.option("--report", type=shared.FILE, help="Write a report, .json or .md."))
@shared.overwrite_option
@option_group(RUN, click.option("--quiet", "-q", is_flag=True, help="Print no tables."))
def score(poses: Path, truth: Path, **options: Any) -> None:
    """Score poses, tracks and smoothing against ground truth: PCK, OKS-AP, errors, jitter, lag, HOTA, IDF1, swaps.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder in a format of --from; TRUTH.json is a COCO
    dataset with track ids, as tpose sample-media makes them.

    \b
    tpose video sample_media/walk.mp4 -o walk.mp4 --offline
    tpose score walk.mp4.poses.jsonl sample_media/walk.json --report walk.md
    """
    from tposecli.evaluation.clips.report import show, write_report
    from tposecli.evaluation.clips.run import ScoreJob, compare
    from tposecli.pipeline.postprocess import PostOptions
    from tposecli.utils.files import check_output
    from tposecli.utils.report_tables import check_report

    report: Path | None = options["report"]
    check_report(report)
    if report is not None:
        check_output(report, options["overwrite"])
    post = PostOptions(track_of(options), smooth_of(options))
    found = compare(ScoreJob(pose_input_of(poses, options), truth), post)
    if not options["quiet"]:
        show(found, console())
    if report is not None:
        write_report(report, found)
