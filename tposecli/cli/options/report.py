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
    from collections.abc import Sequence

    from tposecli.formats.align import PoseInput
    from tposecli.pipeline.job import ImagesJob, Outputs, RunFlags, VideoJob
    from tposecli.pipeline.summary import Summary
    from tposecli.report.make import ReportJob


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
        help="Write a page of the run to look at and to mail, or a page for each of several inputs into a folder; see "
        "tpose report.",
    ),
)


def report_content_of(options: Options) -> ReportOptions:
    """Return what goes into a page."""
    return ReportOptions(options["embed"], options["why"], options["explain"])


def make_report_of(given: PoseInput, page: Path, options: Options, another: bool = False) -> None:
    """Make the page that ``tpose report`` is asked for, and say so."""
    from tposecli.report.make import ReportJob

    content, model = report_content_of(options), model_choice_of({"flip_test": False, **options})
    _make(ReportJob(given, page, content, model, another, options["overwrite"]), options)


def check_pages(pages: Sequence[Path | None], flags: RunFlags) -> None:
    """Check, before any work is done, that pages can be written.

    Raises:
        UsageError: One exists already.
        OutputError: A folder cannot be written.
    """
    from tposecli.hub.remote import address_of, is_stored
    from tposecli.utils.files import check_output

    for page in pages:
        if page is not None and is_stored(page):
            raise UsageError(f"{address_of(page)}: pages are written to this machine only; name a file or folder of it")
        if page is not None:
            check_output(page, flags.overwrite or flags.resume)


def pages_of_videos(
    jobs: Sequence[VideoJob], pages: Sequence[Path | None], summaries: Sequence[Summary], options: Options
) -> list[str]:
    """Make the pages of videos that were run, and return what to say of them."""
    return [
        _of_run(job.outputs, page, (str(job.input),) if Path(str(job.input)).is_file() else (), options)
        for job, page, summary in zip(jobs, pages, summaries, strict=True)
        if page is not None and not summary.failed
    ]


def page_of_images(job: ImagesJob, page: Path, options: Options) -> str:
    """Make the page of images that were run, and return what to say of it."""
    return _of_run(job.outputs, page, job.inputs, {**options, "recursive": job.recursive})


def _of_run(outputs: Outputs, page: Path, inputs: tuple[str, ...], options: Options) -> str:
    """Make the page of a run from its journal, with its own attention arrays if it wrote some."""
    from tposecli.formats.align import PoseInput
    from tposecli.formats.journal.journal import journal_path
    from tposecli.pipeline.outputs import is_archive
    from tposecli.report.make import ReportJob

    why = outputs.attention if outputs.attention is not None and is_archive(outputs.attention) else None
    given = PoseInput(journal_path(outputs.files[0]), inputs=inputs, recursive=options["recursive"])
    again = options["overwrite"] or options["resume"]
    job = ReportJob(given, page, ReportOptions(why=why), model_choice_of(options), overwrite=again)
    return _make(job, {**options, "quiet": True})


def _make(job: ReportJob, options: Options) -> str:
    """Make a page, say so, and return what was said."""
    from tposecli.report.make import make_report

    made = make_report(job)
    line = f"{job.output}: {made.frames} frames, {made.size / MEGABYTE:.1f} MB in {made.seconds:.1f} s"
    if options["log_json"]:
        facts = {"bytes": made.size, "frames": made.frames, "seconds": round(made.seconds, 3)}
        emit_event("report", path=str(job.output), **facts)
    elif not options["quiet"]:
        say(line, err=True)
    return line
