"""Options of runs on a cluster. Nothing heavy is imported here."""

from __future__ import annotations

import re

import click
from cloup import option_group

from tposecli.cli.command import MACHINE
from tposecli.cli.options.common import Options, seconds
from tposecli.cli.options.fields import option_of
from tposecli.pipeline.cluster.options import ClusterOptions

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


def duration(value: str) -> float:
    """Parse a duration, ``90``, ``90s``, ``10m``, ``1h30m`` or ``01:30:00``, to seconds.

    Raises:
        BadParameter: It is none, or 0.
    """
    found = _DURATION.fullmatch(value)
    hours, minutes, rest = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, seconds(value))
    total = hours * 3600 + minutes * 60 + rest
    if not total:
        raise click.BadParameter(f"{value!r} is not a duration; write 90s, 10m, 1h30m or HH:MM:SS")
    return total


cluster_options = option_group(
    MACHINE,
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Run the inputs on the nodes of a Ray cluster: auto (the one of this machine), local (one of this machine "
        "alone), HOST:6379 or ray://HOST:10001.",
    ),
    option_of(
        ClusterOptions,
        "gpus_per_job",
        "--gpus-per-job",
        metavar="X",
        help="GPUs of each job on a cluster; 0.25 puts four on one.  [1 if the cluster has any]",
    ),
    option_of(
        ClusterOptions,
        "retries",
        "--retries",
        metavar="N",
        help="Run a job again up to N times if its worker or node is lost.",
    ),
)

segment_option = option_group(
    MACHINE,
    option_of(
        ClusterOptions,
        "segment_s",
        "--segment",
        type=duration,
        metavar="TIME",
        help="Cut longer videos at key frames into segments of about TIME (10m, 1h30m), which run on all nodes.",
    ),
)


def cluster_of(options: Options) -> ClusterOptions | None:
    """Return which cluster to use, and how; None for none.

    Raises:
        UsageError: An option of a cluster is given without one.
    """
    address = options["cluster"]
    if address is not None:
        return ClusterOptions(address, options["gpus_per_job"], options["retries"], options.get("segment"))
    for name in ("gpus_per_job", "segment"):
        if options.get(name) is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for runs on a cluster; add --cluster")
    return None
