"""Load initial weights: every tensor of a checkpoint that fits the net, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from torch import Tensor

from tposecli.hub.checkpoints.load import EMBEDDING, read_state
from tposecli.hub.checkpoints.resolve import fetch
from tposecli.hub.download.download import RemoteFile
from tposecli.hub.download.options import Downloads
from tposecli.lab.training.movenet import start_from_movenet
from tposecli.models.catalog import ModelSpec
from tposecli.models.pose_net import PoseNet
from tposecli.models.transpose_m import TransPoseM
from tposecli.utils.errors import UsageError

Crops = Callable[[int], Tensor]
IMAGENET: Final = "imagenet"
FIT_CROPS: Final = 512
"""Number of crops on which MoveNet's weights are fitted to the net."""
TORCHVISION: Final = "https://download.pytorch.org/models/"
TORCHVISION_WEIGHTS: Final[dict[str, tuple[str, str, int]]] = {
    "resnet18": ("resnet18-f37072fd.pth", "f37072fd", 46_000_000),
    "resnet50": ("resnet50-0676ba61.pth", "0676ba61", 102_000_000),
}
"""Torchvision's ImageNet weights: file name, prefix of its SHA-256, and minimum size in bytes."""


def load_initial_weights(net: PoseNet, spec: ModelSpec, init: str, downloads: Downloads, crops: Crops) -> str:
    """Copy every tensor that fits into the net, and return a log line about it.

    Args:
        net: The net to train.
        spec: Its row in the catalogue.
        init: ``imagenet``, or a file: a checkpoint of a pose model, of torchvision's ResNet or of an HRNet, or
            MoveNet's ``movenet-thunder.json``.
        downloads: How torchvision's weights may be downloaded.
        crops: Returns the requested number of crops of people, (N, H, W, 3) uint8; called only for MoveNet's weights.

    Raises:
        UsageError: There are no such weights for this net, or no tensor of the file fits it.
        WeightsError: The file cannot be downloaded or read.
    """
    path = _torchvision_weights(spec, downloads) if init == IMAGENET else Path(init).expanduser()
    if not path.is_file():
        raise UsageError(f"--init {path}: no such file; check the name")
    if isinstance(net, TransPoseM) and path.suffix == ".json":
        start_from_movenet(net, path, crops(FIT_CROPS))
        return f"starting from {path.name}: its convolutions and heatmap head, with the encoder as the identity"
    own = net.state_dict()
    state = read_state(path)
    theirs = {name if name in own else name.removeprefix("backbone."): value for name, value in state.items()}
    fits = {name: value for name, value in theirs.items() if name in own and _same(own[name], value)}
    trained = {name for name, value in own.items() if value.is_floating_point() and name != EMBEDDING}
    if not trained & fits.keys():
        raise UsageError(
            f"--init {path}: none of its {len(theirs)} tensors fits {spec.name}; "
            "name a checkpoint of the same model or backbone"
        )
    net.load_state_dict({**own, **fits})
    loaded = trained & fits.keys()
    fresh = sorted({name.split(".")[0] for name in trained - fits.keys()})
    rest = f"; initialised at random: {', '.join(fresh)}" if fresh else ""
    return f"{len(loaded)} of {len(trained)} tensors loaded from {path.name}{rest}"


def _same(own: Tensor, other: Tensor) -> bool:
    return own.shape == other.shape


def _torchvision_weights(spec: ModelSpec, downloads: Downloads) -> Path:
    """Return the path in the cache of torchvision's ImageNet weights for the net's backbone."""
    if spec.backbone.name not in TORCHVISION_WEIGHTS:
        raise UsageError(
            f"--init imagenet: torchvision has no {spec.backbone.name}; pass HRNet's ImageNet checkpoint, linked from "
            "https://github.com/HRNet/HRNet-Image-Classification"
        )
    file, digest, min_bytes = TORCHVISION_WEIGHTS[spec.backbone.name]
    return fetch(RemoteFile(f"{spec.backbone.name} (ImageNet)", file, TORCHVISION + file, digest, min_bytes), downloads)
