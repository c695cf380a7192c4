"""Load checkpoints into nets."""

from __future__ import annotations

import logging
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tposecli.hub.checkpoints.resolve import Checkpoint
from tposecli.models import build
from tposecli.models.encoder import sine_embedding
from tposecli.models.pose_net import PoseNet
from tposecli.utils.errors import WeightsError

log = logging.getLogger("tposecli")

UNREADABLE: Final = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, SafetensorError, struct.error),
)
"""What reading a damaged checkpoint raises, depending on where it breaks."""

EMBEDDING = "pos_embedding"


def load(checkpoint: Checkpoint, input_hw: tuple[int, int] | None = None) -> PoseNet:
    """Return the net with its weights, in evaluation mode, on the CPU.

    Raises:
        WeightsError: The file is damaged, or belongs to another model.
    """
    net = build(checkpoint.spec.name, input_hw or checkpoint.spec.input_hw, len(checkpoint.layout))
    state = read_state(checkpoint.path)
    _fit_embedding(net, state, checkpoint.path)
    load_strictly(net, state, checkpoint)
    return net


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict from a ``.safetensors`` or ``.pth`` file, without ever executing code from it.

    Training checkpoints that hold the state under ``state_dict``, and the prefix ``module.`` of ``DataParallel``, are
    accepted.

    Raises:
        WeightsError: It is not a checkpoint, or could only be read by executing code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it contains more than tensors, and reading it could execute code; "
            "save the state dict alone, as .safetensors"
        ) from error
    except UNREADABLE as error:
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); download the file again") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: expected a state dict (names and tensors), got something else")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def load_strictly(net: torch.nn.Module, state: dict[str, Tensor], checkpoint: Checkpoint) -> None:
    """Load a state dict whose keys must match those of the net exactly.

    Raises:
        WeightsError: They do not match.
    """
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{checkpoint.path}: not the weights of {checkpoint.spec.name}; choose the model they belong to "
            f"with --model ({str(error).splitlines()[1].strip()})"
        ) from error


def _fit_embedding(net: PoseNet, state: dict[str, Tensor], path: Path) -> None:
    """Replace a position embedding that was made for another crop size."""
    stored = state.get(EMBEDDING)
    if stored is None or stored.shape == net.pos_embedding.shape or stored.shape[2] != net.pos_embedding.shape[2]:
        return
    state[EMBEDDING] = sine_embedding(net.grid_hw, stored.shape[2])
    log.info("%s: position embedding of %d cells replaced by one of %s", path.name, len(stored), net.grid_hw)
