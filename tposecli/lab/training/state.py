"""The state of a pose net's training: net, averaged weights, optimizer and clock; saved and restored exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tposecli.inference.options import FloatPrecision
from tposecli.lab.training.batches import Batch
from tposecli.lab.training.distributed import Team
from tposecli.lab.training.fast_gradients import with_fast_gradients
from tposecli.lab.training.job import Recipe
from tposecli.lab.training.shared import moving_average, read_checkpoint, write_checkpoint
from tposecli.lab.training.targets import heatmap_loss
from tposecli.lab.training.thread_shards import ThreadShards, can_be_sharded
from tposecli.models.pose_net import AFTER_BACKBONE, PoseNet
from tposecli.utils.errors import InputError, UsageError


def autocast_dtype(device: torch.device, precision: FloatPrecision) -> torch.dtype | None:
    """Return the dtype for autocast on a device; None for plain fp32.

    Raises:
        UsageError: fp16 was asked for on a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU; choose --precision bf16 or fp32")
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has_bf16 = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if has_bf16 else None


class TrainingState:
    """The state of a run, and one training step on it.

    Args:
        net: The net to train; moved to the team's device.
        recipe: How to train it.
        team: The processes that share the work.
        seed: Seeds the dropout.
        fast: On a CPU, rewrite the net for faster gradients, and give each thread samples of its own.
    """

    def __init__(self, net: PoseNet, recipe: Recipe, team: Team, seed: int, fast: bool = True) -> None:
        self.recipe, self.team, self.seed = recipe, team, seed
        _freeze_and_set_dropout(net, recipe)
        self.net = net.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = moving_average(self.net, recipe.averaging, lambda: self.step)  # A copy, of the plain net.
        self.shards: ThreadShards | None = None
        if fast and team.device.type == "cpu":
            with_fast_gradients(self.net)
            threads = torch.get_num_threads()
            if threads > 1 and team.size == 1 and can_be_sharded(self.net):
                self.shards = ThreadShards(self.net, threads)
        self.parallel_net = team.wrap_ddp(self.net)
        self.optimizer = _optimizer(self.net, recipe)
        self.dtype = autocast_dtype(team.device, recipe.precision)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.dtype is torch.float16)
        self.step = 0
        self.seconds = 0.0
        self.rate = 0.0
        self._recent: list[tuple[Tensor, Tensor]] = []

    def advance(self, batch: Batch, progress: float) -> None:
        """Train one step on a batch.

        The dropout is seeded by the seed, the step and the process, so that a resumed run draws the same masks.

        Args:
            batch: The samples of this process.
            progress: Share of the run that is done, 0..1, which determines the learning rate.
        """
        recipe, device = self.recipe, self.team.device
        seed = (self.seed * 1_000_003 + self.step) * 1024 + self.team.rank
        torch.manual_seed(seed)
        self.rate = recipe.rate_at(self.step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["part"]
        self.net.train()
        batch = Batch(*(part.to(device, non_blocking=True) for part in batch))
        if self.shards is None:
            loss = self.loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        else:
            loss = self.shards.backward(batch, self.loss, seed)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip or math.inf)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.net)
        self.step += 1
        self._recent.append((loss.detach(), norm.detach()))

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Return the (B, K, h, w) float32 heatmaps of (B, H, W, 3) uint8 crops on the device."""
        with self.autocast():
            maps: Tensor = self.parallel_net(self.net.normalize(crops).contiguous(memory_format=torch.channels_last))
        return maps.float()

    def autocast(self) -> torch.autocast:
        """Return the context in which nets run in the recipe's precision."""
        return torch.autocast(self.team.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of some samples on the device."""
        return heatmap_loss(self.heatmaps(batch.crops), batch.xy, batch.weight, self.recipe.sigma)

    def pop_means(self) -> tuple[float, float]:
        """Return the mean loss and the mean gradient norm since the last call.

        Raises:
            InputError: The loss is not finite.
        """
        loss, norm = torch.tensor([[float(value) for value in pair] for pair in self._recent]).double().mean(dim=0)
        self._recent.clear()
        if not math.isfinite(loss):
            raise InputError(
                f"step {self.step}: the loss is not finite; resume from the last checkpoint with --resume and a lower "
                "--rate, --clip 1, or --precision fp32"
            )
        return float(loss), float(norm)

    @property
    def averaged_net(self) -> PoseNet:
        """The net with the moving average of the weights."""
        net: PoseNet = self.average.module  # type: ignore[assignment]
        return net

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the checkpoint, together with facts about the run."""
        content: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "facts": facts}
        content["recent"] = [[float(value) for value in pair] for pair in self._recent]
        content |= {name: part.state_dict() for name, part in self._parts().items()}
        write_checkpoint(folder, content)

    def load(self, folder: Path) -> dict[str, Any]:
        """Restore the state from the checkpoint, and return the facts that were saved with it.

        Raises:
            InputError: There is no checkpoint, or it belongs to a different net.
        """
        content = read_checkpoint(folder, self._parts(), self.team.device)
        self.step, self.seconds = int(content["step"]), float(content["seconds"])
        self._recent = [(torch.tensor(loss), torch.tensor(norm)) for loss, norm in content["recent"]]
        facts: dict[str, Any] = content["facts"]
        return facts

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer, "scaler": self.scaler}


def _freeze_and_set_dropout(net: PoseNet, recipe: Recipe) -> None:
    """Freeze the parameters that the recipe names, and set the dropout.

    Raises:
        UsageError: No parameter's name starts with one of the given prefixes.
    """
    for prefix in recipe.freeze:
        names = [name for name, _ in net.named_parameters() if name.startswith(prefix)]
        if not names:
            parts = ", ".join(name for name, _ in net.named_children())
            raise UsageError(f"--freeze {prefix}: no parameter's name starts with it; the net has {parts}")
        for name in names:
            net.get_parameter(name).requires_grad_(False)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout


def _optimizer(net: nn.Module, recipe: Recipe) -> Optimizer:
    """Return the optimizer: weight decay only on kernels, and a separate learning rate for the backbone.

    Each parameter group stores its share of the learning rate as ``part``, which is also its key in checkpoints.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            part = 1.0 if name.startswith(AFTER_BACKBONE) else recipe.backbone
            groups.setdefault((decay, part), []).append(parameter)
    rows = [{"params": ps, "weight_decay": decay, "part": part} for (decay, part), ps in groups.items()]
    make: Callable[..., Optimizer] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return make(rows, lr=recipe.rate, fused=next(net.parameters()).device.type in ("cpu", "cuda"))
