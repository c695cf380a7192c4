"""Detectors of torchvision (BSD licence), with its COCO weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tposecli.detection.base import BoxFilter, same_size_batches
from tposecli.hub.checkpoints.load import read_state
from tposecli.hub.checkpoints.resolve import cache_dir, fetch, verify_file
from tposecli.hub.download.download import RemoteFile
from tposecli.hub.download.options import Downloads
from tposecli.types import Boxes, Frame
from tposecli.utils.errors import UsageError, WeightsError, unknown_name_hint

OFFICIAL_URL: Final = "https://download.pytorch.org/models/"
PERSON: Final = 1
CLASSES: Final = 91
"""COCO's categories by their own numbers, and the background."""
MAX_BATCH: Final = 16
Family = Literal["ssd", "rcnn", "retinanet"]


@dataclass(frozen=True, slots=True)
class TorchvisionModel:
    """One row of the table.

    Attributes:
        name: Name of torchvision's builder, and what ``torchvision:NAME`` takes.
        family: Determines the names of the builder's options.
        file: File name of the weights; its stem ends in the first digits of their digest.
        exact_norm: The weights were trained with batch normalisation whose epsilon is 0.
    """

    name: str
    family: Family
    file: str
    exact_norm: bool = False

    @property
    def url(self) -> str:
        """Download URL of the weights."""
        return OFFICIAL_URL + self.file

    @property
    def remote(self) -> RemoteFile:
        """The weights as a file to download."""
        return RemoteFile(f"torchvision:{self.name}", self.file, self.url, self.sha256_prefix)

    @property
    def sha256_prefix(self) -> str:
        """The first digits of the weights' SHA-256."""
        return self.file.removesuffix(".pth").rpartition("-")[2]


MODELS: tuple[TorchvisionModel, ...] = (
    TorchvisionModel("ssdlite320_mobilenet_v3_large", "ssd", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
    TorchvisionModel(
        "fasterrcnn_mobilenet_v3_large_320_fpn", "rcnn", "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    ),
    TorchvisionModel("fasterrcnn_mobilenet_v3_large_fpn", "rcnn", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"),
    TorchvisionModel("fasterrcnn_resnet50_fpn", "rcnn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", exact_norm=True),
    TorchvisionModel("fasterrcnn_resnet50_fpn_v2", "rcnn", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"),
    TorchvisionModel("retinanet_resnet50_fpn_v2", "retinanet", "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth"),
)


class TorchvisionDetector:
    """Finds people with a model of torchvision; implements :class:`tposecli.detection.base.Detector`."""

    def __init__(
        self,
        name: str,
        box_filter: BoxFilter | None = None,
        image_size: int | None = None,
        device: torch.device | str = "cpu",
        downloads: Downloads | None = None,
    ) -> None:
        """Build the net and load its weights.

        Args:
            name: One of ``MODELS``.
            box_filter: Which boxes are kept.
            image_size: Longer side of the scaled frame, in pixels; None for the model's own rule.
            device: Where the net runs.
            downloads: How the weights may be downloaded.

        Raises:
            UsageError: There is no such model, its input size is fixed, or torchvision is not installed.
            WeightsError: The weights are damaged, or not on this machine and cannot be downloaded.
        """
        model = find_model(name)
        self._filter = box_filter or BoxFilter()
        self._device = torch.device(device)
        options = _options(model, self._filter, image_size)
        detection = load_torchvision()
        path = find_weights(model, downloads)
        net: nn.Module = getattr(detection, name)(
            weights=None, weights_backbone=None, num_classes=CLASSES, progress=False, **options
        )
        _load(net, model, path)
        self._net = net.eval().to(self._device)

    def detect(self, frames: Sequence[Frame]) -> list[Boxes]:
        """Return the boxes of every frame, best first; frames of the same size share a batch."""
        found = [Boxes.empty()] * len(frames)
        for batch in same_size_batches(frames, MAX_BATCH):
            images = np.stack([frames[position].image for position in batch])
            for position, boxes in zip(batch, self._forward(images), strict=True):
                found[position] = self._filter(boxes, frames[position].size_wh)
        return found

    @torch.inference_mode()
    def _forward(self, images: Any) -> list[Boxes]:
        """Return the unfiltered boxes of (B, H, W, 3) uint8 images."""
        batch = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2).float() / 255
        return [_people(result) for result in self._net(list(batch))]


def find_model(name: str) -> TorchvisionModel:
    """Return the row of that name.

    Raises:
        UsageError: There is none; the message names the nearest and all known ones.
    """
    names = [model.name for model in MODELS]
    if name in names:
        return MODELS[names.index(name)]
    raise UsageError(f"torchvision:{name}: no such detector; {unknown_name_hint(name, names)}known: {', '.join(names)}")


def published_file(name: str) -> RemoteFile | None:
    """Return the weights of that file name; None if no model has them."""
    return next((model.remote for model in MODELS if model.file == name), None)


def find_weights(model: TorchvisionModel, downloads: Downloads | None = None) -> Path:
    """Return the model's weights from our cache or that of torch.hub; download them to ours if they are in neither.

    Raises:
        WeightsError: They cannot be downloaded, or their digest is not the published one.
    """
    places = (cache_dir() / model.file, Path(torch.hub.get_dir()) / "checkpoints" / model.file)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        path = fetch(model.remote, downloads)
    verify_file(path, model.sha256_prefix)
    return path


def load_torchvision() -> ModuleType:
    """Import ``torchvision.models.detection``.

    Raises:
        UsageError: It is not installed, or was built for another version of torch.
    """
    try:
        from torchvision.models import detection
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise UsageError(
            f"torchvision cannot be imported ({error}): pip install torchvision, in the version that matches "
            "the installed torch, or choose --detector auto"
        ) from error
    return detection  # type: ignore[no-any-return]


def _options(model: TorchvisionModel, box_filter: BoxFilter, image_size: int | None) -> dict[str, Any]:
    """Return the builder's keyword arguments."""
    prefix = "box_" if model.family == "rcnn" else ""
    options: dict[str, Any] = {
        f"{prefix}score_thresh": box_filter.min_score,
        f"{prefix}nms_thresh": box_filter.nms,
    }
    if image_size is not None:
        if model.family == "ssd":
            raise UsageError(f"torchvision:{model.name} supports one size only; omit the image size")
        options |= {"min_size": image_size, "max_size": image_size}
    return options


def _load(net: nn.Module, model: TorchvisionModel, path: Path) -> None:
    """Load the weights; all keys must match.

    The official nets have frozen batch normalisation, ours a trainable one: the same in evaluation mode except for a
    counter, which the files may lack, and for epsilon.
    """
    state = read_state(path)
    counters = {name: value for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        net.load_state_dict(counters | state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: not the weights of torchvision's {model.name}; download {model.url} again"
        ) from error
    if model.exact_norm:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0


def _people(result: dict[str, Tensor]) -> Boxes:
    """Return the people among the objects of one image."""
    person = result["labels"] == PERSON
    return Boxes(result["boxes"][person].cpu().numpy(), result["scores"][person].cpu().numpy())
