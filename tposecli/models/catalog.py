"""The models that the program knows: a literal table. Nothing here imports torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, Literal

from tposecli.utils.errors import UsageError

Backbone = Literal["resnet18", "resnet50", "mobilenet175", "hrnet32", "hrnet48"]

OFFICIAL_URL: Final = "https://github.com/yangsenius/TransPose/releases/download/Hub/"


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
        input_hw: Height and width of a crop, pixels.
        parameters_m: Trainable parameters, millions.
        macs_g: Multiply-accumulates for one crop, billions, counted in convolutions and matrix products.
        file: Name of the checkpoint.
        url: Where it can be had; empty for the one that comes with the program.
        sha256: Its digest; None where its publisher gives none: pinned on first use.
        licence: Of the weights.
        ap_detected: Published AP on COCO val2017 with the 56.4-AP detections and flip test; None if none is published.
        ap_truth: The same with ground-truth boxes.
        threshold: Attention score under which the authors' figures show nothing.
        explains: Its attention says where each keypoint came from; it does not where the convolutions see everything.
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
    licence: str = "MIT"
    ap_detected: float | None = None
    ap_truth: float | None = None
    threshold: float = 0.01
    explains: bool = True

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of a heatmap: a quarter of the crop."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4

    @property
    def stride(self) -> int:
        """Crop pixels between two positions of the attention grid."""
        return 4 if self.backbone.startswith("hrnet") else 8

    @property
    def divisor(self) -> int:
        """What the sides of a crop must divide by."""
        return 32 if self.backbone.startswith("hrnet") else 8

    @property
    def min_bytes(self) -> int:
        """A checkpoint smaller than this is incomplete: float32, half of that if bundled, 3% for the rounding here."""
        return int(self.parameters_m * (2e6 if self.bundled else 4e6) * 0.97)

    @property
    def bundled(self) -> bool:
        """Whether the weights come with the program."""
        return not self.url


CATALOG: Final = (
    ModelSpec(
        name="transpose-m-a3",
        backbone="mobilenet175",
        layers=3,
        channels=128,
        hidden=256,
        heads=4,
        parameters_m=5.3,
        macs_g=1.72,
        file="transpose-m-a3.safetensors",
        sha256="e78addb1bd1773426d161929b3f8816b180bd78ea2e805192c80725e06b10628",
        licence="Apache-2.0",
        threshold=0.0,
        explains=False,
    ),
    ModelSpec(
        name="transpose-r18-a3",
        backbone="resnet18",
        layers=3,
        channels=128,
        hidden=256,
        heads=4,
        input_hw=(192, 144),
        parameters_m=1.4,
        macs_g=1.0,
        file="transpose-r18-a3.safetensors",
        sha256="40a25a1908bc34a0e1ce206d838fe9aeb2d60f45e867585286a25c62130fba40",
    ),
    ModelSpec(
        name="transpose-r-a3",
        backbone="resnet50",
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
        backbone="resnet50",
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
        backbone="hrnet32",
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
        backbone="hrnet48",
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
        backbone="hrnet48",
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
"""What ``--model auto`` takes when its weights are at hand."""
AUTO_BUNDLED: Final = "transpose-m-a3"
"""What ``--model auto`` takes otherwise."""


def find_spec(name: str) -> ModelSpec:
    """The row of that name.

    Raises:
        UsageError: There is none; the message names the nearest and all known ones.
    """
    names = [spec.name for spec in CATALOG]
    if name in names:
        return CATALOG[names.index(name)]
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise UsageError(f"no model is called {name!r}; {hint}known: auto, {', '.join(names)}")
