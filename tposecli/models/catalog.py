"""The models that the program knows, as a literal table. Nothing here imports torch until a net is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tposecli.utils.errors import UsageError, unknown_name_hint

if TYPE_CHECKING:
    from tposecli.models.pose_net import EncoderShape, PoseNet

OFFICIAL_URL: Final = "https://github.com/yangsenius/TransPose/releases/download/Hub/"
HEATMAP_STRIDE: Final = 4
"""Crop pixels per heatmap pixel, of every model."""


def heatmap_size(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the heatmaps of a crop."""
    return input_hw[0] // HEATMAP_STRIDE, input_hw[1] // HEATMAP_STRIDE


@dataclass(frozen=True, slots=True)
class Backbone:
    """The convolutional part of a model.

    Attributes:
        name: Its name.
        build: Builds the untrained pose net from the (height, width) of a crop, the size of the encoder, and the number
            of keypoints.
        stride: Crop pixels between two cells of the attention grid.
        divisor: The sides of a crop must be multiples of this.
    """

    name: str
    build: Callable[[tuple[int, int], EncoderShape, int], PoseNet]
    stride: int = 8
    divisor: int = 8


def _resnet18(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.transpose_r import RESNET18, TransPoseR

    return TransPoseR(input_hw, RESNET18, encoder, keypoints)


def _resnet50(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.transpose_r import RESNET50, TransPoseR

    return TransPoseR(input_hw, RESNET50, encoder, keypoints)


def _mobilenet175(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.mobilenet import MOBILENET175
    from tposecli.models.transpose_m import TransPoseM

    return TransPoseM(input_hw, MOBILENET175, encoder, keypoints)


def _shallow175(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.mobilenet import MOBILENET175
    from tposecli.models.transpose_s import TransPoseS

    return TransPoseS(input_hw, MOBILENET175, encoder, keypoints)


def _hrnet32(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.transpose_h import TransPoseH

    return TransPoseH(input_hw, 32, encoder, keypoints)


def _hrnet48(input_hw: tuple[int, int], encoder: EncoderShape, keypoints: int) -> PoseNet:
    from tposecli.models.transpose_h import TransPoseH

    return TransPoseH(input_hw, 48, encoder, keypoints)


MOBILENET175: Final = Backbone("mobilenet175", _mobilenet175)
SHALLOW175: Final = Backbone("shallow-mobilenet175", _shallow175)
RESNET18: Final = Backbone("resnet18", _resnet18)
RESNET50: Final = Backbone("resnet50", _resnet50)
HRNET32: Final = Backbone("hrnet32", _hrnet32, stride=4, divisor=32)
HRNET48: Final = Backbone("hrnet48", _hrnet48, stride=4, divisor=32)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One row of the catalogue.

    Attributes:
        name: What ``--model`` takes.
        backbone: Convolutional part.
        layers: Number of Transformer encoder layers.
        channels: Width of the encoder.
        hidden: Width of its feed-forward nets.
        heads: Attention heads.
        input_hw: Height and width of a crop, in pixels.
        parameters_m: Trainable parameters, in millions.
        macs_g: Multiply-accumulates for one crop, in billions, counted in convolutions and matrix products.
        file: File name of the checkpoint.
        url: Where it can be downloaded; empty for a bundled one.
        sha256: Its digest; None if its publisher gives none: it is then recorded on first use.
        ap_detected: Published AP on COCO val2017 with the 56.4-AP detections and flip test; None if not published.
        ap_truth: The same with ground-truth boxes.
        ap_kept_back: AP of a bundled model on 207 photos of COCO train2017 that it was not trained on, with
            ground-truth boxes and flip test; from its card. None for official ones.
        threshold: Attention score below which the authors' figures show nothing.
        licence: Licence of the weights.
        explains: The attention shows what each keypoint relied on; not so where the convolutions see the whole crop.
        trained: There are weights; without, the model is there for trainings of one's own.
    """

    name: str
    backbone: Backbone
    layers: int
    channels: int
    hidden: int
    heads: int
    parameters_m: float
    macs_g: float
    file: str
    input_hw: tuple[int, int] = (256, 192)
    url: str = ""
    sha256: str | None = None
    ap_detected: float | None = None
    ap_truth: float | None = None
    ap_kept_back: float | None = None
    threshold: float = 0.01
    licence: str = "MIT"
    explains: bool = True
    trained: bool = True

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of a heatmap."""
        return heatmap_size(self.input_hw)

    @property
    def stride(self) -> int:
        """Crop pixels between two cells of the attention grid."""
        return self.backbone.stride

    @property
    def divisor(self) -> int:
        """The sides of a crop must be multiples of this."""
        return self.backbone.divisor

    @property
    def min_bytes(self) -> int:
        """Size below which a checkpoint is incomplete: float32 (half precision if bundled), minus 3% for rounding."""
        return int(self.parameters_m * (2e6 if self.bundled else 4e6) * 0.97)

    @property
    def bundled(self) -> bool:
        """Whether the weights come with the package, if there are any."""
        return not self.url


CATALOG: Final = (
    ModelSpec(
        name="transpose-m-a3",
        backbone=MOBILENET175,
        layers=3,
        channels=128,
        hidden=256,
        heads=4,
        parameters_m=5.3,
        macs_g=1.72,
        file="transpose-m-a3.safetensors",
        sha256="acfc3a8cb31bff2e1aaf149d6a06919746b56cf12e7a9ba7d9d1edb1bc3b983e",
        ap_kept_back=53.1,
        threshold=0.0,
        licence="Apache-2.0",
        explains=False,
    ),
    ModelSpec(
        name="transpose-s-a4",
        backbone=SHALLOW175,
        layers=4,
        channels=192,
        hidden=384,
        heads=3,
        parameters_m=2.03,
        macs_g=2.44,
        file="transpose-s-a4.safetensors",
        sha256="fd69e53718bb41596c383d05ddced77dfab6bfc3602f18da3cd24498f2946bed",
        ap_kept_back=38.9,
        threshold=0.0,
        licence="Apache-2.0",
    ),
    ModelSpec(
        name="transpose-r18-a3",
        backbone=RESNET18,
        layers=3,
        channels=128,
        hidden=256,
        heads=4,
        input_hw=(192, 144),
        parameters_m=1.4,
        macs_g=1.0,
        file="transpose-r18-a3.safetensors",
        sha256="40a25a1908bc34a0e1ce206d838fe9aeb2d60f45e867585286a25c62130fba40",
        trained=False,
    ),
    ModelSpec(
        name="transpose-r-a3",
        backbone=RESNET50,
        layers=3,
        channels=256,
        hidden=1024,
        heads=8,
        parameters_m=5.2,
        macs_g=5.41,
        file="tp_r_256x192_enc3_d256_h1024_mh8.pth",
        url=OFFICIAL_URL + "tp_r_256x192_enc3_d256_h1024_mh8.pth",
        ap_detected=71.7,
        ap_truth=73.8,
    ),
    ModelSpec(
        name="transpose-r-a4",
        backbone=RESNET50,
        layers=4,
        channels=256,
        hidden=1024,
        heads=8,
        parameters_m=6.0,
        macs_g=6.32,
        file="tp_r_256x192_enc4_d256_h1024_mh8.pth",
        url=OFFICIAL_URL + "tp_r_256x192_enc4_d256_h1024_mh8.pth",
        ap_detected=72.6,
        ap_truth=75.1,
    ),
    ModelSpec(
        name="transpose-h-s",
        backbone=HRNET32,
        layers=4,
        channels=64,
        hidden=128,
        heads=1,
        parameters_m=8.0,
        macs_g=9.93,
        file="tp_h_32_256x192_enc4_d64_h128_mh1.pth",
        url=OFFICIAL_URL + "tp_h_32_256x192_enc4_d64_h128_mh1.pth",
        ap_detected=74.2,
        ap_truth=76.1,
        threshold=0.00075,
    ),
    ModelSpec(
        name="transpose-h-a4",
        backbone=HRNET48,
        layers=4,
        channels=96,
        hidden=192,
        heads=1,
        parameters_m=17.3,
        macs_g=17.21,
        file="tp_h_48_256x192_enc4_d96_h192_mh1.pth",
        url=OFFICIAL_URL + "tp_h_48_256x192_enc4_d96_h192_mh1.pth",
        ap_detected=75.3,
        ap_truth=77.5,
        threshold=0.00075,
    ),
    ModelSpec(
        name="transpose-h-a6",
        backbone=HRNET48,
        layers=6,
        channels=96,
        hidden=192,
        heads=1,
        parameters_m=17.5,
        macs_g=21.28,
        file="tp_h_48_256x192_enc6_d96_h192_mh1.pth",
        url=OFFICIAL_URL + "tp_h_48_256x192_enc6_d96_h192_mh1.pth",
        ap_detected=75.8,
        ap_truth=78.1,
        threshold=0.00075,
    ),
)

AUTO_OFFICIAL: Final = "transpose-r-a4"
"""What ``--model auto`` takes if its weights are in the cache."""
AUTO_BUNDLED: Final = "transpose-m-a3"
"""What ``--model auto`` takes otherwise."""
AUTO_EXPLAINING: Final = "transpose-s-a4"
"""What ``--model auto`` takes otherwise where attention is shown."""


def find_spec(name: str) -> ModelSpec:
    """Return the row of that name.

    Raises:
        UsageError: There is none; the message names the nearest and all known ones.
    """
    names = [spec.name for spec in CATALOG]
    if name in names:
        return CATALOG[names.index(name)]
    raise UsageError(f"no model is called {name!r}; {unknown_name_hint(name, names)}known: auto, {', '.join(names)}")
