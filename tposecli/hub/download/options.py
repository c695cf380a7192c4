"""Whether and how files may be downloaded. No network code here: command lines are made from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

ProgressBar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""A progress display: takes a label and the total size in bytes, if known, and returns a context manager that yields a
function to be called with the number of bytes done."""


@contextmanager
def no_progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show no progress."""
    yield lambda done: None


def offline_by_environment() -> bool:
    """Return whether ``TPOSE_OFFLINE`` forbids using the network."""
    return os.environ.get("TPOSE_OFFLINE", "").strip().lower() not in ("", "0", "f", "false", "n", "no", "off")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts and number of attempts.

    Attributes:
        connect_s: Connection timeout in seconds, for each IP address of the host. The duration of name resolution is up
            to the operating system.
        stall_s: Timeout without receiving a byte.
        tries: Total number of requests to one URL.
        pause_s: Delay before the second attempt; doubled before each further one.
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    tries: int = 4
    pause_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Downloads:
    """Whether and how files may be downloaded.

    Attributes:
        offline: Open no socket; defaults to ``TPOSE_OFFLINE``.
        retry: Timeouts and number of attempts.
        bar: Progress display.
    """

    offline: bool = field(default_factory=offline_by_environment)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    bar: ProgressBar = field(default=no_progress, repr=False, compare=False)
