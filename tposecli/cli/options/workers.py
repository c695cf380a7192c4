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
    from tposecli.pipeline.job import ImagesJob, Settings, VideoJob
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
        help="Share the work among N processes, or auto: inputs, or one long video cut into segments.",
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

        _check_one(workers)
        reporter.plan(len(jobs), together=True)
        return run_on_cluster(jobs, settings, cluster, reporter)
    from tposecli.pipeline.segments.parts import as_before, check_parts, has_parts, is_in_store, lacks_of

    settings = as_before(jobs, settings)
    if any(map(is_in_store, jobs)):
        Session(settings).check_videos(jobs)  # Whether the store can be used at all is said first.
    for job in jobs:
        check_parts(job, settings.flags, lacks_of(job))
    if workers != 1 or any(has_parts(job.outputs) for job in jobs):
        from tposecli.pipeline.segments.workers import run_in_workers, workers_of

        workers, settings = workers_of(workers, settings)
        reporter.plan(len(jobs), together=True)
        return run_in_workers(jobs, settings, workers, reporter)
    reporter.plan(len(jobs))
    return Session(settings, reporter).run_videos(jobs)


def run_images(
    job: ImagesJob,
    settings: Settings,
    reporter: Reporter,
    workers: int | None,
    cluster: ClusterOptions | None = None,
) -> Summary:
    """Run a job over images in this process, in several, or on a cluster, as :func:`run_jobs` does.

    Raises:
        UsageError: Processes of this machine and a cluster are asked for.
    """
    from tposecli.pipeline.segments.parts import as_before, has_parts, is_in_store
    from tposecli.pipeline.session import Session

    if cluster is not None:
        from tposecli.pipeline.cluster.run import run_images_on_cluster

        _check_one(workers)
        reporter.plan(1, together=True)
        return run_images_on_cluster(job, settings, cluster, reporter)
    settings = as_before([job], settings)
    if workers != 1 or (not is_in_store(job) and has_parts(job.outputs)):
        from tposecli.pipeline.segments.workers import run_images_in_workers, workers_of

        workers, settings = workers_of(workers, settings)
        reporter.plan(1, together=True)
        return run_images_in_workers(job, settings, workers, reporter)
    return Session(settings, reporter).run(job)


def _check_one(workers: int | None) -> None:
    if workers != 1:
        raise click.UsageError("--workers is for this machine, and --cluster for several; give one of them")
