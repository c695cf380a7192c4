"""``tpose images``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import attention_options
from tposecli.cli.options.drawing import drawing_options
from tposecli.cli.options.encoding import view_options
from tposecli.cli.options.pose_files import pose_output_options, pose_outputs_of
from tposecli.cli.options.settings import settings_of


@click.command(
    cls=Command,
    first=("output", "json", "csv", "recursive", "model", "max_people", "attention", "device", "resume", "overwrite"),
    short_help="Find people in images and estimate their keypoints.",
)
@click.argument("inputs", nargs=-1, required=True)
@option_group(
    FILES,
    click.option("--output", "-o", type=shared.FOLDER, help="Write the annotated images into this folder."),
)
@option_group(INPUT, click.option("--recursive", "-r", is_flag=True, help="Look into subfolders, too."))
@pose_output_options
@view_options
@shared.output_options
@shared.resume_option
@attention_options
@shared.size_option
@shared.model_options
@shared.detector_options
@drawing_options
@shared.reporting_options
@click.pass_context
def images(ctx: click.Context, /, inputs: tuple[str, ...], recursive: bool, **options: Any) -> None:
    """Detect people in images and estimate their keypoints. INPUTS are files, folders, zip files or patterns.

    \b
    tpose images photos/ --json poses.json
    tpose images 'photos/*.jpg' -o annotated/
    """
    from tposecli.cli.watchers import exit_status, watcher
    from tposecli.pipeline.job import ImagesJob, Outputs
    from tposecli.pipeline.run import run_images

    for name in inputs:
        shared.refuse_address(name, "download the images first; only tpose video reads addresses")
    stem = _stem(inputs)
    outputs = Outputs(
        options["output"],
        pose_outputs_of(options, stem),
        options["attention"],
        shared.in_folder(options["attention_matrix"], f"{stem}.csv"),
        options["crops"],
    )
    job = ImagesJob(inputs, outputs, recursive)
    watching = watcher(options["quiet"], options["log_json"], options["verbose"])
    summary = run_images(job, settings_of(options), watching)
    ctx.exit(exit_status([summary], watching))


def _stem(inputs: tuple[str, ...]) -> str:
    """Return what pose files in a folder are named after: the only input, if it is a file or folder."""
    only = Path(inputs[0]).resolve() if len(inputs) == 1 else Path()
    if only.is_dir() and only.name:
        return only.name
    return only.stem if only.is_file() else "poses"
