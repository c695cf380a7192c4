"""How many processes share the work. Nothing heavy is imported here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click
from cloup import option_group

from tposecli.cli.command import MACHINE

if TYPE_CHECKING:
    from tposecli.cli.watchers import Reporter
    from tposecli.pipeline.cluster.options import ClusterOptions
    from tposecli.pipeline.job import Settings, VideoJob
    from tposecli.pipeline.summary import Summary

log = logging.getLogger("tposecli")

AUTO: Final = "auto"


def _workers(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == AUTO:
        return None
    if not (value.isascii() and value.isdecimal() and int(value)):
        raise click.BadParameter(f"{value!r} is not a number; expected auto or a number above 0", ctx, param)
    return int(value)


workers_option = option_group(
    MACHINE,
    click.option(
        "--workers",
        metavar="N",
        default="1",
        show_default=True,
        callback=_workers,
        help="Share the work among N processes, or auto: several videos, or one long video cut into segments.",
    ),
)


def run_jobs(
    jobs: Sequence[VideoJob],
    settings: Settings,
    reporter: Reporter,
    workers: int | None,
    cluster: ClusterOptions | None = None,
) -> Sequence[Summary]:
    """Run jobs in this process, in as many as are asked for (None: as many as keep this machine busy), or on a cluster.

    Raises:
        UsageError: Processes of this machine and a cluster are asked for.
    """
    from tposecli.pipeline.session import Session

    if not jobs:
        log.info("no input is in this shard")
        return []
    if cluster is not None:
        from tposecli.pipeline.cluster.run import run_on_cluster

        if workers != 1:
            raise click.UsageError("--workers is for this machine, and --cluster for several; give one of them")
        reporter.plan(len(jobs), together=True)
        return run_on_cluster(jobs, settings, cluster, reporter)
    from tposecli.pipeline.segments.parts import as_before, check_parts_here, has_parts, is_in_store

    settings = as_before(jobs, settings)
    if any(map(is_in_store, jobs)):
        Session(settings).check_videos(jobs)  # Whether the store can be used at all is said first.
    for job in jobs:
        check_parts_here(job, settings.flags)
    if workers != 1 or any(has_parts(job.outputs) for job in jobs):
        from tposecli.pipeline.segments.workers import run_in_workers, workers_of

        workers, settings = workers_of(workers, settings)
        reporter.plan(len(jobs), together=True)
        return run_in_workers(jobs, settings, workers, reporter)
    reporter.plan(len(jobs))
    return Session(settings, reporter).run_videos(jobs)
