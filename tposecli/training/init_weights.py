"""Weights to start from: whatever of a checkpoint fits, by key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from torch import Tensor

from tposecli.hub.checkpoints.load import EMBEDDING, read_state
from tposecli.hub.checkpoints.resolve import fetch
from tposecli.hub.download.download import Downloads, RemoteFile
from tposecli.models.catalog import Backbone, ModelSpec
from tposecli.models.pose_net import PoseNet
from tposecli.models.transpose_m import TransPoseM
from tposecli.training.movenet import start_from_movenet
from tposecli.utils.errors import UsageError

Crops = Callable[[int], Tensor]
IMAGENET: Final = "imagenet"
FIT_ON: Final = 512
"""Crops on which MoveNet's weights are fitted to the net."""
TORCHVISION: Final = "https://download.pytorch.org/models/"
PUBLISHED: Final[dict[Backbone, tuple[str, str, int]]] = {
    "resnet18": ("resnet18-f37072fd.pth", "f37072fd", 46_000_000),
    "resnet50": ("resnet50-0676ba61.pth", "0676ba61", 102_000_000),
}
"""File, beginning of its SHA-256, and least bytes of torchvision's ImageNet weights."""


def start_from(net: PoseNet, spec: ModelSpec, init: str, downloads: Downloads, crops: Crops) -> str:
    """Copy what fits into the net; returns a line that says how much.

    Args:
        net: To be trained.
        spec: What it is.
        init: ``imagenet``, or a file: a checkpoint of a pose model, of torchvision's ResNet or of an HRNet; MoveNet's
            ``movenet-thunder.json``.
        downloads: How torchvision's weights may be fetched.
        crops: Gives that many crops of people, (N, H, W, 3) uint8, where some are needed.

    Raises:
        UsageError: There are no such weights for this net, or nothing of the file fits it.
        WeightsError: The file cannot be had or read.
    """
    path = _published(spec, downloads) if init == IMAGENET else Path(init).expanduser()
    if not path.is_file():
        raise UsageError(f"--init {path}: no such file")
    if isinstance(net, TransPoseM) and path.suffix == ".json":
        start_from_movenet(net, path, crops(FIT_ON))
        return f"begun with {path.name}: its convolutions, an encoder that passes them on, its heatmaps"
    own = net.state_dict()
    state = read_state(path)
    theirs = {name if name in own else name.removeprefix("backbone."): value for name, value in state.items()}
    fits = {name: value for name, value in theirs.items() if name in own and _same(own[name], value)}
    learnt = {name for name, value in own.items() if value.is_floating_point() and name != EMBEDDING}
    if not learnt & fits.keys():
        raise UsageError(f"--init {path}: none of its {len(theirs)} tensors fits {spec.name}")
    net.load_state_dict({**own, **fits})
    taken = learnt & fits.keys()
    anew = sorted({name.split(".")[0] for name in learnt - fits.keys()})
    rest = f"; begun anew: {', '.join(anew)}" if anew else ""
    return f"{len(taken)} of {len(learnt)} tensors taken from {path.name}{rest}"


def _same(own: Tensor, other: Tensor) -> bool:
    return own.shape == other.shape


def _published(spec: ModelSpec, downloads: Downloads) -> Path:
    """Torchvision's ImageNet weights of the net's backbone, in the cache."""
    if spec.backbone not in PUBLISHED:
        raise UsageError(
            f"--init imagenet: torchvision has no {spec.backbone}; name HRNet's ImageNet checkpoint, which "
            "https://github.com/HRNet/HRNet-Image-Classification links to"
        )
    file, digest, least = PUBLISHED[spec.backbone]
    return fetch(RemoteFile(f"{spec.backbone} (ImageNet)", file, TORCHVISION + file, digest, least), downloads)
