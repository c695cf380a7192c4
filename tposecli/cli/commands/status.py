"""``tpose status``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, INPUT, Command
from tposecli.cli.options.common import FILE, FOLDER, overwrite_option
from tposecli.cli.terminal import say


@click.command(cls=Command, short_help="Show which videos are done, and which are not.")
@click.argument("folder", type=FOLDER)
@option_group(
    INPUT,
    click.option("--input", "-i", "inputs", multiple=True, metavar="INPUT", help="A video, folder or pattern."),
    click.option("--recursive", "-r", is_flag=True, help="Look into subfolders of folders, too."),
    click.option("--inputs-from", "lists", metavar="FILE", multiple=True, help="Read more inputs from this file."),
)
@option_group(FILES, click.option("--json", type=FILE, help="Write the states as JSON; - for standard output."))
@overwrite_option
@click.pass_context
def status(ctx: click.Context, /, folder: Path, **options: Any) -> None:
    """Show which videos of a run of tpose video are done, running, interrupted, failed or missing.

    FOLDER is the folder of the outputs; their journals say how far each is. With the inputs of the run, those that were
    not begun are listed as missing, or as failed if they cannot be read. The exit status is 0 if all are done, else 1.

    \b
    tpose status results/ -i clips/ -r
    tpose status results/ -i clips/ -r --json -
    """
    from tposecli.formats.journal.journal import SUFFIX
    from tposecli.pipeline.status import DONE, STATES, status_of
    from tposecli.sources import find_videos
    from tposecli.utils.files import check_output, write_text

    target: Path | None = options["json"]
    to_file = target is not None and str(target) != "-"
    if target is not None and to_file:
        check_output(target, options["overwrite"])
    inputs, lists = options["inputs"], options["lists"]
    videos = find_videos(inputs, options["recursive"], lists, SUFFIX) if inputs or lists else ()
    found = status_of(folder, videos)
    counts = {state: sum(each.state == state for each in found) for state in STATES}
    text = json.dumps({"counts": counts, "inputs": [each.to_dict() for each in found]}, indent=1) + "\n"
    if target is not None and to_file:
        write_text(target, text)
    if target is not None and not to_file:
        say(*text.rstrip().split("\n"))
    else:
        for each in found:
            if each.state != DONE:
                say(f"{each.name}: {each.state}, {each.reason or f'{each.frames} frames'}")
        say(f"{len(found)} videos: {', '.join(f'{number} {state}' for state, number in counts.items() if number)}")
    ctx.exit(0 if counts[DONE] == len(found) else 1)
