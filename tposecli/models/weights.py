"""Finding, checking and loading checkpoints."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tposecli.errors import UsageError, WeightsError
from tposecli.files import sha256_of
from tposecli.models import build
from tposecli.models.catalog import AUTO_BUNDLED, AUTO_OFFICIAL, ModelSpec, find_spec
from tposecli.models.encoder import sine_embedding
from tposecli.models.net import PoseNet

log = logging.getLogger("tposecli")

PACKAGE = Path(__file__).resolve().parent.parent
EMBEDDING = "pos_embedding"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model and the file its weights are in."""

    spec: ModelSpec
    path: Path

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return sha256_of(self.path)


def cache_dir() -> Path:
    """Where downloaded weights are kept: ``TPOSE_HOME``, else the platform's cache folder."""
    return Path(os.environ.get("TPOSE_HOME") or platformdirs.user_cache_dir("tpose"))


def bundled_file(name: str) -> Path | None:
    """A file that comes with the program: in the installed package, else in the repository."""
    places = (PACKAGE / "_weights" / name, PACKAGE.parent / "weights" / name)
    return next((path for path in places if path.is_file()), None)


def locate(spec: ModelSpec) -> Path | None:
    """The model's checkpoint on this machine, if there is one."""
    if spec.bundled:
        return bundled_file(spec.file)
    cached = cache_dir() / spec.file
    return cached if cached.is_file() else None


def resolve(model: str = "auto", weights: Path | None = None) -> Checkpoint:
    """The checkpoint that ``--model`` and ``--weights`` stand for.

    ``auto`` is the official R-A4 where its file is in the cache, else the bundled model; a log line says which.

    Raises:
        UsageError: ``weights`` without a model that says what they are for.
        WeightsError: The file is not on this machine.
    """
    if weights is not None:
        if model == "auto":
            raise UsageError(f"--weights {weights}: say with --model which model these weights are for")
        if not weights.is_file():
            raise WeightsError(f"{weights}: no such weights file")
        return Checkpoint(find_spec(model), weights)
    if model == "auto":
        model = AUTO_OFFICIAL if locate(find_spec(AUTO_OFFICIAL)) else AUTO_BUNDLED
        origin = "official weights from the cache" if model == AUTO_OFFICIAL else "the bundled model"
        log.info("model: %s (%s)", model, origin)
    spec = find_spec(model)
    path = locate(spec)
    if path is None:
        raise WeightsError(
            f"{spec.name}: its weights are not on this machine; download {spec.url} and put it at "
            f"{cache_dir() / spec.file}, or name the file with --weights"
            if spec.url
            else f"{spec.name}: the bundled file {spec.file} is missing; install the package again"
        )
    return Checkpoint(spec, path)


def load(checkpoint: Checkpoint, input_hw: tuple[int, int] | None = None) -> PoseNet:
    """The net with its weights, in evaluation mode, on the CPU.

    Raises:
        WeightsError: The file is damaged, or belongs to another model.
    """
    net = build(checkpoint.spec.name, input_hw)
    state = read_state(checkpoint.path)
    _fit_embedding(net, state, checkpoint.path)
    load_strictly(net, state, checkpoint)
    return net


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.safetensors`` or ``.pth`` file; never runs code from it.

    Training checkpoints that hold the state under ``state_dict``, and the prefix ``module.`` of parallel training,
    are understood.

    Raises:
        WeightsError: Not a checkpoint, or one that would have to run code to be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, it holds more than tensors; reading it could run code") from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); get the file again") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: expected a state dict (names and tensors), got something else")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def load_strictly(net: torch.nn.Module, state: dict[str, Tensor], checkpoint: Checkpoint) -> None:
    """Load every key, no more and no fewer."""
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{checkpoint.path}: these are not the weights of {checkpoint.spec.name}; choose the model they belong to "
            f"with --model ({str(error).splitlines()[1].strip()})"
        ) from error


def _fit_embedding(net: PoseNet, state: dict[str, Tensor], path: Path) -> None:
    """Replace a position embedding made for another crop size by the one of this size."""
    stored = state.get(EMBEDDING)
    if stored is None or stored.shape == net.pos_embedding.shape or stored.shape[2] != net.pos_embedding.shape[2]:
        return
    state[EMBEDDING] = sine_embedding(net.grid_hw, stored.shape[2])
    log.info("%s: position embedding of %d cells replaced by one of %s", path.name, len(stored), net.grid_hw)
