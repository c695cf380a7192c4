"""``tpose video``."""

from __future__ import annotations

from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import attention_options
from tposecli.cli.options.cluster import cluster_of, cluster_options, segment_option
from tposecli.cli.options.drawing import drawing_options, trail_options
from tposecli.cli.options.encoding import encoding_options, reading_options, view_options
from tposecli.cli.options.keep import keep_options
from tposecli.cli.options.many_videos import shard_option, work_of
from tposecli.cli.options.motion import facing_option
from tposecli.cli.options.pose_files import frame_names_option, pose_output_options
from tposecli.cli.options.report import check_pages, pages_of_videos, report_option
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.smoothing import smoothing_options
from tposecli.cli.options.tracking import tracking_options
from tposecli.cli.options.workers import run_jobs, workers_option


@click.command(
    cls=Command,
    stores=True,
    first=(*("output", "json", "csv", "start", "end", "model", "max_people", "smooth", "resume", "overwrite"),),
    short_help="Find people in videos and estimate their keypoints.",
)
@click.argument("inputs", nargs=-1)
@option_group(
    INPUT,
    click.option("--recursive", "-r", is_flag=True, help="Look into subfolders of folders, too."),
    click.option(
        "--inputs-from",
        "lists",
        metavar="FILE",
        multiple=True,
        help="Read more inputs from this file, one per line, or from standard input (-).",
    ),
)
@shard_option
@option_group(
    FILES,
    click.option(
        "--output",
        "-o",
        type=shared.OUTPUT,
        help="Write the annotated video here (.mp4 .mov .mkv .webm .gif .avi), as images (%06d.png), or as MP4 to "
        "standard output (-); for several inputs, name a folder.  [NAME_pose.mp4 and NAME_pose.json beside the input, "
        "if no output is named]",
    ),
)
@pose_output_options
@report_option
@frame_names_option
@tracking_options
@smoothing_options
@encoding_options
@view_options
@shared.output_options
@shared.resume_option
@workers_option
@attention_options
@reading_options
@shared.size_option
@shared.window_options
@shared.model_options
@cluster_options
@segment_option
@shared.detector_options
@drawing_options
@trail_options
@keep_options
@facing_option
@shared.reporting_options
@click.pass_context
def video(ctx: click.Context, /, inputs: tuple[str, ...], **options: Any) -> None:
    """Detect people in videos and estimate their keypoints; write annotated videos and pose files.

    INPUTS are files, folders, quoted patterns ('clips/*.mp4'), URLs (http, https, rtsp, ...), camera numbers, - for
    standard input, or image sequences (a pattern such as %06d.png, or a zip file). Files, folders and patterns, and
    outputs, may be in object stores (s3://, gs://).

    \b
    tpose video walk.mp4
    tpose video walk.mp4 -o annotated.mp4 --json walk.json
    tpose video clips/ -r -o results/ --csv all.csv
    ffmpeg -i in.avi -f matroska - | tpose video - -o - | ffplay -
    """
    from tposecli.cli.watchers import exit_status, watcher
    from tposecli.formats.journal.journal import SUFFIX
    from tposecli.hub.remote import address_of
    from tposecli.sources import find_videos

    if not (inputs or options["lists"]):
        raise click.UsageError("no input; name a video, a folder of videos, or a list with --inputs-from")
    watching = watcher(options["quiet"], options["log_json"], options["verbose"])
    settings = settings_of(options)
    videos = find_videos(inputs, options["recursive"], options["lists"], SUFFIX, options["offline"])
    work = work_of(videos, options)
    downloads = settings.inference.model.downloads
    if work.table is not None:
        work.table.check(settings.flags, downloads)
    check_pages(work.pages, settings.flags)
    summaries = run_jobs(work.jobs, settings, watching, options["workers"], cluster_of(options))
    made = pages_of_videos(work.jobs, work.pages, summaries, options)
    if work.table is not None:
        joined = work.table.join((job.label for job in work.jobs), settings.flags, downloads)
        made.append(f"{address_of(work.table.path)}: {joined} of {len(work.jobs)} videos")
    ctx.exit(exit_status(summaries, watching, *made))
