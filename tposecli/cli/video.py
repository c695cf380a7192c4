"""``tpose video``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tposecli.cli import options as shared
from tposecli.cli.attention_options import attention_options
from tposecli.cli.drawing_options import drawing_options, trail_options

if TYPE_CHECKING:
    from tposecli.job import VideoJob


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Video to write; for several inputs a folder.")
@click.option("--json", type=click.Path(path_type=Path), help="Poses as COCO JSON; for several inputs a folder.")
@shared.smoothing_option
@shared.output_options
@shared.export_options
@attention_options
@shared.window_options
@shared.model_options
@shared.detector_options
@drawing_options
@trail_options
@shared.reporting_options
@click.pass_context
def video(ctx: click.Context, /, inputs: tuple[Path, ...], **options: Any) -> None:
    """Find the people of videos and their keypoints; write annotated videos and JSON.

    \b
    tpose video walk.mp4 -o walk_pose.mp4 --json walk.json
    tpose video a.mp4 b.mp4 -o results/
    """
    from tposecli.cli.report import exit_status, watcher
    from tposecli.runner import run_videos

    jobs = _jobs(inputs, options)
    summaries = run_videos(jobs, shared.settings_of(options), watcher(options["quiet"], options["log_json"]))
    ctx.exit(exit_status(summaries))


def _jobs(inputs: tuple[Path, ...], options: shared.Options) -> list[VideoJob]:
    """One job for each input; several share folders, in which each file takes its input's name."""
    from tposecli.job import Outputs, VideoJob

    window = shared.window_of(options)
    several = len(inputs) > 1

    def place(option: str, path: Path, extension: str) -> Path | None:
        given: Path | None = options[option]
        shared_folder = several or (extension and given is not None and given.is_dir())
        return given / f"{path.stem}{extension}" if given is not None and shared_folder else given

    def outputs(path: Path) -> Outputs:
        files = {name: place(name, path, extension) for name, extension in shared.EXPORTS.items()}
        files["attention"] = place("attention", path, "")
        files["attention_matrix"] = place("attention_matrix", path, ".csv")
        return Outputs(place("output", path, ".mp4"), **files)

    jobs = [VideoJob(path, outputs(path), window) for path in inputs]
    _refuse_clashes(jobs)
    return jobs


def _refuse_clashes(jobs: list[VideoJob]) -> None:
    """Two inputs must not write one file, and no output may be an input."""
    inputs = {job.input.resolve() for job in jobs}
    taken: set[Path] = set()
    for job in jobs:
        for output in job.outputs.wanted:
            if output.resolve() in inputs:
                raise click.UsageError(f"{output} is an input; choose another output")
            if output.resolve() in taken:
                raise click.UsageError(f"two inputs would both be written to {output}; run them one at a time")
            taken.add(output.resolve())
