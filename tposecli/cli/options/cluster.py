"""Options of runs on a cluster. Nothing heavy is imported here."""

from __future__ import annotations

import click
from cloup import option_group

from tposecli.cli.command import MACHINE
from tposecli.cli.options.common import Options
from tposecli.cli.options.fields import option_of
from tposecli.pipeline.cluster.options import ClusterOptions

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


def cluster_of(options: Options) -> ClusterOptions | None:
    """Return which cluster to use, and how; None for none.

    Raises:
        UsageError: An option of a cluster is given without one.
    """
    address = options["cluster"]
    if address is None and options["gpus_per_job"] is not None:
        raise click.UsageError("--gpus-per-job is for runs on a cluster; add --cluster")
    return None if address is None else ClusterOptions(address, options["gpus_per_job"], options["retries"])
