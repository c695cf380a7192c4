"""What both trainers share: log lines, halves of data sets, schedule, averaged weights, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tposecli.utils.errors import InputError
from tposecli.utils.files import new_file, refuse_existing, write_text

LogCallback = Callable[[str], None]
"""Receives the progress lines of a run."""

CHECKPOINT: Final = "checkpoint.pt"
WEIGHTS_SUFFIX: Final = ".safetensors"


def check_new_run(folder: Path, files: Iterable[str], resume: bool) -> bool:
    """Check that a run replaces no files that it has not written; return whether it has a checkpoint to resume from.

    Args:
        folder: The folder of the run.
        files: What it writes besides the checkpoint, weights first.
        resume: Whether to continue the run in the folder; one that was stopped before its first checkpoint starts over.

    Raises:
        UsageError: A file exists.
    """
    begun_without = not (folder / CHECKPOINT).is_file() and any((folder / name).is_file() for name in files)
    if resume and not begun_without:
        return True  # Reading the checkpoint fails if there is no run at all.
    weights = [name for name in files if name.endswith(WEIGHTS_SUFFIX)]
    begun = not resume and (folder / CHECKPOINT).exists()
    remedy = "resume that run with --resume, or choose another --output" if begun else "choose another --output"
    refuse_existing((folder / name for name in (CHECKPOINT, *(weights if resume else files))), False, remedy)
    return False


def check_render_folder(folder: Path, names: Iterable[str], record: str = "rendered.txt") -> None:
    """Create a folder for rendered images, or check that the images in it are of an earlier call.

    Args:
        folder: The folder.
        names: Files that will be written.
        record: Name of a file that is in the folder from the first image on.

    Raises:
        UsageError: A file exists, and no earlier call has written it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / record).is_file():
        refuse_existing((folder / name for name in names), False, "choose another folder for what is rendered")
        write_text(folder / record, "")


def half_slice(half: str) -> slice:
    """Return the slice of the images of a half: ``even`` or ``odd`` positions, or all for an empty string."""
    return {"": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[half]


def moving_average(net: nn.Module, decay: float, step: Callable[[], int]) -> AveragedModel:
    """Return a copy of the net that follows its weights as an exponential moving average.

    Args:
        net: The net in training; call ``update_parameters`` with it after each step.
        decay: Share of the average that is kept at each step.
        step: Returns the number of the current step.
    """

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        update_average(averaged, current, step(), decay)

    return AveragedModel(net, multi_avg_fn=update, use_buffers=True)


@torch.no_grad()
def update_average(averaged: Sequence[Tensor], current: Sequence[Tensor], step: int, decay: float) -> None:
    """Move averages towards the current values, in place.

    Early steps keep less than ``decay`` of the average, so that the initial weights are soon forgotten.
    """
    keep = min(decay, (1 + step) / (20 + step))
    for old, new in zip(averaged, current, strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old.dtype), 1 - keep)
        else:
            old.copy_(new)


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint of a run, replacing the old one only once it is complete."""
    path = folder / CHECKPOINT
    with new_file(path) as temporary:
        torch.save(dict(content), temporary)


def read_checkpoint(folder: Path, parts: Mapping[str, Any], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Load the states of all parts from the checkpoint, by name, and return the checkpoint's whole content.

    Raises:
        InputError: There is no checkpoint, or it belongs to a different net.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint to resume from; leave out --resume, or name the folder of the run")
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (RuntimeError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{path}: not a checkpoint of this net ({error}); name the folder of a run of the same model"
        ) from error
    return content


def save_weights(net: nn.Module, path: Path, metadata: dict[str, str] | None = None, half: bool = False) -> None:
    """Write a net's state as safetensors.

    Args:
        net: The net.
        path: The file, replaced only once it is complete.
        metadata: Stored in the file's header.
        half: Write floating-point values as fp16 instead of as they are.
    """
    state = {}
    for name, value in net.state_dict().items():
        value = value.detach().cpu()
        state[name] = (value.half() if half and value.is_floating_point() else value).contiguous()
    with new_file(path) as temporary:
        save_file(state, temporary, metadata)
