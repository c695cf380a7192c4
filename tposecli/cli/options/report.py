"""Options of reports, and the report that they ask for. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from cloup import option_group

from tposecli.cli.command import ATTENTION, FILES
from tposecli.cli.options.common import FILE, OUTPUT, Options, model_choice_of, together
from tposecli.cli.terminal import emit_event, say
from tposecli.report.options import MEGABYTE, ReportOptions, parse_size
from tposecli.utils.errors import UsageError

if TYPE_CHECKING:
    from tposecli.formats.align import PoseInput


def _size(_: click.Context, __: click.Parameter, value: str) -> int:
    try:
        return parse_size(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


report_content_options = together(
    option_group(
        FILES,
        click.option(
            "--embed",
            metavar="SIZE",
            callback=_size,
            default=f"{ReportOptions().embed_bytes // MEGABYTE}MB",
            show_default=True,
            help="Put a video of up to this size into the page, scaled to 640 if needed; link a larger one.",
        ),
    ),
    option_group(
        ATTENTION,
        click.option("--attention", "why", type=FILE, help="Show the run's own attention arrays (.npz)."),
        click.option(
            "--explain/--no-explain",
            default=True,
            show_default=True,
            help="Compute attention for the worst and some regular moments, which takes a few seconds.",
        ),
    ),
)

report_option = option_group(
    FILES,
    click.option(
        "--report",
        type=OUTPUT,
        metavar="FILE.html",
        help="Write a page of the run to look at and to mail; see tpose report.",
    ),
)


def report_content_of(options: Options) -> ReportOptions:
    """Return what goes into a page."""
    return ReportOptions(options["embed"], options["why"], options["explain"])


def make_report_of(given: PoseInput, page: Path, options: Options, another: bool = False) -> None:
    """Make the page and say so."""
    from tposecli.report.make import ReportJob, make_report

    content = ReportOptions(options["embed"], options["why"], options["explain"])
    job = ReportJob(
        given, page, content, model_choice_of({"flip_test": False, **options}), another, options["overwrite"]
    )
    made = make_report(job)
    if options["log_json"]:
        emit_event("report", path=str(page), bytes=made.size, frames=made.frames, seconds=round(made.seconds, 3))
    elif not options["quiet"]:
        say(f"{page}: {made.frames} frames, {made.size / MEGABYTE:.1f} MB in {made.seconds:.1f} s", err=True)
