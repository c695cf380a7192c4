"""Run training in one process, or in several started by ``torchrun``, each with its own GPU."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tposecli.inference.runtime import resolve_device
from tposecli.utils.errors import UsageError

BARRIER_TIMEOUT = timedelta(hours=2)
"""How long the other processes wait while the main one reads the data or validates."""

_VARIABLES = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        device: Device of this process.
        rank: Number of this process.
        size: Number of processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files, validates and logs."""
        return self.rank == 0

    def wrap_ddp(self, net: nn.Module) -> nn.Module:
        """Return the net wrapped so that gradients are averaged over all processes."""
        if self.size == 1:
            return net
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=device_ids)

    def all_reduce_max(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """Return the latest clock of all processes, and whether any of them was asked to stop."""
        if self.size == 1:
            return seconds, stop
        values = torch.tensor([seconds, float(stop)], dtype=torch.float64, device=self.device)
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return float(values[0]), bool(values[1] > 0)

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join_team(device: str) -> Iterator[Team]:
    """Join the process group that the environment variables of ``torchrun`` describe.

    Args:
        device: As on the command line; with ``auto``, several processes take one GPU each.

    Raises:
        UsageError: The device does not exist, or there are fewer GPUs than processes.
    """
    size, rank, local_rank = (int(os.environ.get(name, value)) for name, value in _VARIABLES)
    if size == 1:
        yield Team(resolve_device(device))
        return
    own_gpu = device == "auto" and torch.cuda.is_available()
    if own_gpu and torch.cuda.device_count() <= local_rank:
        raise UsageError(f"torchrun started too many processes; use --nproc-per-node {torch.cuda.device_count()}")
    resolved = torch.device("cuda", local_rank) if own_gpu else resolve_device(device)
    if resolved.type == "cuda":
        torch.cuda.set_device(resolved)
    distributed.init_process_group("nccl" if resolved.type == "cuda" else "gloo", timeout=BARRIER_TIMEOUT)
    try:
        yield Team(resolved, rank, size)
    finally:
        distributed.destroy_process_group()


@dataclass
class StopRequest:
    """Defers SIGINT and SIGTERM until the current step is done; a second signal takes effect at once.

    Attributes:
        number: The signal that was received; 0 if none was.
    """

    number: int = 0
    _old: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._restore()

    def raise_signal(self) -> None:
        """Raise the signal that was received, if any, with its original handler."""
        self._restore()
        if self.number:
            signal.raise_signal(self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
        self._old.clear()
