"""``tpose check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option_group

from tposecli.cli.command import FILES, RUN, Command
from tposecli.cli.options import common as shared
from tposecli.cli.options.pose_files import POSES, foreign_frames_options, pose_input_of, pose_options
from tposecli.cli.terminal import console, say

if TYPE_CHECKING:
    from tposecli.report.quality.check import RunQuality


@click.command(cls=Command, short_help="Check how good the poses of a run are.")
@click.argument("poses", type=POSES, metavar="FILE")
@pose_options
@foreign_frames_options
@option_group(FILES, click.option("--report", type=shared.FILE, help="Write a report, .json or .md."))
@shared.overwrite_option
@option_group(
    RUN,
    click.option(
        "--max-wrong",
        metavar="PERCENT",
        type=click.FloatRange(0, 100),
        help="Exit with status 1 if more than this share of the joints is probably wrong.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print nothing."),
)
@click.pass_context
def check(ctx: click.Context, /, poses: Path, **options: Any) -> None:
    """Check how good the poses of a run are, without any truth: which tracks and joints are probably wrong, and why.

    FILE is a journal (out.mp4.poses.jsonl) or another pose file or folder. A joint is wrong if it is off by more than a
    tenth of the person's height. The chances are estimated from scores, from how far measured and smoothed joints are
    apart, and from the people around.

    \b
    tpose check out.mp4.poses.jsonl
    tpose check out.mp4.poses.jsonl --report check.json --max-wrong 10
    """
    from tposecli.report.quality.check import check_run, markdown
    from tposecli.utils.files import check_output
    from tposecli.utils.report_tables import check_report, write_report

    report: Path | None = options["report"]
    check_report(report)
    if report is not None:
        check_output(report, options["overwrite"])
    found = check_run(pose_input_of(poses, options))
    if not options["quiet"]:
        _show(found)
    if report is not None:
        write_report(report, lambda: markdown(found), found.to_dict)
    most = options["max_wrong"]
    if most is not None and 100 * found.wrong > most:
        if not options["quiet"]:
            say(f"{found.poses}: {100 * found.wrong:.1f} % wrong, more than the {most:g} % of --max-wrong", err=True)
        ctx.exit(1)


def _show(found: RunQuality) -> None:
    """Print the verdict, a table of tracks, and what is odd about them."""
    from rich import box
    from rich.table import Table

    from tposecli.report.quality.check import HEADS, sentences, table

    out = console()
    out.print(f"{found.poses}: {found.verdict}", soft_wrap=True)
    if found.tracks:
        grid = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for place, head in enumerate(HEADS):
            grid.add_column(head, justify="right" if place else "left")
        for row in table(found):
            grid.add_row(*row)
        out.print(grid)
    for line in sentences(found):
        out.print(line, soft_wrap=True, highlight=False)
