"""What every training run keeps: a checkpoint that is whole or not there, and a moving average of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tposecli.utils.errors import InputError
from tposecli.utils.files import part_path, publish

CHECKPOINT: Final = "checkpoint.pt"


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint of a run."""
    path = folder / CHECKPOINT
    torch.save(dict(content), part_path(path))
    publish(path)


def read_checkpoint(folder: Path, parts: Mapping[str, Any], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Give each part back the state that the checkpoint holds under its name; returns the whole content.

    Raises:
        InputError: There is no checkpoint, or it belongs to another net.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{path}: nothing to resume from; leave out --resume or name the folder of the run")
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (RuntimeError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: not a checkpoint of this net ({error})") from error
    return content


@torch.no_grad()
def follow(averaged: Sequence[Tensor], current: Sequence[Tensor], step: int, most: float) -> None:
    """Move averages towards the weights of a step, keeping ``most`` of them; the younger the run, the less."""
    keep = min(most, (1 + step) / (20 + step))
    for old, new in zip(averaged, current, strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old.dtype), 1 - keep)
        else:
            old.copy_(new)
