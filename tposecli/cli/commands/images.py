"""``tpose images``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import attention_options
from tposecli.cli.options.cluster import cluster_of, cluster_options
from tposecli.cli.options.drawing import drawing_options
from tposecli.cli.options.encoding import view_options
from tposecli.cli.options.keep import still_keep_options
from tposecli.cli.options.motion import facing_option
from tposecli.cli.options.pose_files import pose_output_options, pose_outputs_of
from tposecli.cli.options.report import check_pages, page_of_images, report_option
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.workers import run_images, workers_option

if TYPE_CHECKING:
    from tposecli.pipeline.job import Outputs


@click.command(
    cls=Command,
    stores=True,
    first=("output", "json", "csv", "recursive", "model", "max_people", "attention", "device", "resume", "overwrite"),
    short_help="Find people in images and estimate their keypoints.",
)
@click.argument("inputs", nargs=-1, required=True)
@option_group(
    FILES,
    click.option(
        "--output",
        "-o",
        type=shared.OUTPUT,
        help="Write the annotated images into this folder or, for one image, to this file.  [NAME_pose and "
        "NAME_pose.json beside the input, if no output is named]",
    ),
)
@option_group(INPUT, click.option("--recursive", "-r", is_flag=True, help="Look into subfolders, too."))
@pose_output_options
@report_option
@view_options
@shared.output_options
@shared.resume_option
@workers_option
@attention_options
@shared.size_option
@shared.model_options
@cluster_options
@shared.detector_options
@drawing_options
@still_keep_options
@facing_option
@shared.reporting_options
@click.pass_context
def images(ctx: click.Context, /, inputs: tuple[str, ...], recursive: bool, **options: Any) -> None:
    """Detect people in images and estimate their keypoints.

    INPUTS are files, folders, zip files or patterns, also in object stores (s3://, gs://), and addresses (https).

    \b
    tpose images photo.jpg
    tpose images photos/ --json poses.json
    tpose images 'photos/*.jpg' -o annotated/
    """
    from tposecli.cli.watchers import exit_status, watcher
    from tposecli.pipeline.job import ImagesJob, Outputs

    stem = _stem(inputs)
    outputs = Outputs(
        options["output"],
        pose_outputs_of(options, stem),
        options["attention"],
        shared.in_folder(options["attention_matrix"], f"{stem}.csv"),
        options["crops"],
    )
    page = shared.in_folder(options["report"], f"{stem}.html")
    if not (outputs.wanted or (options["show"] and page is None)):
        outputs = _beside(inputs)
    job = ImagesJob(inputs, outputs, recursive)
    watching = watcher(options["quiet"], options["log_json"], options["verbose"])
    settings = settings_of(options)
    check_pages([page], settings.flags)
    summary = run_images(job, settings, watching, options["workers"], cluster_of(options))
    made = [page_of_images(job, page, options)] if page is not None else []
    ctx.exit(exit_status([summary], watching, *made))


def _stem(inputs: tuple[str, ...]) -> str:
    """Return what pose files in a folder are named after: the only input, if it is a file or folder."""
    from tposecli.hub.remote import is_stored

    if len(inputs) == 1 and ("://" in inputs[0] or is_stored(inputs[0])):
        return (Path(urlsplit(inputs[0]).path).stem if "*" not in inputs[0] else "") or "poses"
    only = Path(inputs[0]).resolve() if len(inputs) == 1 else Path()
    if only.is_dir() and only.name:
        return only.name
    return only.stem if only.is_file() else "poses"


def _beside(inputs: Sequence[str]) -> Outputs:
    """Return the outputs of images for which none is named.

    ``a_pose.jpg`` and ``a_pose.json`` for ``a.jpg``, ``a_pose`` and ``a_pose.json`` for the folder ``a`` and ``a.zip``,
    else ``pose/`` and ``pose.json`` in the current folder.
    """
    from tposecli.pipeline.job import Outputs
    from tposecli.sinks.images import is_image_file
    from tposecli.sources.image_store import is_archive

    given = Path(os.path.abspath(inputs[0]))
    if len(inputs) > 1 or "://" in inputs[0] or not given.exists() or not given.name:
        return Outputs(Path("pose"), {"coco": Path("pose.json")})
    stem = given.name if given.is_dir() else given.stem
    beside = Path(os.path.normpath(inputs[0])).parent
    suffix = ""
    if given.is_file() and not is_archive(given):
        suffix = given.suffix if is_image_file(given) else ".jpg"
    return Outputs(beside / f"{stem}_pose{suffix}", {"coco": beside / f"{stem}_pose.json"})
