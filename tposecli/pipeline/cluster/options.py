"""Options of a run on a cluster. Nothing heavy is imported here: the command line takes its defaults from it."""

from __future__ import annotations

from dataclasses import dataclass

from tposecli.utils.option_fields import NumberRange, check_ranges, number


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster, and how jobs are placed on it.

    Attributes:
        address: ``auto`` for the one that this machine belongs to, ``local`` for one of this machine alone, or the
            address of its head: ``HOST:6379`` from a machine of the cluster, ``ray://HOST:10001`` from elsewhere.
        gpus_per_job: GPUs that one job takes, also a fraction; None for one if the cluster has any, else none.
        retries: How many times a job runs again whose worker or node is lost.
        segment_s: Longer videos are cut into segments of about that many seconds, a job each; None does not cut.
    """

    address: str = "auto"
    gpus_per_job: float | None = number(None, NumberRange(0, 16))
    retries: int = number(2, NumberRange(0, 100, whole=True))
    segment_s: float | None = number(None, NumberRange(0, low_open=True))

    def __post_init__(self) -> None:
        check_ranges(self)
