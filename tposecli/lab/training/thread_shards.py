"""Gradients of a batch on a CPU, each thread with a share of the samples.

Threads that share a sample wait for each other after every operation, and small operations gain nothing; threads with
samples of their own do not, as in data-parallel training by several processes, but here they share the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tposecli.lab.training.batches import Batch
from tposecli.lab.training.fast_gradients import own_draws
from tposecli.utils.threads import ParallelMap

Part = tuple[int, Batch]


class ThreadShards:
    """Computes gradients; a batch is always cut in the same way, so that a resumed run equals an undisturbed one.

    Args:
        net: The net, without batch normalisation: statistics would be those of a share.
        threads: Number of threads, each of which computes alone.
    """

    def __init__(self, net: nn.Module, threads: int) -> None:
        self._parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self._threads = threads
        self._map = ParallelMap(threads, "shard")

    def backward(self, batch: Batch, loss_of: Callable[[Batch], Tensor], seed: int) -> Tensor:
        """Set the parameters' gradients to those of the batch's mean loss, and return that.

        Args:
            batch: The samples.
            loss_of: Returns the mean loss of some samples.
            seed: Seeds the dropout, together with the number of the share.
        """
        size = len(batch.crops)
        columns = [torch.tensor_split(part, min(self._threads, size)) for part in batch]
        parts = [Batch(*rows) for rows in zip(*columns, strict=True)]

        def differentiate(part: Part) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            number, samples = part
            torch.set_num_threads(1)  # Of this thread, and of those that are started later.
            with own_draws(seed * 1024 + number):
                loss = loss_of(samples) * (len(samples.crops) / size)
                return loss.detach(), torch.autograd.grad(loss, self._parameters, allow_unused=True)

        losses, gradients = zip(*self._map(differentiate, enumerate(parts)), strict=True)
        for parameter, *found in zip(self._parameters, *gradients, strict=True):
            used = [gradient for gradient in found if gradient is not None]
            # In the layout of the parameter, which fused optimizers rely on.
            parameter.grad = torch.empty_like(parameter).copy_(torch.stack(used).sum(dim=0)) if used else None
        return torch.stack(losses).sum()


def can_be_sharded(net: nn.Module) -> bool:
    """Return whether no sample's output depends on the other samples of its batch."""
    return not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
