"""``tpose video``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.attention import attention_options
from tposecli.cli.options.drawing import drawing_options, trail_options
from tposecli.cli.options.encoding import encoding_of, encoding_options, medium, reading_options, view_options
from tposecli.cli.options.pose_files import frame_names_option, pose_output_options
from tposecli.cli.options.settings import settings_of
from tposecli.cli.options.smoothing import smoothing_options
from tposecli.cli.options.tracking import tracking_options
from tposecli.formats.catalog import written_formats

if TYPE_CHECKING:
    from tposecli.pipeline.job import VideoJob


@click.command(
    cls=Command,
    first=(*("output", "json", "csv", "start", "end", "model", "max_people", "smooth", "resume", "overwrite"),),
    short_help="Find people in videos and estimate their keypoints.",
)
@click.argument("inputs", nargs=-1, required=True, type=medium)
@option_group(
    FILES,
    click.option(
        "--output",
        "-o",
        type=shared.OUTPUT,
        help="Write the annotated video here (.mp4 .mov .mkv .webm .gif .avi), as images (%06d.png), or as MP4 to "
        "standard output (-); for several inputs, name a folder.",
    ),
)
@pose_output_options
@frame_names_option
@tracking_options
@smoothing_options
@encoding_options
@view_options
@shared.output_options
@shared.resume_option
@attention_options
@reading_options
@shared.size_option
@shared.window_options
@shared.model_options
@shared.detector_options
@drawing_options
@trail_options
@shared.reporting_options
@click.pass_context
def video(ctx: click.Context, /, inputs: tuple[Path | str, ...], **options: Any) -> None:
    """Detect people in videos and estimate their keypoints; write annotated videos and JSON.

    INPUTS are files, URLs (http, https, rtsp, ...), camera numbers, - for standard input, or image sequences (a pattern
    such as %06d.png, or a zip file).

    \b
    tpose video walk.mp4 -o walk_pose.mp4 --json walk.json
    tpose video a.mp4 b.mp4 -o results/
    ffmpeg -i in.avi -f matroska - | tpose video - -o - | ffplay -
    """
    from tposecli.cli.watchers import exit_status, watcher
    from tposecli.pipeline.run import run_videos

    jobs = _jobs(inputs, options)
    watching = watcher(options["quiet"], options["log_json"], options["verbose"])
    summaries = run_videos(jobs, settings_of(options), watching)
    ctx.exit(exit_status(summaries, watching))


def _jobs(inputs: tuple[Path | str, ...], options: shared.Options) -> list[VideoJob]:
    """Return a job per input; several inputs share folders, in which each file takes its input's name."""
    from tposecli.pipeline.job import Outputs, VideoJob
    from tposecli.sources.locations import output_stem

    window, encoding = shared.window_of(options), encoding_of(options)
    several = len(inputs) > 1

    def place(option: str, path: Path | str, extension: str) -> Path | None:
        given: Path | None = options[option]
        if several and given == Path("-"):
            raise click.UsageError(f"--{option} -: standard output takes one input only; run the inputs one at a time")
        name = f"{output_stem(path)}{extension}"
        if several and given is not None:
            return given / name
        return shared.in_folder(given, name) if extension else given

    def outputs(path: Path | str) -> Outputs:
        poses = {row.name: place(row.parameter, path, row.suffix) for row in written_formats()}
        return Outputs(
            place("output", path, ".mp4"),
            {name: file for name, file in poses.items() if file is not None},
            place("attention", path, ""),
            place("attention_matrix", path, ".csv"),
            place("crops", path, ""),
        )

    reading = options["stream"], options["input_fps"]
    jobs = [VideoJob(path, outputs(path), window, encoding, *reading) for path in inputs]
    _refuse_clashes(jobs)
    return jobs


def _refuse_clashes(jobs: list[VideoJob]) -> None:
    """Refuse two inputs that write one file, and outputs that are inputs."""
    inputs = {job.input.resolve() for job in jobs if isinstance(job.input, Path)}
    taken: set[Path] = set()
    for job in jobs:
        for output in job.outputs.files:
            if output.resolve() in inputs:
                raise click.UsageError(f"{output} is an input; choose another output")
            if output.resolve() in taken:
                raise click.UsageError(f"two inputs would both be written to {output}; run them one at a time")
            taken.add(output.resolve())
