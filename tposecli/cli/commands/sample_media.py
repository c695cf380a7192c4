"""``tpose sample-media``."""

from __future__ import annotations

from pathlib import Path

import click

from tposecli.cli.command import Command
from tposecli.cli.options import common as shared
from tposecli.cli.terminal import say


@click.command("sample-media", cls=Command, short_help="Render sample clips and images with ground truth.")
@click.argument("folder", type=shared.FOLDER)
@click.option("--overwrite", is_flag=True, help="Replace existing clips and images.")
def sample_media(folder: Path, overwrite: bool) -> None:
    """Render the sample clips and images, with exact ground truth as COCO JSON, into FOLDER.

    Takes some minutes; the same library versions produce the same files.

    \b
    tpose sample-media media/
    """
    from tposecli.lab.synth.sample_media import make_all

    make_all(folder, overwrite, say)
