"""One process, or several that ``torchrun`` started, each with a GPU of its own."""

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

PATIENCE = timedelta(hours=2)
"""The others wait so long while the first measures."""


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        device: Of this one.
        rank: Number of this one.
        size: How many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def chief(self) -> bool:
        """Whether this one writes, measures and talks."""
        return self.rank == 0

    def share(self, net: nn.Module) -> nn.Module:
        """The net, with gradients averaged over all processes."""
        if self.size == 1:
            return net
        places = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=places)

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The latest clock of all, and whether anybody was told to stop."""
        if self.size == 1:
            return seconds, stop
        values = torch.tensor([seconds, float(stop)], dtype=torch.float64, device=self.device)
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return float(values[0]), bool(values[1] > 0)

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """The team that this process belongs to, by the environment that ``torchrun`` sets.

    Args:
        device: In the words of the command line; several processes take a GPU each.

    Raises:
        UsageError: There is no such device, or there are fewer GPUs than processes.
    """
    size, rank, local = (int(os.environ.get(name, value)) for name, value in _VARIABLES)
    if size == 1:
        yield Team(resolve_device(device))
        return
    several = device == "auto" and torch.cuda.is_available()
    if several and torch.cuda.device_count() <= local:
        raise UsageError(f"torchrun started more processes than there are GPUs ({torch.cuda.device_count()})")
    where = torch.device("cuda", local) if several else resolve_device(device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    distributed.init_process_group("nccl" if where.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Team(where, rank, size)
    finally:
        distributed.destroy_process_group()


_VARIABLES = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


@dataclass
class StopRequest:
    """Ctrl-C and SIGTERM as a wish that is granted between two steps; given twice they act at once.

    Attributes:
        number: Of the signal that came; 0 if none did.
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
        """Let the signal do what it would have done."""
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
