"""``tpose render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tposecli.cli import options as shared
from tposecli.cli.drawing_options import drawing_options, trail_options
from tposecli.cli.encoding_options import encoding_of, encoding_options, view_options
from tposecli.cli.settings import replay_settings_of


@click.command()
@click.argument("journal", type=shared.FILE)
@click.option("--input", "-i", "inputs", multiple=True, required=True, help="The video, or the pictures, it is of.")
@click.option("--output", "-o", type=shared.OUTPUT, help="Video to write; a folder for pictures.")
@click.option("--another-video", is_flag=True, help="The video is another file with the same frames.")
@click.option("--recursive", "-r", is_flag=True, help="Look for pictures in the folders of the folders, too.")
@shared.replay_options
@encoding_options
@view_options
@drawing_options
@trail_options
@shared.reporting_options
def render(journal: Path, inputs: tuple[str, ...], output: Path, **options: Any) -> None:
    """Draw the poses of a JOURNAL (out.mp4.poses.jsonl) again, in another way, without the net.

    \b
    tpose render out.mp4.poses.jsonl -i in.mp4 -o black.mp4 --background black --colour-by track
    """
    from tposecli.cli.report import watcher
    from tposecli.job import Outputs
    from tposecli.replay import RenderJob
    from tposecli.replay import render as run

    outputs = Outputs(output, crops=options["crops"], **shared.named_outputs(options))
    job = RenderJob(journal, inputs, outputs, options["another_video"], options["recursive"], encoding_of(options))
    run(job, replay_settings_of(options), watcher(options["quiet"], options["log_json"]))
