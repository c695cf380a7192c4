"""``tpose join``."""

from __future__ import annotations

from pathlib import Path

import click
from cloup import option_group

from tposecli.cli.command import FILES, RUN, Command
from tposecli.cli.options.common import FILE, OUTPUT, command_line, overwrite_option, quiet_option
from tposecli.cli.terminal import say


@click.command(cls=Command, short_help="Join the journals of segments of a video.")
@click.argument("journals", nargs=-1, required=True, type=FILE)
@option_group(
    FILES,
    click.option(
        "--output", "-o", type=OUTPUT, required=True, metavar="FILE.poses.jsonl", help="The journal to write."
    ),
)
@overwrite_option
@option_group(RUN, quiet_option)
def join(journals: tuple[Path, ...], output: Path, overwrite: bool, quiet: bool) -> None:
    """Join the journals of segments of one video, made with --start and --end, to one journal of the whole.

    tpose convert and tpose render make of it what one run over the whole video would have made: people keep their ids,
    and paths are smooth, over the joints.

    \b
    tpose video in.mp4 --json a.json --end 600
    tpose video in.mp4 --json b.json --start 600
    tpose join a.json.poses.jsonl b.json.poses.jsonl -o in.poses.jsonl
    tpose convert in.poses.jsonl --json in.json
    """
    from tposecli.pipeline.segments.join import join_journals
    from tposecli.utils.files import check_output

    if output.suffix.lower() != ".jsonl":
        raise click.BadParameter(f"{output}: expected the name of a journal: .poses.jsonl", param_hint="-o")
    check_output(output, overwrite)
    frames = join_journals(journals, output, command=command_line(), replace_it=overwrite)
    if not quiet:
        say(f"{output}: {frames} frames of {len(journals)} journals", err=True)
