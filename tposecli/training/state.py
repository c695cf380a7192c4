"""The state of a training run: net, moving average, optimizer, clock; written whole, read back exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from tposecli.inference.runtime import Precision
from tposecli.models.pose_net import AFTER_BACKBONE, PoseNet
from tposecli.training.batches import Batch
from tposecli.training.checkpoint import follow, read_checkpoint, write_checkpoint
from tposecli.training.distributed import Team
from tposecli.training.job import Recipe
from tposecli.training.targets import heatmap_loss
from tposecli.utils.errors import InputError, UsageError
from tposecli.utils.files import part_path, publish


def autocast_type(device: torch.device, precision: Precision) -> torch.dtype | None:
    """The type of the arithmetic on a device; None for plain fp32.

    Raises:
        UsageError: fp16 where there is no GPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU; choose --precision bf16 or fp32")
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if has else None


class State:
    """What a run knows, and its step.

    Args:
        net: To be trained; moved to the team's device.
        recipe: How.
        team: The processes that share the work.
        seed: Of the dropout.
    """

    def __init__(self, net: PoseNet, recipe: Recipe, team: Team, seed: int) -> None:
        self.recipe, self.team, self.seed = recipe, team, seed
        _prepare(net, recipe)
        self.net = net.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shared = team.share(self.net)
        self.average = AveragedModel(self.net, multi_avg_fn=self._averaged, use_buffers=True)
        self.optimizer = _optimizer(self.net, recipe)
        self.type = autocast_type(team.device, recipe.precision)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.type is torch.float16)
        self.step = 0
        self.seconds = 0.0
        self.rate = 0.0
        self._recent: list[tuple[Tensor, Tensor]] = []

    def advance(self, batch: Batch, progress: float) -> None:
        """One step; its dropout depends on the seed and the number of the step only."""
        recipe, device = self.recipe, self.team.device
        torch.manual_seed((self.seed * 1_000_003 + self.step) * 1024 + self.team.rank)
        self.rate = recipe.rate_at(self.step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["part"]
        self.net.train()
        crops, xy, weight = (part.to(device, non_blocking=True) for part in batch)
        with torch.autocast(device.type, self.type or torch.bfloat16, enabled=self.type is not None):
            maps = self.shared(self.net.normalize(crops).contiguous(memory_format=torch.channels_last))
        loss = heatmap_loss(maps.float(), xy, weight, recipe.sigma)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip or math.inf)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.net)
        self.step += 1
        self._recent.append((loss.detach(), norm.detach()))

    def recent(self) -> tuple[float, float]:
        """Mean loss and mean norm of the gradient since this was last asked.

        Raises:
            InputError: The loss is no longer a number.
        """
        loss, norm = torch.tensor([[float(value) for value in pair] for pair in self._recent]).double().mean(dim=0)
        self._recent.clear()
        if not math.isfinite(loss):
            raise InputError(
                f"step {self.step}: the loss is no longer a number; go on from the last checkpoint with --resume and a "
                "lower --rate, --clip 1, or --precision fp32"
            )
        return float(loss), float(norm)

    @property
    def averaged(self) -> PoseNet:
        """The net with the moving average of the weights."""
        net: PoseNet = self.average.module  # type: ignore[assignment]
        return net

    def _averaged(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        follow(averaged, current, self.step, self.recipe.averaging)

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the checkpoint, with facts about the run, whole or not at all."""
        content: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "facts": facts}
        content["recent"] = [[float(value) for value in pair] for pair in self._recent]
        content |= {name: part.state_dict() for name, part in self._parts().items()}
        write_checkpoint(folder, content)

    def load(self, folder: Path) -> dict[str, Any]:
        """Go on from the checkpoint; returns the facts that were saved with it.

        Raises:
            InputError: There is none, or it belongs to another net.
        """
        content = read_checkpoint(folder, self._parts(), self.team.device)
        self.step, self.seconds = int(content["step"]), float(content["seconds"])
        self._recent = [(torch.tensor(loss), torch.tensor(norm)) for loss, norm in content["recent"]]
        facts: dict[str, Any] = content["facts"]
        return facts

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer, "scaler": self.scaler}


def _prepare(net: PoseNet, recipe: Recipe) -> None:
    """Set what is not learnt, and the dropout.

    Raises:
        UsageError: Nothing has a name that begins so.
    """
    for beginning in recipe.freeze:
        names = [name for name, _ in net.named_parameters() if name.startswith(beginning)]
        if not names:
            parts = ", ".join(name for name, _ in net.named_children())
            raise UsageError(f"--freeze {beginning}: no parameter's name begins so; the net has {parts}")
        for name in names:
            net.get_parameter(name).requires_grad_(False)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout


def _optimizer(net: nn.Module, recipe: Recipe) -> Optimizer:
    """Weight decay on the kernels only; a learning rate of its own for the convolutional part."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            part = 1.0 if name.startswith(AFTER_BACKBONE) else recipe.backbone
            groups.setdefault((decay, part), []).append(parameter)
    rows = [{"params": ps, "weight_decay": decay, "part": part} for (decay, part), ps in groups.items()]
    make: Callable[..., Optimizer] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return make(rows, lr=recipe.rate, fused=next(net.parameters()).device.type in ("cpu", "cuda"))


def save_weights(net: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write a net's state as safetensors, fp32, with what it says of itself."""
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    save_file(state, part_path(path), metadata)
    publish(path)
