"""``tpose convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tposecli.cli import options as shared
from tposecli.cli.drawing_options import min_score_option
from tposecli.cli.settings import replay_settings_of


@click.command()
@click.argument("journal", type=shared.FILE)
@shared.replay_options
@min_score_option
@shared.reporting_options
def convert(journal: Path, **options: Any) -> None:
    """Turn a JOURNAL (out.mp4.poses.jsonl) into other files of poses, without the video and without the net.

    \b
    tpose convert out.mp4.poses.jsonl --csv out.csv
    tpose convert out.mp4.poses.jsonl --openpose out/ --smooth none
    """
    from tposecli.cli.report import watcher
    from tposecli.job import Outputs
    from tposecli.replay import ConvertJob
    from tposecli.replay import convert as run

    job = ConvertJob(journal, Outputs(**shared.named_outputs(options)))
    run(job, replay_settings_of(options), watcher(options["quiet"], options["log_json"]))
